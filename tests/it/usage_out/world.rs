//! An engine on its database, its sender, and Stripe's double, all at one time.

mod mishaps;

use std::sync::Arc;
use std::time::Duration;

use bursar::clock::{Clock, ManualClock};
use bursar::domain::billing::price_list;
use bursar::domain::catalog::parse_catalog;
use bursar::domain::id::{CustomerId, EventId, MeterId, RequestId};
use bursar::domain::time::{Span, Timestamp};
use bursar::domain::usage::{Labels, UsageEvent};
use bursar::engine::{
    BillingTerms, CatalogCall, ChunkView, Engine, Limits, Profile, RecordOutcome,
};
use bursar::storage::sqlite::{Options, SqliteStore};
use bursar::storage::{Store, StoredCatalog};
use bursar::stripe::gateway::{Gateway, NewCustomer};
use bursar::stripe::{Setup, UsageOut};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::checks::{Seen, Verdict, check};
use super::script::{Act, CUSTOMERS, all_faults};
use super::sender::{Sender, gateway};
use crate::harness::START;
use crate::stripe::{Calls, Door, Double, Settings};

/// What each period includes of each meter, before Stripe bills it.
pub const INCLUDED: i64 = 100;

pub const CATALOG: &str = r#"
default_plan = "metered"
meters.tokens = { aggregation = "sum", allow_negative = true, stripe_event_name = "acme_tokens" }
meters.pages = { aggregation = "sum", allow_negative = true, stripe_event_name = "acme_pages" }
features.tokens = { metered = { meter = "tokens" } }
features.pages = { metered = { meter = "pages" } }
[plans.metered.entitlements]
tokens = { limits = [{ amount = 100, window = "billing_period", on_limit = "allow" }], overage = { per_unit = "1" } }
pages = { limits = [{ amount = 100, window = "billing_period", on_limit = "allow" }], overage = { per_unit = "1" } }
"#;

/// How often a database is tried to be opened.
const OPEN_TRIES: u32 = 100;
/// Rounds of a quarter of an hour that all may take to settle.
const SETTLING_ROUNDS: usize = 200;
/// Most steps until a round of sending has nothing left to do.
const SENDS: usize = 8;

/// Returns the id of a meter.
pub const fn meter_id(meter: usize) -> &'static str {
    ["tokens", "pages"][meter]
}

/// Returns what Stripe calls the events of a meter.
pub fn event_name(meter: usize) -> String {
    format!("acme_{}", meter_id(meter))
}

fn customer_id(customer: usize) -> CustomerId {
    CustomerId::new(format!("c{customer}")).unwrap()
}

/// What ends with a process.
struct Life {
    engine: Engine,
    committers: JoinHandle<()>,
    sender: UsageOut,
}

/// Everything at one time.
pub struct World {
    folder: TempDir,
    /// How many databases there were.
    databases: usize,
    clock: Arc<ManualClock>,
    double: Double,
    gateway: Arc<Gateway>,
    sender: Sender,
    life: Option<Life>,
    payers: Vec<Box<str>>,
    seen: Seen,
    requests: u32,
}

