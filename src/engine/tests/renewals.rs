//! Credits that plans include, over months: given in the mutation that brings the plan, by the sweep, and by whatever looks
//! at a customer first.

use std::sync::Arc;

use super::setting::{Setting, customer, feature, plan, start, stored_catalog};
use crate::clock::{Clock, ManualClock};
use crate::domain::decision::Reason;
use crate::domain::id::{CustomerId, RequestId};
use crate::domain::subscription::SubscriptionStatus;
use crate::domain::time::Span;
use crate::domain::usage::Labels;
use crate::domain::wallet::{Category, Cause, Source, WalletKey};
use crate::domain::window::TimeRange;
use crate::engine::{
    CheckAsk, CheckMode, Engine, GrantCall, Limits, PlanCall, Profile, ReserveCall, WalletName,
};
use crate::storage::sqlite::{Options, SqliteStore};
use crate::storage::{LedgerQuery, Store};

/// A token costs one LUC.
const CATALOG: &str = r#"
default_plan = "free"
auto_create_customers = { per_minute = 60 }
credit_units.LUC = { per_dollar = 100 }
meters.tokens = { aggregation = "sum" }
features.tokens = { metered = { meter = "tokens" } }
[plans.free.entitlements]
tokens.wallet = { credit_unit = "LUC", from_first_unit = true, per_unit = "0.01" }
[plans.pro]
extends = "free"
credits = { credit_unit = "LUC", amount = "100", rollover_max = "250" }
[plans.max]
extends = "free"
credits = { credit_unit = "LUC", amount = "300" }
"#;

/// The same, and whoever has no subscription has credits too.
fn generous() -> String {
    CATALOG.replace(
        "[plans.free.entitlements]",
        "[plans.free]\ncredits = { credit_unit = \"LUC\", amount = \"20\" }\n[plans.free.entitlements]",
    )
}

fn name(id: &CustomerId) -> WalletName {
    WalletName {
        customer: id.clone(),
        subaccount: None,
        unit: "LUC".into(),
    }
}

/// What a customer has to spend, in whole LUC, and that its ledgers are right.
async fn has(engine: &Engine, id: &str) -> i64 {
    let id = customer(id);
    let view = engine.get_wallet(&name(&id)).await.unwrap();
    let report = engine.audit_ledgers(Some(id), None, 10).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(view.balance.available, view.spendable);
    assert_eq!(view.spendable % 1_000_000, 0);
    view.spendable / 1_000_000
}

/// Whether `acme` may use so many tokens, from memory.
async fn may(engine: &Engine, tokens: i64) -> bool {
    let ask = CheckAsk {
        feature: feature("tokens"),
        quantity: tokens,
        dimensions: Labels::new(),
    };
    let (acme, how) = (customer("acme"), CheckMode::default());
    let alone = engine.check(&acme, None, std::slice::from_ref(&ask), how);
    let alone = alone.await.unwrap().remove(0);
    let together = CheckMode {
        all_or_none: true,
        ..how
    };
    let together = engine.check(&acme, None, &[ask], together).await.unwrap();
    assert_eq!(together[0].allowed, alone.allowed);
    if !alone.allowed {
        assert_eq!(alone.reason, Reason::CreditsInsufficient);
    }
    alone.allowed
}

async fn causes(engine: &Engine, id: &str) -> Vec<Cause> {
    let query = LedgerQuery {
        customer: customer(id),
        wallet: WalletKey::own("LUC"),
        range: TimeRange::ALWAYS,
        cause: None,
        hold: None,
        grant: None,
        is_rising: true,
        after: None,
        limit: 100,
    };
    let page = engine.ledger(query).await.unwrap();
    let posted = page.items.iter();
    posted.map(|posted| posted.transaction.cause).collect()
}

async fn setting() -> Setting {
    let setting = Setting::new().await;
    setting.apply(CATALOG).await.unwrap();
    setting
}

#[tokio::test]
async fn three_months_of_a_plan_with_credits() {
    let setting = setting().await;
    let engine = &setting.engine;
    assert_eq!(has(engine, "acme").await, 0);
    assert!(!may(engine, 1).await);
    // They come with the plan.
    setting.assign(plan("pro")).await.unwrap();
    assert!(may(engine, 100).await && !may(engine, 101).await);
    assert_eq!(causes(engine, "acme").await, [Cause::Grant]);
    setting.used(70).await;
    assert_eq!(has(engine, "acme").await, 30);
    // A month later: a check from memory knows, though nobody has come by; nothing is written by it.
    setting.pass(31, 0);
    engine.forget_all();
    for _ in 0..2 {
        assert!(may(engine, 100).await && !may(engine, 101).await);
        assert_eq!(causes(engine, "acme").await.len(), 2);
    }
    // The sweep gives them, once.
    for _ in 0..3 {
        engine.sweep().await;
        assert_eq!(causes(engine, "acme").await.len(), 3);
    }
    assert_eq!(engine.store().overdue(engine.now(), 10).await.unwrap(), []);
    assert_eq!(has(engine, "acme").await, 100);
    // The next month, usage is the first to come, and finds them after a restart.
    setting.pass(28, 0);
    engine.forget_all();
    setting.used(100).await;
    let posted = causes(engine, "acme").await;
    assert_eq!(posted[3..], [Cause::Rollover, Cause::Usage]);
    assert_eq!(has(engine, "acme").await, 0);
    // The month after, whoever looks at the wallet; then the sweep finds nothing to do.
    setting.pass(31, 0);
    engine.forget_all();
    assert_eq!(has(engine, "acme").await, 100);
    engine.sweep().await;
    assert_eq!(causes(engine, "acme").await.len(), 6);
    setting.counters_are_right().await;
}

