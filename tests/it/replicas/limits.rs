//! No limit is exceeded by several replicas together, and none of it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use bursar::clock::Stopwatch;
use bursar::grpc::pb::entitlement_service_client::EntitlementServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::fleet::{Fleet, aside, cluster, reserve, run, seconds};

/// The limit of `tokens`.
const LIMIT: i64 = 10_000;
/// Callers at a time, on each replica.
const CALLERS: usize = 8;
const AT_MOST: Duration = Duration::from_mins(3);

/// How long the reservations of clients that die live, and those of others.
const SHORT: i64 = 4;
const LONG: i64 = 600;

/// What some callers were granted.
#[derive(Default)]
struct Granted {
    units: AtomicI64,
    calls: AtomicUsize,
}

/// Sets aside until a denial says that there is nothing left. What is not answered is asked again, elsewhere, under the
/// same id. Returns how many units it was granted.
async fn hammer(
    mut services: Vec<EntitlementServiceClient<Channel>>,
    caller: String,
    ttl: i64,
    granted: Arc<Granted>,
) -> i64 {
    let mut own = 0;
    for number in 0.. {
        let quantity = 1 + number * 7 % 40;
        let mut request = reserve(format!("{caller}-{number}"), "acme", "tokens", quantity);
        request.ttl = Some(seconds(ttl));
        request.items[0].min_quantity = Some(1);
        let answer = loop {
            if let Ok(answer) = services[0].reserve(request.clone()).await {
                break answer.into_inner();
            }
            // The replica may be gone: the others serve as well.
            services.rotate_left(1);
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        granted.calls.fetch_add(1, Ordering::Relaxed);
        if answer.reservation.is_none() {
            return own;
        }
        let units: i64 = answer.items.iter().map(|item| item.granted_quantity).sum();
        granted.units.fetch_add(units, Ordering::Relaxed);
        own += units;
    }
    own
}

/// Starts callers, each first on one of the replicas; `name` makes their requests different from those of others.
async fn callers(fleet: &Fleet, name: &str, ttl: i64, granted: &Arc<Granted>) -> JoinSet<i64> {
    let count = fleet.replicas.len();
    let mut channels = Vec::new();
    for replica in 0..count {
        // A replica that is killed is not asked for ever.
        channels.push(fleet.entitlements(replica).await);
    }
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS * count {
        let mut services = channels.clone();
        services.rotate_left(caller % count);
        let caller = format!("{name}{caller}");
        callers.spawn(hammer(services, caller, ttl, Arc::clone(granted)));
    }
    callers
}

/// What the rows say: used and set aside, in units.
async fn stored(fleet: &Fleet) -> (i64, i64) {
    let mut conn = fleet.database(cluster()).await;
    let sql = "SELECT sum(used)::int8 / 1000, sum(reserved)::int8 / 1000 FROM counters
               WHERE customer_id = 'acme' AND spec LIKE '%tokens%'";
    sqlx::query_as(sql).fetch_one(&mut conn).await.unwrap()
}

#[test]
fn five_replicas_grant_a_limit_exactly() {
    run(AT_MOST, async {
        let fleet = Fleet::start(cluster(), 5).await;
        fleet.create("acme").await;
        let granted = Arc::new(Granted::default());
        let own = callers(&fleet, "c", LONG, &granted).await.join_all().await;
        assert_eq!(own.iter().sum::<i64>(), LIMIT);
        assert_eq!(stored(&fleet).await, (0, LIMIT));
        assert!(
            own.iter().filter(|units| **units > 0).count() > CALLERS,
            "{own:?}"
        );
    });
}

#[test]
fn killed_replicas_exceed_no_limit_and_what_dead_clients_held_comes_back() {
    run(AT_MOST, async {
        let mut fleet = Fleet::start(cluster(), 5).await;
        fleet.create("acme").await;
        // Clients that die with what they hold, in the middle of their calls.
        let lost = Arc::new(Granted::default());
        let mut doomed = callers(&fleet, "d", SHORT, &lost).await;
        let held = Arc::new(Granted::default());
        let living = callers(&fleet, "c", LONG, &held).await;
        for replica in [1, 3] {
            let seen = lost.calls.load(Ordering::Relaxed) + held.calls.load(Ordering::Relaxed);
            let goes_on = || {
                lost.calls.load(Ordering::Relaxed) + held.calls.load(Ordering::Relaxed) > seen + 60
            };
            while !goes_on() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            aside(|| fleet.replicas[replica].kill()).unwrap();
        }
        doomed.shutdown().await;
        let own: i64 = living.join_all().await.iter().sum();
        assert!(own <= LIMIT, "{own}");
        let (used, reserved) = stored(&fleet).await;
        assert_eq!(used, 0);
        assert!(reserved <= LIMIT, "{reserved}");
        assert!(reserved >= own, "{reserved} stored, {own} granted");
        assert!(
            lost.units.load(Ordering::Relaxed) > 0,
            "some clients died with something"
        );

        // Whatever nobody holds comes back by itself.
        let watch = Stopwatch::start();
        while stored(&fleet).await.1 != own {
            assert!(
                watch.elapsed() < Duration::from_secs(30),
                "{:?} stored, {own} held by those who live",
                stored(&fleet).await
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // And can be had, exactly.
        fleet.replicas.retain(|replica| replica.server().is_some());
        let rest = callers(&fleet, "r", LONG, &held).await.join_all().await;
        assert_eq!(rest.iter().sum::<i64>() + own, LIMIT);
        assert_eq!(stored(&fleet).await, (0, LIMIT));
    });
}
