//! Customers that their first use creates, under a clock that moves whenever it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::setting::{CATALOG, customer, feature, request, start, stored_catalog, subaccount};
use crate::clock::Clock;
use crate::domain::id::{EventId, MeterId};
use crate::domain::quantity::Milli;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::{Labels, UsageEvent};
use crate::engine::{
    CheckAsk, CheckMode, ConsumeAsk, Engine, Error, Limits, RecordOutcome, ReserveCall,
};
use crate::storage::Store;
use crate::storage::memory::MemoryStore;

struct Restless(AtomicI64);

impl Clock for Restless {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros_clamped(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

fn engine() -> Engine {
    let clock = Arc::new(Restless(AtomicI64::new(start().as_micros())));
    let told = Arc::clone(&clock);
    let store = Arc::new(MemoryStore::new(Arc::new(move || told.now())));
    let toml = format!("auto_create_customers = {{ per_minute = 10 }}\n{CATALOG}");
    let catalog = stored_catalog(&toml, 1);
    let (store, limits) = (store as Arc<dyn Store>, Limits::default());
    Engine::start(store, clock, catalog, limits).0
}

/// An event that does not say when it happened.
fn event(of: &str, id: &str) -> UsageEvent {
    UsageEvent {
        event_id: EventId::new(id).unwrap(),
        customer_id: customer(of),
        subaccount_id: None,
        meter_id: MeterId::new("tokens").unwrap(),
        quantity: 5,
        event_time: None,
        dimensions: Labels::new(),
        metadata: Labels::new(),
        reservation_id: None,
    }
}

async fn used(engine: &Engine, of: &str) -> Milli {
    let ask = CheckAsk {
        feature: feature("tokens"),
        quantity: 0,
        dimensions: Labels::new(),
    };
    let mode = CheckMode {
        dry_run: true,
        verbose: true,
        ..CheckMode::default()
    };
    let answer = engine.check(&customer(of), None, &[ask], mode).await;
    answer.unwrap().remove(0).used
}

#[tokio::test]
async fn the_first_use_of_a_customer_counts_in_its_first_window() {
    let engine = engine();
    let events = vec![event("new", "e-1"), event("new", "e-2")];
    let prepared = engine.prepare(events).await.unwrap();
    engine.record(prepared).await.unwrap();
    assert_eq!(used(&engine, "new").await, Milli(10_000));

    let ask = ConsumeAsk {
        event: event("newer", "e-1"),
        feature: feature("tokens"),
        verbose: false,
    };
    let consumed = engine.consume(ask).await.unwrap();
    assert!(consumed.outcome.is_some(), "{consumed:?}");
    assert_eq!(used(&engine, "newer").await, Milli(5_000));
}

#[tokio::test]
async fn what_is_refused_creates_nobody_and_the_quota_rejects_alone() {
    let engine = engine();
    let exists = async |id: &str| engine.get_customer(&customer(id)).await.is_ok();
    let mut big = event("greedy", "big");
    big.quantity = 1_000_000;
    let consume = ConsumeAsk {
        event: big,
        feature: feature("tokens"),
        verbose: false,
    };
    assert!(!engine.consume(consume).await.unwrap().decision.allowed);
    let call = ReserveCall {
        customer: customer("greedy"),
        subaccount: None,
        items: vec![(feature("tokens"), 1_000_000, 1_000_000, Labels::new())],
        ttl: Span::from_hours(1),
        holder: Box::default(),
        metadata: Labels::new(),
        verbose: false,
    };
    let answer = engine.reserve("t", request("r"), call).await.unwrap();
    assert!(answer.reservation.is_none());
    let mut below = event("greedy", "below");
    below.subaccount_id = Some(subaccount("nobody"));
    let prepared = engine.prepare(vec![below]).await.unwrap();
    let outcomes = engine.record(prepared).await.unwrap();
    assert!(matches!(
        outcomes[0],
        RecordOutcome::Rejected(Error::NotFound { .. })
    ));
    assert!(!exists("greedy").await);

    let known = engine.prepare(vec![event("known", "e")]).await.unwrap();
    engine.record(known).await.unwrap();
    let mut events: Vec<_> = (0..20)
        .map(|nth| event(&format!("new-{nth}"), "e"))
        .collect();
    events.push(event("known", "last"));
    let prepared = engine.prepare(events).await.unwrap();
    let outcomes = engine.record(prepared).await.unwrap();
    let over = |outcome: &&RecordOutcome| {
        matches!(
            outcome,
            RecordOutcome::Rejected(Error::Overloaded {
                queue: "auto_create_customers",
                ..
            })
        )
    };
    assert_eq!(outcomes.iter().filter(over).count(), 11);
    assert!(matches!(outcomes[20], RecordOutcome::Recorded(_)));
}
