//! 64 tasks spend the last credits, one each way: exactly the balance is spent, and nothing is owed.

use std::sync::Arc;

use bursar::clock::ManualClock;
use bursar::domain::id::{EventId, FeatureId, MeterId, RequestId};
use bursar::domain::time::Span;
use bursar::domain::usage::{Labels, UsageEvent};
use bursar::domain::wallet::{Account, Category, Refusal, Source};
use bursar::domain::window::TimeRange;
use bursar::engine::{
    CaptureCall, ConsumeAsk, DebitCall, Engine, Error, GrantCall, Profile, ReserveCall,
};
use bursar::storage::LedgerQuery;

use super::super::backends::{Backend, Memory, Postgres, Sqlite, engines};
use super::super::system::start;
use super::market::CATALOG;
use super::system::{customer, key, wallet};

const RACERS: i64 = 64;
/// What each racer spends: one call.
const EACH: i64 = 3;
/// How many of them the credits are enough for, and a bit that is enough for nobody.
const ENOUGH: i64 = 13;
const ODD: i64 = 2;

/// How a racer spends.
#[derive(Debug, Clone, Copy)]
enum Way {
    Debit,
    Hold,
    Consume,
    Reserve,
}

async fn race<B: Backend>(ways: &'static [Way]) {
    let (home, clock) = (B::home(), Arc::new(ManualClock::at(start())));
    let engines = engines::<B>(&home, &clock, CATALOG).await;
    let engine = engines[0].0.clone();
    let create = engine.create_customer("test", request("create"), customer(0), Profile::default());
    create.await.unwrap();
    // Several grants, so that some racers spend of two.
    for (number, amount) in [7, 10, 11, ENOUGH * EACH + ODD - 28]
        .into_iter()
        .enumerate()
    {
        grant(&engine, number, amount).await;
    }
    let racers: Vec<_> = (0..usize::try_from(RACERS).unwrap())
        .map(|racer| {
            let engine = engines[racer % engines.len()].0.clone();
            let way = ways[racer / engines.len() % ways.len()];
            tokio::spawn(async move { spend(&engine, way, racer).await })
        })
        .collect();
    let mut spent = 0;
    for racer in racers {
        spent += i64::from(racer.await.unwrap());
    }
    // Held credits may have turned others away that were given back after; none were here.
    assert_eq!(spent, ENOUGH, "{ways:?}");
    let view = engine.get_wallet(&wallet(0, 0)).await.unwrap();
    let balance = view.balance;
    let left = (balance.available, balance.held, balance.receivable);
    assert_eq!(left, (ODD, 0, 0), "{ways:?}");
    let report = engine.audit_ledgers(Some(customer(0)), None, 1).await;
    assert_eq!(report.unwrap().findings, []);
    assert_eq!(revenue(&engine).await, ENOUGH * EACH);
    drop(engine);
    for (engine, committer) in engines {
        drop(engine);
        committer.await.unwrap();
    }
}

fn request(id: &str) -> RequestId {
    RequestId::new(id).unwrap()
}

async fn grant(engine: &Engine, number: usize, amount: i64) {
    let call = GrantCall {
        wallet: wallet(0, 0),
        id: None,
        amount,
        priority: 0,
        category: Category::Paid,
        source: Source::Manual,
        reference: "".into(),
        expire_time: None,
        note: "".into(),
    };
    let id = request(&format!("grant-{number}"));
    engine.grant_credits("test", id, call).await.unwrap();
}

async fn revenue(engine: &Engine) -> i64 {
    let query = LedgerQuery {
        customer: customer(0),
        wallet: key(0),
        range: TimeRange::ALWAYS,
        cause: None,
        hold: None,
        grant: None,
        is_rising: true,
        after: None,
        limit: 1_000,
    };
    let ledger = engine.ledger(query).await.unwrap().items;
    let entries = ledger.iter().flat_map(|posted| &posted.transaction.entries);
    let revenue = entries.filter(|entry| entry.account == Account::Revenue);
    revenue.map(|entry| entry.amount).sum()
}

/// Spends what one call costs; false when there is not enough.
async fn spend(engine: &Engine, way: Way, racer: usize) -> bool {
    match way {
        Way::Debit => {
            let call = DebitCall {
                spender: wallet(0, 0),
                amount: EACH,
                may_owe: false,
                note: "".into(),
            };
            let id = request(&format!("debit-{racer}"));
            is_done(engine.debit_credits("test", id, call).await)
        }
        Way::Hold => hold_and_capture(engine, racer).await,
        Way::Consume => {
            let ask = ConsumeAsk {
                event: event(racer),
                feature: FeatureId::new("calls").unwrap(),
                verbose: false,
            };
            engine.consume(ask).await.unwrap().decision.allowed
        }
        Way::Reserve => reserve_and_commit(engine, racer).await,
    }
}

fn is_done<A>(done: Result<A, Error>) -> bool {
    match done {
        Ok(_) => true,
        Err(Error::Wallet(Refusal::InsufficientCredits { .. })) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn hold_and_capture(engine: &Engine, racer: usize) -> bool {
    let asked = (EACH, Span::from_secs(60));
    let id = request(&format!("hold-{racer}"));
    let held = engine.hold_credits("test", id, wallet(0, 0), asked, "".into());
    let held = match held.await {
        Ok(held) => held,
        Err(error) => return is_done::<()>(Err(error)),
    };
    let call = CaptureCall {
        customer: customer(0),
        hold: held.id,
        amount: None,
        keep_open: false,
        note: "".into(),
    };
    let id = request(&format!("capture-{racer}"));
    engine.capture_hold("test", id, call).await.unwrap();
    true
}

async fn reserve_and_commit(engine: &Engine, racer: usize) -> bool {
    let call = ReserveCall {
        customer: customer(0),
        subaccount: None,
        items: vec![(FeatureId::new("calls").unwrap(), 1, 1, Labels::new())],
        ttl: Span::from_secs(60),
        holder: "racer".into(),
        metadata: Labels::new(),
        verbose: false,
    };
    let id = request(&format!("reserve-{racer}"));
    let Some(made) = engine.reserve("test", id, call).await.unwrap().reservation else {
        return false;
    };
    let event = UsageEvent {
        reservation_id: Some(made.id.clone()),
        ..event(racer)
    };
    let id = request(&format!("commit-{racer}"));
    let commit = engine.commit("test", id, customer(0), made.id, vec![event]);
    commit.await.unwrap();
    true
}

fn event(racer: usize) -> UsageEvent {
    UsageEvent {
        event_id: EventId::new(format!("event-{racer}")).unwrap(),
        customer_id: customer(0),
        subaccount_id: None,
        meter_id: MeterId::new("calls").unwrap(),
        quantity: 1,
        event_time: None,
        dimensions: Labels::new(),
        metadata: Labels::new(),
        reservation_id: None,
    }
}

async fn all_ways<B: Backend>() {
    race::<B>(&[Way::Debit]).await;
    race::<B>(&[Way::Hold]).await;
    race::<B>(&[Way::Consume]).await;
    race::<B>(&[Way::Reserve]).await;
    race::<B>(&[Way::Debit, Way::Hold, Way::Consume, Way::Reserve]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_credits_are_spent_once_by_64_tasks_on_memory() {
    all_ways::<Memory>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_credits_are_spent_once_by_64_tasks_on_sqlite() {
    all_ways::<Sqlite>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_credits_are_spent_once_by_64_tasks_on_postgres_with_three_engines() {
    all_ways::<Postgres>().await;
}
