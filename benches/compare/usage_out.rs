//! Usage on its way to Stripe beside usage that comes in: what the sender costs those who record.
//!
//! In turn a million events are recorded while the usage of ten thousand customers is sealed and sent to a double of Stripe in
//! this process, and while nobody is billed. The double answers in the place of machines that are elsewhere: what it costs is
//! counted against the sender.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bursar::clock::{AnchoredClock, Clock, Stopwatch, wall_clock};
use bursar::domain::billing::price_list;
use bursar::domain::catalog::parse_catalog;
use bursar::domain::id::CustomerId;
use bursar::engine::{Engine, Limits, side_by_side};
use bursar::storage::Store;
use bursar::storage::sqlite::{Options, SqliteStore};
use bursar::stripe::Setup;
use bursar::stripe::gateway::{Caller, Gateway, Http, HttpSettings, NewCustomer, Rates, Repeats};
use tokio::runtime::Runtime;

use crate::record::{Row, STREAMS, per_second, record, rows, target};
use crate::results::{Results, median};
use crate::server::{Server, customer};
use crate::stripe::{Double, Settings};
use crate::{is_short, scaled};

const CATALOG: &str = include_str!("billed.toml");
const CATALOG_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/billed.toml");
const EVENT_NAME: &str = "bench_tokens";
const KEY: &str = "sk_test_bench";
/// What a month includes.
const INCLUDED: i64 = 1;
/// What each customer used before: it is on its way when a turn begins.
const USED_BEFORE: i64 = 1_001;
/// What an account may send a second in live mode.
const METER_EVENTS_PER_SECOND: u32 = 800;
/// How often both are measured.
const TURNS: usize = 3;
/// How long all usage may take to arrive: a window, and what is sent in it.
const ARRIVAL_WAIT: Duration = Duration::from_mins(5);
/// Customers that are prepared at a time.
const PREPARED_AT_A_TIME: usize = 256;

/// Customers that were created, with usage and without anybody who bills it.
struct Prepared {
    folder: tempfile::TempDir,
    customers: usize,
}

/// Measures both in turn; the last time until all usage is at Stripe.
pub fn beside_ingest(runtime: &Runtime, results: &mut Results) {
    let prepared = Prepared::new(runtime, if is_short() { 1_000 } else { 10_000 });
    let count = scaled(1_000_000);
    let (mut ratios, mut calls) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let all = prepared.rows(count);
        let quiet = prepared.server(&format!("quiet-{turn}"), &[]);
        let alone = record(&[quiet.address], STREAMS, &all);
        quiet.stop();

        let double = Arc::new(prepared.double(runtime, &format!("billed-{turn}")));
        let url = double.url();
        let rate = METER_EVENTS_PER_SECOND.to_string();
        let billed = prepared.server(
            &format!("billed-{turn}"),
            &[
                ("BURSAR_STRIPE_KEY", KEY),
                ("BURSAR_STRIPE_API_BASE", &url),
                ("BURSAR_STRIPE_METER_EVENTS_PER_SECOND", &rate),
                ("BURSAR_USAGE_WINDOW_MINUTES", "1"),
            ],
        );
        let (before, watch) = (double.call_count(), Stopwatch::start());
        let beside = record(&[billed.address], STREAMS, &all);
        let sent = usize::try_from(double.call_count() - before).expect("a count");
        calls.push(per_second(sent, watch));
        ratios.push(beside / alone);
        if turn + 1 == TURNS {
            let made = runtime.block_on(prepared.arrive(&double, &all));
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            results.note(
                "events_per_meter_call",
                (count + prepared.customers) as f64 / made as f64,
            );
        }
        billed.stop();
    }
    results.note("meter_calls_per_s", median(calls));
    results.note("ingest_with_sender", median(ratios));
}

impl Prepared {
    fn new(runtime: &Runtime, customers: usize) -> Self {
        let folder = tempfile::tempdir_in(target()).expect("a directory");
        let prepared = Self { folder, customers };
        let server = Server::bursar_with(prepared.file("prepared"), CATALOG_FILE, &[]);
        runtime.block_on(server.create_customers(customers));
        let before: Vec<Row> = rows(customers, true)
            .into_iter()
            .enumerate()
            .map(|(customer, row)| Row {
                customer,
                quantity: USED_BEFORE,
                ..row
            })
            .collect();
        record(&[server.address], 1, &before);
        server.stop();
        prepared
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.db"))
    }

