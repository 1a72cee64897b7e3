//! A whole server in this process, on free ports, with a clock that the test moves.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bursar::clock::{Clock, ManualClock, Stopwatch};
use bursar::config::{BillingConfig, Config, Database, StripeAccess};
use bursar::domain::time::Timestamp;
use bursar::grpc::pb;
use bursar::server::{self, Ground, Serving};
use bursar::storage::Store;
use bursar::storage::memory::MemoryStore;
use bursar::storage::sqlite::{Options, SqliteStore};
use pb::entitlement_service_client::EntitlementServiceClient;
use pb::metering_service_client::MeteringServiceClient;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;

/// The instant at which test servers start.
pub const START: i64 = 1_770_000_000_000_000;

/// What test servers sell: `tokens` is limited, `calls` counts events, `jobs` are in flight. Customers are created by
/// their first use.
pub const CATALOG: &str = r#"
default_plan = "basic"
auto_create_customers = { per_minute = 100000 }

[meters.tokens]
unit = "token"
aggregation = "sum"
dimensions = ["model"]

[meters.refundable]
unit = "token"
aggregation = "sum"
allow_negative = true

[meters.calls]
unit = "call"
aggregation = "count"

[features]
sso = "boolean"
seats = "allocation"
jobs = "concurrency"
pace = "rate"
gold = "boolean"

[features.tokens]
metered = { meter = "tokens" }

[features.calls]
metered = { meter = "calls" }

[plans.basic]
name = "Basic"
rank = 1

[plans.basic.entitlements]
sso = true
seats = 2
jobs = 2
pace = { rate = 1000, per = "minute" }
tokens = { limits = [{ amount = 100, window = "day" }] }
calls = { limits = [{ amount = "unlimited", window = "month" }] }
"#;

/// Where a test server keeps what it is told.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// In memory.
    Memory,
    /// In a file.
    Sqlite,
}

/// A running server.
pub struct TestServer {
    /// Where it listens.
    pub serving: Serving,
    /// Its time.
    pub clock: Arc<ManualClock>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl TestServer {
    /// Starts a server with [`CATALOG`].
    pub fn start(kind: Kind) -> Self {
        Self::with(kind, |_| {})
    }

    /// Settings on free ports, without a catalog.
    pub fn settings() -> Config {
        Config {
            grpc_addr: "127.0.0.1:0".parse().unwrap(),
            http_addr: "127.0.0.1:0".parse().unwrap(),
            database: Database::Memory,
            committers: 0,
            refresh_ms: 250,
            database_timeout_ms: 15_000,
            catalog: None,
            insecure: false,
            allow_weak_durability: false,
            threads: 1,
            max_memory_customers: 1_000_000,
            keep_events_days: 400,
            stream_window: 32_768,
            queue_events: 262_144,
            stripe: StripeAccess::default(),
            billing: BillingConfig {
                stripe_webhook_secret: Vec::new(),
                stripe_endpoint_secret: Vec::new(),
                stripe_webhook_paths: vec!["/stripe/webhook".to_owned()],
                stripe_meter_events_per_second: None,
                stripe_timeout_ms: 30_000,
                usage_window_minutes: 60,
                disputes_freeze_wallets: true,
            },
            drain_seconds: 10,
        }
    }

    /// As [`TestServer::start`], with other settings.
    pub fn with(kind: Kind, set: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = folder.path().join("catalog.toml");
        std::fs::write(&catalog, CATALOG).unwrap();
        let mut config = Config {
            database: Database::Sqlite(folder.path().join("bursar.db")),
            catalog: Some(catalog),
            ..Self::settings()
        };
        set(&mut config);
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros_clamped(START)));
        let ground = ground(kind, &config, &clock);
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let stopped = async {
                let _ = stopped.await;
            };
            let ready = |serving: &Serving| tell.send(*serving).unwrap();
            server::run(&config, Some(ground), stopped, ready).expect("the server starts");
        });
        let serving = told.recv().expect("the server says where it listens");
        Self {
            serving,
            clock,
            stop,
            thread,
            _folder: folder,
        }
    }

    /// Connects.
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::new(format!("http://{}", self.serving.grpc_addr)).unwrap();
        endpoint
            .connect()
            .await
            .expect("the server takes connections")
    }

    /// Connects to the entitlement service.
    pub async fn entitlements(&self) -> EntitlementServiceClient<Channel> {
        EntitlementServiceClient::new(self.channel().await)
    }

    /// Connects to the metering service.
    pub async fn metering(&self) -> MeteringServiceClient<Channel> {
        MeteringServiceClient::new(self.channel().await)
    }

    /// Tells it to stop, waits, and says how long that took. Clients of this runtime go on meanwhile.
    pub async fn stop(self) -> Duration {
        let watch = Stopwatch::start();
        let thread = self.begin_stop();
        tokio::task::spawn_blocking(move || thread.join())
            .await
            .unwrap()
            .expect("the server stops cleanly");
        watch.elapsed()
    }

    /// Tells it to stop and does not wait.
    pub fn begin_stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(());
        self.thread
    }

    /// Asks for a page over HTTP and returns its status and text.
    pub async fn page(&self, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.serving.http_addr)
            .await
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }
}

fn ground(kind: Kind, config: &Config, clock: &Arc<ManualClock>) -> Ground {
    let time = Arc::clone(clock);
    let store: Arc<dyn Store> = match kind {
        Kind::Memory => Arc::new(MemoryStore::new(Arc::new(move || time.now()))),
        Kind::Sqlite => {
            let Database::Sqlite(path) = &config.database else {
                panic!("a file is wanted, not {}", config.database);
            };
            let (store, _) = SqliteStore::open(path, Options::default()).unwrap();
            Arc::new(store)
        }
    };
    Ground {
        store,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        incarnation: "test".to_owned(),
        following: None,
    }
}

/// What a client sees of an error: its code by number, its reason, the first field that it names.
pub fn seen(status: &Status) -> (i32, String, String) {
    let details = status.get_error_details();
    let reason = details.error_info().map_or("", |info| &info.reason);
    let field = details
        .bad_request()
        .and_then(|bad| bad.field_violations.first())
        .map_or("", |violation| &violation.field);
    (status.code().into(), reason.to_owned(), field.to_owned())
}

/// As [`seen`], of an error inside an answer.
pub fn seen_inside(status: &tonic_types::Status) -> (i32, String, String) {
    let details = prost::Message::encode_to_vec(status);
    let code = tonic::Code::from_i32(status.code);
    seen(&Status::with_details(
        code,
        status.message.clone(),
        details.into(),
    ))
}

/// An event of one customer.
pub fn event(customer: &str, id: impl ToString, quantity: i64) -> pb::UsageEvent {
    pb::UsageEvent {
        event_id: id.to_string(),
        customer_id: customer.to_owned(),
        meter_id: "tokens".to_owned(),
        quantity,
        ..pb::UsageEvent::default()
    }
}

/// Runs a test on a runtime of its own.
pub fn run(test: impl Future<Output = ()>) {
    run_for(60, test);
}

/// As [`run`], for a test that takes longer: at most so many seconds.
pub fn run_for(seconds: u64, test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            tokio::time::timeout(Duration::from_secs(seconds), test)
                .await
                .expect("the test ends in time");
        });
}