impl World {
    /// Creates customers that are billed through a Stripe that is set up.
    pub async fn begin(sender: Sender) -> Self {
        let settings = Settings {
            now_seconds: START / 1_000_000,
            ..Settings::default()
        };
        let double = Double::start(settings).await.unwrap();
        let gateway = gateway(&double.url(), sender);
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            databases: 0,
            clock: Arc::new(ManualClock::at(Timestamp::from_micros_clamped(START))),
            double,
            gateway,
            sender,
            life: None,
            payers: Vec::new(),
            seen: Seen::default(),
            requests: 0,
        };
        world.live().await;
        let call = CatalogCall {
            source: CATALOG.into(),
            expected_version: None,
        };
        let request = world.fresh();
        let applied = world.engine().apply_catalog("test", request, call).await;
        applied.unwrap();
        let setup = Setup::new(Arc::clone(&world.gateway));
        let catalog = parse_catalog(CATALOG).unwrap();
        setup.apply(&price_list(&catalog)).await.unwrap();
        for customer in 0..CUSTOMERS {
            world.create(customer).await;
        }
        world
    }

    async fn create(&mut self, customer: usize) {
        let (id, request) = (customer_id(customer), self.fresh());
        let profile = Profile {
            display_name: Box::from("Ann"),
            email: Box::default(),
            metadata: Labels::new(),
            billing_anchor: None,
        };
        let engine = self.engine().clone();
        let created = engine.create_customer("test", request, id.clone(), profile);
        created.await.unwrap();
        let new = NewCustomer {
            ours: id.to_string(),
            ..NewCustomer::default()
        };
        let theirs = self.gateway.create_customer(&new, id.as_str()).await;
        let payer = engine.link_payer(&id, &theirs.unwrap().id).await.unwrap();
        engine.open_tabs(&id).await.unwrap();
        self.payers.push(payer);
    }

    fn fresh(&mut self) -> RequestId {
        self.requests += 1;
        RequestId::new(format!("request-{}", self.requests)).unwrap()
    }

    fn engine(&self) -> &Engine {
        &self.life.as_ref().unwrap().engine
    }

    fn database(&self) -> String {
        let name = format!("bursar-{}.db", self.databases);
        self.folder.path().join(name).display().to_string()
    }

    /// Starts on the database as it stands.
    async fn live(&mut self) {
        let mut tries = 0;
        let (store, opened) = loop {
            match SqliteStore::open(self.database(), Options::default()) {
                Ok(found) => break found,
                // What was cancelled lets go of the file a little later.
                Err(error) if tries == OPEN_TRIES => panic!("{error}"),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let store: Arc<dyn Store> = Arc::new(store);
        let catalog = match store.catalog(None).await.unwrap() {
            Some(stored) => stored,
            None => StoredCatalog {
                catalog: Arc::new(parse_catalog(CATALOG).unwrap()),
                source: Arc::from(CATALOG),
                apply_time: self.clock.now(),
            },
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let (engine, committers) = Engine::start(store, clock, catalog, Limits::default());
        engine.set_billing(BillingTerms {
            incarnation: opened.incarnation.into(),
            ..BillingTerms::default()
        });
        let sender = UsageOut::new(engine.clone(), Arc::clone(&self.gateway));
        self.life = Some(Life {
            engine,
            committers,
            sender,
        });
    }

    /// Ends whatever runs; what was handed to the store is still written, as a system writes what a process wrote.
    async fn die(&mut self) {
        if let Some(life) = self.life.take() {
            drop((life.engine, life.sender));
            life.committers.await.unwrap();
        }
    }

    /// Plays one step.
    pub async fn act(&mut self, act: &Act) {
        match *act {
            Act::Use {
                customer,
                meter,
                quantity,
            } => self.consume(customer, meter, quantity).await,
            Act::Pass { minutes } => self.pass(minutes).await,
            Act::Send => self.send().await,
            Act::Crash { millis } => self.crash(Duration::from_millis(millis)).await,
            Act::Weather { per_mille } => self.weather(per_mille),
            Act::Outage { hours, how } => self.outage(hours, how).await,
            Act::Restore { rounds } => self.restore(rounds).await,
        }
        self.look().await;
    }

    async fn consume(&mut self, customer: usize, meter: usize, quantity: i64) {
        let event = UsageEvent {
            event_id: EventId::new(self.fresh().as_str()).unwrap(),
            customer_id: customer_id(customer),
            subaccount_id: None,
            meter_id: MeterId::new(meter_id(meter)).unwrap(),
            quantity,
            event_time: None,
            dimensions: Labels::new(),
            metadata: Labels::new(),
            reservation_id: None,
        };
        let prepared = self.engine().prepare(vec![event]).await.unwrap();
        let outcomes = self.engine().record(prepared).await.unwrap();
        assert!(matches!(outcomes[0], RecordOutcome::Recorded(_)));
        *self.seen.used.entry((customer, meter)).or_default() += quantity;
    }

    /// Lets time pass for both.
    async fn pass(&mut self, minutes: u32) {
        self.look().await;
        self.clock.advance(Span::from_minutes(minutes));
        let to = self.double.now() + i64::from(minutes) * 60;
        self.double.advance(to).await;
    }

    /// Seals and sends until there is nothing to do now.
    async fn send(&mut self) {
        for _ in 0..SENDS {
            let sender = self.life.as_ref().unwrap().sender.clone();
            let moved = sender.once().await.unwrap();
            self.look().await;
            if moved == 0 {
                break;
            }
        }
        self.be_careless().await;
    }

    async fn crash(&mut self, after: Duration) {
        let sender = self.life.as_ref().unwrap().sender.clone();
        let sending = tokio::spawn(async move { sender.once().await });
        tokio::time::sleep(after).await;
        sending.abort();
        // It was ended in the middle, or was done before.
        let _ = sending.await;
        self.die().await;
        self.live().await;
    }

    fn weather(&self, per_mille: u32) {
        self.double.faults().clear();
        if per_mille > 0 {
            let faults = self.double.faults();
            faults.mix(per_mille, Calls::all(), all_faults());
        }
    }

    async fn seal_all(&mut self) {
        for customer in 0..CUSTOMERS {
            let id = customer_id(customer);
            self.engine().seal_now(&id).await.unwrap();
        }
        self.look().await;
    }

    /// Lets nothing go wrong any more until all is settled, or too much time has passed.
    pub async fn settle(&mut self) {
        self.weather(0);
        self.double.door(Door::Open).await;
        self.seal_all().await;
        for _ in 0..SETTLING_ROUNDS {
            self.send().await;
            let chunks = self.chunks().await;
            if chunks.iter().all(|view| view.chunk.state.is_final()) {
                return;
            }
            self.pass(15).await;
        }
    }

    async fn look(&mut self) {
        let chunks = self.chunks().await;
        self.seen.note(&chunks, &self.double);
    }

    async fn chunks(&self) -> Vec<ChunkView> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.engine().list_chunks(None, None, (after, 1_000)).await;
            let page = page.unwrap();
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    }

    /// Says what the script came to.
    pub async fn verdict(mut self) -> Verdict {
        let chunks = self.chunks().await;
        let broken = check(&self.seen, &chunks, &self.payers, &self.double);
        self.die().await;
        Verdict {
            broken,
            doubted: self.seen.doubted.len(),
        }
    }
}
