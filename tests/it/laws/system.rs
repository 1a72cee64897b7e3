//! The engine on a store, driven by the model's steps.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use bursar::clock::ManualClock;
use bursar::domain::catalog::parse_catalog;
use bursar::domain::id::{CustomerId, EventId, FeatureId, MeterId, RequestId, ReservationId};
use bursar::domain::time::{Span, Timestamp};
use bursar::domain::usage::{Labels, UsageEvent};
use bursar::domain::window::TimeRange;
use bursar::engine::{ConsumeAsk, Engine, Error, Profile, RecordOutcome, ReserveCall};
use bursar::storage::{AuditQuery, EventQuery, StoredCatalog};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tokio::runtime::Runtime;

use super::backends::{Backend, Memory, Postgres, Sqlite, engines};
use super::model::{CATALOG, CUSTOMERS, Call, Event, Expected, Fate, Model, Step};

/// Engines on one store, as that many processes.
pub struct System<B: Backend> {
    runtime: Runtime,
    home: B::Home,
    clock: Arc<ManualClock>,
    engines: Vec<(Engine, tokio::task::JoinHandle<()>)>,
    /// Which of them has its turn.
    turn: usize,
    /// Ids that reservations got, by customer and request.
    made: BTreeMap<(u8, u16), ReservationId>,
}

pub type OnMemory = Laws<Memory>;
pub type OnSqlite = Laws<Sqlite>;
pub type OnPostgres = Laws<Postgres>;

/// The laws on one backend.
pub struct Laws<B>(PhantomData<B>);

pub fn start() -> Timestamp {
    Timestamp::from_micros_clamped(1_770_000_000_000_000)
}

