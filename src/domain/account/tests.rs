//! Decisions on one account, by example and by property.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::catalog::{Catalog, Interval, parse_catalog};
use crate::domain::decision::{Reason, Warning};
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::ReservationState;
use crate::domain::rights::{Owner, Tracked, needed};
use crate::domain::time::Span;
use crate::domain::usage::Labels;

const CATALOG: &str = r#"
default_plan = "basic"
[meters.tokens]
unit = "token"
aggregation = "sum"
dimensions = ["kind"]
weights.kind = { heavy = "1.5" }
[features]
sso = "boolean"
seats = "allocation"
jobs = "concurrency"
[features.tokens]
metered = { meter = "tokens" }
[features.soft]
metered = { meter = "tokens" }
[plans.basic]
[plans.basic.entitlements]
seats = 2
jobs = 2
tokens = { limits = [{ amount = 100, window = "day" }, { amount = 40, window = "1h" }] }
[plans.pro]
extends = "basic"
[plans.pro.entitlements]
sso = true
tokens = { limits = [{ amount = 1000, window = "day", on_limit = { allow_up_to = 50 } }] }
soft = { limits = [{ amount = 10, window = "month", on_limit = "allow" }], concurrency = 1 }
"#;

fn start() -> Timestamp {
    Timestamp::from_micros_clamped(1_770_000_000_000_000)
}

