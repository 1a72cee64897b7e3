//! Webhooks in any order, twice, late and lost lead to the same state. The same law is shown to fail where the payloads of
//! webhooks are believed as they arrive.

use std::time::Duration;

use bursar::grpc::pb;
use bursar::stripe::gateway::{Cursor, ItemChange, Proration, SubscriptionChange};
use pb::SubscriptionStatus as Status;
use serde_json::Value;

use super::Site;
use crate::harness::run_for;
use crate::stripe::DeliveryPlan;

const DAY: u32 = 24 * 60;

/// Where a customer ends up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    plan: String,
    status: Status,
    period_end: i64,
    /// Until when it is entitled although it is late; 0: it is not late, or that is not known.
    grace_end: i64,
}

/// A way for webhooks to go wrong.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    plan: DeliveryPlan,
    /// After which steps of the life what waits is sent, bit by bit; what is left is sent at the end.
    sent_after: u64,
}

impl Trouble {
    const NONE: Self = Self {
        plan: DeliveryPlan::in_order(),
        sent_after: 0,
    };

    /// Makes one of a seed: any order and any delay; twice each, or some lost, by turns.
    const fn of(seed: u64) -> Self {
        let mut plan = DeliveryPlan::shuffled(seed);
        match seed % 3 {
            0 => plan.copies = 2,
            1 => plan.lost_per_mille = 400,
            _ => {}
        }
        Self {
            plan,
            sent_after: seed % 16,
        }
    }
}

/// Leads a subscription through its life, and returns how it ends up: here, and for somebody who believes each payload.
async fn live(trouble: Trouble) -> (End, End) {
    let mut site = Site::selling("aims").await;
    site.double.plan_delivery(trouble.plan);
    site.create("acme").await;
    site.check_out("acme", "pro", pb::BillingInterval::Month)
        .await;
    for step in 0..4 {
        match step {
            0 => site.pass(10 * DAY).await,
            1 => upgrade(&site).await,
            2 => {
                site.pass(19 * DAY).await;
                site.change_card("acme", "4000000000000341").await;
            }
            _ => site.pass(31 * DAY).await,
        }
        if trouble.sent_after & (1 << step) != 0 {
            site.double.deliver_all().await;
            // So that it is worked on before the next step.
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
    site.double.deliver_all().await;
    // What was lost is found in the list of events, which is read every quarter of an hour.
    site.pass(20).await;
    let expected =
        |of: &pb::Subscription| of.plan_id == "enterprise" && of.status() == Status::PastDue;
    site.until("acme", expected).await;
    let standing = site.standing("acme").await;
    let own = End {
        plan: standing.plan_id.clone(),
        status: standing.status(),
        period_end: standing.current_period_end.unwrap().seconds,
        grace_end: standing.grace_end.map_or(0, |end| end.seconds),
    };
    let believed = believed(&site);
    site.server.stop().await;
    site.double.stop().await;
    (own, believed)
}

/// Changes the plan at Stripe, as a customer does in the portal.
async fn upgrade(site: &Site) {
    let key = ["bursar_plan_enterprise_month".to_owned()];
    let price = site.gateway.list_prices(&key, Cursor::FIRST).await.unwrap();
    let (_, subscription) = site.at_stripe("acme").await;
    let items = &subscription.items.data;
    let licensed = items.iter().find(|item| item.quantity.is_some()).unwrap();
    let change = SubscriptionChange {
        items: vec![ItemChange::Change {
            item: licensed.id.clone(),
            price: Some(price.data[0].id.clone()),
            quantity: Some(1),
        }],
        proration: Some(Proration::InvoiceNow),
        ..SubscriptionChange::default()
    };
    let changed = site
        .gateway
        .update_subscription(&subscription.id, &change, "upgrade");
    changed.await.unwrap();
}

/// Returns where a customer ends up for somebody who believes what webhooks say of a subscription, the last one that came most.
fn believed(site: &Site) -> End {
    let mut end = End {
        plan: String::new(),
        status: Status::Unspecified,
        period_end: 0,
        grace_end: 0,
    };
    for attempt in site.double.attempts() {
        if attempt.status != Some(200) || !attempt.kind.starts_with("customer.subscription.") {
            continue;
        }
        let event: Value = serde_json::from_str(&attempt.body).unwrap();
        let object = &event["data"]["object"];
        let items = object["items"]["data"].as_array().unwrap();
        let planned = items
            .iter()
            .find(|item| item["price"]["metadata"]["bursar_plan"].is_string())
            .unwrap();
        end.plan = planned["price"]["metadata"]["bursar_plan"]
            .as_str()
            .unwrap()
            .to_owned();
        end.status = match object["status"].as_str().unwrap() {
            "active" => Status::Active,
            "past_due" => Status::PastDue,
            _ => Status::Unspecified,
        };
        end.period_end = planned["current_period_end"].as_i64().unwrap();
    }
    end
}

#[test]
fn any_order_and_loss_of_webhooks_leads_to_the_same() {
    run_for(240, async {
        let (expected, believed) = live(Trouble::NONE).await;
        assert_eq!(expected.plan, "enterprise");
        assert!(expected.grace_end > 0);
        // In their order, and all of them, payloads can be believed: the variant is no straw man.
        let blind = |end: &End| End {
            grace_end: 0,
            ..end.clone()
        };
        assert_eq!(believed, blind(&expected));
        let mut misled = Vec::new();
        for seed in 1..=9 {
            let trouble = Trouble::of(seed);
            let (own, believed) = live(trouble).await;
            assert_eq!(own, expected, "{trouble:?}");
            if believed != blind(&expected) {
                misled.push(seed);
            }
        }
        // The same law finds out who believes payloads as they arrive.
        assert!(misled.len() >= 3, "only {misled:?} were misled");
    });
}
