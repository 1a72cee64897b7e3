//! `RecordUsage`, acknowledged after the durable commit, beside a bare insert loop of the same rows.

use bursar::clock::Stopwatch;
use std::net::SocketAddr;
use std::path::Path;

use bursar::grpc::pb::{RecordUsageRequest, RecordUsageResponse, UsageEvent};
use bytes::{Buf, Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use prost::Message;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use uuid::Uuid;

use crate::load::frame;
use crate::results::{Results, median};
use crate::server::{Server, customer};
use crate::{ROUNDS, scaled};

pub const CUSTOMERS: usize = 10_000;
pub const METER: &str = "tokens";
/// 28 bytes that are kept beside each event.
pub const NOTE: &str = r#"{"request":"req-0123456789"}"#;
const BATCH: usize = 1000;
/// Streams to one server, each on a connection of its own: as many as its one writer needs.
pub const STREAMS: usize = 2;
/// Rows per transaction of the bare loop.
const TRANSACTION: usize = 10_000;

/// One event of both sides.
pub struct Row {
    pub id: Uuid,
    pub customer: usize,
    pub quantity: i64,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark draws its ids itself"
)]
pub fn rows(count: usize, time_ordered: bool) -> Vec<Row> {
    let id = |index: usize| {
        if time_ordered {
            Uuid::now_v7()
        } else {
            let mixed = (index as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
            let fresh = Uuid::now_v7().as_u128();
            Uuid::from_u128(mixed ^ fresh.rotate_left(64))
        }
    };
    let row = |index| Row {
        id: id(index),
        customer: index * 7919 % CUSTOMERS,
        quantity: i64::try_from(index % 4096).unwrap_or(0),
    };
    (0..count).map(row).collect()
}

/// Measures both in turn.
pub fn beside_insert(runtime: &Runtime, results: &mut Results) {
    let home = tempfile::tempdir_in(target()).expect("a directory");
    let server = Server::bursar(home.path().join("bursar.db"));
    runtime.block_on(server.create_customers(CUSTOMERS));
    let count = scaled(600_000);
    let (mut ratios, mut recorded, mut inserted) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let rows = rows(count, true);
        let bare = insert(&home.path().join(format!("bare-{round}.db")), &rows);
        let ours = record(&[server.address], STREAMS, &rows);
        ratios.push(ours / bare);
        recorded.push(ours);
        inserted.push(bare);
    }
    results.note("record_per_s", median(recorded));
    results.note("insert_per_s", median(inserted));
    results.note("record_over_insert", median(ratios));
    let random = rows(count, false);
    let bare = insert(&home.path().join("bare-random.db"), &random);
    let ours = record(&[server.address], STREAMS, &random);
    results.note("record_random_per_s", ours);
    results.note("insert_random_per_s", bare);
}

/// Databases stand on the disk that the build stands on, not on one kept in memory.
pub fn target() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/target"))
}