    /// Returns usage of all customers alike.
    fn rows(&self, count: usize) -> Vec<Row> {
        let mut all = rows(count, true);
        for row in &mut all {
            row.customer %= self.customers;
        }
        all
    }

    /// Copies the database, its log included, unless there is one of this name.
    fn copy(&self, name: &str) -> PathBuf {
        let file = self.file(name);
        if !file.exists() {
            for end in ["", "-wal"] {
                let of = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
                let from = of(&self.file("prepared"));
                if from.exists() {
                    fs::copy(from, of(&file)).expect("a copy");
                }
            }
        }
        file
    }

    fn server(&self, name: &str, settings: &[(&str, &str)]) -> Server {
        Server::bursar_with(self.copy(name), CATALOG_FILE, settings)
    }

    /// Starts a double that knows all customers, and has a database know who they are there.
    fn double(&self, runtime: &Runtime, name: &str) -> Double {
        let file = self.copy(name);
        runtime.block_on(async {
            let settings = Settings {
                now_seconds: wall_clock().as_micros() / 1_000_000,
                calls_kept: 1,
                ..Settings::default()
            };
            let double = Double::start(settings).await.expect("a double");
            let gateway = gateway(&double.url());
            let list = price_list(&parse_catalog(CATALOG).expect("a catalog"));
            let setup = Setup::new(Arc::clone(&gateway));
            setup.apply(&list).await.expect("Stripe is set up");
            let (store, _) = SqliteStore::open(file, Options::default()).expect("a store");
            let store: Arc<dyn Store> = Arc::new(store);
            let catalog = store.catalog(None).await.expect("it can be read");
            let clock = Arc::new(AnchoredClock::new(wall_clock())) as Arc<dyn Clock>;
            let catalog = catalog.expect("the server stored one");
            let (engine, committers) = Engine::start(store, clock, catalog, Limits::default());
            let linked = side_by_side(PREPARED_AT_A_TIME, 0..self.customers, |number| {
                link(engine.clone(), Arc::clone(&gateway), number)
            });
            assert_eq!(linked.await.len(), self.customers, "all are linked");
            drop(engine);
            committers.await.expect("the engine ends");
            double
        })
    }

    /// Waits until all usage is at Stripe; returns how many calls carried it.
    async fn arrive(&self, double: &Double, all: &[Row]) -> usize {
        let used = USED_BEFORE - INCLUDED;
        let mut expected = i64::try_from(self.customers).expect("a count") * used;
        expected += all.iter().map(|row| row.quantity).sum::<i64>();
        let watch = Stopwatch::start();
        while watch.elapsed() < ARRIVAL_WAIT {
            let arrived = double.effective_total(EVENT_NAME);
            if arrived == expected {
                return double.effect_count(EVENT_NAME);
            }
            assert!(arrived < expected, "{arrived} of {expected} arrived");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("not all usage arrives");
    }
}

async fn link(engine: Engine, gateway: Arc<Gateway>, number: usize) {
    let id = CustomerId::new(customer(number)).expect("an id");
    let new = NewCustomer {
        ours: id.to_string(),
        ..NewCustomer::default()
    };
    let theirs = gateway.create_customer(&new, id.as_str()).await;
    let theirs = theirs.expect("a customer of Stripe's");
    let linked = engine.link_payer(&id, &theirs.id).await;
    linked.expect("the customer is linked");
    engine.open_tabs(&id).await.expect("its tab is opened");
}

fn gateway(url: &str) -> Arc<Gateway> {
    let settings = HttpSettings {
        base_url: url.to_owned(),
        ..HttpSettings::default()
    };
    let http = Http::new(&settings, &KEY.into()).expect("a way to the double");
    let rates = Rates {
        calls: std::num::NonZeroU32::MAX,
        meter_events: None,
    };
    let caller = Caller::new(Arc::new(http), rates, Repeats::default(), 1);
    Arc::new(Gateway::new(caller))
}
