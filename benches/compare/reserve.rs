//! Pairs of `Reserve` and `CommitReservation`, on one limit that all share and on many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bursar::clock::Stopwatch;

use bursar::grpc::pb::entitlement_service_client::EntitlementServiceClient;
use bursar::grpc::pb::{
    CommitReservationRequest, ReleaseReservationRequest, ReserveItem, ReserveRequest, UsageEvent,
};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::record::per_second;
use crate::results::{Results, median};
use crate::server::{Server, customer};
use crate::{ROUNDS, scaled};

type Client = EntitlementServiceClient<Channel>;

/// Calls at a time.
pub const LANES: usize = 256;
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
                while started.elapsed() < time() {
                    pair(&mut client, feature, customers).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.expect("the lane ends");
    }
    per_second(done.load(Ordering::Relaxed), started)
}

/// Sends reservations for a while, so many at a time, and gives them back after that; returns how many were made in a
/// second.
pub async fn reserves(
    server: &Server,
    lanes: usize,
    customers: usize,
    feature: &'static str,
) -> f64 {
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(EntitlementServiceClient::new(server.channel().await));
    }
    let started = Stopwatch::start();
    let tasks: Vec<_> = (0..lanes)
        .map(|lane| {
            let mut client = clients[lane % clients.len()].clone();
            tokio::spawn(async move {
                let mut made = Vec::new();
                while started.elapsed() < time() {
                    let (name, number) = next();
                    let customer = customer(number % customers);
                    let id = reserve(&mut client, &name, &customer, feature).await;
                    made.push((customer, id));
                }
                (client, made)
            })
        })
        .collect();
    let mut ended = Vec::new();
    for task in tasks {
        ended.push(task.await.expect("the lane ends"));
    }
    let made: usize = ended.iter().map(|(_, made)| made.len()).sum();
    let rate = per_second(made, started);
    let tasks: Vec<_> = ended
        .into_iter()
        .map(|(client, made)| tokio::spawn(release(client, made)))
        .collect();
    for task in tasks {
        task.await.expect("the lane ends");
    }
    rate
}

fn time() -> Duration {
    Duration::from_millis(if crate::is_short() { 300 } else { 2_000 })
}

/// Returns a name that no other call has, and its number.
fn next() -> (String, usize) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    (format!("{}-{number}", std::process::id()), number)
}

async fn reserve(client: &mut Client, name: &str, customer: &str, feature: &str) -> String {
    let request = ReserveRequest {
        request_id: format!("reserve-{name}"),
        customer_id: customer.to_owned(),
        items: vec![ReserveItem {
            feature_id: feature.to_owned(),
            quantity: Some(10),
            ..ReserveItem::default()
        }],
        ..ReserveRequest::default()
    };
    let answer = client.reserve(request).await.expect("an answer");
    let reservation = answer.into_inner().reservation;
    reservation.expect("it is granted").reservation_id
}

async fn pair(client: &mut Client, feature: &str, customers: usize) {
    let (name, number) = next();
    let customer_id = customer(number % customers);
    let reservation_id = reserve(client, &name, &customer_id, feature).await;
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

async fn release(mut client: Client, made: Vec<(String, String)>) {
    for (customer_id, reservation_id) in made {
        let request = ReleaseReservationRequest {
            request_id: format!("release-{reservation_id}"),
            customer_id,
            reservation_id,
        };
        client
            .release_reservation(request)
            .await
            .expect("a release");
    }
}
