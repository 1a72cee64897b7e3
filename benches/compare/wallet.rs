//! `HoldCredits` and `CaptureHold`, on one wallet and on many, beside the transaction that a service would write by hand
//! for each of them; and what credits add to a check and to a reservation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bursar::clock::Stopwatch;
use bursar::grpc::pb::wallet_service_client::WalletServiceClient;
use bursar::grpc::pb::{
    CaptureHoldRequest, CheckEntitlementRequest, GrantCreditsRequest, HoldCreditsRequest,
    WalletName,
};
use prost::Message;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::check::PATH;
use crate::cluster::Cluster;
use crate::load::{Requests, frame, run};
use crate::record::per_second;
use crate::reserve::{self, reserves, round_of};
use crate::results::{Results, median};
use crate::server::{Server, customer};
use crate::{ROUNDS, scaled};

/// Wallets that are used in turn.
const WALLETS: usize = 10_000;
/// Calls, and connections of the bare client, at a time.
const LANES: usize = 64;
/// A pair is two calls, each of which needs one transaction.
const CALLS_A_PAIR: f64 = 2.0;
/// Credits that no run uses up.
const PLENTY: i64 = 1_000_000_000_000_000;
const UNIT: &str = "USD";

fn wallet(number: usize) -> WalletName {
    WalletName {
        customer_id: customer(number),
        credit_unit: UNIT.to_owned(),
        ..WalletName::default()
    }
}

/// Makes customers with credits.
async fn fund(server: &Server, count: usize) {
    server.create_customers(count).await;
    let next = Arc::new(AtomicUsize::new(0));
    let mut lanes = Vec::new();
    for _ in 0..4 {
        let channel = server.channel().await;
        for _ in 0..64 {
            let mut client = WalletServiceClient::new(channel.clone());
            let next = Arc::clone(&next);
            lanes.push(tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let grant = GrantCreditsRequest {
                        request_id: format!("grant-{number}"),
                        wallet: Some(wallet(number)),
                        amount_micros: PLENTY,
                        ..GrantCreditsRequest::default()
                    };
                    client.grant_credits(grant).await.expect("credits");
                }
            }));
        }
    }
    for lane in lanes {
        lane.await.expect("the lane ends");
    }
}

/// Measures holds and captures beside bare transactions on the same cluster.
pub fn holds(runtime: &Runtime, cluster: &Cluster, results: &mut Results) {
    let url = cluster.url("wallet");
    let wallets = scaled(WALLETS).max(1);
    let (mut hot, mut many) = (vec![], vec![]);
    let (mut bare_hot, mut bare_many) = (vec![], vec![]);
    runtime.block_on(async {
        cluster.execute("CREATE DATABASE wallet").await;
        let server = Server::bursar(&url);
        fund(&server, wallets).await;
        for nth in 0..ROUNDS {
            bare_hot.push(bare(cluster, nth, 1).await);
            hot.push(pairs(&server, 1).await);
            bare_many.push(bare(cluster, nth, wallets).await);
            many.push(pairs(&server, wallets).await);
        }
    });
    let (hot, many) = (median(hot), median(many));
    let (bare_hot, bare_many) = (median(bare_hot), median(bare_many));
    results.note("hold_hot_pairs_per_s", hot);
    results.note("hold_many_pairs_per_s", many);
    results.note("bare_hot_per_s", bare_hot);
    results.note("bare_many_per_s", bare_many);
    results.note("hold_hot_over_bare", CALLS_A_PAIR * hot / bare_hot);
    results.note("hold_many_over_bare", CALLS_A_PAIR * many / bare_many);
}

fn time() -> Duration {
    Duration::from_millis(if crate::is_short() { 300 } else { 3_000 })
}