fn catalog() -> Catalog {
    parse_catalog(CATALOG).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn account(plan: &str) -> Account {
    let catalog = catalog();
    let plan = catalog.plans.get(plan).cloned();
    let tracked: Tracked = needed(Owner::Customer, &catalog, plan.as_deref(), &[])
        .into_iter()
        .map(Arc::new)
        .collect();
    let anchor = Anchor {
        start: start(),
        interval: Interval::Month,
    };
    let rights = Rights::compile(
        Owner::Customer,
        &catalog,
        plan.as_deref(),
        &[],
        Arc::clone(&tracked),
        start(),
    );
    let counters = tracked
        .iter()
        .map(|spec| Counter::empty(spec.window, anchor, start()))
        .collect();
    let customer = Customer {
        id: CustomerId::new("acme").unwrap(),
        display_name: "".into(),
        email: "".into(),
        metadata: Labels::new(),
        anchor: start(),
        create_time: start(),
        update_time: start(),
        delete_time: None,
    };
    let parts = AccountParts {
        customer,
        subscription: None,
        plan,
        anchor,
        overrides: Vec::new(),
        rights: Arc::new(rights),
        counters,
        adjustments: Vec::new(),
        reservations: Vec::new(),
        allocations: Vec::new(),
        subaccounts: Vec::new(),
    };
    Account::new(parts, start())
}

fn feature(id: &str) -> FeatureId {
    FeatureId::new(id).unwrap()
}

fn check(
    account: &Account,
    id: &str,
    quantity: i64,
    now: Timestamp,
) -> crate::domain::decision::Decision {
    let (feature, dimensions) = (feature(id), Labels::new());
    let ask = Ask {
        feature: &feature,
        quantity,
        min_quantity: quantity,
        subaccount: None,
        dimensions: &dimensions,
        verbose: true,
    };
    account.check(&ask, now)
}

fn record(account: &mut Account, units: i64, at: Timestamp, now: Timestamp) -> Effects {
    let mut effects = Effects::default();
    let (meter, dimensions) = (MeterId::new("tokens").unwrap(), Labels::new());
    let weighted = Milli::from_units(units).unwrap();
    let usage = Counted {
        subaccount: None,
        meter: &meter,
        dimensions: &dimensions,
        weighted,
        at,
    };
    account.advance(now);
    account.count(&usage, now, &mut effects).unwrap();
    effects
}

fn reserve(
    account: &mut Account,
    id: &str,
    items: &[(&str, i64, i64)],
    now: Timestamp,
) -> Reserved {
    let item = |(feature_id, quantity, min_quantity): &(&str, i64, i64)| ReserveItem {
        feature: feature(feature_id),
        quantity: *quantity,
        min_quantity: *min_quantity,
        dimensions: Labels::new(),
    };
    let ask = ReserveAsk {
        id: ReservationId::new(id).unwrap(),
        subaccount: None,
        holder: "".into(),
        metadata: Labels::new(),
        expire_time: now.plus(Span::from_secs(60)),
        items: items.iter().map(item).collect(),
    };
    account.reserve(&ask, now, &mut Effects::default()).unwrap()
}

#[test]
fn the_tightest_of_several_limits_decides() {
    let mut account = account("basic");
    let now = start().plus(Span::from_minutes(1));
    record(&mut account, 33, now, now);
    let decision = check(&account, "tokens", 7, now);
    assert!(decision.allowed);
    assert_eq!(
        decision.limit,
        Some(40),
        "the rolling hour is tighter than the day"
    );
    assert_eq!(decision.remaining, Some(Milli(7_000)));
    assert_eq!(decision.warning, Warning::Notice);
    assert_eq!(decision.limits.len(), 2);
    let decision = check(&account, "tokens", 8, now);
    assert_eq!(
        (decision.allowed, decision.reason),
        (false, Reason::LimitExceeded)
    );
    let wait = decision.retry_after.unwrap();
    let later = now.plus(wait);
    assert!(
        check(&account, "tokens", 8, later).allowed,
        "there is room when the wait is over"
    );
    let earlier = later.minus(Span::from_secs(1));
    assert!(
        !check(&account, "tokens", 8, earlier).allowed,
        "and not before"
    );
}

#[test]
fn buffers_and_soft_limits_allow_overage() {
    let mut account = account("pro");
    let now = start();
    record(&mut account, 1040, now, now);
    let decision = check(&account, "tokens", 10, now);
    assert!(decision.allowed);
    assert_eq!(
        (decision.overage, decision.warning),
        (Milli(40_000), Warning::Exceeded)
    );
    assert_eq!(decision.percent_used, 104);
    assert!(!check(&account, "tokens", 11, now).allowed);
    assert!(check(&account, "soft", 1_000_000, now).allowed);
}

#[test]
fn causes_come_in_order() {
    let mut account = account("basic");
    let now = start();
    assert_eq!(
        check(&account, "sso", 1, now).reason,
        Reason::FeatureNotInPlan
    );
    assert_eq!(
        check(&account, "nothing", 1, now).reason,
        Reason::FeatureNotInPlan
    );
    let unknown = SubaccountId::new("ghost").unwrap();
    let (feature, dimensions) = (feature("tokens"), Labels::new());
    let ask = Ask {
        feature: &feature,
        quantity: 1000,
        min_quantity: 1000,
        subaccount: Some(&unknown),
        dimensions: &dimensions,
        verbose: false,
    };
    assert_eq!(account.check(&ask, now).reason, Reason::SubaccountUnknown);
    account.subscription = Some(Box::new(Subscription {
        plan: crate::domain::id::PlanId::new("basic").unwrap(),
        catalog_version: 1,
        status: crate::domain::subscription::SubscriptionStatus::Unpaid,
        interval: Interval::Month,
        anchor: start(),
        trial_end: None,
        grace_end: None,
        start_time: start(),
        update_time: start(),
    }));
    assert_eq!(
        account.check(&ask, now).reason,
        Reason::SubscriptionInactive
    );
    account.customer.delete_time = Some(now);
    assert_eq!(account.check(&ask, now).reason, Reason::CustomerUnknown);
}

#[test]
fn items_are_reserved_all_or_none() {
    let mut account = account("basic");
    let now = start();
    let before = account.counters.clone();
    let denied = reserve(
        &mut account,
        "r1",
        &[("tokens", 30, 30), ("tokens", 11, 11), ("jobs", 1, 1)],
        now,
    );
    assert!(denied.reservation.is_none());
    assert_eq!(denied.decisions[1].reason, Reason::LimitExceeded);
    let clean = |counters: &[Counter]| counters.iter().map(|c| c.reserved).collect::<Vec<_>>();
    assert_eq!(
        clean(&account.counters),
        clean(&before),
        "nothing stays held"
    );
    let partly = reserve(
        &mut account,
        "r2",
        &[("tokens", 100, 10), ("jobs", 2, 1)],
        now,
    );
    assert_eq!(partly.decisions[0].granted, 40);
    assert_eq!(
        check(&account, "jobs", 1, now).reason,
        Reason::ConcurrencyLimitExceeded
    );
    let twice = reserve(&mut account, "r3", &[("jobs", 1, 1)], now);
    assert!(twice.reservation.is_none());
}

#[test]
fn two_items_of_one_concurrency_feature_count_together() {
    let mut account = account("basic");
    let both = reserve(
        &mut account,
        "r1",
        &[("jobs", 1, 1), ("jobs", 2, 2)],
        start(),
    );
    assert!(both.reservation.is_none(), "three slots of two");
    let both = reserve(
        &mut account,
        "r2",
        &[("jobs", 1, 1), ("jobs", 1, 1)],
        start(),
    );
    assert!(both.reservation.is_some());
}

#[test]
fn a_holder_that_stops_renewing_frees_what_it_held() {
    let mut account = account("basic");
    let now = start();
    reserve(
        &mut account,
        "r1",
        &[("tokens", 40, 40), ("jobs", 2, 2)],
        now,
    );
    assert!(!check(&account, "jobs", 1, now).allowed);
    let later = now.plus(Span::from_secs(60));
    assert!(
        check(&account, "jobs", 1, later).allowed,
        "checks do not wait for the sweep"
    );
    assert!(check(&account, "tokens", 40, later).allowed);
    let mut effects = Effects::default();
    account.expire(later, &mut effects).unwrap();
    assert_eq!(effects.ended[0].state, ReservationState::Expired);
    assert!(
        account
            .counters
            .iter()
            .all(|counter| counter.reserved == Milli::ZERO)
    );
}

#[test]
fn usage_moves_from_reserved_to_used_and_the_rest_is_freed() {
    let mut account = account("basic");
    let now = start();
    let id = ReservationId::new("r1").unwrap();
    reserve(&mut account, "r1", &[("tokens", 30, 30)], now);
    let mut effects = Effects::default();
    let meter = MeterId::new("tokens").unwrap();
    assert!(
        !account
            .use_up(&id, &meter, Milli(20_000), &mut effects)
            .unwrap()
    );
    record(&mut account, 20, now, now);
    let decision = check(&account, "tokens", 0, now);
    assert_eq!(
        (decision.used, decision.reserved),
        (Milli(20_000), Milli(10_000))
    );
    assert!(
        account
            .use_up(&id, &meter, Milli(11_000), &mut effects)
            .unwrap(),
        "one beyond"
    );
    record(&mut account, 11, now, now);
    account
        .end(&id, Ended::Committed, now, &mut effects)
        .unwrap()
        .unwrap();
    let decision = check(&account, "tokens", 0, now);
    assert_eq!(
        (decision.used, decision.reserved),
        (Milli(31_000), Milli(0))
    );
    assert_eq!(
        account
            .end(&id, Ended::Released, now, &mut effects)
            .unwrap(),
        Err(NotOpen)
    );
}

#[test]
fn late_and_early_usage_counts_in_its_own_window() {
    let mut account = account("basic");
    let day = Span::from_days(1);
    let now = start().plus(day).minus(Span::from_minutes(1));
    let early = record(
        &mut account,
        5,
        start().plus(day).plus(Span::from_minutes(1)),
        now,
    );
    assert_eq!(
        early.shifts.len(),
        1,
        "the next day's row is written without memory holding it"
    );
    let tomorrow = now.plus(Span::from_minutes(2));
    account.advance(tomorrow);
    let used = |account: &Account, now| check(account, "tokens", 0, now).limits[0].used;
    assert_eq!(
        used(&account, tomorrow),
        Milli(5_000),
        "and known when that day comes"
    );
    let late = record(&mut account, 7, now, tomorrow);
    assert_eq!(late.shifts[0].start, start());
    assert_eq!(used(&account, tomorrow), Milli(5_000));
}

#[test]
fn an_allocation_exists_once() {
    let mut account = account("basic");
    let wanted = |id: &str| Allocation {
        feature: feature("seats"),
        id: AllocationId::new(id).unwrap(),
        subaccount: None,
        metadata: Labels::new(),
        create_time: start(),
    };
    let mut effects = Effects::default();
    assert!(matches!(
        account.allocate(wanted("a"), start(), &mut effects),
        Allocated::New(..)
    ));
    assert!(matches!(
        account.allocate(wanted("a"), start(), &mut effects),
        Allocated::Existing(..)
    ));
    assert!(matches!(
        account.allocate(wanted("b"), start(), &mut effects),
        Allocated::New(..)
    ));
    let Allocated::Denied(decision) = account.allocate(wanted("c"), start(), &mut effects) else {
        panic!("a third of two seats");
    };
    assert_eq!(decision.reason, Reason::AllocationLimitExceeded);
    assert!(
        account
            .deallocate(
                &feature("seats"),
                &AllocationId::new("a").unwrap(),
                &mut effects
            )
            .is_some()
    );
    assert!(matches!(
        account.allocate(wanted("c"), start(), &mut effects),
        Allocated::New(..)
    ));
}

#[test]
fn the_smallest_plan_that_would_allow_is_named() {
    let account = account("basic");
    let (feature, dimensions) = (feature("tokens"), Labels::new());
    let ask = |quantity| Ask {
        feature: &feature,
        quantity,
        min_quantity: quantity,
        subaccount: None,
        dimensions: &dimensions,
        verbose: false,
    };
    let plan = smallest_plan(&catalog(), &account, &ask(500), start());
    assert_eq!(
        plan.as_ref().map(crate::domain::id::PlanId::as_str),
        Some("pro")
    );
    assert_eq!(
        smallest_plan(&catalog(), &account, &ask(5000), start()),
        None
    );
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Act {
    Reserve(i64, i64),
    Use(usize, i64),
    End(usize, bool),
    Record(i64, i64),
    Wait(u32),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (1..60_i64, 0..60_i64).prop_map(|(want, least)| Act::Reserve(want, least.min(want).max(1))),
        (0..8_usize, 0..40_i64).prop_map(|(which, units)| Act::Use(which, units)),
        (0..8_usize, any::<bool>()).prop_map(|(which, commit)| Act::End(which, commit)),
        (0..20_i64, 0..90_000_i64).prop_map(|(units, back)| Act::Record(units, back)),
        (0..4000_u32).prop_map(Act::Wait),
    ];
    proptest::collection::vec(act, 1..80)
}

proptest! {
    /// L3: what raises `reserved` leaves `used + reserved` within every limit; and reserved is the fold of what
    /// open reservations hold.
    #[test]
    fn reservations_never_exceed_a_limit(acts in acts()) {
        let mut account = account("basic");
        let mut now = start();
        let mut made = 0;
        let mut open: Vec<ReservationId> = Vec::new();
        for act in acts {
            account.advance(now);
            let mut effects = Effects::default();
            account.expire(now, &mut effects).unwrap();
            match act {
                Act::Reserve(want, least) => {
                    made += 1;
                    let id = format!("r{made}");
                    let reserved = reserve(&mut account, &id, &[("tokens", want, least)], now);
                    if let Some(reservation) = reserved.reservation {
                        open.push(reservation.id);
                        for (slot, amount) in [(0, 100_000), (1, 40_000)] {
                            let counter = &account.counters[slot];
                            let taken = counter.used(now).0 + counter.reserved.0;
                            prop_assert!(taken <= amount, "slot {slot}: {taken} of {amount}");
                        }
                    }
                }
                Act::Use(which, units) => {
                    if let Some(id) = open.get(which).cloned()
                        && let Some(held) = account.open_reservation(&id, now)
                    {
                        let at = held.reserve_time;
                        let meter = MeterId::new("tokens").unwrap();
                        account.use_up(&id, &meter, Milli(units * 1000), &mut effects).unwrap();
                        record(&mut account, units, at, now);
                    }
                }
                Act::End(which, commit) => {
                    if which < open.len() {
                        let id = open.remove(which);
                        let how = if commit { Ended::Committed } else { Ended::Released };
                        let _ = account.end(&id, how, now, &mut effects).unwrap();
                    }
                }
                Act::Record(units, back) => {
                    let at = now.minus(Span::from_micros_clamped(back * 1_000_000));
                    record(&mut account, units, at, now);
                }
                Act::Wait(seconds) => now = now.plus(Span::from_secs(seconds)),
            }
            for (slot, counter) in account.counters.iter().enumerate() {
                let held: i64 = account
                    .reservations
                    .values()
                    .flat_map(|reservation| &reservation.items)
                    .filter_map(|item| match &item.hold {
                        crate::domain::reservation::ItemHold::Quota { reserved, windows, .. } => {
                            let spec = &account.rights.tracked[slot];
                            let here = windows
                                .iter()
                                .any(|held| held.spec == *spec && held.start == counter.start());
                            here.then_some(reserved.0)
                        }
                        _ => None,
                    })
                    .sum();
                prop_assert_eq!(held, counter.reserved.0);
            }
        }
    }
}
