//! Every plan of the shipped catalogs that has a price, from checkout to its end.

use bursar::domain::billing::{Sold, price_list};
use bursar::domain::catalog::{
    Aggregation, Charge, EntitlementSpec, FeatureKind, Interval, Plan, Product,
};
use bursar::domain::id::MeterId;
use bursar::grpc::pb;
use bursar::stripe::gateway::{Cursor, InvoiceFilter, SubscriptionChange};
use pb::SubscriptionStatus as Status;
use tonic::Code;

use super::Site;
use crate::harness::run;

const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;

/// A customer on its way through the life of a plan.
struct Life {
    id: String,
    plan: String,
    interval: Interval,
    is_trial: bool,
    is_committed: bool,
    /// What is used: of which meter, how much, and how much of that Stripe is to bill.
    usage: Option<(MeterId, i64, i64)>,
}

/// Returns what to use of a plan so that 7 units go beyond what it includes, or all of what a product sells.
fn usage(site: &Site, plan: &Plan) -> Option<(MeterId, i64, i64)> {
    let counted = |meter: &MeterId| site.catalog.meters[meter].stripe_event_name.is_some();
    // One event is one where events are counted.
    let most = |meter: &MeterId| match site.catalog.meters[meter].aggregation {
        Aggregation::Count => 1,
        _ => 9,
    };
    let sold = site
        .catalog
        .products
        .values()
        .find_map(|product| match product {
            Product::Usage { meter, .. } if counted(meter) => {
                Some((meter.clone(), most(meter), most(meter)))
            }
            _ => None,
        });
    let beyond = plan.entitlements.iter().find_map(|(feature, spec)| {
        let EntitlementSpec::Metered(metered) = spec else {
            return None;
        };
        let FeatureKind::Metered { meter, .. } = &site.catalog.features[feature].kind else {
            return None;
        };
        let is_billed = matches!(metered.charge, Some(Charge::Overage(_))) && counted(meter);
        let amount = metered.limits.first()?.amount?;
        is_billed.then(|| (meter.clone(), amount + 7, 7))
    });
    sold.or(beyond)
}

async fn begin(site: &mut Site) -> Vec<Life> {
    let mut lives = Vec::new();
    for price in price_list(&site.catalog).prices {
        let Sold::Plan(id, interval) = &price.sold else {
            continue;
        };
        let plan = site.catalog.plans[id].clone();
        let life = Life {
            id: format!("{id}-{interval:?}").to_lowercase(),
            plan: id.to_string(),
            interval: *interval,
            is_trial: plan.trial_days > 0,
            is_committed: plan.commitment.is_some(),
            usage: usage(site, &plan),
        };
        let every = match interval {
            Interval::Month => pb::BillingInterval::Month,
            Interval::Year => pb::BillingInterval::Year,
        };
        site.create(&life.id).await;
        site.check_out(&life.id, &life.plan, every).await;
        let status = if life.is_trial {
            Status::Trialing
        } else {
            Status::Active
        };
        site.until_is(&life.id, &life.plan, status).await;
        lives.push(life);
    }
    lives
}