/// Sends pairs for a while; returns how many were done in a second.
async fn pairs(server: &Server, wallets: usize) -> f64 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let done = Arc::new(AtomicUsize::new(0));
    let mut channels = Vec::new();
    for _ in 0..4 {
        channels.push(server.channel().await);
    }
    let started = Stopwatch::start();
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let mut client = WalletServiceClient::new(channels[lane % channels.len()].clone());
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                while started.elapsed() < time() {
                    let number = NEXT.fetch_add(1, Ordering::Relaxed);
                    pair(&mut client, number, number % wallets).await;
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

async fn pair(client: &mut WalletServiceClient<Channel>, number: usize, of: usize) {
    let hold = HoldCreditsRequest {
        request_id: format!("hold-{number}"),
        spender: Some(wallet(of)),
        amount_micros: 10,
        ..HoldCreditsRequest::default()
    };
    let answer = client.hold_credits(hold).await.expect("a hold");
    let set_aside = answer.into_inner().hold.expect("a hold");
    let capture = CaptureHoldRequest {
        request_id: format!("capture-{number}"),
        customer_id: customer(of),
        hold_id: set_aside.hold_id,
        amount_micros: Some(7),
        ..CaptureHoldRequest::default()
    };
    client.capture_hold(capture).await.expect("a capture");
}

/// Returns how many bare transactions as many connections do in a second: a balance changed, a line written.
async fn bare(cluster: &Cluster, nth: usize, wallets: usize) -> f64 {
    let database = format!("bare_{wallets}_{nth}");
    cluster
        .execute(&format!("CREATE DATABASE {database}"))
        .await;
    let url = cluster.url(&database);
    let mut conn = PgConnection::connect(&url).await.expect("a connection");
    conn.execute(
        "CREATE TABLE wallets (id text PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0),
             held bigint NOT NULL) WITH (fillfactor = 50);
         CREATE TABLE ledger (id bigserial PRIMARY KEY, wallet text NOT NULL, cause text NOT NULL, amount bigint NOT NULL,
             balance bigint NOT NULL, time timestamptz NOT NULL DEFAULT now());",
    )
    .await
    .expect("a schema");
    for number in 0..wallets {
        sqlx::query("INSERT INTO wallets VALUES ($1, $2, 0)")
            .bind(customer(number))
            .bind(PLENTY)
            .execute(&mut conn)
            .await
            .expect("a wallet");
    }
    let next = Arc::new(AtomicUsize::new(0));
    let mut conns = Vec::new();
    for _ in 0..LANES {
        conns.push(PgConnection::connect(&url).await.expect("a connection"));
    }
    let started = Stopwatch::start();
    let lanes: Vec<_> = conns
        .into_iter()
        .map(|mut conn| {
            let next = Arc::clone(&next);
            tokio::spawn(async move {
                let mut done = 0;
                while started.elapsed() < time() {
                    let id = customer(next.fetch_add(1, Ordering::Relaxed) % wallets);
                    transaction(&mut conn, &id).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for lane in lanes {
        done += lane.await.expect("the lane ends");
    }
    let rate = per_second(done, started);
    drop(conn);
    cluster
        .execute(&format!("DROP DATABASE {database} WITH (FORCE)"))
        .await;
    rate
}

async fn transaction(conn: &mut PgConnection, id: &str) {
    let mut transaction = conn.begin().await.expect("a transaction");
    let balance: i64 = sqlx::query_scalar(
        "UPDATE wallets SET available = available - 10, held = held + 10 WHERE id = $1 RETURNING available",
    )
    .bind(id)
    .fetch_one(&mut *transaction)
    .await
    .expect("a balance");
    sqlx::query("INSERT INTO ledger (wallet, cause, amount, balance) VALUES ($1, 'hold', -10, $2)")
        .bind(id)
        .bind(balance)
        .execute(&mut *transaction)
        .await
        .expect("a line");
    transaction.commit().await.expect("a commit");
}

/// Measures checks and reservations of a feature that draws on a wallet beside those of one that does not.
pub fn draws(runtime: &Runtime, results: &mut Results) {
    let home = tempfile::tempdir_in(crate::record::target()).expect("a directory");
    let server = Server::bursar(home.path().join("bursar.db"));
    let customers = scaled(WALLETS).max(1);
    runtime.block_on(fund(&server, customers));
    let requests = |feature: &str| {
        let check = |number| CheckEntitlementRequest {
            customer_id: customer(number),
            feature_id: feature.to_owned(),
            ..CheckEntitlementRequest::default()
        };
        let bodies = (0..customers).map(|number| frame(&check(number).encode_to_vec()));
        Arc::new(Requests {
            path: PATH,
            bodies: bodies.collect(),
        })
    };
    let (without, with) = (requests("calls"), requests("paid_calls"));
    let (mut checks, mut reserved, mut committed) = (vec![], vec![], vec![]);
    let servers = [&server];
    // One turn differs from the next by a tenth and more.
    for nth in 0..4 * ROUNDS {
        checks.push(turns(nth, |paid| {
            let requests = if paid { &with } else { &without };
            run(server.address, requests, LANES, time()).requests_per_second
        }));
        reserved.push(turns(nth, |paid| {
            runtime.block_on(reserves(&server, reserve::LANES, customers, feature(paid)))
        }));
    }
    for nth in 0..2 * ROUNDS {
        committed.push(turns(nth, |paid| {
            runtime.block_on(round_of(&servers, reserve::LANES, customers, feature(paid)))
        }));
    }
    results.note("check_credits_over_check", median(checks));
    results.note("reserve_credits_over_reserve", median(reserved));
    results.note("pair_credits_over_pair", median(committed));
}

const fn feature(paid: bool) -> &'static str {
    if paid { "paid_calls" } else { "calls" }
}

/// Measures with credits and without, in turn the one or the other first since the tables grow; returns the ratio.
fn turns(nth: usize, mut measure: impl FnMut(bool) -> f64) -> f64 {
    let first = nth % 2 == 1;
    let (one, other) = (measure(first), measure(!first));
    if first { one / other } else { other / one }
}
