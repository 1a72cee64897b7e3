//! 64 tasks race for the last unit: exactly one wins.

use std::sync::Arc;

use bursar::clock::ManualClock;
use bursar::domain::id::{CustomerId, EventId, FeatureId, MeterId, RequestId};
use bursar::domain::time::Span;
use bursar::domain::usage::{Labels, UsageEvent};
use bursar::engine::{ConsumeAsk, Engine, Profile, ReserveCall};

use super::backends::{Backend, Memory, Postgres, Sqlite, engines};
use super::system::start;

const CATALOG: &str = r#"
default_plan = "basic"
[meters.units]
unit = "unit"
aggregation = "sum"
[features.units]
metered = { meter = "units" }
[plans.basic.entitlements]
units = { limits = [{ amount = 10, window = "day" }] }
"#;

async fn race<B: Backend>(by_reserving: bool) {
    let (home, clock) = (B::home(), Arc::new(ManualClock::at(start())));
    let engines = engines::<B>(&home, &clock, CATALOG).await;
    let engine = engines[0].0.clone();
    let acme = CustomerId::new("acme").unwrap();
    let request = RequestId::new("create").unwrap();
    engine
        .create_customer("test", request, acme.clone(), Profile::default())
        .await
        .unwrap();
    assert!(
        consume(&engine, &acme, "first", 9).await,
        "nine of ten are used"
    );
    let racers: Vec<_> = (0..64)
        .map(|racer| {
            let engine = engines[racer % engines.len()].0.clone();
            let acme = acme.clone();
            tokio::spawn(async move {
                if by_reserving {
                    reserve(&engine, &acme, racer).await
                } else {
                    consume(&engine, &acme, &format!("racer-{racer}"), 1).await
                }
            })
        })
        .collect();
    let mut winners = 0;
    for racer in racers {
        winners += usize::from(racer.await.unwrap());
    }
    assert_eq!(winners, 1);
    drop(engine);
    for (engine, committer) in engines {
        drop(engine);
        committer.await.unwrap();
    }
}

async fn consume(engine: &Engine, customer: &CustomerId, id: &str, quantity: i64) -> bool {
    let event = UsageEvent {
        event_id: EventId::new(id).unwrap(),
        customer_id: customer.clone(),
        subaccount_id: None,
        meter_id: MeterId::new("units").unwrap(),
        quantity,
        event_time: None,
        dimensions: Labels::new(),
        metadata: Labels::new(),
        reservation_id: None,
    };
    let ask = ConsumeAsk {
        event,
        feature: FeatureId::new("units").unwrap(),
        verbose: false,
    };
    engine.consume(ask).await.unwrap().decision.allowed
}

async fn reserve(engine: &Engine, customer: &CustomerId, racer: usize) -> bool {
    let call = ReserveCall {
        customer: customer.clone(),
        subaccount: None,
        items: vec![(FeatureId::new("units").unwrap(), 1, 1, Labels::new())],
        ttl: Span::from_secs(60),
        holder: format!("racer-{racer}").into(),
        metadata: Labels::new(),
        verbose: false,
    };
    let request = RequestId::new(format!("reserve-{racer}")).unwrap();
    engine
        .reserve("test", request, call)
        .await
        .unwrap()
        .reservation
        .is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_64_consumes_the_last_unit_on_memory() {
    race::<Memory>(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_64_reserves_the_last_unit_on_memory() {
    race::<Memory>(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_64_consumes_the_last_unit_on_sqlite() {
    race::<Sqlite>(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_64_reserves_the_last_unit_on_sqlite() {
    race::<Sqlite>(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_64_consumes_the_last_unit_on_postgres_with_three_engines() {
    race::<Postgres>(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_64_reserves_the_last_unit_on_postgres_with_three_engines() {
    race::<Postgres>(true).await;
}