pub fn catalog(text: &str) -> StoredCatalog {
    let mut catalog = parse_catalog(text).expect("the catalog is right");
    catalog.version = 1;
    StoredCatalog {
        catalog: Arc::new(catalog),
        source: text.into(),
        apply_time: start(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros_clamped(start().as_micros() + seconds * 1_000_000)
}

fn seconds(span: i64) -> Span {
    Span::from_micros_clamped(span * 1_000_000)
}

fn customer(who: u8) -> CustomerId {
    CustomerId::new(format!("c{who}")).unwrap()
}

fn usage(who: u8, id: u16, event: Event, made: &BTreeMap<(u8, u16), ReservationId>) -> UsageEvent {
    let named = event.reservation.map(|id| reservation_id(who, id, made));
    UsageEvent {
        event_id: EventId::new(format!("e{id}")).unwrap(),
        customer_id: customer(who),
        subaccount_id: None,
        meter_id: MeterId::new("tokens").unwrap(),
        quantity: event.quantity,
        event_time: Some(at(event.time)),
        dimensions: Labels::new(),
        metadata: Labels::new(),
        reservation_id: named,
    }
}

fn reservation_id(who: u8, id: u16, made: &BTreeMap<(u8, u16), ReservationId>) -> ReservationId {
    let unknown = || ReservationId::new(format!("unknown-{id}")).unwrap();
    made.get(&(who, id)).cloned().unwrap_or_else(unknown)
}

fn fate(outcome: &RecordOutcome) -> Fate {
    match outcome {
        RecordOutcome::Recorded(_) => Fate::Recorded,
        RecordOutcome::Duplicate(_) => Fate::Duplicate,
        RecordOutcome::Rejected(Error::EventIdReused { .. }) => Fate::Reused,
        RecordOutcome::Rejected(error) => panic!("{error}"),
    }
}

impl<B: Backend> System<B> {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (home, clock) = (B::home(), Arc::new(ManualClock::at(start())));
        let made = BTreeMap::new();
        let mut system = Self {
            runtime,
            home,
            clock,
            engines: Vec::new(),
            turn: 0,
            made,
        };
        system.reopen();
        for who in 0..CUSTOMERS {
            let request = RequestId::new(format!("create-{who}")).unwrap();
            let engine = system.engine();
            let create = engine.create_customer("test", request, customer(who), Profile::default());
            system.runtime.block_on(create).unwrap();
        }
        system
    }

    fn engine(&self) -> Engine {
        self.engines[self.turn % B::ENGINES].0.clone()
    }

    /// Ends the engines and starts others on what is stored.
    fn reopen(&mut self) {
        self.runtime.block_on(async {
            for (engine, committer) in self.engines.drain(..) {
                drop(engine);
                committer.await.unwrap();
            }
            self.engines = engines::<B>(&self.home, &self.clock, CATALOG).await;
        });
    }

    fn step(&mut self, step: &Step) -> Expected {
        let engine = self.engine();
        match step {
            Step::Record(who, events) => {
                let events = events
                    .iter()
                    .map(|(id, event)| usage(*who, *id, *event, &self.made))
                    .collect();
                let outcomes = self.runtime.block_on(async {
                    engine
                        .record(engine.prepare(events).await.unwrap())
                        .await
                        .unwrap()
                });
                Expected::Recorded(outcomes.iter().map(fate).collect())
            }
            Step::Consume(who, id, event) => {
                let event = usage(*who, *id, *event, &self.made);
                let feature = FeatureId::new("tokens").unwrap();
                let ask = ConsumeAsk {
                    event,
                    feature,
                    verbose: false,
                };
                match self.runtime.block_on(engine.consume(ask)) {
                    Ok(consumed) => Expected::Consumed(consumed.outcome.as_ref().map(fate)),
                    Err(Error::EventIdReused { .. }) => Expected::Consumed(Some(Fate::Reused)),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Reserve(who, id, call) => self.reserve(*who, *id, *call),
            Step::Settle(who, id, commit, events) => self.settle(*who, *id, *commit, events),
            Step::Extend(who, id, ttl) => {
                let named = reservation_id(*who, *id, &self.made);
                let extend =
                    engine.extend("test", Self::fresh(), customer(*who), named, seconds(*ttl));
                Expected::Extended(self.runtime.block_on(extend).is_ok())
            }
            Step::Wait(span) => {
                self.clock.advance(seconds(*span));
                Expected::Nothing
            }
            Step::Forget => {
                engine.forget_all();
                Expected::Nothing
            }
            Step::Reopen => {
                drop(engine);
                self.reopen();
                Expected::Nothing
            }
        }
    }

    fn fresh() -> RequestId {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        RequestId::new(format!("r{}", NEXT.fetch_add(1, Ordering::Relaxed))).unwrap()
    }

    fn reserve(&mut self, who: u8, id: u16, call: Call) -> Expected {
        let feature = |id: &str| FeatureId::new(id).unwrap();
        let mut items = vec![(feature("tokens"), call.quantity, call.least, Labels::new())];
        if call.job {
            items.push((feature("jobs"), 1, 1, Labels::new()));
        }
        let reserve = ReserveCall {
            customer: customer(who),
            subaccount: None,
            items,
            ttl: seconds(call.ttl),
            holder: "worker".into(),
            metadata: Labels::new(),
            verbose: false,
        };
        let request = RequestId::new(format!("reserve-{who}-{id}")).unwrap();
        match self
            .runtime
            .block_on(self.engine().reserve("test", request, reserve))
        {
            Ok(answer) => Expected::Reserved(answer.reservation.map(|reservation| {
                let granted = reservation.items[0].granted;
                let before = self.made.insert((who, id), reservation.id.clone());
                assert!(
                    before.is_none_or(|before| before == reservation.id),
                    "L5: one id"
                );
                granted
            })),
            Err(Error::RequestIdReused { .. }) => Expected::RequestReused,
            Err(error) => panic!("{error}"),
        }
    }

    fn settle(&mut self, who: u8, id: u16, commit: bool, events: &[(u16, Event)]) -> Expected {
        let (engine, request) = (self.engine(), Self::fresh());
        let named = reservation_id(who, id, &self.made);
        let settled = if commit {
            let events = events
                .iter()
                .map(|(id, event)| usage(who, *id, *event, &self.made))
                .collect();
            let commit = engine.commit("test", request, customer(who), named, events);
            self.runtime.block_on(commit).map(|_| ())
        } else {
            let release = engine.release("test", request, customer(who), named);
            self.runtime.block_on(release).map(|_| ())
        };
        match settled {
            Ok(()) => Expected::Settled(true),
            Err(
                Error::NotFound { .. }
                | Error::ReservationClosed { .. }
                | Error::EventIdReused { .. },
            ) => Expected::Settled(false),
            Err(error) => panic!("{error}"),
        }
    }

    /// L1 and L2: what is stored is what the model holds, and counters are the fold of it.
    fn compare(&self, model: &Model) {
        let engine = self.engine();
        let store = engine.store();
        self.runtime.block_on(async {
            let query = AuditQuery {
                customer: None,
                after: None,
                limit: 100,
            };
            let audit = store.audit(query).await.unwrap();
            assert_eq!(audit.mismatches, [], "L2");
            for (who, held) in &model.customers {
                let query = EventQuery {
                    customer: customer(*who),
                    subaccount: None,
                    meter: None,
                    range: TimeRange::ALWAYS,
                    dimensions: Labels::new(),
                    ids: Vec::new(),
                    reservation: None,
                    standing: false,
                    after: None,
                    limit: 1000,
                };
                let stored = store.events(query).await.unwrap().items;
                let stored: BTreeMap<String, (i64, Timestamp)> = stored
                    .into_iter()
                    .map(|event| {
                        let row = event.row;
                        (
                            row.event.event_id.to_string(),
                            (row.event.quantity, row.count_time),
                        )
                    })
                    .collect();
                let expected: BTreeMap<String, (i64, Timestamp)> = held
                    .events
                    .iter()
                    .map(|(id, event)| (format!("e{id}"), (event.quantity, at(event.count_time))))
                    .collect();
                assert_eq!(stored, expected, "L1");
            }
        });
    }
}

impl<B: Backend> StateMachineTest for Laws<B> {
    type SystemUnderTest = System<B>;
    type Reference = Model;

    fn init_test(_: &<Model as ReferenceStateMachine>::State) -> System<B> {
        System::new()
    }

    fn apply(mut system: System<B>, model: &Model, step: Step) -> System<B> {
        system.turn += 1;
        let came = system.step(&step);
        assert_eq!(came, model.expected, "{step:?}");
        system
    }

    fn check_invariants(system: &System<B>, model: &Model) {
        system.compare(model);
    }
}
