//! Pairs of `Reserve` and `CommitReservation`, on one limit that all share and on many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bursar::clock::Stopwatch;

use bursar::grpc::pb::entitlement_service_client::EntitlementServiceClient;
use bursar::grpc::pb::{CommitReservationRequest, ReserveItem, ReserveRequest, UsageEvent};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::results::{Results, median};
use crate::server::{Server, customer};
use crate::{ROUNDS, scaled};

const LANES: usize = 256;
const CUSTOMERS: usize = 10_000;

/// Measures both in turn.
pub fn pairs(runtime: &Runtime, results: &mut Results) {
    let home = tempfile::tempdir_in(crate::record::target()).expect("a directory");
    let server = Server::bursar(home.path().join("bursar.db"));
    let customers = scaled(CUSTOMERS);
    let (mut hot, mut spread) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        server.create_customers(customers).await;
        for _ in 0..ROUNDS {
            hot.push(round(&[&server], LANES, 1).await);
            spread.push(round(&[&server], LANES, customers).await);
        }
    });
    results.note("reserve_hot_per_s", median(hot));
    results.note("reserve_spread_per_s", median(spread));
}

/// Sends pairs to servers for a while, so many at a time; returns how many were done in a second.
pub async fn round(servers: &[&Server], lanes: usize, customers: usize) -> f64 {
    round_of(servers, lanes, customers, "calls").await
}

/// As [`round`], of a feature and the meter of its name.
pub async fn round_of(
    servers: &[&Server],
    lanes: usize,
    customers: usize,
    feature: &'static str,
) -> f64 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let time = Duration::from_millis(if crate::is_short() { 300 } else { 2_000 });
    let done = Arc::new(AtomicUsize::new(0));
    let started = Stopwatch::start();
    let mut channels = Vec::new();
    let count = 4.max(servers.len());
    for number in 0..count {
        channels.push(servers[number % servers.len()].channel().await);
    }
    let lanes: Vec<_> = (0..lanes)
        .map(|lane| {
            let mut client = EntitlementServiceClient::new(channels[lane % count].clone());
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                while started.elapsed() < time {
                    let number = NEXT.fetch_add(1, Ordering::Relaxed);
                    let name = format!("{}-{number}", std::process::id());
                    pair(&mut client, &name, customer(number % customers), feature).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.expect("the lane ends");
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    rate
}

async fn pair(
    client: &mut EntitlementServiceClient<Channel>,
    name: &str,
    customer_id: String,
    feature: &str,
) {
    let reserve = ReserveRequest {
        request_id: format!("reserve-{name}"),
        customer_id: customer_id.clone(),
        items: vec![ReserveItem {
            feature_id: feature.to_owned(),
            quantity: Some(10),
            ..ReserveItem::default()
        }],
        ..ReserveRequest::default()
    };
    let answer = client
        .reserve(reserve)
        .await
        .expect("an answer")
        .into_inner();
    let reservation_id = answer.reservation.expect("it is granted").reservation_id;
    let commit = CommitReservationRequest {
        request_id: format!("commit-{name}"),
        customer_id: customer_id.clone(),
        reservation_id: reservation_id.clone(),
        events: vec![UsageEvent {
            event_id: reservation_id.clone(),
            customer_id,
            meter_id: feature.to_owned(),
            quantity: 7,
            reservation_id,
            ..UsageEvent::default()
        }],
    };
    client.commit_reservation(commit).await.expect("a commit");
}
