//! What is owed, what money is taken back for, and what comes back to which grant.

use super::super::*;
use super::{at, full, grant_id, hold_id, keys};

/// The customer's wallet, and what names its grants.
struct Purse {
    wallet: Wallet,
    scene: super::Scene,
}

impl Purse {
    fn new() -> Self {
        Self {
            wallet: Wallet::new(keys()[0].clone()),
            scene: super::Scene::new(),
        }
    }

    fn grant(&mut self, amount: i64, is_paid: bool, lives: Option<i64>) -> GrantId {
        let new = self.scene.new_grant(amount, 0, is_paid, lives);
        let id = new.id.clone();
        self.wallet.grant(new, at(0)).unwrap();
        id
    }

    fn hold(&mut self, number: usize, amount: i64, end: i64) -> HoldId {
        let id = hold_id(number);
        let new = NewHold {
            id: id.clone(),
            amount,
            spender: None,
            expire_time: at(end),
        };
        self.wallet.hold(new, 0, at(1)).unwrap();
        id
    }

    fn owe(&mut self, amount: i64) {
        self.wallet.debit(amount, Cover::Owe, at(2)).unwrap();
    }

    /// What can be spent, and what is owed.
    fn stands(&self) -> (i64, i64) {
        (self.wallet.available(at(3)), self.wallet.receivable())
    }

    fn of(&self, id: &GrantId) -> &Grant {
        let mut grants = self.wallet.grants().iter();
        grants.find(|grant| grant.id == *id).unwrap()
    }
}

#[test]
fn what_comes_back_of_paid_credits_pays_what_is_owed() {
    type End = fn(&mut Wallet, &HoldId) -> Transaction;
    let ends: [End; 3] = [
        |wallet, id| wallet.release(id, at(3)).unwrap(),
        |wallet, id| wallet.capture(id, 0, true, at(3)).unwrap(),
        |wallet, _| wallet.expire_hold(at(50)).unwrap().1,
    ];
    for end in ends {
        let mut purse = Purse::new();
        purse.grant(10, true, None);
        let id = purse.hold(1, 8, 50);
        purse.owe(7);
        assert_eq!(purse.stands(), (0, 5));
        let done = end(&mut purse.wallet, &id);
        assert_eq!((purse.stands(), done.sum()), ((3, 0), 0));
        let new = NewHold {
            id: hold_id(2),
            amount: 3,
            spender: None,
            expire_time: at(90),
        };
        assert!(purse.wallet.hold(new, 0, at(51)).is_ok(), "it is blocked");
    }
}

#[test]
fn what_a_pool_gives_back_pays_what_is_owed() {
    let mut purse = Purse::new();
    purse.grant(10, true, None);
    let pool = HoldId::new("calls").unwrap();
    purse.wallet.raise_pool(&pool, 10, 0, at(1)).unwrap();
    purse.owe(6);
    let done = purse.wallet.lower_pool(&pool, 6, at(3));
    assert_eq!((purse.stands(), done.sum()), ((0, 2), 0));
    purse.wallet.lower_pool(&pool, 0, at(3));
    assert_eq!(purse.stands(), (4, 0));
}

#[test]
fn what_comes_back_of_given_credits_does_not_pay_nor_what_has_expired() {
    for (is_paid, lives, left) in [(false, None, 8), (true, Some(2), 0)] {
        let mut purse = Purse::new();
        purse.grant(8, is_paid, lives);
        let id = purse.hold(1, 8, 50);
        purse.owe(5);
        purse.wallet.release(&id, at(3)).unwrap();
        assert_eq!(purse.stands(), (left, 5));
    }
}

