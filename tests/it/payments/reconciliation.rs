//! What was used compared with what Stripe counted and invoiced.

use bursar::stripe::gateway::NewMeterEvent;
use pb::SubscriptionStatus as Status;

use super::*;

const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;

impl Shop {
    async fn compare(&mut self, days_ago: i64) -> (pb::ReconciliationRow, String) {
        let now = self.site.server.clock.now().as_micros() / 1_000_000;
        let request = pb::GetReconciliationRequest {
            customer_id: "acme".to_owned(),
            period_time: Some(prost_types::Timestamp {
                seconds: now - days_ago * 86_400,
                nanos: 0,
            }),
            csv: true,
            ..pb::GetReconciliationRequest::default()
        };
        let answer = self.billing.get_reconciliation(request).await;
        let mut answer = answer.unwrap().into_inner();
        assert_eq!(answer.rows.len(), 1);
        (answer.rows.remove(0), answer.csv)
    }

    /// Waits until all that was sealed is at Stripe.
    async fn delivered(&mut self, value: i64) -> (pb::ReconciliationRow, String) {
        for _ in 0..100 {
            let seen = self.compare(0).await;
            if seen.0.delivered == value {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it is not delivered: {:#?}", self.compare(0).await);
    }
}

#[test]
fn each_unit_is_followed_from_the_store_to_the_invoice() {
    in_a_shop(async |shop| {
        let every = pb::BillingInterval::Month;
        shop.site.check_out("acme", "team", every).await;
        shop.site.until_is("acme", "team", Status::Active).await;
        shop.used("calls", "calls", 5, 0).await;
        shop.site.pass(HOUR + 1).await;
        shop.delivered(5).await;
        // Stripe's sums are some minutes behind.
        shop.site.pass(HOUR / 2).await;
        let (row, csv) = shop.compare(0).await;
        assert_eq!((row.stored_milli, row.charged_milli), (5_000, 5_000));
        assert_eq!(
            (row.sealed, row.pending, row.in_doubt, row.failed),
            (5, 0, 0, 0)
        );
        assert_eq!((row.stripe_sum, row.difference), (Some(5), Some(0)));
        assert_eq!(row.invoiced, None);
        assert!(
            csv.lines().nth(1).unwrap().starts_with("acme,calls,"),
            "{csv}"
        );

        // What somebody else tells Stripe shows as a difference.
        let (payer, _) = shop.site.at_stripe("acme").await;
        let other = NewMeterEvent {
            event_name: "test_calls".to_owned(),
            customer: payer,
            value: 3,
            identifier: "by_hand".to_owned(),
            timestamp: shop.site.double.now(),
        };
        shop.site.gateway.send_meter_event(&other).await.unwrap();
        shop.site.pass(HOUR).await;
        let (row, _) = shop.compare(0).await;
        assert_eq!((row.stripe_sum, row.difference), (Some(8), Some(-3)));

        // The period ends, and its invoice has all that Stripe counted.
        shop.site.pass(31 * DAY).await;
        let (row, _) = shop.compare(10).await;
        assert_eq!(
            (row.delivered, row.stripe_sum, row.invoiced),
            (5, Some(8), Some(8))
        );
    });
}
