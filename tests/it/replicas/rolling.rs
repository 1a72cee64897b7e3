//! All replicas are restarted one after the other under load, and no caller notices.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bursar::grpc::pb;
use pb::entitlement_service_client::EntitlementServiceClient;
use pb::metering_service_client::MeteringServiceClient;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::fleet::{Fleet, aside, cluster, reserve, run};
use super::published::{Policy, Throttle};
use crate::harness::event;
use crate::postgres::cluster::free_port;

/// Callers at a time.
const CALLERS: usize = 12;

/// A client that spreads its calls over all replicas and follows the published service config.
#[derive(Clone)]
struct Client {
    /// Connections that are made again by themselves.
    channels: Vec<Channel>,
    next: Arc<AtomicUsize>,
    throttle: Arc<Throttle>,
}

impl Client {
    fn to(addrs: &[SocketAddr]) -> Self {
        let connect = |addr: &SocketAddr| {
            let endpoint = Endpoint::new(format!("http://{addr}")).unwrap();
            endpoint.connect_lazy()
        };
        Self {
            channels: addrs.iter().map(connect).collect(),
            next: Arc::default(),
            throttle: Arc::new(Throttle::published()),
        }
    }

    /// Makes a call as the config says for this method.
    async fn call<T, C: Future<Output = Result<tonic::Response<T>, Status>>>(
        &self,
        method: (&str, &str),
        make: impl Fn(Channel) -> C,
    ) -> Result<T, Status> {
        let policy = Policy::published(method);
        let attempts = async {
            let mut attempt = 1;
            loop {
                let place = self.next.fetch_add(1, Ordering::Relaxed);
                let channel = self.channels[place % self.channels.len()].clone();
                let status = match make(channel).await {
                    Ok(answer) => {
                        self.throttle.succeeded();
                        return Ok(answer.into_inner());
                    }
                    Err(status) => status,
                };
                if is_not_connected(&status) {
                    // No such call was made: a balancer picks only servers that it is connected to.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                self.throttle.failed();
                let is_last = attempt >= policy.attempts || !self.throttle.allows();
                if is_last || !policy.retries(&status) {
                    return Err(status);
                }
                tokio::time::sleep(policy.pause(attempt)).await;
                attempt += 1;
            }
        };
        match timeout(policy.timeout, attempts).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::deadline_exceeded("the config's timeout")),
        }
    }
}

/// Whether the call never left: nobody listens there just now.
fn is_not_connected(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        source = error.source();
    }
    false
}

const ENTITLEMENTS: &str = "bursar.v1.EntitlementService";
const METERING: &str = "bursar.v1.MeteringService";

impl Client {
    /// Sets aside two units and uses one of them; false when there are none left.
    async fn take(&self, name: &str) -> bool {
        let request = reserve(name, "acme", "tokens", 2);
        let made = self.call((ENTITLEMENTS, "Reserve"), move |channel| {
            let request = request.clone();
            async move {
                EntitlementServiceClient::new(channel)
                    .reserve(request)
                    .await
            }
        });
        let made = made
            .await
            .unwrap_or_else(|status| panic!("Reserve: {status}"));
        let Some(held) = made.reservation else {
            return false;
        };
        let mut used = event("acme", name, 1);
        used.reservation_id.clone_from(&held.reservation_id);
        let request = pb::CommitReservationRequest {
            request_id: format!("{name}-end"),
            customer_id: "acme".to_owned(),
            reservation_id: held.reservation_id,
            events: vec![used],
        };
        let done = self.call((ENTITLEMENTS, "CommitReservation"), move |channel| {
            let request = request.clone();
            async move {
                let mut service = EntitlementServiceClient::new(channel);
                service.commit_reservation(request).await
            }
        });
        done.await
            .unwrap_or_else(|status| panic!("CommitReservation: {status}"));
        true
    }

    async fn check(&self) {
        let request = pb::CheckEntitlementRequest {
            customer_id: "acme".to_owned(),
            feature_id: "tokens".to_owned(),
            ..pb::CheckEntitlementRequest::default()
        };
        let told = self.call((ENTITLEMENTS, "CheckEntitlement"), move |channel| {
            let request = request.clone();
            async move {
                let mut service = EntitlementServiceClient::new(channel);
                service.check_entitlement(request).await
            }
        });
        told.await
            .unwrap_or_else(|status| panic!("CheckEntitlement: {status}"));
    }

