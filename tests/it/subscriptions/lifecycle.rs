//! Every plan of the shipped catalogs that has a price, from checkout to its end, by the table in `lives`.

use std::collections::BTreeSet;

use bursar::domain::billing::{Sold, price_list};
use bursar::domain::catalog::Interval;
use bursar::grpc::pb;
use pb::BillingInterval as Every;
use pb::SubscriptionStatus as Status;
use tonic::Code;

use super::Site;
use super::lives::{
    AEGIS, AIAS_BY_MONTH, AIAS_BY_YEAR, AIMS, DEFAULT_BY_MONTH, DEFAULT_BY_YEAR, Life, Move, Rights,
};
use crate::harness::run;

const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;
const GOOD: &str = "4242424242424242";
/// It can be attached, and is declined when it is charged.
const BAD: &str = "4000000000000341";

async fn begin(site: &mut Site, lives: &[Life]) {
    for life in lives {
        site.create(&life.id()).await;
        site.check_out(&life.id(), life.plan, life.every).await;
    }
    for life in lives {
        site.until_is(&life.id(), life.plan, life.begins).await;
        may(site, &life.id(), life.rights).await;
    }
}

async fn check(site: &Site, id: &str, feature: &str) -> pb::Decision {
    let request = pb::CheckEntitlementRequest {
        customer_id: id.to_owned(),
        feature_id: feature.to_owned(),
        quantity: Some(1),
        verbose: true,
        ..pb::CheckEntitlementRequest::default()
    };
    let mut entitlements = site.server.entitlements().await;
    let answer = entitlements.check_entitlement(request).await.unwrap();
    answer.into_inner().decision.unwrap()
}

/// A customer may do what its plan says, and no more.
async fn may(site: &Site, id: &str, rights: &Rights) {
    if let Some((feature, value)) = rights.granted {
        let decision = check(site, id, feature).await;
        assert!(decision.allowed, "{id} may not {feature}: {decision:?}");
        assert_eq!(decision.static_value.unwrap_or_default(), value, "{id}");
    }
    if let Some(feature) = rights.withheld {
        assert!(!check(site, id, feature).await.allowed, "{id}: {feature}");
    }
    let (feature, expected) = rights.metered;
    let decision = check(site, id, feature).await;
    let first = decision.limits.first().and_then(|status| status.limit);
    let amount = first.expect("it has a limit, if only to count").amount;
    assert_eq!(amount, expected, "{id}: {feature}");
}

/// A customer may do nothing.
async fn may_not(site: &Site, id: &str, rights: &Rights) {
    let features = rights.granted.map(|granted| granted.0);
    for feature in features.into_iter().chain([rights.metered.0]) {
        assert!(!check(site, id, feature).await.allowed, "{id}: {feature}");
    }
}

/// Uses what is beyond the plan, and waits until it is at Stripe, to the unit.
async fn consume(site: &mut Site, lives: &[Life]) {
    for life in lives {
        site.record(&life.id(), life.usage.meter, life.usage.quantity, "use")
            .await;
    }
    site.pass(HOUR + 1).await;
    for life in lives {
        let (id, billed) = (life.id(), life.usage.billed);
        site.until_at_stripe(&id, life.usage.meter, billed).await;
        let sealed: i64 = site.chunks(&id).await.iter().map(|chunk| chunk.value).sum();
        assert_eq!(sealed, billed, "{id}");
    }
    assert!(site.double.doubled_identifiers().is_empty());
}

/// Each changes its plan at once, pays what that costs, and lets it change back when the period ends.
async fn change(site: &mut Site, lives: &[Life]) {
    for life in lives {
        let id = life.id();
        let (plan, every, cents, rights) = match &life.change {
            Move::To {
                plan,
                every,
                cents,
                rights,
            } => (*plan, *every, *cents, *rights),
            Move::Refused { to } => {
                for timing in [pb::PlanChangeTiming::Now, pb::PlanChangeTiming::PeriodEnd] {
                    let to = (*to, Every::Month);
                    let refused = site.change_plan(&id, to, timing, None).await.unwrap_err();
                    assert_eq!(refused.code(), Code::FailedPrecondition, "{id}");
                }
                may(site, &id, life.rights).await;
                continue;
            }
        };
        let preview = site.preview(&id, plan, every).await;
        let expected = due(life, every, cents, left(site, &id).await);
        let off = preview.due_cents - expected;
        assert!(
            off.abs() <= 1,
            "{id}: {} and not {expected}",
            preview.due_cents
        );
        let (now, at) = (pb::PlanChangeTiming::Now, preview.preview_time);
        let changed = site.change_plan(&id, (plan, every), now, at).await.unwrap();
        assert_eq!(
            (changed.plan_id.as_str(), changed.interval()),
            (plan, every),
            "{id}"
        );
        // The same call again is the same change, and not another.
        let calls = site.changes();
        site.change_plan(&id, (plan, every), now, at).await.unwrap();
        assert_eq!(site.changes(), calls);
        assert_eq!(site.newest_total(&id).await, preview.due_cents, "{id}");
        may(site, &id, rights).await;
        let later = pb::PlanChangeTiming::PeriodEnd;
        let back = site.change_plan(&id, (life.plan, life.every), later, None);
        assert_eq!(
            back.await.unwrap().plan_id,
            plan,
            "{id}: until the period ends"
        );
        may(site, &id, rights).await;
    }
}

/// Returns how much of the running period is left: seconds, of seconds.
async fn left(site: &mut Site, id: &str) -> (i64, i64) {
    let standing = site.standing(id).await;
    let start = standing.current_period_start.unwrap().seconds;
    let end = standing.current_period_end.unwrap().seconds;
    (end - site.double.now(), end - start)
}

