//! A rate is shared out: all of it where the traffic is, and never more than all of it together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bursar::clock::Stopwatch;
use bursar::grpc::pb;
use tokio::task::JoinSet;

use super::fleet::{Fleet, cluster, run};

/// What the catalog says of `pace`.
const RATE: f64 = 200.0;
const BURST: f64 = 200.0;
/// Callers at a time on each replica that has traffic; together they ask far more often than the rate allows.
const CALLERS: usize = 16;
/// How long shares may take to follow the traffic.
const FOLLOWS: Duration = Duration::from_secs(5);
/// How long a share is measured after that.
const MEASURED: Duration = Duration::from_secs(4);

/// A token that was granted: it was taken at some time between the question and the answer.
#[derive(Debug, Clone, Copy)]
struct Token {
    asked: Duration,
    known: Duration,
}

/// Asks for tokens on some replicas, and returns those that were granted.
async fn ask(
    fleet: &Fleet,
    replicas: &[usize],
    clock: Arc<Stopwatch>,
    time: Duration,
) -> Vec<Token> {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for replica in replicas {
        for _ in 0..CALLERS {
            let mut service = fleet.entitlements(*replica).await;
            let (clock, is_over) = (Arc::clone(&clock), Arc::clone(&is_over));
            callers.spawn(async move {
                let mut tokens = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let request = pb::CheckEntitlementRequest {
                        customer_id: "acme".to_owned(),
                        feature_id: "pace".to_owned(),
                        ..pb::CheckEntitlementRequest::default()
                    };
                    let asked = clock.elapsed();
                    let answer = service.check_entitlement(request).await.unwrap();
                    let known = clock.elapsed();
                    if answer.into_inner().decision.unwrap().allowed {
                        tokens.push(Token { asked, known });
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tokens
            });
        }
    }
    tokio::time::sleep(time).await;
    is_over.store(true, Ordering::Relaxed);
    callers.join_all().await.concat()
}

/// Whether within any time more was granted than the rate and the burst allow for it. Only tokens count that were
/// taken in that time for certain.
fn check_windows(tokens: &mut [Token]) {
    tokens.sort_by_key(|token| token.asked);
    let mut known: Vec<(Duration, Duration)> =
        tokens.iter().map(|one| (one.known, one.asked)).collect();
    known.sort_unstable();
    for first in tokens.iter().step_by(7) {
        let mut count = 0.0;
        for (end, asked) in &known {
            if *asked < first.asked {
                continue;
            }
            count += 1.0;
            let most = RATE * end.saturating_sub(first.asked).as_secs_f64() + BURST;
            assert!(
                count <= most,
                "{count} tokens from {:?} to {end:?}: at most {most} are allowed",
                first.asked
            );
        }
    }
}

/// Whether the traffic got nearly all of the rate once shares had time to follow it.
fn check_share(tokens: &[Token], began: Duration) {
    let from = began + FOLLOWS;
    let until = from + MEASURED;
    let inside = |token: &&Token| token.known >= from && token.known < until;
    let count = u32::try_from(tokens.iter().filter(inside).count()).unwrap();
    let due = 0.95 * RATE * MEASURED.as_secs_f64();
    assert!(
        f64::from(count) >= due,
        "{count} tokens in {MEASURED:?}, {FOLLOWS:?} after traffic turned to this replica: at least {due} are due"
    );
}

#[test]
#[ignore = "it measures: `make replicas` runs it"]
fn a_rate_follows_the_traffic_and_is_never_exceeded_together() {
    run(Duration::from_mins(2), async {
        let fleet = Fleet::start(cluster(), 3).await;
        fleet.create("acme").await;
        let clock = Arc::new(Stopwatch::start());
        let alone = FOLLOWS + MEASURED + Duration::from_millis(500);
        let mut all = Vec::new();
        for replicas in [&[0][..], &[0, 1, 2], &[2]] {
            let began = clock.elapsed();
            let time = if replicas.len() > 1 { MEASURED } else { alone };
            let tokens = ask(&fleet, replicas, Arc::clone(&clock), time).await;
            if replicas.len() == 1 {
                check_share(&tokens, began);
            }
            all.extend(tokens);
        }
        check_windows(&mut all);
    });
}

#[test]
fn traffic_on_all_replicas_from_the_first_moment_gets_no_more_than_the_rate() {
    run(Duration::from_mins(1), async {
        let fleet = Fleet::start(cluster(), 3).await;
        fleet.create("acme").await;
        let clock = Arc::new(Stopwatch::start());
        let mut tokens = ask(&fleet, &[0, 1, 2], clock, Duration::from_secs(6)).await;
        check_windows(&mut tokens);
        let count = u32::try_from(tokens.len()).unwrap();
        assert!(
            f64::from(count) > RATE * 2.0,
            "{count} tokens in 6 s: nobody starves"
        );
    });
}
