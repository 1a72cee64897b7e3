//! Several committers in one engine: customers are spread over them, and answers keep their places.

use std::collections::HashMap;
use std::sync::Arc;

use super::setting::{CATALOG, customer, request, start, stored_catalog};
use crate::clock::ManualClock;
use crate::domain::id::{EventId, MeterId};
use crate::domain::usage::{Labels, UsageEvent};
use crate::engine::{Engine, Limits, Profile, RecordOutcome};
use crate::storage::Store;
use crate::storage::memory::MemoryStore;

const CUSTOMERS: usize = 40;
const COMMITTERS: u16 = 4;

async fn engine() -> Engine {
    let clock = Arc::new(ManualClock::at(start()));
    let told = Arc::clone(&clock);
    let store = MemoryStore::new(Arc::new(move || crate::clock::Clock::now(&*told)));
    let store = Arc::new(store) as Arc<dyn Store>;
    let limits = Limits {
        committers: COMMITTERS,
        ..Limits::default()
    };
    let (engine, _) = Engine::start(store, clock, stored_catalog(CATALOG, 1), limits);
    for nth in 0..CUSTOMERS {
        let id = format!("c{nth}");
        let create =
            engine.create_customer("test", request(&id), customer(&id), Profile::default());
        create.await.unwrap();
    }
    engine
}

fn event(of: usize, id: &str, quantity: i64) -> UsageEvent {
    UsageEvent {
        event_id: EventId::new(id).unwrap(),
        customer_id: customer(&format!("c{of}")),
        subaccount_id: None,
        meter_id: MeterId::new("tokens").unwrap(),
        quantity,
        event_time: None,
        dimensions: Labels::new(),
        metadata: Labels::new(),
        reservation_id: None,
    }
}

#[tokio::test]
async fn customers_are_spread_over_all_committers() {
    let engine = engine().await;
    let mut lanes: HashMap<usize, usize> = HashMap::new();
    for nth in 0..CUSTOMERS {
        let cell = engine
            .customer(&customer(&format!("c{nth}")))
            .await
            .unwrap();
        *lanes.entry(engine.lane(&cell)).or_default() += 1;
    }
    assert_eq!(lanes.len(), usize::from(COMMITTERS), "{lanes:?}");
}

#[tokio::test]
async fn outcomes_keep_their_places_whichever_committer_they_come_from() {
    let engine = engine().await;
    let send = async |events: Vec<UsageEvent>| {
        let prepared = engine.prepare(events).await.unwrap();
        engine.record(prepared).await.unwrap()
    };
    let first: Vec<UsageEvent> = (0..CUSTOMERS).map(|nth| event(nth, "one", 1)).collect();
    let outcomes = send(first).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, RecordOutcome::Recorded(_)))
    );
    // Every third repeats, every fifth has other content, the others are new.
    let mixed = (0..CUSTOMERS).map(|nth| match nth {
        _ if nth % 3 == 0 => event(nth, "one", 1),
        _ if nth % 5 == 0 => event(nth, "one", 2),
        _ => event(nth, "two", 1),
    });
    let outcomes = send(mixed.collect()).await;
    for (nth, outcome) in outcomes.iter().enumerate() {
        let fits = match outcome {
            RecordOutcome::Duplicate(_) => nth % 3 == 0,
            RecordOutcome::Rejected(_) => nth % 3 != 0 && nth % 5 == 0,
            RecordOutcome::Recorded(_) => nth % 3 != 0 && nth % 5 != 0,
        };
        assert!(fits, "{nth}: {outcome:?}");
    }
}
