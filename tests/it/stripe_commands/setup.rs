//! Setting Stripe up, seeing that it stays so, and trying it out.

use bursar::stripe::gateway::{
    Charge, Cursor, Interval, NewPrice, NewProduct, PortalRights, Recurrence,
};

use super::{bursar, catalog, double};
use crate::harness::run;
use crate::stripe::Double;
use crate::subscriptions::gateway;

const URL: &str = "https://billing.example.com/stripe/webhook";

/// Makes a price of six dollars a month, as somebody did before there was a catalog; returns its id.
async fn old_price(double: &Double, cents: i64) -> String {
    let gateway = gateway(&double.url());
    let product = NewProduct {
        name: "Pro".to_owned(),
        ..NewProduct::default()
    };
    let product = gateway.create_product(&product, &format!("p{cents}")).await;
    let price = NewPrice {
        product: product.unwrap().id,
        lookup_key: None,
        nickname: None,
        charge: Charge::Cents(cents),
        recurrence: Some(Recurrence {
            interval: Interval::Month,
            interval_count: 1,
            meter: None,
        }),
        metadata: [].into(),
    };
    let made = gateway.create_price(&price, &format!("c{cents}")).await;
    made.unwrap().id
}

#[test]
fn setting_up_says_what_it_would_do_does_it_once_and_mends_what_drifts() {
    run(async {
        let double = double().await;
        let file = catalog("aims");
        let set_up = ["stripe", "setup", &file, "--webhook-url", URL];
        let verify = ["stripe", "verify", &file, "--webhook-url", URL];
        let calls = |out: &str| out.lines().filter(|line| line.starts_with('+')).count();
        let dry = [&set_up[..], &["--dry-run"]].concat();
        let planned = bursar(&double, &[], &dry).await.done();
        assert!(planned.contains("+ portal standard: invoices, cards, leaving"));
        assert!(planned.contains("+ portal committed: invoices, cards\n"));
        assert!(planned.contains(&format!("+ webhooks to {URL}")));
        assert_eq!(bursar(&double, &[], &verify).await.code, Some(2));
        let done = bursar(&double, &[], &set_up).await.done();
        assert_eq!(calls(&done), calls(&planned), "what was planned is done");
        let secret = done.lines().last().unwrap();
        assert!(
            secret.starts_with("BURSAR_STRIPE_WEBHOOK_SECRET=whsec_"),
            "{done}"
        );
        let again = bursar(&double, &[], &set_up).await.done();
        assert!(again.contains("nothing to change"), "{again}");
        assert!(!again.contains("whsec_"));
        bursar(&double, &[], &verify).await.done();

        let gateway = gateway(&double.url());
        let held = gateway.list_portal_configurations(Cursor::FIRST).await;
        let held = held.unwrap().data;
        let committed = held
            .iter()
            .find(|one| one.metadata["bursar_portal"] == "committed")
            .unwrap();
        let loose = PortalRights {
            cancel: true,
            ..PortalRights::default()
        };
        let id = &committed.id;
        let changed = gateway.update_portal_configuration(id, &loose, "loose");
        changed.await.unwrap();
        let endpoints = gateway.list_webhook_endpoints(Cursor::FIRST).await;
        let endpoint = endpoints.unwrap().data.remove(0);
        let fewer = bursar::stripe::gateway::WebhookEndpointChange {
            events: vec!["invoice.paid".to_owned()],
            ..Default::default()
        };
        let changed = gateway.update_webhook_endpoint(&endpoint.id, &fewer, "fewer");
        changed.await.unwrap();
        let found = bursar(&double, &[], &verify).await;
        assert_eq!(found.code, Some(2));
        assert!(found.out.contains("~ portal committed"), "{found:?}");
        assert!(found.out.contains("invoice.payment_succeeded"), "{found:?}");
        bursar(&double, &[], &set_up).await.done();
        bursar(&double, &[], &verify).await.done();
        double.stop().await;
    });
}

#[test]
fn prices_that_were_there_are_taken_over_if_they_fit() {
    run(async {
        let double = double().await;
        let file = catalog("aims");
        let (fits, other) = (old_price(&double, 600).await, old_price(&double, 700).await);
        let set_up = ["stripe", "setup", &file];
        let unfit = bursar(&double, &[("STRIPE_PRICE_PRO", &other)], &set_up).await;
        assert_eq!(unfit.code, Some(1));
        assert!(unfit.err.contains("costs something else"), "{unfit:?}");
        let variables = [
            ("STRIPE_PRICE_PRO", &*fits),
            ("STRIPE_PRICE_OTHER", "price_1"),
        ];
        let done = bursar(&double, &variables, &set_up).await;
        assert!(
            done.err.contains("STRIPE_PRICE_OTHER is left aside"),
            "{done:?}"
        );
        let done = done.done();
        assert!(
            done.contains(&format!("which is {fits} from now on")),
            "{done}"
        );
        let gateway = gateway(&double.url());
        let named = ["bursar_plan_pro_month".to_owned()];
        let prices = gateway
            .list_prices(&named, Cursor::FIRST)
            .await
            .unwrap()
            .data;
        let listed: Vec<_> = prices.iter().map(|price| &price.id).collect();
        assert_eq!(listed, [&fits], "{done}");
        // Without the variable it stays so.
        let again = bursar(&double, &[], &set_up).await.done();
        assert!(again.contains("nothing to change"), "{again}");
        double.stop().await;
    });
}

#[test]
fn an_account_is_tried_out_and_left_as_it_was() {
    run(async {
        let double = double().await;
        let smoke = ["stripe", "smoke", "--wait-seconds", "0"];
        for round in 0..2 {
            let said = bursar(&double, &[], &smoke).await;
            let said = said.done();
            for part in [
                "in test mode",
                "7 units of use are taken",
                "and not counted",
                "it ends: canceled",
                "paid, 100 cents",
                "the account does what bursar needs",
            ] {
                assert!(said.contains(part), "{round}: {part} is not in\n{said}");
            }
        }
        let gateway = gateway(&double.url());
        let meters = gateway.list_meters(Cursor::FIRST).await.unwrap().data;
        assert_eq!(meters.len(), 1);
        assert_eq!(meters[0].status, "inactive");
        let prices = gateway.list_prices(&[], Cursor::FIRST).await.unwrap().data;
        assert!(prices.iter().all(|price| !price.active));
        let live = [("BURSAR_STRIPE_KEY", "sk_live_bursar")];
        let calls = double.call_count();
        let refused = bursar(&double, &live, &smoke).await;
        assert_eq!(refused.code, Some(1));
        assert_eq!(double.call_count(), calls, "nothing was asked with it");
        double.stop().await;
    });
}