#[test]
fn money_of_credits_that_expired_unspent_is_taken_back_without_a_debt() {
    let mut purse = Purse::new();
    let id = purse.grant(10, true, Some(3));
    let other = purse.grant(20, true, None);
    purse.wallet.debit(4, full(), at(1)).unwrap();
    purse.wallet.expire_grants(at(3));
    let done = purse.wallet.claw_back(&id, 6, at(3)).unwrap();
    assert_eq!(purse.stands(), (20, 0));
    let expected = [
        (Account::Expired, -6),
        (Account::Funding(Source::Manual), 6),
    ];
    let entries = done.entries.into_iter();
    let entries: Vec<_> = entries.map(|line| (line.account, line.amount)).collect();
    assert_eq!(entries, expected);
    // What was spent is still to be paid for, once.
    purse.wallet.claw_back(&id, 4, at(3)).unwrap();
    assert_eq!(purse.stands(), (16, 0));
    assert_eq!((purse.of(&id).returned, purse.of(&other).lapsed), (10, 4));
}

#[test]
fn credits_that_were_given_are_taken_back_as_far_as_they_are_left() {
    let mut purse = Purse::new();
    let given = purse.grant(10, false, None);
    purse.wallet.debit(7, full(), at(1)).unwrap();
    purse.grant(20, true, None);
    purse.wallet.claw_back(&given, 10, at(3)).unwrap();
    assert_eq!(purse.stands(), (20, 0));
    let grant = purse.of(&given);
    assert_eq!((grant.used, grant.lapsed, grant.returned), (7, 3, 3));
    let before = purse.wallet.clone();
    let done = purse.wallet.claw_back(&given, 7, at(4)).unwrap();
    assert!(done.is_empty() && purse.wallet == before, "nothing is left");
}

#[test]
fn money_behind_a_transfer_is_taken_back_where_it_came() {
    let mut purse = Purse::new();
    let paid = purse.grant(10, true, None);
    let mut agent = Wallet::new(keys()[1].clone());
    transfer(&mut purse.wallet, &mut agent, &grant_id(9), (6, 0), at(2)).unwrap();
    let came = agent.grants()[0].id.clone();
    let before = agent.clone();
    let refusal = Refusal::GrantTransferred {
        grant: came.clone(),
        origin: paid.as_str().into(),
    };
    assert_eq!(agent.claw_back(&came, 1, at(3)), Err(refusal));
    assert_eq!(agent, before);
    purse.wallet.claw_back(&paid, 10, at(3)).unwrap();
    assert_eq!(purse.stands(), (0, 6));
}

#[test]
fn a_refund_does_not_make_paid_credits_of_given_ones() {
    let mut purse = Purse::new();
    let given = purse.grant(10, false, None);
    purse.wallet.debit(10, full(), at(1)).unwrap();
    let paid = purse.grant(10, true, None);
    let mut agent = Wallet::new(keys()[1].clone());
    transfer(&mut purse.wallet, &mut agent, &grant_id(9), (10, 0), at(2)).unwrap();
    purse.wallet.refund(10, at(3)).unwrap();
    assert_eq!((purse.of(&given).used, purse.of(&paid).used), (0, 10));
    let refused = purse.wallet.refund(1, at(3)).unwrap_err();
    let expected = Refusal::RefundTooLarge { amount: 1, left: 0 };
    assert_eq!(refused, expected, "what went elsewhere was not spent here");
}

#[test]
fn a_refund_of_what_was_owed_comes_back_to_what_paid_it() {
    let mut purse = Purse::new();
    let given = purse.grant(10, false, None);
    purse.owe(15);
    let paid = purse.grant(20, true, None);
    assert_eq!(purse.stands(), (15, 0));
    purse.wallet.refund(10, at(3)).unwrap();
    assert_eq!((purse.of(&given).used, purse.of(&paid).used), (0, 5));
    purse.wallet.refund(5, at(3)).unwrap();
    assert_eq!(purse.stands(), (30, 0));
    assert!(purse.wallet.refund(1, at(3)).is_err());
}

