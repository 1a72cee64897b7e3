//! Refusals are told apart, each with the numbers behind it.

use super::super::*;
use super::{at, grant_id, hold_id, wallets};
use crate::domain::catalog::Interval;
use crate::domain::time::Span;
use crate::domain::window::{Anchor, Window};

fn funded(amount: i64) -> Wallet {
    let [mut wallet, _] = wallets();
    let mut scene = super::Scene::new();
    let new = scene.new_grant(amount, 0, true, Some(1_000));
    wallet.grant(new, at(0)).unwrap();
    wallet
}

#[test]
fn credits_that_are_not_there() {
    let mut wallet = funded(10);
    let refusal = Refusal::InsufficientCredits {
        needed: 11,
        available: 10,
    };
    assert_eq!(wallet.debit(11, Cover::Full, at(1)), Err(refusal.clone()));
    assert_eq!(wallet.hold(hold_id(1), 11, at(9), at(1)), Err(refusal));
}

#[test]
fn a_wallet_that_owes() {
    let mut wallet = funded(10);
    wallet.debit(25, Cover::Owe, at(1)).unwrap();
    assert_eq!(wallet.receivable(), 15);
    let refusal = Refusal::BlockedByReceivable { owed: 15 };
    assert_eq!(wallet.hold(hold_id(1), 1, at(9), at(1)), Err(refusal));
    // Credits that were given do not pay it, those that were paid for do.
    let mut scene = super::Scene::new();
    scene.made = 5;
    let given = scene.new_grant(100, 0, false, None);
    wallet.grant(given, at(2)).unwrap();
    assert_eq!((wallet.receivable(), wallet.available(at(2))), (15, 100));
    let paid = scene.new_grant(20, 0, true, None);
    wallet.grant(paid, at(3)).unwrap();
    assert_eq!((wallet.receivable(), wallet.available(at(3))), (0, 105));
    assert!(wallet.hold(hold_id(1), 1, at(9), at(4)).is_ok());
}

#[test]
fn a_hold_that_has_ended_or_never_was() {
    let mut wallet = funded(10);
    let unknown = Refusal::UnknownHold(hold_id(7));
    assert_eq!(wallet.release(&hold_id(7), at(1)), Err(unknown));
    for (hold, end) in [(1, 100), (2, 100), (3, 5)] {
        wallet.hold(hold_id(hold), 3, at(end), at(1)).unwrap();
    }
    let taken = Refusal::HoldExists(hold_id(1));
    assert_eq!(wallet.hold(hold_id(1), 1, at(9), at(1)), Err(taken));
    let too_much = Refusal::CaptureTooLarge { amount: 4, held: 3 };
    assert_eq!(wallet.capture(&hold_id(1), 4, true, at(2)), Err(too_much));
    wallet.capture(&hold_id(1), 1, false, at(2)).unwrap();
    wallet.capture(&hold_id(1), 1, true, at(3)).unwrap();
    wallet.release(&hold_id(2), at(3)).unwrap();
    for (hold, state, captured) in [
        (1, HoldState::Captured, 2),
        (2, HoldState::Released, 0),
        (3, HoldState::Expired, 0),
    ] {
        let refusal = Refusal::HoldResolved { state, captured };
        let id = hold_id(hold);
        assert_eq!(wallet.capture(&id, 1, true, at(6)), Err(refusal.clone()));
        assert_eq!(wallet.release(&id, at(6)), Err(refusal));
    }
    wallet.forget_ended_holds();
    assert!(wallet.hold_of(&hold_id(1)).is_none());
}

#[test]
fn a_grant_that_has_ended_or_never_was() {
    let mut wallet = funded(10);
    let unknown = Refusal::UnknownGrant(grant_id(9));
    assert_eq!(wallet.claw_back(&grant_id(9), 1, at(1)), Err(unknown));
    let mut scene = super::Scene::new();
    let same = scene.new_grant(1, 0, true, None);
    let exists = Refusal::GrantExists(grant_id(1));
    assert_eq!(wallet.grant(same, at(1)), Err(exists));
    let over = Refusal::GrantExpired {
        expire_time: at(1_000),
    };
    assert_eq!(wallet.expire_grant(&grant_id(1), at(2_000)), Err(over));
}

#[test]
fn money_is_taken_back_once() {
    let mut wallet = funded(10);
    wallet.debit(8, Cover::Full, at(1)).unwrap();
    wallet.claw_back(&grant_id(1), 7, at(2)).unwrap();
    assert_eq!((wallet.available(at(2)), wallet.receivable()), (0, 5));
    let too_much = Refusal::ClawbackTooLarge { amount: 4, left: 3 };
    assert_eq!(wallet.claw_back(&grant_id(1), 4, at(3)), Err(too_much));
}

#[test]
fn amounts_out_of_range_and_wallets_that_do_not_match() {
    let mut wallet = funded(10);
    for amount in [0, -1, AMOUNT_MAX + 1, i64::MIN] {
        let out = Err(Refusal::AmountOutOfRange);
        assert_eq!(wallet.debit(amount, Cover::Owe, at(1)), out);
        assert_eq!(wallet.hold(hold_id(1), amount, at(9), at(1)), out);
        assert_eq!(wallet.claw_back(&grant_id(1), amount, at(1)), out);
    }
    let mut scene = super::Scene::new();
    scene.made = 1;
    let full = scene.new_grant(AMOUNT_MAX, 0, true, None);
    let out = Err(Refusal::AmountOutOfRange);
    assert_eq!(wallet.grant(full, at(1)), out);
    let mut same = wallet.clone();
    let not = Err(Refusal::WalletsDoNotMatch);
    assert_eq!(
        transfer(&mut wallet, &mut same, &grant_id(3), 1, at(1)),
        not
    );
    let mut other = Wallet::new(Some(SubaccountId::new("agent").unwrap()), "USD");
    assert_eq!(
        transfer(&mut wallet, &mut other, &grant_id(3), 1, at(1)),
        not
    );
}

#[test]
fn a_cap_bounds_each_window_of_an_agent() {
    let [_, mut wallet] = wallets();
    let new = super::Scene::new().new_grant(1_000, 0, true, None);
    wallet.grant(new, at(0)).unwrap();
    let anchor = Anchor {
        start: at(0),
        interval: Interval::Month,
    };
    let hour = Window::Hour;
    wallet.set_cap(SpendCap::new(100, hour, anchor, at(0)));
    wallet.debit(30, Cover::Full, at(1)).unwrap();
    wallet.hold(hold_id(1), 60, at(60), at(2)).unwrap();
    let refused = wallet.debit(11, Cover::Full, at(3)).unwrap_err();
    let reached = Refusal::CapReached {
        needed: 11,
        cap: 100,
        left: 10,
        window_end: at(0).plus(Span::from_hours(1)),
    };
    assert_eq!(refused, reached);
    // What is given back makes room again; what has happened is counted, and never refused.
    wallet.capture(&hold_id(1), 20, true, at(4)).unwrap();
    wallet.debit(50, Cover::Full, at(5)).unwrap();
    wallet.debit(40, Cover::Owe, at(6)).unwrap();
    assert_eq!(wallet.cap().map(|cap| cap.spent(at(7))), Some(140));
    assert!(wallet.hold(hold_id(2), 1, at(60), at(8)).is_err());
    wallet.debit(100, Cover::Full, at(3_600)).unwrap();
    let rolling = Window::Rolling(Span::from_hours(5));
    assert!(SpendCap::new(1, rolling, anchor, at(0)).is_none());
}
