//! The engine on a store, driven by the model's steps.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use bursar::clock::ManualClock;
use bursar::domain::id::{CustomerId, GrantId, HoldId, RequestId, ReservationId, SubaccountId};
use bursar::domain::time::{Span, Timestamp};
use bursar::domain::wallet::WalletKey;
use bursar::engine::{Engine, Profile, SubaccountProfile, WalletName};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tokio::runtime::Runtime;

use super::super::backends::{Backend, Memory, Postgres, Sqlite, engines};
use super::super::system::start;
use super::market::CATALOG;
use super::model::{Model, OWNERS, Outcome, Sent};
use super::steps::Step;

/// Engines on one store, as that many processes.
pub struct System<B: Backend> {
    pub runtime: Runtime,
    home: B::Home,
    clock: Arc<ManualClock>,
    engines: Vec<(Engine, tokio::task::JoinHandle<()>)>,
    /// Which of them has its turn.
    turn: usize,
    /// Ids that things got, by customer, in the order in which the model has them.
    pub named: [Named; 2],
    /// What requests were answered.
    pub answers: BTreeMap<usize, String>,
}

/// Ids that things of a customer got.
#[derive(Default)]
pub struct Named {
    pub grants: Vec<GrantId>,
    pub holds: Vec<HoldId>,
    pub reservations: Vec<ReservationId>,
}

pub type OnMemory = Laws<Memory>;
pub type OnSqlite = Laws<Sqlite>;
pub type OnPostgres = Laws<Postgres>;

/// The laws on one backend.
pub struct Laws<B>(PhantomData<B>);

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros_clamped(start().as_micros() + seconds * 1_000_000)
}

pub fn seconds(span: i64) -> Span {
    Span::from_micros_clamped(span * 1_000_000)
}

pub fn customer(who: usize) -> CustomerId {
    CustomerId::new(format!("c{who}")).unwrap()
}

/// Names a subaccount by its number; 0 is the customer itself.
pub fn part(owner: usize) -> Option<SubaccountId> {
    (owner > 0).then(|| SubaccountId::new(format!("s{owner}")).unwrap())
}

pub fn key(owner: usize) -> WalletKey {
    WalletKey::of(part(owner).as_ref(), "USD")
}

pub fn wallet(who: usize, owner: usize) -> WalletName {
    WalletName {
        customer: customer(who),
        subaccount: part(owner),
        unit: "USD".into(),
    }
}

pub fn owner(key: &WalletKey) -> usize {
    (0..3)
        .find(|owner| super::system::key(*owner) == *key)
        .expect("a known wallet")
}

impl<B: Backend> System<B> {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut system = Self {
            runtime,
            home: B::home(),
            clock: Arc::new(ManualClock::at(start())),
            engines: Vec::new(),
            turn: 0,
            named: Default::default(),
            answers: BTreeMap::new(),
        };
        system.reopen();
        let engine = system.engine();
        system.runtime.block_on(async {
            for (who, owners) in OWNERS.into_iter().enumerate() {
                let request = RequestId::new(format!("create-{who}")).unwrap();
                let create =
                    engine.create_customer("test", request, customer(who), Profile::default());
                create.await.unwrap();
                for owner in 1..owners {
                    let request = RequestId::new(format!("create-{who}-{owner}")).unwrap();
                    let (id, profile) = (part(owner).unwrap(), SubaccountProfile::default());
                    let of = customer(who);
                    let create = engine.create_subaccount("test", request, &of, id, profile);
                    create.await.unwrap();
                }
            }
        });
        system
    }

    pub fn engine(&self) -> Engine {
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
}

impl<B: Backend> StateMachineTest for Laws<B> {
    type SystemUnderTest = System<B>;
    type Reference = Model;

    fn init_test(_: &<Model as ReferenceStateMachine>::State) -> System<B> {
        System::new()
    }

    fn apply(mut system: System<B>, model: &Model, step: Step) -> System<B> {
        system.turn += 1;
        match &model.sent {
            Sent::Nothing => {}
            Sent::Wait(span) => system.clock.advance(seconds(*span)),
            Sent::Forget => system.engine().forget_all(),
            Sent::Reopen => system.reopen(),
            Sent::Op {
                who,
                request,
                op,
                other,
            } => {
                let before = (!model.changed).then(|| system.snapshot(*who));
                let came = system.perform(*who, *request, op, *other);
                let came = match (&model.expected, came) {
                    (Outcome::Same, came) => {
                        assert_ne!(came, Outcome::Reused, "{step:?}");
                        Outcome::Same
                    }
                    (_, came) => came,
                };
                assert_eq!(came, model.expected, "{step:?} {op:?}");
                if let Some(before) = before {
                    assert_eq!(
                        system.snapshot(*who),
                        before,
                        "nothing is left behind: {op:?}"
                    );
                }
                system.name_grants(*who, model);
            }
        }
        system
    }

    fn check_invariants(system: &System<B>, model: &Model) {
        match &model.sent {
            Sent::Nothing | Sent::Wait(_) => {}
            Sent::Op { who, .. } => system.compare(*who, model),
            Sent::Forget | Sent::Reopen => {
                for who in 0..OWNERS.len() {
                    system.compare(who, model);
                }
            }
        }
    }
}
