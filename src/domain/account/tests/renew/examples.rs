//! Credits that a plan includes: what each period begins with, by example.

use super::*;
use crate::domain::id::PlanId;
use crate::domain::subscription::SubscriptionStatus;
use crate::domain::wallet::{AMOUNT_MAX, INCLUDED_PRIORITY, Refusal, Wallet};

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
        assert_eq!(grant.id.as_str(), format!("plan:LUC:{}", head.number));
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
            stripe: None,
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
    let wallet = scene.account.book.wallet(&luc());
    assert_eq!((wallet.map(Wallet::held), scene.has()), (Some(0), 0));
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
    assert!(
        matches!(refused, Err(Refusal::WalletFull { .. })),
        "{refused:?}"
    );
    assert_eq!(scene.account.book.included("LUC"), None);
    assert!(scene.account.credits_due(scene.now));
    scene.spend(100);
    scene.enter();
    assert_eq!(scene.has(), AMOUNT_MAX);
    // The same when a period ends: nobody is sent for it again and again.
    scene.months(1);
    assert!(scene.account.renew_credits(scene.now).is_err());
    scene.write();
    assert_eq!(scene.due_time(), None);
    scene.spend(100);
    scene.enter();
    assert_eq!(scene.has(), AMOUNT_MAX);
}
