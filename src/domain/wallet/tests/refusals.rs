//! Refusals are told apart, each with the numbers behind it.

use super::super::*;
use super::{at, full, grant_id, hold_id, keys};
use crate::domain::catalog::Interval;
use crate::domain::time::Span;
use crate::domain::window::{Anchor, Window};

fn funded(amount: i64) -> Wallet {
    let mut wallet = Wallet::new(WalletKey::own("LUC"));
    let mut scene = super::Scene::new();
    let new = scene.new_grant(amount, 0, true, Some(1_000));
    wallet.grant(new, at(0)).unwrap();
    wallet
}

fn new_hold(number: usize, amount: i64, end: i64) -> NewHold {
    NewHold {
        id: hold_id(number),
        amount,
        spender: None,
        expire_time: at(end),
    }
}

#[test]
fn credits_that_are_not_there() {
    let mut wallet = funded(10);
    let refusal = Refusal::InsufficientCredits {
        needed: 11,
        available: 10,
    };
    assert_eq!(wallet.debit(11, full(), at(1)), Err(refusal.clone()));
    assert_eq!(wallet.hold(new_hold(1, 11, 9), 0, at(1)), Err(refusal));
}

#[test]
fn a_wallet_that_owes() {
    let mut wallet = funded(10);
    wallet.debit(25, Cover::Owe, at(1)).unwrap();
    assert_eq!(wallet.receivable(), 15);
    let refusal = Refusal::BlockedByReceivable { owed: 15 };
    assert_eq!(wallet.hold(new_hold(1, 1, 9), 0, at(1)), Err(refusal));
    // Credits that were given do not pay it, those that were paid for do.
    let mut scene = super::Scene::new();
    scene.made = 5;
    let given = scene.new_grant(100, 0, false, None);
    wallet.grant(given, at(2)).unwrap();
    assert_eq!((wallet.receivable(), wallet.available(at(2))), (15, 100));
    let paid = scene.new_grant(20, 0, true, None);
    wallet.grant(paid, at(3)).unwrap();
    assert_eq!((wallet.receivable(), wallet.available(at(3))), (0, 105));
    assert!(wallet.hold(new_hold(1, 1, 9), 0, at(4)).is_ok());
}

#[test]
fn a_hold_that_has_ended_or_never_was() {
    let mut wallet = funded(10);
    let unknown = Refusal::UnknownHold(hold_id(7));
    assert_eq!(wallet.release(&hold_id(7), at(1)), Err(unknown));
    for (hold, end) in [(1, 100), (2, 100), (3, 5)] {
        wallet.hold(new_hold(hold, 3, end), 0, at(1)).unwrap();
    }
    let taken = Refusal::HoldExists(hold_id(1));
    assert_eq!(wallet.hold(new_hold(1, 1, 9), 0, at(1)), Err(taken));
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
    wallet.forget(at(6));
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
    wallet.debit(8, full(), at(1)).unwrap();
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
        assert_eq!(wallet.hold(new_hold(1, amount, 9), 0, at(1)), out);
        assert_eq!(wallet.claw_back(&grant_id(1), amount, at(1)), out);
    }
    let mut scene = super::Scene::new();
    scene.made = 1;
    let much = scene.new_grant(AMOUNT_MAX, 0, true, None);
    let full = Err(Refusal::WalletFull {
        amount: AMOUNT_MAX,
        holds: 10,
    });
    assert_eq!(wallet.grant(much, at(1)), full);
    let mut same = wallet.clone();
    let not: Result<Transferred, _> = Err(Refusal::WalletsDoNotMatch);
    let moved = transfer(&mut wallet, &mut same, &grant_id(3), (1, 0), at(1));
    assert_eq!(moved, not.clone());
    let mut other = Wallet::new(WalletKey::of(keys()[1].owner.as_ref(), "USD"));
    let moved = transfer(&mut wallet, &mut other, &grant_id(3), (1, 0), at(1));
    assert_eq!(moved, not);
}

