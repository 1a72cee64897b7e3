//! What is owed, what money is taken back for, and what comes back to which grant.

use super::super::*;
use super::{at, hold_id, keys};

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
