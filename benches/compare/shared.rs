//! One database in PostgreSQL under one server and under three, beside bare statements on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bursar::clock::Stopwatch;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::runtime::Runtime;

use crate::cluster::Cluster;
use crate::record::{self, CUSTOMERS, METER, NOTE, Row, per_second};
use crate::reserve::round;
use crate::results::{Results, median};
use crate::server::{Server, customer};
use crate::{ROUNDS, scaled};

/// Servers on one database.
const REPLICAS: usize = 3;
/// Streams to one server: as many as its committers need, each of which has another batch ready when one ends.
const STREAMS: usize = 8;
/// Calls at a time on one limit.
const LANES: usize = 1024;
/// Each pair changes the limit twice.
const CALLS_A_PAIR: f64 = 2.0;
/// Rows per statement and transaction of the bare loop.
const STATEMENT: usize = 5_000;
/// Connections of the bare insert.
const WRITERS: [usize; 3] = [1, 2, 4];
/// Connections that update one row.
const UPDATERS: usize = 32;

/// Measures durable events beside a bare insert of the same rows, with one server and with three.
pub fn record(runtime: &Runtime, cluster: &Cluster, results: &mut Results) {
    runtime.block_on(cluster.execute("CREATE DATABASE record"));
    let url = cluster.url("record");
    let first = Server::bursar(&url);
    runtime.block_on(first.create_customers(CUSTOMERS));
    let others: Vec<Server> = (1..REPLICAS).map(|_| Server::bursar(&url)).collect();
    let mut all = vec![first.address];
    all.extend(others.iter().map(|server| server.address));
    let count = scaled(300_000);
    let (mut one, mut three, mut recorded, mut inserted) = (vec![], vec![], vec![], vec![]);
    for nth in 0..ROUNDS {
        let rows: Arc<Vec<Row>> = Arc::new(record::rows(count, true));
        let bare = runtime.block_on(bare(cluster, nth, &rows));
        let ours = record::record(&all[..1], STREAMS, &record::rows(count, true));
        one.push(ours / bare);
        three.push(record::record(&all, STREAMS / 2, &record::rows(count, true)) / bare);
        recorded.push(ours);
        inserted.push(bare);
    }
    results.note("record_per_s", median(recorded));
    results.note("insert_per_s", median(inserted));
    results.note("record_over_insert", median(one));
    results.note("record_over_insert_3", median(three));
}

/// Returns the best rate of bare inserts, by UNNEST and by COPY, over some connections.
async fn bare(cluster: &Cluster, nth: usize, rows: &Arc<Vec<Row>>) -> f64 {
    let mut best: f64 = 0.0;
    for (kind, copies) in [("unnest", false), ("copy", true)] {
        for writers in WRITERS {
            let database = format!("bare_{kind}_{writers}_{nth}");
            cluster
                .execute(&format!("CREATE DATABASE {database}"))
                .await;
            best = best.max(insert(&cluster.url(&database), rows, writers, copies).await);
            cluster
                .execute(&format!("DROP DATABASE {database} WITH (FORCE)"))
                .await;
        }
    }
    best
}

