//! A load generator that costs little itself: HTTP/2 frames from encoded bodies, no gRPC client in between.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bursar::clock::Stopwatch;

use bytes::Bytes;
use h2::client::SendRequest;
use hdrhistogram::Histogram;
use http::{Request, Uri};

/// What one run came to.
pub struct Load {
    pub requests_per_second: f64,
    pub p50_micros: f64,
    pub p99_micros: f64,
}

/// One kind of request, encoded beforehand.
pub struct Requests {
    pub path: &'static str,
    /// Bodies, gRPC frame included; sent in turn from a place of each sender's own.
    pub bodies: Vec<Bytes>,
}

/// Wraps an encoded message into a gRPC frame.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = Vec::with_capacity(message.len() + 5);
    framed.push(0);
    framed.extend(
        u32::try_from(message.len())
            .expect("a small message")
            .to_be_bytes(),
    );
    framed.extend(message);
    framed.into()
}

/// Sends requests for a while, `in_flight` at a time over up to 8 connections, and measures.
pub fn run(server: SocketAddr, requests: &Arc<Requests>, in_flight: usize, time: Duration) -> Load {
    let connections = in_flight.min(8);
    let threads = connections.min(2);
    let senders: Vec<_> = (0..threads)
        .map(|thread| {
            let requests = Arc::clone(requests);
            let mine = (0..connections)
                .filter(|conn| conn % threads == thread)
                .count();
            let each = in_flight / connections;
            std::thread::spawn(move || sender(server, &requests, mine, each, thread, time))
        })
        .collect();
    let mut total = latencies();
    let mut elapsed = Duration::ZERO;
    for sender in senders {
        let (measured, took) = sender.join().expect("the sender ends");
        total.add(measured).expect("the same bounds");
        elapsed = elapsed.max(took);
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    Load {
        requests_per_second: total.len() as f64 / elapsed.as_secs_f64(),
        p50_micros: total.value_at_quantile(0.5) as f64 / 1000.0,
        p99_micros: total.value_at_quantile(0.99) as f64 / 1000.0,
    }
}

fn sender(
    server: SocketAddr,
    requests: &Arc<Requests>,
    connections: usize,
    in_flight: usize,
    seed: usize,
    time: Duration,
) -> (Histogram<u64>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let mut lanes = Vec::new();
        let start = Stopwatch::start();
        for connection in 0..connections {
            let client = connect(server).await;
            for lane in 0..in_flight {
                let place =
                    (seed * 7919 + connection * 104_729 + lane * 1_299_709) % requests.bodies.len();
                let (client, requests) = (client.clone(), Arc::clone(requests));
                lanes.push(tokio::task::spawn_local(lane_of(
                    client,
                    requests,
                    place,
                    (start, time),
                )));
            }
        }
        let mut all = latencies();
        for lane in lanes {
            all.add(lane.await.expect("the lane ends"))
                .expect("the same bounds");
        }
        (all, start.elapsed())
    })
}

async fn connect(server: SocketAddr) -> SendRequest<Bytes> {
    let socket = tokio::net::TcpStream::connect(server)
        .await
        .expect("the server listens");
    socket.set_nodelay(true).expect("a socket option");
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 24)
        .handshake(socket)
        .await
        .expect("the server speaks HTTP/2");
    tokio::task::spawn_local(async move {
        // It ends with the run.
        let _ = connection.await;
    });
    client
}

async fn lane_of(
    client: SendRequest<Bytes>,
    requests: Arc<Requests>,
    mut place: usize,
    (start, time): (Stopwatch, Duration),
) -> Histogram<u64> {
    let mut taken = latencies();
    let uri: Uri = format!("http://bursar{}", requests.path)
        .parse()
        .expect("a path");
    while start.elapsed() < time {
        let started = Stopwatch::start();
        call(&client, &uri, requests.bodies[place].clone()).await;
        taken.saturating_record(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        place = (place + 7) % requests.bodies.len();
    }
    taken
}

async fn call(client: &SendRequest<Bytes>, uri: &Uri, body: Bytes) {
    let request = Request::post(uri.clone())
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    let mut ready = client.clone().ready().await.expect("the connection lives");
    let (answer, mut stream) = ready.send_request(request, false).expect("a stream");
    stream.send_data(body, true).expect("room for a small body");
    let mut body = answer.await.expect("an answer").into_body();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.expect("data");
        body.flow_control()
            .release_capacity(chunk.len())
            .expect("capacity to release");
    }
    let trailers = body.trailers().await.expect("trailers").expect("trailers");
    assert_eq!(
        trailers.get("grpc-status").map(http::HeaderValue::as_bytes),
        Some(&b"0"[..])
    );
}

/// An empty record of latencies, of up to a minute in nanoseconds.
fn latencies() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 3).expect("three digits")
}
