//! Credits that a plan includes: that looking twice changes nothing, whatever happened; the examples stand beside.

mod examples;

use proptest::prelude::*;

use super::super::*;
use super::{account_of, start};
use crate::domain::catalog::{Catalog, parse_catalog};
use crate::domain::id::{GrantId, HoldId};
use crate::domain::time::Span;
use crate::domain::wallet::{
    About, Category, Cause, Cover, NewGrant, NewHold, Posted, Source, WalletKey, audit,
};

const CATALOG: &str = r#"
[credit_units]
LUC = { per_dollar = 100 }
USD = { per_dollar = 1 }
[plans.none]
[plans.small]
credits = { credit_unit = "LUC", amount = "0.0001" }
[plans.middle]
credits = { credit_unit = "LUC", amount = "0.0001", rollover_max = "0.00025" }
[plans.large]
extends = "middle"
credits = { credit_unit = "LUC", amount = "0.0003", rollover_max = "0.0005" }
[plans.dollars]
credits = { credit_unit = "USD", amount = "0.00007" }
[plans.heir]
extends = "large"
"#;

/// One customer over time, with all that its ledgers say.
struct Scene {
    catalog: Catalog,
    account: Account,
    now: Timestamp,
    ledger: Vec<Posted>,
}

fn luc() -> WalletKey {
    WalletKey::own("LUC")
}

impl Scene {
    fn new(plan: &str) -> Self {
        let catalog = parse_catalog(CATALOG).unwrap_or_else(|faults| panic!("{faults:?}"));
        Self {
            account: account_of(&catalog, plan),
            catalog,
            now: start(),
            ledger: Vec::new(),
        }
    }

    /// Takes the account into a batch, and out of it.
    fn enter(&mut self) {
        let effects = &mut Effects::default();
        self.account.expire(self.now, effects).unwrap();
        self.account.renew_credits(self.now).unwrap();
        self.write();
    }

    fn write(&mut self) {
        let changes = self.account.book.take_changes(self.now);
        self.ledger.extend(changes.posted);
        for wallet in self.account.book.wallets() {
            let own = self.ledger.iter();
            let own = own.filter(|posted| posted.wallet == *wallet.key());
            assert_eq!(audit(wallet, own), []);
        }
    }

    /// Goes on to the beginning of a later period.
    fn months(&mut self, count: usize) {
        for _ in 0..count {
            self.now = self.account.billing_period(self.now).end;
        }
    }

    fn change(&mut self, plan: &str) {
        self.enter();
        self.account.plan = self.catalog.plans.get(plan).cloned();
        self.account.realign_credits(self.now).unwrap();
        self.write();
    }

    fn spend(&mut self, amount: i64) {
        let cover = Cover::Full { owed_max: 0 };
        let (book, what) = (&mut self.account.book, About::default());
        book.debit(None, "LUC", (amount, cover), what, self.now)
            .unwrap();
        self.write();
    }

    fn give(&mut self, id: &str, amount: i64, priority: i32) {
        let new = NewGrant {
            id: GrantId::new(id).unwrap(),
            amount,
            priority,
            category: Category::Paid,
            source: Source::Manual,
            reference: "".into(),
            expire_time: None,
        };
        let book = &mut self.account.book;
        book.grant(&luc(), new, About::default(), self.now).unwrap();
    }

    fn has_of(&self, unit: &str) -> i64 {
        let wallet = self.account.book.wallet(&WalletKey::own(unit));
        wallet.map_or(0, |wallet| wallet.available(self.now))
    }

    fn has(&self) -> i64 {
        self.has_of("LUC")
    }

    fn due_time(&self) -> Option<Timestamp> {
        let wallet = self.account.book.wallet(&luc());
        wallet.and_then(|wallet| wallet.head().terms.due_time)
    }

    fn causes(&self) -> Vec<Cause> {
        let ledger = self.ledger.iter();
        ledger.map(|posted| posted.transaction.cause).collect()
    }
}

#[derive(Debug, Clone)]
enum Act {
    Change(usize),
    Spend(i64),
    Hold(i64),
    Days(u32),
    Twice,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..6_usize).prop_map(Act::Change),
        3 => (1..120_i64).prop_map(Act::Spend),
        1 => (1..60_i64).prop_map(Act::Hold),
        4 => (1..45_u32).prop_map(Act::Days),
        2 => Just(Act::Twice),
    ]
}

proptest! {
    /// Whatever happens: a second look within a period changes nothing, what comes in one period is never more than its
    /// largest plan includes, no plan change takes anything, and the ledgers add up.
    #[test]
    fn renewing_twice_in_a_period_changes_nothing(acts in prop::collection::vec(act(), 1..50)) {
        const PLANS: [&str; 6] = ["none", "small", "middle", "large", "dollars", "heir"];
        let mut scene = Scene::new("small");
        scene.enter();
        let mut holds = 0;
        for act in acts {
            match act {
                Act::Change(plan) => {
                    scene.enter();
                    let before = (scene.has(), scene.has_of("USD"));
                    scene.change(PLANS[plan]);
                    prop_assert!(scene.has() >= before.0 && scene.has_of("USD") >= before.1);
                }
                Act::Spend(amount) => {
                    let amount = amount.min(scene.has());
                    if amount > 0 {
                        scene.spend(amount);
                    }
                }
                Act::Hold(amount) => {
                    let amount = amount.min(scene.has());
                    holds += 1;
                    let new = NewHold {
                        id: HoldId::new(format!("h{holds}")).unwrap(),
                        amount,
                        spender: None,
                        expire_time: scene.now.plus(Span::from_days(20)),
                    };
                    if amount > 0 {
                        let (book, what) = (&mut scene.account.book, About::default());
                        book.hold("LUC", new, 0, what, scene.now).unwrap();
                    }
                }
                Act::Days(days) => scene.now = scene.now.plus(Span::from_days(days)),
                Act::Twice => {
                    scene.enter();
                    let before = scene.account.clone();
                    scene.enter();
                    prop_assert_eq!(&scene.account.book, &before.book);
                    prop_assert!(!scene.account.credits_due(scene.now));
                }
            }
            scene.enter();
            if let Some(credits) = scene.account.plan.as_ref().and_then(|plan| plan.credits.clone()) {
                let given = scene.account.book.included(&credits.unit).unwrap();
                prop_assert!(given.period.contains(scene.now));
                prop_assert!(given.amount >= credits.amount_micros);
                prop_assert!(given.amount <= 500);
            }
        }
    }
}
