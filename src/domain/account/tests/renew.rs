//! Credits that a plan includes: what each period begins with, by example; and that looking twice changes nothing.

use proptest::prelude::*;

use super::super::*;
use super::{account_of, start};
use crate::domain::catalog::{Catalog, parse_catalog};
use crate::domain::id::{GrantId, HoldId, PlanId};
use crate::domain::subscription::SubscriptionStatus;
use crate::domain::time::Span;
use crate::domain::wallet::{
    AMOUNT_MAX, About, Category, Cause, Cover, INCLUDED_PRIORITY, NewGrant, NewHold, Posted,
    Refusal, Source, Wallet, WalletKey, audit,
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

#[test]
fn a_period_begins_with_what_the_one_before_left_between_the_bounds() {
    // Plan, what is spent, what a payment brings beside it, what the next period begins with.
    for (plan, spent, paid, next) in [
        ("small", 0, 0, 100),
        ("small", 40, 0, 100),
        ("small", 100, 0, 100),
        ("middle", 100, 0, 100),
        ("middle", 1, 0, 100),
        ("middle", 0, 0, 100),
        ("large", 250, 0, 300),
        ("large", 0, 0, 300),
        ("small", 0, 70, 170),
        ("small", 100, 70, 170),
        // Included credits go first: what is left then was paid for.
        ("small", 130, 70, 140),
        ("none", 0, 70, 70),
    ] {
        let mut scene = Scene::new(plan);
        scene.enter();
        if paid > 0 {
            scene.give("paid", paid, 0);
        }
        if spent > 0 {
            scene.spend(spent);
        }
        scene.months(1);
        scene.enter();
        assert_eq!(scene.has(), next, "{plan} after {spent} of it and {paid}");
    }
    // What a larger plan gave is carried as far as the plan in force says.
    for (spent, next) in [(0, 250), (49, 250), (51, 249), (200, 100), (260, 100)] {
        let mut scene = Scene::new("large");
        scene.enter();
        scene.spend(spent.max(1));
        scene.change("middle");
        scene.months(1);
        scene.enter();
        assert_eq!(scene.has(), next, "after {spent} of 300");
    }
}

#[test]
fn rest_is_carried_from_period_to_period_until_the_most_there_may_be() {
    let mut scene = Scene::new("large");
    scene.enter();
    scene.change("middle");
    let mut seen = Vec::new();
    for spent in [120, 40, 40, 100, 1] {
        scene.spend(spent);
        scene.months(1);
        scene.enter();
        seen.push(scene.has());
        // All of it is in one grant, which says which plan it is of.
        let wallet = scene.account.book.wallet(&luc()).unwrap();
        let alive: Vec<_> = wallet
            .grants()
            .iter()
            .filter(|grant| grant.available() > 0)
            .collect();
        assert_eq!(alive.len(), 1);
        let grant = alive[0];
        assert_eq!((&*grant.reference, grant.expire_time), ("middle", None));
        assert_eq!(grant.priority, INCLUDED_PRIORITY);
        assert_eq!(grant.category, Category::Promotional);
        let head = wallet.head();
        assert_eq!(&*grant.id.as_str(), format!("plan:LUC:{}", head.number));
        assert_eq!(
            head.terms.due_time,
            Some(scene.account.billing_period(scene.now).end)
        );
    }
    assert_eq!(seen, [180, 140, 100, 100, 100]);
    let causes = [Cause::Grant, Cause::Debit, Cause::Rollover, Cause::Debit];
    assert_eq!(scene.causes()[..4], causes);
}

#[test]
fn periods_that_nobody_looked_at_are_skipped() {
    let mut scene = Scene::new("middle");
    scene.enter();
    scene.spend(30);
    scene.months(7);
    scene.now = scene.now.plus(Span::from_days(3));
    assert!(scene.account.credits_due(scene.now));
    scene.enter();
    assert_eq!(scene.has(), 100);
    let given = scene.account.book.included("LUC").unwrap();
    assert_eq!(given.period, scene.account.billing_period(scene.now));
    assert_eq!(
        scene.causes(),
        [Cause::Grant, Cause::Debit, Cause::Rollover]
    );
    assert!(!scene.account.credits_due(scene.now));
}

#[test]
fn a_change_of_plan_takes_nothing_and_gives_nothing_twice() {
    let mut scene = Scene::new("small");
    scene.enter();
    scene.spend(60);
    // A larger plan adds what is missing, once, however often it comes and goes.
    for _ in 0..3 {
        scene.change("large");
        assert_eq!(scene.has(), 240);
        scene.change("none");
        assert_eq!(scene.has(), 240);
        scene.change("small");
        assert_eq!(scene.has(), 240);
    }
    scene.spend(200);
    // Another unit is given by itself, once.
    for _ in 0..2 {
        scene.change("dollars");
        assert_eq!((scene.has(), scene.has_of("USD")), (40, 70));
        scene.change("small");
    }
    assert_eq!(
        scene
            .causes()
            .iter()
            .filter(|cause| **cause == Cause::Grant)
            .count(),
        3
    );
    scene.change("none");
    scene.months(1);
    assert_eq!(scene.due_time(), Some(scene.now));
    scene.enter();
    assert_eq!((scene.has(), scene.has_of("USD")), (0, 0));
    assert_eq!(scene.due_time(), None);
    assert_eq!(scene.account.book.included("LUC"), None);
    // Whoever comes back within the period has its credits.
    scene.change("middle");
    assert_eq!(scene.has(), 100);
}

#[test]
fn credits_are_not_inherited() {
    let mut scene = Scene::new("heir");
    scene.enter();
    assert_eq!(scene.has(), 0);
    assert_eq!(scene.ledger, []);
}

#[test]
fn a_smaller_plan_has_its_say_in_the_next_period() {
    let mut scene = Scene::new("large");
    scene.enter();
    scene.change("small");
    assert_eq!(scene.has(), 300);
    scene.give("paid", 1_000, 0);
    scene.months(1);
    scene.enter();
    assert_eq!(scene.has(), 1_100);
    // A plan without credits ends what is left, and never what was paid for.
    scene.change("none");
    scene.months(1);
    scene.enter();
    assert_eq!(scene.has(), 1_000);
}

#[test]
fn whoever_is_not_entitled_gets_nothing_until_it_is() {
    let mut scene = Scene::new("small");
    scene.enter();
    scene.spend(60);
    let plan = PlanId::new("small").unwrap();
    let status = |scene: &mut Scene, status| {
        scene.account.subscription = Some(Box::new(Subscription {
            plan: plan.clone(),
            catalog_version: 0,
            status,
            interval: crate::domain::catalog::Interval::Month,
            anchor: start(),
            trial_end: None,
            grace_end: None,
            start_time: start(),
            update_time: start(),
        }));
        scene.account.realign_credits(scene.now).unwrap();
        scene.write();
    };
    status(&mut scene, SubscriptionStatus::Unpaid);
    scene.months(1);
    assert!(!scene.account.credits_due(scene.now));
    scene.enter();
    // What is left stays, and nobody is sent for it again and again.
    assert_eq!((scene.has(), scene.due_time()), (40, None));
    status(&mut scene, SubscriptionStatus::Active);
    assert_eq!(scene.has(), 100);
    assert_eq!(
        scene.due_time(),
        Some(scene.account.billing_period(scene.now).end)
    );
    // Canceled: the default plan, here none, is in force, and the period that was given still ends.
    status(&mut scene, SubscriptionStatus::Canceled);
    scene.change("none");
    assert_eq!(scene.has(), 100);
    scene.months(1);
    scene.enter();
    assert_eq!((scene.has(), scene.due_time()), (0, None));
}

#[test]
fn whoever_is_deleted_is_not_looked_for_again() {
    let mut scene = Scene::new("small");
    scene.enter();
    scene
        .account
        .erase(scene.now, &mut Effects::default())
        .unwrap();
    scene.write();
    assert_eq!((scene.has(), scene.due_time()), (100, None));
    scene.months(1);
    scene.enter();
    assert_eq!((scene.has(), scene.due_time()), (100, None));
}

#[test]
fn what_is_held_outlives_its_period() {
    let mut scene = Scene::new("middle");
    scene.enter();
    let hold = |scene: &mut Scene, id: &str, amount| {
        let new = NewHold {
            id: HoldId::new(id).unwrap(),
            amount,
            spender: None,
            expire_time: scene.now.plus(Span::from_days(300)),
        };
        let (book, what) = (&mut scene.account.book, About::default());
        book.hold("LUC", new, 0, what, scene.now).unwrap();
    };
    hold(&mut scene, "first", 30);
    hold(&mut scene, "second", 20);
    scene.months(1);
    scene.enter();
    // 50 were left, which is less than a period begins with.
    assert_eq!(scene.has(), 100);
    let (first, second) = (
        HoldId::new("first").unwrap(),
        HoldId::new("second").unwrap(),
    );
    let book = &mut scene.account.book;
    book.capture(&first, (30, true), About::default(), scene.now)
        .unwrap();
    book.release(&second, About::default(), scene.now).unwrap();
    scene.write();
    assert_eq!(scene.has(), 120);
    scene.months(1);
    scene.enter();
    assert_eq!(scene.has(), 120);
    // When the plan includes none any more, what is given back is gone.
    hold(&mut scene, "third", 50);
    scene.change("none");
    scene.months(1);
    scene.enter();
    let wallet = scene.account.book.wallet(&luc()).unwrap();
    assert_eq!((wallet.held(), scene.has()), (50, 0));
    let third = HoldId::new("third").unwrap();
    let book = &mut scene.account.book;
    book.release(&third, About::default(), scene.now).unwrap();
    scene.enter();
    let held = |wallet: &Wallet| wallet.held();
    assert_eq!(
        (scene.account.book.wallet(&luc()).map(held), scene.has()),
        (Some(0), 0)
    );
}

#[test]
fn a_moved_anchor_gives_nothing_by_itself() {
    let mut scene = Scene::new("small");
    scene.enter();
    scene.spend(60);
    scene.now = scene.now.plus(Span::from_days(10));
    scene.account.anchor.start = scene.now;
    scene.account.realign_credits(scene.now).unwrap();
    scene.write();
    let period = scene.account.billing_period(scene.now);
    assert_eq!(period.start, scene.now);
    assert_eq!((scene.has(), scene.due_time()), (40, Some(period.end)));
    // The old period would have ended now.
    scene.now = scene.now.plus(Span::from_days(25));
    scene.enter();
    assert_eq!(scene.has(), 40);
    scene.now = period.end;
    scene.enter();
    assert_eq!(scene.has(), 100);
}

#[test]
fn a_wallet_without_a_place_is_tried_again() {
    let mut scene = Scene::new("small");
    scene.give("all", AMOUNT_MAX, 0);
    let refused = scene.account.renew_credits(scene.now);
    assert_eq!(refused, Err(Refusal::AmountOutOfRange));
    assert_eq!(scene.account.book.included("LUC"), None);
    assert!(scene.account.credits_due(scene.now));
    scene.spend(100);
    scene.enter();
    assert_eq!(scene.has(), AMOUNT_MAX);
    // The same when a period ends: nobody is sent for it again and again.
    scene.months(1);
    scene.give("more", 100, 0);
    scene.spend(100);
    scene.give("again", 100, 0);
    assert!(scene.account.renew_credits(scene.now).is_err());
    scene.write();
    assert_eq!(scene.due_time(), None);
    scene.spend(100);
    scene.enter();
    assert_eq!(scene.has(), AMOUNT_MAX);
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
