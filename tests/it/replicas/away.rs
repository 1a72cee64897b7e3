//! The database away under load: nothing is lost, nothing is promised that is not kept, and checks go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bursar::clock::Stopwatch;
use bursar::grpc::pb;
use tokio::task::JoinSet;

use super::fleet::{CATALOG, Fleet, aside, check, eventually, reserve, run};
use crate::harness::{event, seen};
use crate::postgres::cluster::Cluster;
use crate::postgres::replica::DATABASE_TIMEOUT_MS;

/// `UNAVAILABLE`.
const UNAVAILABLE: i32 = 14;
/// Clients that record, and events in each of their batches.
const RECORDERS: usize = 6;
const BATCH: usize = 20;
/// How long it may take until a replica knows that the database is away.
const NOTICED: Duration = Duration::from_millis(2 * DATABASE_TIMEOUT_MS + 1_000);
/// How long a refusal may take, that waits behind others included.
const SAID_BY: Duration = Duration::from_secs(5);
/// Below this many microseconds a difference of latencies says nothing on a machine that does other things as well.
const NOISE: u128 = 3_000;

/// A time in which the database is away for certain.
#[derive(Clone)]
struct Away {
    is_away: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
}

/// Records batches, each until it is acknowledged; returns how many events are.
async fn record(fleet_channel: tonic::transport::Channel, client: usize, away: Away) -> usize {
    let mut service = pb::metering_service_client::MeteringServiceClient::new(fleet_channel);
    let mut acked = 0;
    while !away.is_over.load(Ordering::SeqCst) {
        let ids = acked..acked + BATCH;
        let events = ids.map(|id| event("acme", format!("c{client}-{id}"), 1));
        let request = pb::RecordUsageBatchRequest {
            events: events.collect(),
        };
        loop {
            let was_away = away.is_away.load(Ordering::SeqCst);
            let answer = service.record_usage_batch(request.clone()).await;
            let is_away = away.is_away.load(Ordering::SeqCst);
            let is_stored = answer.as_ref().is_ok_and(|answer| {
                let results = &answer.get_ref().results;
                results.len() == BATCH
                    && results.iter().all(|result| {
                        [pb::RecordStatus::Recorded, pb::RecordStatus::Duplicate]
                            .contains(&result.status())
                    })
            });
            assert!(
                !(was_away && is_away && is_stored),
                "something is acknowledged while there is no database"
            );
            if is_stored {
                break;
            }
            if let Err(status) = answer {
                assert_eq!(seen(&status).0, UNAVAILABLE, "{status}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        acked += BATCH;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    acked
}

/// Checks again and again for a time; returns the 99th percentile in microseconds, and how the answers came out:
/// allowed, and of these degraded.
async fn checks(fleet: &Fleet, feature: &str, time: Duration) -> (u128, Vec<pb::Decision>) {
    let mut service = fleet.entitlements(0).await;
    let (mut taken, mut answers) = (Vec::new(), Vec::new());
    let watch = Stopwatch::start();
    while watch.elapsed() < time {
        let one = Stopwatch::start();
        let decision = check(&mut service, "acme", feature).await;
        taken.push(one.elapsed().as_micros());
        answers.push(decision);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    taken.sort_unstable();
    (taken[taken.len() * 99 / 100], answers)
}

async fn without_database(time: Duration) {
    let cluster = Cluster::start();
    // What is recorded does not come near the limit.
    let catalog = CATALOG.replace("10_000", "1_000_000_000");
    let fleet = Fleet::with(&cluster, 3, &catalog, |_| {}).await;
    fleet.create("acme").await;
    let away = Away {
        is_away: Arc::default(),
        is_over: Arc::default(),
    };
    let mut recorders = JoinSet::new();
    for client in 0..RECORDERS {
        let channel = fleet.channel(client % 3).await;
        recorders.spawn(record(channel, client, away.clone()));
    }
    // Both features are in memory from here on.
    checks(&fleet, "calls", Duration::from_millis(200)).await;
    let (before, answers) = checks(&fleet, "tokens", Duration::from_secs(5)).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.allowed && !answer.degraded)
    );

    aside(|| cluster.stop_at_once());
    away.is_away.store(true, Ordering::SeqCst);
    tokio::time::sleep(NOTICED).await;
    let (during, answers) = checks(&fleet, "tokens", time / 2).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.allowed && answer.degraded),
        "they are allowed by the feature's policy, and marked"
    );
    assert!(
        during * 2 <= before * 3 || during <= NOISE,
        "99 of 100 checks take {during} µs, {before} µs with the database"
    );
    let (_, answers) = checks(&fleet, "calls", time / 2).await;
    assert!(
        answers
            .iter()
            .all(|answer| !answer.allowed
                && answer.reason() == pb::DecisionReason::StorageUnavailable),
        "{:?}",
        answers.first()
    );
    is_refused(&fleet).await;
    is_told_at_once(&fleet).await;

    away.is_away.store(false, Ordering::SeqCst);
    aside(|| cluster.start_again());
    tokio::time::sleep(Duration::from_secs(3)).await;
    away.is_over.store(true, Ordering::SeqCst);
    let acked: usize = recorders.join_all().await.iter().sum();
    is_all_there(&fleet, &cluster, i64::try_from(acked).unwrap()).await;
}

/// Nothing is set aside without the database.
async fn is_refused(fleet: &Fleet) {
    for replica in 0..3 {
        let request = reserve(format!("away{replica}"), "acme", "tokens", 1);
        let mut service = fleet.entitlements(replica).await;
        // Well before callers give up, so that they learn why.
        let refused = tokio::time::timeout(SAID_BY, service.reserve(request)).await;
        let refused = refused.expect("it is said in time");
        assert_eq!(seen(&refused.unwrap_err()).1, "STORAGE_UNAVAILABLE");
    }
}

/// A check of somebody whom memory does not know does not wait for the database.
async fn is_told_at_once(fleet: &Fleet) {
    let mut service = fleet.entitlements(1).await;
    let watch = Stopwatch::start();
    let told = check(&mut service, "stranger", "tokens").await;
    assert_eq!(told.reason(), pb::DecisionReason::StorageUnavailable);
    assert!(told.degraded && !told.allowed, "{told:?}");
    let limit = Duration::from_millis(DATABASE_TIMEOUT_MS / 2);
    assert!(watch.elapsed() < limit, "{:?}", watch.elapsed());
}

/// What was acknowledged is stored once, and every replica tells so.
async fn is_all_there(fleet: &Fleet, cluster: &Cluster, acked: i64) {
    let mut conn = fleet.database(cluster).await;
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM events WHERE meter = 'tokens'")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(stored, acked, "each acknowledged event is stored, once");
    for replica in 0..3 {
        let mut service = fleet.entitlements(replica).await;
        eventually("every replica tells all of it", async || {
            let told = check(&mut service, "acme", "tokens").await;
            told.used == acked && !told.degraded
        })
        .await;
    }
}

/// Reads that take long have connections of their own: what is in memory is checked as ever, and what is not is loaded.
#[test]
fn slow_reports_keep_nobody_from_checks() {
    run(Duration::from_mins(1), async {
        let cluster = Cluster::start();
        let fleet = Fleet::start(&cluster, 2).await;
        for customer in ["acme", "late"] {
            fleet.create(customer).await;
        }
        let mut conn = fleet.database(&cluster).await;
        let locked = "BEGIN; LOCK TABLE rollups";
        sqlx::raw_sql(locked).execute(&mut conn).await.unwrap();
        let mut reports = JoinSet::new();
        for _ in 0..8 {
            let mut service = fleet.metering(0).await;
            let request = pb::GetUsageRequest {
                customer_id: "acme".to_owned(),
                meter_id: "tokens".to_owned(),
                start_time: Some(seconds_since_1970(1_700_000_000)),
                end_time: Some(seconds_since_1970(1_900_000_000)),
                ..pb::GetUsageRequest::default()
            };
            reports.spawn(async move { service.get_usage(request).await });
        }
        let (_, answers) = checks(&fleet, "sso", Duration::from_millis(1_500)).await;
        let is_plain = |answer: &pb::Decision| answer.allowed && !answer.degraded;
        assert!(answers.iter().all(is_plain), "{:?}", answers.first());
        sqlx::raw_sql("ROLLBACK").execute(&mut conn).await.unwrap();
        reports.join_all().await;
    });
}

fn seconds_since_1970(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

/// As long as fits into an ordinary run.
#[test]
#[ignore = "it measures: `make replicas` runs it"]
fn without_the_database_nothing_is_lost_and_checks_go_on() {
    run(
        Duration::from_mins(2),
        without_database(Duration::from_secs(6)),
    );
}

#[test]
#[ignore = "it lasts a minute and measures: `make replicas` runs it"]
fn a_minute_without_the_database() {
    run(
        Duration::from_mins(4),
        without_database(Duration::from_mins(1)),
    );
}
