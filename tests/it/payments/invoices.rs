//! Invoices of what was used, where no meter of Stripe's bills it.

use bursar::clock::Clock as _;

use super::*;
use crate::harness::seen;

const DAY: u32 = 24 * 60;

impl Shop {
    async fn invoice(
        &mut self,
        request: &str,
        dry_run: bool,
    ) -> Result<pb::CreateInvoiceFromUsageResponse, Status> {
        let request = pb::CreateInvoiceFromUsageRequest {
            request_id: request.to_owned(),
            customer_id: "acme".to_owned(),
            due_days: 14,
            dry_run,
            ..pb::CreateInvoiceFromUsageRequest::default()
        };
        let answer = self.billing.create_invoice_from_usage(request).await;
        Ok(answer?.into_inner())
    }
}

fn lines(made: &pb::CreateInvoiceFromUsageResponse) -> Vec<(&str, i64)> {
    let lines = made.lines.iter();
    let mut lines: Vec<_> = lines
        .map(|line| (line.subject.as_str(), line.amount_cents))
        .collect();
    lines.sort_unstable();
    lines
}

#[test]
fn each_unit_is_invoiced_once_and_what_comes_late_is_added() {
    in_a_shop(async |shop| {
        let request = pb::AssignPlanRequest {
            request_id: "plan".to_owned(),
            customer_id: "acme".to_owned(),
            plan_id: "team".to_owned(),
            ..pb::AssignPlanRequest::default()
        };
        shop.site.subscriptions.assign_plan(request).await.unwrap();
        // 40 pages beyond the 100 that are included, at 5 cents, and calls that a meter of Stripe's bills.
        shop.used("pages", "pages", 140, 0).await;
        shop.used("calls", "calls", 5, 0).await;
        let early = shop.invoice("early", true).await;
        // The customer is new: no period of it has ended.
        assert_eq!(seen(&early.unwrap_err()).1, "FIELD_INVALID");
        shop.site.pass(31 * DAY).await;

        // The plan, the pages, and ten percent of all use: of the calls as well, which are billed elsewhere.
        let expected = vec![
            ("add_on support", 25),
            ("feature pages", 200),
            ("plan team", 2_900),
        ];
        let planned = shop.invoice("dry", true).await.unwrap();
        assert_eq!(lines(&planned), expected);
        assert_eq!(planned.invoice, None);
        let made = shop.invoice("first", false).await.unwrap();
        assert_eq!(lines(&made), expected);
        let invoice = made.invoice.clone().unwrap();
        assert_eq!(
            (invoice.total_cents, invoice.status.as_str()),
            (3_125, "open")
        );
        let theirs = shop
            .site
            .gateway
            .retrieve_invoice(&invoice.invoice_id)
            .await;
        let theirs = theirs.unwrap();
        assert_eq!((theirs.total, theirs.lines.data.len()), (3_125, 3));
        // The same request gets the same; another finds nothing left.
        assert_eq!(shop.invoice("first", false).await.unwrap(), made);
        let again = shop.invoice("again", false).await.unwrap();
        assert_eq!((again.invoice, again.lines), (None, Vec::new()));

        late_use_is_added(shop, &invoice.invoice_id).await;
        let held = shop.billing.get_balance(pb::GetBalanceRequest {}).await;
        assert!(!held.unwrap().into_inner().livemode);
    });
}

/// Twenty pages come late, of the period that was invoiced before.
async fn late_use_is_added(shop: &mut Shop, before: &str) {
    shop.used("late", "pages", 20, i64::from(10 * DAY)).await;
    let late = shop.invoice("late", false).await.unwrap();
    assert_eq!(
        lines(&late),
        [("add_on support", 10), ("feature pages", 100)]
    );
    assert_eq!(late.invoice.unwrap().total_cents, 110);
    let request = pb::ListInvoicesRequest {
        customer_id: "acme".to_owned(),
        page_size: 1,
        ..pb::ListInvoicesRequest::default()
    };
    let page = shop.billing.list_invoices(request.clone()).await;
    let page = page.unwrap().into_inner();
    assert_eq!(page.invoices[0].total_cents, 110);
    let request = pb::ListInvoicesRequest {
        page_token: page.next_page_token,
        ..request
    };
    let page = shop.billing.list_invoices(request).await;
    let page = page.unwrap().into_inner();
    assert_eq!(page.invoices[0].invoice_id, before);
    assert_eq!(page.next_page_token, "");
}

#[test]
fn a_period_that_runs_is_not_invoiced() {
    in_a_shop(async |shop| {
        let now = shop.site.server.clock.now().as_micros() / 1_000_000;
        let request = pb::CreateInvoiceFromUsageRequest {
            request_id: "now".to_owned(),
            customer_id: "acme".to_owned(),
            period_time: Some(prost_types::Timestamp {
                seconds: now,
                nanos: 0,
            }),
            ..pb::CreateInvoiceFromUsageRequest::default()
        };
        let refused = shop.billing.create_invoice_from_usage(request).await;
        let (_, reason, text) = seen(&refused.unwrap_err());
        assert_eq!(reason, "FIELD_INVALID");
        assert!(text.contains("period_time"), "{text}");
    });
}