/// Returns what a change costs at once: what is left of the period at the new price without that at the old, or, where periods
/// become of another length, a whole new one.
fn due(life: &Life, every: Every, cents: i64, (left, of): (i64, i64)) -> i64 {
    if every == life.every {
        (cents - life.cents) * left / of
    } else {
        cents - life.cents * left / of
    }
}

/// What was put off until the period ends has come.
async fn back(site: &mut Site, lives: &[Life]) {
    site.pass_period(&lives[0].id()).await;
    for life in lives {
        let (id, every) = (life.id(), life.every);
        let is_back = |of: &pb::Subscription| {
            of.plan_id == life.plan && of.interval() == every && of.status() == Status::Active
        };
        site.until(&id, is_back).await;
        may(site, &id, life.rights).await;
    }
}

/// The payment of the next period fails; the grace passes; then it is paid.
async fn fall_behind_and_recover(site: &mut Site, lives: &[Life]) {
    site.double.model(|model| {
        model.dunning_end = bursar::stripe::model::DunningEnd::PastDue;
    });
    let paying: Vec<&Life> = lives.iter().filter(|life| life.cents > 0).collect();
    for life in &paying {
        site.change_card(&life.id(), BAD).await;
    }
    site.pass_period(&paying[0].id()).await;
    for life in &paying {
        site.until_is(&life.id(), life.plan, Status::PastDue).await;
        may(site, &life.id(), life.rights).await;
    }
    site.pass(7 * DAY).await;
    for life in &paying {
        may_not(site, &life.id(), life.rights).await;
        site.change_card(&life.id(), GOOD).await;
        site.pay_open_invoices(&life.id()).await;
        site.until_is(&life.id(), life.plan, Status::Active).await;
        may(site, &life.id(), life.rights).await;
    }
}

/// Ends each; a customer that committed to its plan cannot leave yet.
async fn end(site: &mut Site, lives: &[Life]) {
    for life in lives {
        let id = life.id();
        let ended = site.cancel(&id, true).await;
        if !life.is_free() {
            assert_eq!(ended.unwrap_err().code(), Code::FailedPrecondition, "{id}");
            let standing = site.standing(&id).await;
            let promised = standing.commitment.unwrap().end_time.unwrap().seconds;
            let in_time = standing.current_period_end.unwrap().seconds >= promised;
            // In its last month it may go when that ends.
            let leaving = site.cancel(&id, false).await;
            assert_eq!(leaving.is_ok(), in_time, "{id}: {leaving:?}");
            continue;
        }
        let standing = ended.unwrap();
        assert_eq!(standing.status(), Status::Canceled, "{id}");
        let fallback = site.catalog.default_plan.as_ref().map(ToString::to_string);
        assert_eq!(standing.plan_id, fallback.unwrap_or_default());
    }
}

async fn live(name: &str, lives: &'static [Life]) {
    let mut site = Site::selling(name).await;
    begin(&mut site, lives).await;
    consume(&mut site, lives).await;
    site.pass(15 * DAY).await;
    for life in lives {
        site.until_is(&life.id(), life.plan, Status::Active).await;
    }
    change(&mut site, lives).await;
    back(&mut site, lives).await;
    fall_behind_and_recover(&mut site, lives).await;
    end(&mut site, lives).await;
    assert!(site.double.doubled_identifiers().is_empty());
    for life in lives {
        // What is late, or came to be while plans changed, is billed once: nothing was used after the first hour.
        let billed = life.usage.billed;
        site.until_at_stripe(&life.id(), life.usage.meter, billed)
            .await;
    }
    site.server.stop().await;
    site.double.stop().await;
}

#[test]
fn the_plans_of_aims_live_and_end() {
    run(live("aims", AIMS));
}

#[test]
fn the_plans_of_aegis_live_and_end() {
    run(live("aegis", AEGIS));
}

#[test]
fn the_monthly_plan_of_aias_lives_and_ends() {
    run(live("aias", AIAS_BY_MONTH));
}

#[test]
fn the_yearly_plan_of_aias_lives_and_ends() {
    run(live("aias", AIAS_BY_YEAR));
}

#[test]
fn the_monthly_plan_of_the_default_lives_and_ends() {
    run(live("default", DEFAULT_BY_MONTH));
}

#[test]
fn the_yearly_plan_of_the_default_lives_and_ends() {
    run(live("default", DEFAULT_BY_YEAR));
}

#[test]
fn no_plan_that_is_sold_is_left_out() {
    let tables: [(&str, &[&[Life]]); 4] = [
        ("aims", &[AIMS]),
        ("aegis", &[AEGIS]),
        ("aias", &[AIAS_BY_MONTH, AIAS_BY_YEAR]),
        ("default", &[DEFAULT_BY_MONTH, DEFAULT_BY_YEAR]),
    ];
    for (name, lives) in tables {
        let list = price_list(&super::catalog(name));
        let sold: BTreeSet<(String, i32)> = list
            .prices
            .iter()
            .filter_map(|price| match &price.sold {
                Sold::Plan(plan, Interval::Month) => Some((plan.to_string(), Every::Month.into())),
                Sold::Plan(plan, Interval::Year) => Some((plan.to_string(), Every::Year.into())),
                Sold::Overage(..) | Sold::Usage(..) | Sold::Piece(_) => None,
            })
            .collect();
        let lived: BTreeSet<(String, i32)> = lives
            .iter()
            .flat_map(|lives| lives.iter())
            .map(|life| (life.plan.to_owned(), life.every.into()))
            .collect();
        assert_eq!(sold, lived, "{name}");
    }
}
