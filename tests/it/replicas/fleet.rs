//! Real servers on one database, each behind a link of its own, and clients that call whichever they like.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bursar::clock::Stopwatch;
use bursar::grpc::pb;
use pb::entitlement_service_client::EntitlementServiceClient;
use pb::metering_service_client::MeteringServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::postgres::cluster::Cluster;
use crate::postgres::replica::Replica;

/// How far a check may be behind other replicas in tests: the interval that they are set to, and what a busy machine
/// adds.
pub const REFRESH: Duration = Duration::from_millis(1_500);

/// What the servers sell. `tokens` is limited for ever, `calls` is not; `pace` is a rate.
pub const CATALOG: &str = r#"
default_plan = "basic"
auto_create_customers = { per_minute = 100000 }

[meters.tokens]
aggregation = "sum"

[meters.calls]
aggregation = "count"

[features]
sso = "boolean"
seats = "allocation"
jobs = "concurrency"
pace = "rate"
tokens = { metered = { meter = "tokens" }, on_outage = { allow_for = "10m" } }
calls = { metered = { meter = "calls" } }

[plans.basic]
name = "Basic"
rank = 1

[plans.basic.entitlements]
sso = true
seats = 10
jobs = 10
pace = { rate = 200, per = "second", burst = 200 }
tokens = { limits = [{ amount = 10_000, window = "lifetime" }] }
calls = { limits = [{ amount = "unlimited", window = "month" }] }
"#;

/// Some replicas and their database.
pub struct Fleet {
    pub replicas: Vec<Replica>,
    database: String,
    _folder: tempfile::TempDir,
}

impl Fleet {
    /// Starts so many replicas on a new database of a cluster, with [`CATALOG`].
    pub async fn start(cluster: &Cluster, count: usize) -> Self {
        Self::with(cluster, count, CATALOG, |_| {}).await
    }

    /// As [`Fleet::start`], with another catalog, and with settings changed.
    pub async fn with(
        cluster: &Cluster,
        count: usize,
        catalog: &str,
        set: impl Fn(&mut Replica),
    ) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let database = format!("fleet_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        cluster
            .execute(&format!("CREATE DATABASE {database}"))
            .await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.toml");
        std::fs::write(&path, catalog).unwrap();
        let binary = env!("CARGO_BIN_EXE_bursar").as_ref();
        let mut replicas: Vec<Replica> = (0..count)
            .map(|_| Replica::new(cluster, &database, binary, &path))
            .collect();
        for replica in &mut replicas {
            set(replica);
            aside(|| replica.start(None)).unwrap();
        }
        Self {
            replicas,
            database,
            _folder: folder,
        }
    }

    /// Returns where a replica serves.
    pub fn addr(&self, replica: usize) -> SocketAddr {
        self.replicas[replica].addr().expect("it was started")
    }

    /// Connects to a replica.
    pub async fn channel(&self, replica: usize) -> Channel {
        connect(self.addr(replica)).await
    }

    /// Connects to the entitlement service of a replica.
    pub async fn entitlements(&self, replica: usize) -> EntitlementServiceClient<Channel> {
        EntitlementServiceClient::new(self.channel(replica).await)
    }

    /// Connects to the metering service of a replica.
    pub async fn metering(&self, replica: usize) -> MeteringServiceClient<Channel> {
        MeteringServiceClient::new(self.channel(replica).await)
    }

    /// Connects to the database, past the replicas.
    pub async fn database(&self, cluster: &Cluster) -> sqlx::PgConnection {
        use sqlx::Connection as _;
        let url = cluster.url(&self.database);
        sqlx::PgConnection::connect(&url).await.unwrap()
    }

    /// Creates a customer by its first use, and waits until every replica knows it.
    pub async fn create(&self, customer: &str) {
        let event = pb::UsageEvent {
            event_id: format!("first-{customer}"),
            customer_id: customer.to_owned(),
            meter_id: "calls".to_owned(),
            quantity: 1,
            ..pb::UsageEvent::default()
        };
        let request = pb::RecordUsageBatchRequest {
            events: vec![event],
        };
        self.metering(0)
            .await
            .record_usage_batch(request)
            .await
            .unwrap();
        for replica in 0..self.replicas.len() {
            let mut service = self.entitlements(replica).await;
            eventually("the customer is known", async || {
                check(&mut service, customer, "sso").await.allowed
            })
            .await;
        }
    }
}

/// Connects to a server.
pub async fn connect(addr: SocketAddr) -> Channel {
    let endpoint = Endpoint::new(format!("http://{addr}")).unwrap();
    endpoint.connect().await.expect("it takes connections")
}

/// Asks for nothing of a feature, and returns how it stands.
pub async fn check(
    service: &mut EntitlementServiceClient<Channel>,
    customer: &str,
    feature: &str,
) -> pb::Decision {
    let request = pb::CheckEntitlementRequest {
        customer_id: customer.to_owned(),
        feature_id: feature.to_owned(),
        quantity: Some(0),
        dry_run: true,
        ..pb::CheckEntitlementRequest::default()
    };
    let answer = service.check_entitlement(request).await.unwrap();
    answer.into_inner().decision.unwrap()
}

/// A request to set aside so much of a feature.
pub fn reserve(
    request: impl ToString,
    customer: &str,
    feature: &str,
    quantity: i64,
) -> pb::ReserveRequest {
    pb::ReserveRequest {
        request_id: request.to_string(),
        customer_id: customer.to_owned(),
        items: vec![pb::ReserveItem {
            feature_id: feature.to_owned(),
            quantity: Some(quantity),
            ..pb::ReserveItem::default()
        }],
        ttl: Some(seconds(600)),
        ..pb::ReserveRequest::default()
    }
}

pub fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// Waits until something holds that is due within [`REFRESH`].
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let watch = Stopwatch::start();
    while !holds().await {
        assert!(watch.elapsed() < REFRESH, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Does something that blocks, while other tasks go on.
pub fn aside<T>(run: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(run)
}

/// The cluster of tests that do not disturb it.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

/// Runs a test of several servers, one at a time: they share a small machine and look at the clock.
pub fn run(at_most: Duration, test: impl Future<Output = ()>) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            tokio::time::timeout(at_most, test)
                .await
                .expect("the test ends in time");
        });
}