    /// Records a call of another customer, whom no limit stands against.
    async fn record(&self, name: &str) {
        let mut fact = event("other", name, 1);
        fact.meter_id = "calls".to_owned();
        let request = pb::RecordUsageBatchRequest { events: vec![fact] };
        let recorded = self.call((METERING, "RecordUsageBatch"), move |channel| {
            let request = request.clone();
            async move {
                let mut service = MeteringServiceClient::new(channel);
                service.record_usage_batch(request).await
            }
        });
        let recorded = recorded
            .await
            .unwrap_or_else(|status| panic!("RecordUsageBatch: {status}"));
        assert!(recorded.results[0].error.is_none(), "{recorded:?}");
    }
}

/// Works until it is over and the limit is used up; an error that reaches it ends the test. Returns how often it was
/// granted something, and how often it recorded.
async fn work(client: Client, caller: usize, is_over: Arc<AtomicBool>) -> (i64, i64) {
    let (mut granted, mut number, mut is_denied) = (0, 0, false);
    while !(is_denied && is_over.load(Ordering::Relaxed)) {
        number += 1;
        let name = format!("c{caller}-{number}");
        let is_granted = client.take(&name).await;
        granted += i64::from(is_granted);
        is_denied |= !is_granted;
        client.check().await;
        client.record(&format!("{name}-call")).await;
    }
    (granted, number)
}

/// Three replicas on ports that stay theirs, with a limit that the callers use up.
async fn fleet() -> Fleet {
    let set = |replica: &mut crate::postgres::replica::Replica| {
        replica.setup.grpc_addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    };
    let catalog = super::fleet::CATALOG.replace("10_000", "60");
    let fleet = Fleet::with(cluster(), 3, &catalog, set).await;
    fleet.create("acme").await;
    fleet
}

/// Restarts each replica twice, one after the other.
async fn restart(fleet: &mut Fleet) {
    for _ in 0..2 {
        for replica in 0..3 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            aside(|| fleet.replicas[replica].stop()).unwrap();
            aside(|| fleet.replicas[replica].start(None)).unwrap();
        }
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
}

/// Compares what callers were told with what is stored.
async fn compare(fleet: &Fleet, granted: i64, calls: i64) {
    let mut conn = fleet.database(cluster()).await;
    let (tokens, facts): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE meter = 'tokens'), count(*) FILTER (WHERE customer_id = 'other') FROM events",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(facts, calls, "each call is recorded once");
    assert_eq!(tokens, granted, "each grant was used once");
    let (used, reserved): (i64, i64) = sqlx::query_as(
        "SELECT used / 1000, reserved / 1000 FROM counters
         WHERE customer_id = 'acme' AND spec LIKE '%tokens%'",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!((used, reserved), (tokens, 0));
    assert!((59..=60).contains(&used), "{used} of 60 are used");
}

#[test]
fn a_rolling_restart_reaches_no_caller() {
    run(Duration::from_mins(2), async {
        let mut fleet = fleet().await;
        let addrs: Vec<_> = (0..3).map(|replica| fleet.addr(replica)).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let client = Client::to(&addrs);
            callers.spawn(work(client, caller, Arc::clone(&is_over)));
        }
        restart(&mut fleet).await;
        is_over.store(true, Ordering::Relaxed);
        let done = callers.join_all().await;
        let calls: i64 = done.iter().map(|one| one.1).sum();
        let granted: i64 = done.iter().map(|one| one.0).sum();
        compare(&fleet, granted, calls).await;
    });
}

/// The same with a client of grpc's own library. `scripts/examples python` brings what it needs, so it runs after that.
#[test]
#[ignore = "needs the python client's packages: scripts/test runs it after the examples"]
fn a_rolling_restart_reaches_no_python_client() {
    run(Duration::from_mins(2), async {
        let mut fleet = fleet().await;
        let addrs: Vec<_> = (0..3)
            .map(|replica| fleet.addr(replica).to_string())
            .collect();
        let root = env!("CARGO_MANIFEST_DIR");
        let mut client = Command::new(format!("{root}/.tools/venv/bin/python"))
            .arg(format!("{root}/tests/it/replicas/rolling_client.py"))
            .args([addrs.join(","), CALLERS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/examples python makes the environment");
        restart(&mut fleet).await;
        drop(client.stdin.take());
        let output = aside(|| client.wait_with_output()).unwrap();
        assert!(output.status.success(), "{}", output.status);
        let said = String::from_utf8(output.stdout).unwrap();
        let counts: Vec<i64> = said
            .split_whitespace()
            .map(|count| count.parse().unwrap())
            .collect();
        let [granted, calls] = counts[..] else {
            panic!("the client said: {said}");
        };
        compare(&fleet, granted, calls).await;
    });
}
