//! What is set aside before work, and what becomes of it.

use super::super::{Ended, NotOpen};
use super::{account, check, record, reserve, start};
use crate::domain::account::Effects;
use crate::domain::counter::Counter;
use crate::domain::decision::Reason;
use crate::domain::id::{MeterId, ReservationId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::ReservationState;
use crate::domain::time::Span;

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