async fn insert(url: &str, rows: &Arc<Vec<Row>>, writers: usize, copies: bool) -> f64 {
    let mut conn = PgConnection::connect(url).await.expect("a connection");
    conn.execute(
        "CREATE TABLE events (event_id text, customer text, meter text, quantity bigint, event_time bigint,
             metadata text);
         CREATE UNIQUE INDEX events_once ON events (event_id, customer);",
    )
    .await
    .expect("a schema");
    let next = Arc::new(AtomicUsize::new(0));
    let started = Stopwatch::start();
    let lanes: Vec<_> = (0..writers)
        .map(|_| {
            let (url, rows, next) = (url.to_owned(), Arc::clone(rows), Arc::clone(&next));
            tokio::spawn(async move {
                let mut conn = PgConnection::connect(&url).await.expect("a connection");
                loop {
                    let start = next.fetch_add(STATEMENT, Ordering::Relaxed);
                    if start >= rows.len() {
                        return;
                    }
                    let chunk = &rows[start..(start + STATEMENT).min(rows.len())];
                    if copies {
                        copy(&mut conn, chunk).await;
                    } else {
                        unnest(&mut conn, chunk).await;
                    }
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.expect("the lane ends");
    }
    per_second(rows.len(), started)
}

const TIME: i64 = 1_770_000_000_000_000;

async fn unnest(conn: &mut PgConnection, rows: &[Row]) {
    let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    let customers: Vec<String> = rows.iter().map(|row| customer(row.customer)).collect();
    let quantities: Vec<i64> = rows.iter().map(|row| row.quantity).collect();
    sqlx::query(
        "INSERT INTO events SELECT i, c, $4, q, $5, $6 FROM UNNEST($1::text[], $2::text[], $3::int8[]) AS n (i, c, q)
         ON CONFLICT DO NOTHING",
    )
    .bind(ids)
    .bind(customers)
    .bind(quantities)
    .bind(METER)
    .bind(TIME)
    .bind(NOTE)
    .execute(conn)
    .await
    .expect("rows");
}

async fn copy(conn: &mut PgConnection, rows: &[Row]) {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(rows.len() * 128);
    for row in rows {
        let (id, customer, quantity) = (row.id, customer(row.customer), row.quantity);
        writeln!(
            text,
            "{id}\t{customer}\t{METER}\t{quantity}\t{TIME}\t{NOTE}"
        )
        .expect("memory");
    }
    let mut copy = conn
        .copy_in_raw("COPY events FROM STDIN")
        .await
        .expect("a copy");
    copy.send(text.as_bytes()).await.expect("rows");
    copy.finish().await.expect("rows");
}

/// Measures pairs of reservation and commit on one limit beside a bare update of one row, which each of their calls
/// would need.
pub fn reserve(runtime: &Runtime, cluster: &Cluster, results: &mut Results) {
    let url = cluster.url("reserve");
    let (mut one, mut three, mut bare) = (vec![], vec![], vec![]);
    let (mut written, mut written_by_three, mut spread) = (vec![], vec![], vec![]);
    runtime.block_on(async {
        cluster.execute("CREATE DATABASE reserve").await;
        let first = Server::bursar(&url);
        let customers = scaled(CUSTOMERS);
        first.create_customers(customers).await;
        let others: Vec<Server> = (1..REPLICAS).map(|_| Server::bursar(&url)).collect();
        let mut all = vec![&first];
        all.extend(&others);
        for nth in 0..ROUNDS {
            bare.push(update(cluster, nth).await);
            let (rate, writes) = hot(&all[..1], &url).await;
            one.push(rate);
            written.push(writes);
            let (rate, writes) = hot(&all, &url).await;
            three.push(rate);
            written_by_three.push(writes);
            spread.push(round(&all[..1], LANES, customers).await);
        }
    });
    let (bare, one, three) = (median(bare), median(one), median(three));
    results.note("update_per_s", bare);
    results.note("reserve_hot_per_s", one);
    results.note("reserve_hot_per_s_3", three);
    results.note("reserve_spread_per_s", median(spread));
    results.note("limit_writes_per_s", median(written));
    results.note("limit_writes_per_s_3", median(written_by_three));
    results.note("reserve_hot_over_update", CALLS_A_PAIR * one / bare);
    results.note("reserve_hot_over_update_3", CALLS_A_PAIR * three / bare);
}

/// Returns pairs, and writes of the row of their limit, in a second.
async fn hot(servers: &[&Server], url: &str) -> (f64, f64) {
    let mut conn = PgConnection::connect(url).await.expect("a connection");
    // Each batch raises the version of the customers that it names.
    let version = "SELECT version FROM customers WHERE customer_id = $1";
    let mut versions = [0_i64; 2];
    let started = Stopwatch::start();
    let mut rate = 0.0;
    for (nth, kept) in versions.iter_mut().enumerate() {
        if nth == 1 {
            rate = round(servers, LANES, 1).await;
        }
        *kept = sqlx::query_scalar(version)
            .bind(customer(0))
            .fetch_one(&mut conn)
            .await
            .expect("a version");
    }
    let count = usize::try_from(versions[1] - versions[0]).expect("it rises");
    (rate, per_second(count, started))
}

/// Returns how often one row can be updated in a second by many connections.
async fn update(cluster: &Cluster, nth: usize) -> f64 {
    let database = format!("update_{nth}");
    cluster
        .execute(&format!("CREATE DATABASE {database}"))
        .await;
    let url = cluster.url(&database);
    let mut conn = PgConnection::connect(&url).await.expect("a connection");
    conn.execute(
        "CREATE TABLE counters (id int PRIMARY KEY, used bigint NOT NULL) WITH (fillfactor = 50);
                  INSERT INTO counters VALUES (1, 0);",
    )
    .await
    .expect("a schema");
    let time = Duration::from_millis(if crate::is_short() { 300 } else { 2_000 });
    let mut conns = Vec::new();
    for _ in 0..UPDATERS {
        conns.push(PgConnection::connect(&url).await.expect("a connection"));
    }
    let started = Stopwatch::start();
    let lanes: Vec<_> = conns
        .into_iter()
        .map(|mut conn| {
            tokio::spawn(async move {
                let mut done = 0;
                while started.elapsed() < time {
                    let sql = "UPDATE counters SET used = used + 1 WHERE id = 1 RETURNING used";
                    let used: i64 = sqlx::query_scalar(sql)
                        .fetch_one(&mut conn)
                        .await
                        .expect("a row");
                    assert!(used > 0);
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
