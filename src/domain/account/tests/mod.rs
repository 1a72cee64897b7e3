//! Decisions on one account, by example; the property stands beside.

mod credit;
mod property;
mod renew;
mod reservations;

use std::sync::Arc;

use super::*;
use crate::domain::catalog::{Catalog, Interval, parse_catalog};
use crate::domain::decision::{Reason, Warning};
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::quantity::Milli;
use crate::domain::rating::Percent;
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
    account_of(&catalog(), plan)
}

fn account_of(catalog: &Catalog, plan: &str) -> Account {
    let plan = catalog.plans.get(plan).cloned();
    let tracked: Tracked = needed(Owner::Customer, catalog, plan.as_deref(), &[])
        .into_iter()
        .map(Arc::new)
        .collect();
    let anchor = Anchor {
        start: start(),
        interval: Interval::Month,
    };
    let rights = Rights::compile(
        Owner::Customer,
        catalog,
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
        discount: Percent::ZERO,
        payer: None,
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
        book: Book::default(),
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
        stripe: None,
    }));
    assert_eq!(
        account.check(&ask, now).reason,
        Reason::SubscriptionInactive
    );
    account.customer.delete_time = Some(now);
    assert_eq!(account.check(&ask, now).reason, Reason::CustomerUnknown);
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
