//! L10: what is too much is refused clearly, memory stays bounded, and others are served afterwards.

use std::sync::Arc;

use bursar::clock::ManualClock;
use bursar::domain::id::{CustomerId, EventId, MeterId, RequestId};
use bursar::domain::usage::{Labels, UsageEvent};
use bursar::engine::{Engine, Error, Limits, Profile};

use super::backends::{Backend, Memory, Sqlite};
use super::model::CATALOG;
use super::system::{catalog, start};

fn events(customer: &CustomerId, batch: usize, count: usize) -> Vec<UsageEvent> {
    let event = |index| UsageEvent {
        event_id: EventId::new(format!("{batch}-{index}")).unwrap(),
        customer_id: customer.clone(),
        subaccount_id: None,
        meter_id: MeterId::new("tokens").unwrap(),
        quantity: 1,
        event_time: None,
        dimensions: Labels::new(),
        metadata: Labels::new(),
        reservation_id: None,
    };
    (0..count).map(event).collect()
}

/// Events of one call.
const PER_CALL: usize = 100;

async fn flood<B: Backend>() {
    let (home, clock) = (B::home(), Arc::new(ManualClock::at(start())));
    let store = B::open(&home, &clock).await;
    let limits = Limits {
        queue_events: 1_000,
        queue_writes: 8,
        ..Limits::default()
    };
    let (engine, committer) = Engine::start(store, clock, catalog(CATALOG), limits);
    let acme = CustomerId::new("acme").unwrap();
    let request = RequestId::new("create").unwrap();
    engine
        .create_customer("test", request, acme.clone(), Profile::default())
        .await
        .unwrap();
    let calls: Vec<_> = (0..200)
        .map(|batch| {
            let (engine, acme) = (engine.clone(), acme.clone());
            tokio::spawn(async move {
                let prepared = engine
                    .prepare(events(&acme, batch, PER_CALL))
                    .await
                    .unwrap();
                engine.record(prepared).await
            })
        })
        .collect();
    let (mut stored, mut refused) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(outcomes) => stored += outcomes.len(),
            Err(Error::Overloaded { retry_after, .. }) => {
                assert!(retry_after.as_micros() > 0);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        refused > 0,
        "200 calls of 100 events do not fit into room for 1,000"
    );
    assert!(stored > 0);
    let prepared = engine
        .prepare(events(&acme, 1_000, PER_CALL))
        .await
        .unwrap();
    assert_eq!(
        engine.record(prepared).await.unwrap().len(),
        PER_CALL,
        "served afterwards"
    );
    let range = bursar::domain::window::TimeRange::ALWAYS;
    let query = bursar::storage::UsageQuery {
        customer: acme,
        subaccount: None,
        meter: Arc::clone(&catalog(CATALOG).catalog.meters["tokens"]),
        steps: vec![range],
        group_by: Vec::new(),
        filter: Labels::new(),
    };
    let usage = engine.store().usage(query).await.unwrap();
    assert_eq!(
        usage[0].rollup.count,
        i64::try_from(stored + PER_CALL).unwrap(),
        "refused: not stored"
    );
    drop(engine);
    committer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_is_refused_clearly_on_memory() {
    flood::<Memory>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_is_refused_clearly_on_sqlite() {
    flood::<Sqlite>().await;
}