/// A wallet of as many grants of 1 as it may have.
fn crowded() -> Wallet {
    let wallet = funded(1);
    let one = wallet.grants()[0].clone();
    let many = (0..GRANTS_MAX).map(|number| Grant {
        id: GrantId::new(format!("many-{number:05}")).unwrap(),
        ..one.clone()
    });
    Wallet::restore(wallet.head().clone(), many.collect(), Vec::new())
}

#[test]
fn grants_of_which_nothing_is_left_take_no_place() {
    let mut wallet = crowded();
    let mut scene = super::Scene::new();
    let new = scene.new_grant(5, 0, true, None);
    let refused = wallet.grant(new.clone(), at(1));
    assert_eq!(refused, Err(Refusal::TooManyGrants));
    let most = i64::try_from(GRANTS_MAX).unwrap();
    wallet.debit(most - 1, full(), at(2)).unwrap();
    wallet.debit(1, full(), at(1)).unwrap();
    wallet.grant(new, at(3)).unwrap();
    let known = |wallet: &Wallet| -> Vec<String> {
        let ids = wallet.grants().iter().map(|grant| grant.id.to_string());
        ids.collect()
    };
    // Those that were used up last are known, however the wallet came into memory.
    let head = wallet.head().clone();
    let loaded = Wallet::restore(head, wallet.grants().to_vec(), Vec::new());
    wallet.forget(at(4));
    let last = GRANTS_MAX - 1 - SPENT_GRANTS_MAX..GRANTS_MAX - 1;
    let last = last.map(|number| format!("many-{number:05}"));
    let expected: Vec<String> = last.chain(["g1".to_owned()]).collect();
    assert_eq!(known(&wallet), expected);
    assert_eq!(known(&loaded), expected);
    assert_eq!(wallet.heads(), loaded.heads());
    assert_eq!(wallet.available(at(4)), 5);
}

#[test]
fn a_payment_brings_credits_once() {
    let mut wallet = funded(10);
    let mut scene = super::Scene::new();
    scene.made = 1;
    let mut pay = |reference: &str| NewGrant {
        source: Source::Stripe,
        reference: reference.into(),
        ..scene.new_grant(5, 0, true, None)
    };
    wallet.grant(pay("pi_1"), at(1)).unwrap();
    wallet.grant(pay("pi_2"), at(1)).unwrap();
    let before = Refusal::PaymentGranted {
        reference: "pi_1".into(),
        grant: grant_id(2),
    };
    assert_eq!(wallet.grant(pay("pi_1"), at(2)), Err(before));
    assert_eq!(wallet.available(at(2)), 20);
}

#[test]
fn a_cap_bounds_each_window_of_an_agent_whoever_pays() {
    for is_own in [false, true] {
        let [customer, agent] = keys();
        let mut book = Book::default();
        let new = super::Scene::new().new_grant(1_000, 0, true, None);
        let funded = if is_own { &agent } else { &customer };
        book.grant(funded, new, About::default(), at(0)).unwrap();
        let anchor = Anchor {
            start: at(0),
            interval: Interval::Month,
        };
        book.wallet_mut(&agent).terms_mut().cap = SpendCap::new(100, Window::Hour, anchor, at(0));
        let owner = agent.owner.as_ref();
        let debit = |book: &mut Book, amount, cover, now| {
            book.debit(owner, "LUC", (amount, cover), About::default(), at(now))
        };
        debit(&mut book, 30, full(), 1).unwrap();
        let new = NewHold {
            spender: agent.owner.clone(),
            ..new_hold(1, 60, 60)
        };
        book.hold("LUC", new, 0, About::default(), at(2)).unwrap();
        let refused = debit(&mut book, 11, full(), 3).unwrap_err();
        let reached = Refusal::CapReached {
            needed: 11,
            cap: 100,
            left: 10,
            window_end: at(0).plus(Span::from_hours(1)),
        };
        assert_eq!(refused, reached);
        // What is given back makes room again; what has happened is counted, and never refused.
        book.capture(&hold_id(1), (20, true), About::default(), at(4))
            .unwrap();
        debit(&mut book, 50, full(), 5).unwrap();
        debit(&mut book, 40, Cover::Owe, 6).unwrap();
        let cap = book.wallet(&agent).and_then(Wallet::cap);
        assert_eq!(cap.map(|cap| cap.spent(at(7))), Some(140));
        debit(&mut book, 1, full(), 8).unwrap_err();
        debit(&mut book, 100, full(), 3_600).unwrap();
        let rolling = Window::Rolling(Span::from_hours(5));
        assert!(SpendCap::new(1, rolling, anchor, at(0)).is_none());
        // The customer itself has no cap.
        book.debit(None, "LUC", (500, Cover::Owe), About::default(), at(3_601))
            .unwrap();
    }
}