/// Uses what is beyond the plan, and waits until it is at Stripe, to the unit.
async fn consume(site: &mut Site, lives: &[Life]) {
    let mut metering = site.server.metering().await;
    for life in lives {
        let Some((meter, quantity, _)) = &life.usage else {
            continue;
        };
        let event = pb::UsageEvent {
            event_id: format!("use-{}", life.id),
            customer_id: life.id.clone(),
            meter_id: meter.to_string(),
            quantity: *quantity,
            ..pb::UsageEvent::default()
        };
        let events = vec![event];
        let request = pb::RecordUsageBatchRequest { events };
        metering.record_usage_batch(request).await.unwrap();
    }
    site.pass(HOUR + 1).await;
    for life in lives {
        let Some((meter, _, billed)) = &life.usage else {
            continue;
        };
        let name = site.catalog.meters[meter]
            .stripe_event_name
            .clone()
            .unwrap();
        let (payer, _) = site.at_stripe(&life.id).await;
        let mut seen = 0;
        for _ in 0..100 {
            seen = site.double.effective_sum(&name, &payer, 0, i64::MAX);
            if seen == *billed {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(seen, *billed, "{}", life.id);
    }
    assert!(site.double.doubled_identifiers().is_empty());
}

/// Gives a customer and its subscription another card.
async fn change_card(site: &mut Site, life: &Life, card: &str) {
    let (payer, subscription) = site.at_stripe(&life.id).await;
    site.double
        .model(|model| model.set_card(&payer, card))
        .unwrap();
    let customer = site.gateway.retrieve_customer(&payer).await.unwrap();
    let change = SubscriptionChange {
        default_payment_method: customer.default_payment_method().map(str::to_owned),
        ..SubscriptionChange::default()
    };
    let key = format!("card-{}-{card}", life.id);
    let changed = site
        .gateway
        .update_subscription(&subscription, &change, &key);
    changed.await.unwrap();
}

/// Whether a customer may use what its plan grants.
async fn is_entitled(site: &mut Site, life: &Life) -> bool {
    let plan = &site.catalog.plans[life.plan.as_str()];
    let granted = plan.entitlements.iter().find(|(_, spec)| match spec {
        EntitlementSpec::Boolean(on) => *on,
        EntitlementSpec::Static(_) => true,
        EntitlementSpec::Allocation(amount) | EntitlementSpec::Concurrency(amount) => {
            amount.is_none_or(|amount| amount > 0)
        }
        EntitlementSpec::Metered(_) | EntitlementSpec::Rate(_) => false,
    });
    let (feature, _) = granted.expect("each plan grants something beside use");
    let request = pb::CheckEntitlementRequest {
        customer_id: life.id.clone(),
        feature_id: feature.to_string(),
        quantity: Some(1),
        ..pb::CheckEntitlementRequest::default()
    };
    let mut entitlements = site.server.entitlements().await;
    let answer = entitlements.check_entitlement(request).await.unwrap();
    answer.into_inner().decision.unwrap().allowed
}

/// The payment of the second period fails; the grace passes; then it is paid.
async fn fall_behind_and_recover(site: &mut Site, lives: &[Life]) {
    site.double.model(|model| {
        model.dunning_end = bursar::stripe::model::DunningEnd::PastDue;
    });
    let monthly: Vec<&Life> = lives
        .iter()
        .filter(|life| life.interval == Interval::Month && life.plan != "p2p")
        .collect();
    for life in &monthly {
        change_card(site, life, "4000000000000341").await;
    }
    site.pass(28 * DAY + 2 * HOUR).await;
    for life in &monthly {
        site.until_is(&life.id, &life.plan, Status::PastDue).await;
        // The trial ended long ago, so its unpaid invoice is old.
        assert_eq!(is_entitled(site, life).await, !life.is_trial, "{}", life.id);
    }
    site.pass(8 * DAY).await;
    for life in &monthly {
        assert!(
            !is_entitled(site, life).await,
            "{}: its grace is over",
            life.id
        );
        change_card(site, life, "4242424242424242").await;
        let (payer, _) = site.at_stripe(&life.id).await;
        let filter = InvoiceFilter {
            customer: Some(&payer),
            subscription: None,
        };
        let open = site
            .gateway
            .list_invoices(filter, Cursor::FIRST)
            .await
            .unwrap();
        for invoice in open
            .data
            .iter()
            .filter(|one| one.status.as_deref() == Some("open"))
        {
            let key = format!("pay-{}", invoice.id);
            site.gateway
                .pay_invoice(&invoice.id, None, &key)
                .await
                .unwrap();
        }
        site.until_is(&life.id, &life.plan, Status::Active).await;
        assert!(is_entitled(site, life).await, "{}", life.id);
    }
}

/// Ends each; a customer that committed to its plan cannot leave yet.
async fn end(site: &mut Site, lives: &[Life]) {
    for life in lives {
        let request = pb::CancelSubscriptionRequest {
            request_id: format!("cancel-{}", life.id),
            customer_id: life.id.clone(),
            now: true,
        };
        let ended = site.subscriptions.cancel_subscription(request).await;
        if life.is_committed {
            let refused = ended.unwrap_err();
            assert_eq!(refused.code(), Code::FailedPrecondition, "{}", life.id);
            continue;
        }
        let standing = ended.unwrap().into_inner().subscription.unwrap();
        assert_eq!(standing.status(), Status::Canceled, "{}", life.id);
        let fallback = site.catalog.default_plan.as_ref().map(ToString::to_string);
        assert_eq!(standing.plan_id, fallback.unwrap_or_default());
    }
}

async fn live(name: &str) {
    let mut site = Site::selling(name).await;
    let lives = begin(&mut site).await;
    assert!(!lives.is_empty());
    consume(&mut site, &lives).await;
    fall_behind_and_recover(&mut site, &lives).await;
    end(&mut site, &lives).await;
    assert!(site.double.doubled_identifiers().is_empty());
    site.server.stop().await;
    site.double.stop().await;
}

#[test]
fn the_plans_of_aims_live_and_end() {
    run(live("aims"));
}

#[test]
fn the_plans_of_aegis_live_and_end() {
    run(live("aegis"));
}

#[test]
fn the_plans_of_aias_live_and_end() {
    run(live("aias"));
}

#[test]
fn the_plans_of_the_default_live_and_end() {
    run(live("default"));
}

#[test]
fn a_plan_is_changed_now_and_back_when_the_period_ends() {
    run(async {
        let mut site = Site::selling("aims").await;
        site.create("acme").await;
        site.check_out("acme", "starter", pb::BillingInterval::Month)
            .await;
        site.until_is("acme", "starter", Status::Active).await;
        let preview = pb::PreviewPlanChangeRequest {
            customer_id: "acme".to_owned(),
            plan_id: "pro".to_owned(),
            interval: 0,
        };
        let preview = site
            .subscriptions
            .preview_plan_change(preview)
            .await
            .unwrap();
        let preview = preview.into_inner();
        assert_eq!(preview.due_cents, 300, "3 dollars of 6 are paid");
        let change = |plan: &str, request: &str, timing, at| pb::ChangePlanRequest {
            request_id: request.to_owned(),
            customer_id: "acme".to_owned(),
            plan_id: plan.to_owned(),
            interval: 0,
            timing,
            preview_time: at,
        };
        let now = pb::PlanChangeTiming::Now.into();
        let call = change("pro", "up", now, preview.preview_time);
        let up = site
            .subscriptions
            .change_plan(call.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(up.subscription.unwrap().plan_id, "pro");
        // The same call again is the same change, and not another.
        let calls = site.double.call_count();
        site.subscriptions.change_plan(call).await.unwrap();
        assert_eq!(site.double.call_count(), calls);
        let later = pb::PlanChangeTiming::PeriodEnd.into();
        let call = change("starter", "down", later, None);
        let down = site
            .subscriptions
            .change_plan(call)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            down.subscription.unwrap().plan_id,
            "pro",
            "until the period ends"
        );
        site.pass(28 * DAY + 2 * HOUR).await;
        site.until_is("acme", "starter", Status::Active).await;
        site.server.stop().await;
    });
}