/// Inserts rows in a loop: one cached statement, large transactions, flushed, one unique index.
fn insert(database: &Path, rows: &[Row]) -> f64 {
    let mut conn = rusqlite::Connection::open(database).expect("a database");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE events (event_id BLOB, customer TEXT, meter TEXT, quantity INTEGER,
                              event_time INTEGER, metadata TEXT);
         CREATE UNIQUE INDEX events_once ON events (event_id, customer);",
    )
    .expect("a schema");
    let customers: Vec<String> = (0..CUSTOMERS).map(customer).collect();
    let started = Stopwatch::start();
    for chunk in rows.chunks(TRANSACTION) {
        let transaction = conn.transaction().expect("a transaction");
        let mut statement = transaction
            .prepare_cached(
                "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )
            .expect("a statement");
        for row in chunk {
            let customer = customers[row.customer].as_str();
            let id = row.id.as_bytes().as_slice();
            statement
                .execute((
                    id,
                    customer,
                    METER,
                    row.quantity,
                    1_770_000_000_000_000_i64,
                    NOTE,
                ))
                .expect("a row");
        }
        drop(statement);
        transaction.commit().expect("a commit");
    }
    per_second(rows.len(), started)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub fn per_second(count: usize, started: Stopwatch) -> f64 {
    count as f64 / started.elapsed().as_secs_f64()
}

/// Sends rows over so many streams to each server and waits until the last is acknowledged.
pub fn record(servers: &[SocketAddr], streams: usize, rows: &[Row]) -> f64 {
    let count = streams * servers.len();
    let mut lanes: Vec<Vec<Bytes>> = vec![Vec::new(); count];
    for (number, chunk) in rows.chunks(BATCH).enumerate() {
        let lane = &mut lanes[number % count];
        let first_seq = i64::try_from(lane.len() * BATCH + 1).expect("a small number");
        let events = chunk.iter().map(event).collect();
        lane.push(frame(
            &RecordUsageRequest { first_seq, events }.encode_to_vec(),
        ));
    }
    let started = Stopwatch::start();
    let sent = lanes.into_iter().enumerate().map(|(number, frames)| {
        let server = servers[number % servers.len()];
        std::thread::spawn(move || stream(server, frames))
    });
    let acked: i64 = sent
        .collect::<Vec<_>>()
        .into_iter()
        .map(|lane| lane.join().expect("acks"))
        .sum();
    let rate = per_second(rows.len(), started);
    assert_eq!(
        acked,
        i64::try_from(rows.len()).expect("a count"),
        "all are acknowledged"
    );
    rate
}

fn event(row: &Row) -> UsageEvent {
    UsageEvent {
        event_id: row.id.to_string(),
        customer_id: customer(row.customer),
        meter_id: METER.to_owned(),
        quantity: row.quantity,
        metadata: [("request".to_owned(), "req-0123456789".to_owned())].into(),
        ..UsageEvent::default()
    }
}

/// Sends one stream and returns what was acknowledged.
fn stream(server: SocketAddr, frames: Vec<Bytes>) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async move {
        let socket = tokio::net::TcpStream::connect(server)
            .await
            .expect("the server listens");
        socket.set_nodelay(true).expect("a socket option");
        let (client, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
        tokio::spawn(connection);
        let request = http::Request::post("http://bursar/bursar.v1.MeteringService/RecordUsage")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a request");
        let mut client = client.ready().await.expect("the connection lives");
        let (answer, sending) = client.send_request(request, false).expect("a stream");
        let (acks, acked) = watch::channel((0, 0));
        let last = i64::try_from(frames.len() * BATCH).expect("a count");
        let reading = tokio::spawn(async move {
            read(answer.await.expect("headers").into_body(), acks, last).await
        });
        send(sending, frames, acked).await;
        reading.await.expect("the reader ends")
    })
}

async fn send(
    mut stream: SendStream<Bytes>,
    frames: Vec<Bytes>,
    mut acked: watch::Receiver<(i64, i64)>,
) {
    for (number, frame) in frames.into_iter().enumerate() {
        let through = i64::try_from((number + 1) * BATCH).expect("a count");
        // Never more on the way than the server gave credit for.
        acked
            .wait_for(|(acked, credits)| through <= acked + credits)
            .await
            .expect("acks come");
        push(&mut stream, frame).await;
    }
    stream
        .send_data(Bytes::new(), true)
        .expect("the end of the stream");
}

async fn push(stream: &mut SendStream<Bytes>, mut frame: Bytes) {
    while frame.has_remaining() {
        stream.reserve_capacity(frame.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let room = room
            .expect("the stream lives")
            .expect("capacity")
            .min(frame.len());
        stream.send_data(frame.split_to(room), false).expect("data");
    }
}

async fn read(mut body: RecvStream, acks: watch::Sender<(i64, i64)>, last: i64) -> i64 {
    let mut unread = BytesMut::new();
    let mut acked = 0;
    while let Some(data) = body.data().await {
        let data = data.expect("data");
        body.flow_control()
            .release_capacity(data.len())
            .expect("capacity to release");
        unread.extend_from_slice(&data);
        while let Some(length) = unread.get(1..5) {
            let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
            if unread.len() < 5 + length {
                break;
            }
            let message = unread.split_to(5 + length).split_off(5);
            let answer = RecordUsageResponse::decode(message).expect("an answer");
            assert_eq!(answer.rejects.len(), 0, "{:?}", answer.rejects);
            acked = acked.max(answer.acked_through);
            acks.send_replace((acked, i64::from(answer.credits)));
        }
        if acked >= last {
            break;
        }
    }
    acked
}