#[test]
fn what_is_set_aside_counts_under_a_cap_and_once_spent_when_it_was_spent() {
    let [customer, _] = keys();
    let mut book = Book::default();
    let new = super::Scene::new().new_grant(1_000, 0, true, None);
    book.grant(&customer, new, About::default(), at(0)).unwrap();
    let anchor = Anchor {
        start: at(0),
        interval: Interval::Month,
    };
    book.wallet_mut(&customer).terms_mut().cap = SpendCap::new(100, Window::Hour, anchor, at(0));
    let spent = |book: &Book, now| {
        let cap = book.wallet(&customer).and_then(Wallet::cap);
        cap.unwrap().spent(at(now))
    };
    let new = NewHold {
        spender: None,
        ..new_hold(1, 90, 7_000)
    };
    book.hold("LUC", new, 0, About::default(), at(3_500))
        .unwrap();
    assert_eq!((spent(&book, 3_500), spent(&book, 3_600)), (90, 0));
    let part = |book: &mut Book, amount, is_last, now| {
        book.capture(&hold_id(1), (amount, is_last), About::default(), at(now))
            .unwrap();
    };
    part(&mut book, 20, false, 3_550);
    assert_eq!(spent(&book, 3_550), 90);
    part(&mut book, 30, true, 3_600);
    assert_eq!(spent(&book, 3_600), 30);
}

#[test]
fn what_an_agent_gives_back_is_not_spent_from_the_customers_wallet() {
    let [customer, agent] = keys();
    let mut book = Book::default();
    let new = super::Scene::new().new_grant(100, 0, true, None);
    book.grant(&agent, new, About::default(), at(0)).unwrap();
    let anchor = Anchor {
        start: at(0),
        interval: Interval::Month,
    };
    for (key, amount) in [(&customer, 10), (&agent, 50)] {
        book.wallet_mut(key).terms_mut().cap = SpendCap::new(amount, Window::Day, anchor, at(0));
    }
    let about = About::default();
    let give = |book: &mut Book, id, amount| {
        let between = (&agent, &customer);
        book.transfer(between, &grant_id(id), (amount, 0), &about, at(1))
    };
    give(&mut book, 7, 40).unwrap();
    let spent = |key| book.wallet(key).and_then(Wallet::cap).unwrap().spent(at(2));
    assert_eq!((spent(&customer), spent(&agent)), (0, 40));
    let refused = give(&mut book, 8, 11).unwrap_err();
    assert!(
        matches!(
            refused,
            Refusal::CapReached {
                cap: 50,
                left: 10,
                ..
            }
        ),
        "{refused:?}"
    );
}

#[test]
fn what_was_set_aside_before_a_cap_gives_it_no_room() {
    let key = &keys()[0];
    let mut book = Book::default();
    let new = super::Scene::new().new_grant(1_000, 0, true, None);
    book.grant(key, new, About::default(), at(0)).unwrap();
    book.hold("LUC", new_hold(1, 60, 600), 0, About::default(), at(1))
        .unwrap();
    let anchor = Anchor {
        start: at(0),
        interval: Interval::Month,
    };
    book.wallet_mut(key).terms_mut().cap = SpendCap::new(100, Window::Day, anchor, at(2));
    book.debit(None, "LUC", (70, full()), About::default(), at(3))
        .unwrap();
    book.release(&hold_id(1), About::default(), at(4)).unwrap();
    let cap = book.wallet(key).and_then(Wallet::cap).unwrap();
    assert_eq!(cap.left(at(5)), 30, "the hold was never counted");
}