#[test]
fn paid_credits_from_another_wallet_pay_what_is_owed() {
    let mut purse = Purse::new();
    let given = purse.grant(4, false, None);
    let paid = purse.grant(20, true, None);
    let mut agent = Wallet::new(keys()[1].clone());
    agent.debit(9, Cover::Owe, at(1)).unwrap();
    let asked = (18, 0);
    let done = transfer(&mut purse.wallet, &mut agent, &grant_id(9), asked, at(2)).unwrap();
    assert_eq!((agent.available(at(2)), agent.receivable()), (9, 0));
    assert_eq!((done.given.sum(), done.taken.sum()), (0, 0));
    let [came_given, came_paid] = agent.grants() else {
        panic!("{:?}", agent.grants());
    };
    let expected = [
        (Account::Transfers, -18),
        (Account::Available(came_given.id.clone()), 4),
        (Account::Receivable, 9),
        (Account::Available(came_paid.id.clone()), 5),
    ];
    let entries = done.taken.entries.into_iter();
    let entries: Vec<_> = entries.map(|line| (line.account, line.amount)).collect();
    assert_eq!(entries, expected);
    assert_eq!((came_given.used, came_given.settled), (0, 0));
    assert_eq!((came_paid.used, came_paid.settled), (9, 9));
    assert_eq!(done.settled, [], "an entry names each");
    assert_eq!((purse.of(&given).moved, purse.of(&paid).moved), (4, 14));
    // The money behind it is taken back where it came, whatever it paid for.
    purse.wallet.claw_back(&paid, 20, at(3)).unwrap();
    assert_eq!(purse.stands(), (0, 14));
    // What was owed was spent here: it comes back to what paid it.
    agent.refund(9, at(3)).unwrap();
    assert_eq!((agent.available(at(3)), agent.receivable()), (18, 0));
    assert!(agent.refund(1, at(3)).is_err());
}

#[test]
fn a_transfer_names_the_grants_that_no_entry_names() {
    let mut purse = Purse::new();
    for amount in [3, 4, 5] {
        purse.grant(amount, true, None);
    }
    let mut agent = Wallet::new(keys()[1].clone());
    agent.debit(8, Cover::Owe, at(1)).unwrap();
    let asked = (12, 0);
    let done = transfer(&mut purse.wallet, &mut agent, &grant_id(9), asked, at(2)).unwrap();
    let settled: Vec<(i64, i64)> = agent
        .grants()
        .iter()
        .map(|grant| (grant.settled, grant.available()))
        .collect();
    assert_eq!(settled, [(3, 0), (4, 0), (1, 4)]);
    let named: Vec<&str> = done.settled.iter().map(GrantId::as_str).collect();
    assert_eq!(named, ["g9.0", "g9.1"]);
    assert_eq!(agent.receivable(), 0);
    // What is left of what was given does not pay.
    let mut other = Wallet::new(keys()[1].clone());
    other.debit(8, Cover::Owe, at(1)).unwrap();
    purse.grant(6, false, None);
    transfer(&mut purse.wallet, &mut other, &grant_id(10), (6, 0), at(2)).unwrap();
    assert_eq!((other.available(at(2)), other.receivable()), (6, 8));
}

#[test]
fn what_is_owed_stays_within_64_bits() {
    let mut purse = Purse::new();
    let paid = purse.grant(9, true, None);
    purse.owe(9);
    let head = WalletHead {
        receivable: i64::MAX - 5,
        ..purse.wallet.head().clone()
    };
    let mut wallet = Wallet::restore(head, purse.wallet.grants().to_vec(), Vec::new());
    let before = wallet.clone();
    let refusal = Refusal::OwesTooMuch {
        amount: 6,
        owed: i64::MAX - 5,
    };
    let owing = wallet.debit(6, Cover::Owe, at(3));
    assert_eq!(owing, Err(refusal.clone()));
    assert_eq!(wallet.claw_back(&paid, 6, at(3)), Err(refusal));
    assert_eq!(wallet, before);
    wallet.debit(5, Cover::Owe, at(3)).unwrap();
    assert_eq!(wallet.receivable(), i64::MAX);
}