#[tokio::test]
async fn rest_and_paid_credits_outlive_changes_of_plan() {
    let setting = setting().await;
    let engine = &setting.engine;
    setting.assign(plan("pro")).await.unwrap();
    let paid = GrantCall {
        wallet: name(&customer("acme")),
        id: None,
        amount: 50_000_000,
        priority: 0,
        category: Category::Paid,
        source: Source::Manual,
        reference: "".into(),
        expire_time: None,
        note: "".into(),
    };
    let granted = engine.grant_credits("t", setting.fresh(), paid);
    granted.await.unwrap();
    setting.used(40).await;
    for (to, expected) in [("max", 310), ("free", 310), ("pro", 310), ("max", 310)] {
        setting.assign(plan(to)).await.unwrap();
        assert_eq!(has(engine, "acme").await, expected, "{to}");
    }
    setting.assign(plan("pro")).await.unwrap();
    setting.pass(31, 0);
    engine.sweep().await;
    // 260 were left of what was included, of which 250 may be carried.
    assert_eq!(has(engine, "acme").await, 300);
    let canceled = PlanCall {
        status: Some(SubscriptionStatus::Canceled),
        ..plan("pro")
    };
    setting.assign(canceled).await.unwrap();
    assert_eq!(has(engine, "acme").await, 300);
    setting.pass(28, 0);
    engine.sweep().await;
    assert_eq!(causes(engine, "acme").await.last(), Some(&Cause::Rollover));
    assert_eq!(has(engine, "acme").await, 50);
    assert_eq!(engine.store().overdue(engine.now(), 10).await.unwrap(), []);
    engine.sweep().await;
    assert_eq!(has(engine, "acme").await, 50);
}

#[tokio::test]
async fn a_default_plan_gives_credits_to_those_that_come_and_to_those_that_are_there() {
    let setting = setting().await;
    let engine = &setting.engine;
    setting.apply(&generous()).await.unwrap();
    // Who was there before has them as soon as somebody looks.
    assert!(may(engine, 20).await && !may(engine, 21).await);
    assert_eq!(causes(engine, "acme").await, []);
    assert!(setting.hold(20, None).await);
    assert_eq!(has(engine, "acme").await, 0);
    // Who is created has them at once; who is created by first use, too.
    setting.create("bolt").await;
    assert_eq!(causes(engine, "bolt").await, [Cause::Grant]);
    let reserve = |id: &str, tokens| {
        let call = ReserveCall {
            customer: customer(id),
            subaccount: None,
            items: vec![(feature("tokens"), tokens, tokens, Labels::new())],
            ttl: Span::from_hours(1),
            holder: Box::default(),
            metadata: Labels::new(),
            verbose: false,
        };
        engine.reserve("t", setting.fresh(), call)
    };
    assert!(reserve("coil", 21).await.unwrap().reservation.is_none());
    assert!(engine.get_wallet(&name(&customer("coil"))).await.is_err());
    assert!(reserve("coil", 20).await.unwrap().reservation.is_some());
    assert_eq!(has(engine, "coil").await, 0);
    // Who is deleted gets nothing any more.
    let bolt = customer("bolt");
    let deleted = engine.delete_customer("t", setting.fresh(), &bolt);
    deleted.await.unwrap();
    setting.pass(31, 0);
    engine.sweep().await;
    assert_eq!(causes(engine, "bolt").await, [Cause::Grant]);
    assert_eq!(engine.store().overdue(engine.now(), 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_store_on_disk_gives_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bursar.db");
    let clock = Arc::new(ManualClock::at(start()));
    let open = || {
        let (store, _) = SqliteStore::open(&path, Options::default()).unwrap();
        Arc::new(store) as Arc<dyn Store>
    };
    let request = |id: &str| RequestId::new(id).unwrap();
    for month in 0..3 {
        let store = open();
        let (engine, committer) = Engine::start(
            Arc::clone(&store),
            Arc::clone(&clock) as Arc<dyn Clock>,
            stored_catalog(&generous(), 0),
            Limits::default(),
        );
        if month == 0 {
            let made =
                engine.create_customer("t", request("c"), customer("acme"), Profile::default());
            made.await.unwrap();
            assert_eq!(causes(&engine, "acme").await, [Cause::Grant]);
        }
        engine.sweep().await;
        assert_eq!(causes(&engine, "acme").await.len(), month + 1);
        assert_eq!(has(&engine, "acme").await, 20);
        assert_eq!(store.overdue(engine.now(), 10).await.unwrap(), []);
        clock.advance(Span::from_days(31));
        drop((engine, store));
        committer.await.unwrap();
    }
}
