//! The threads that serve gRPC, each with a runtime of its own, and the one acceptor that hands connections to them.
//!
//! A connection stays on its thread, so nothing of it is shared between cores; few long-lived connections spread evenly
//! because each goes to the thread that has the fewest.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::connection::{Connection, Seat, Seats};
use crate::grpc::services::Services;

/// What one stream may have sent that was not read, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
/// What one connection may have sent that was not read, in bytes.
///
/// The HTTP/2 library ends a connection whose unread small frames use up a budget of half this window, each of L bytes
/// costing 256 - L. A stream that sends 20-byte frames at full speed needs 24 times its own window; this is 128 times,
/// enough for five such streams, or forty that send one small event per frame.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// Most calls of one connection at a time.
const STREAMS_MAX: u32 = 1024;
/// Largest list of headers, in bytes.
const HEADERS_MAX: u32 = 16 * 1024;
/// How long a connection may be silent before it is asked for a sign of life, and how long it has to give one.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// Most connections on one thread; more are turned away.
const CONNECTIONS_MAX: usize = 4096;
/// Connections that wait to be taken by their thread.
const HANDOVER: usize = 128;
/// How long the acceptor rests when the system is short of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Handed = (std::net::TcpStream, Seat);

/// One thread that serves.
pub(super) struct Edge {
    seats: Seats,
    connections: mpsc::Sender<Handed>,
    thread: thread::JoinHandle<()>,
}

/// How the threads are told to end.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    /// Take no new calls, and end when those that run have ended.
    pub(super) graceful: CancellationToken,
    /// End now.
    pub(super) now: CancellationToken,
}

impl Edge {
    /// Starts a thread that serves.
    pub(super) fn start(number: usize, services: Services, ending: Ending) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (connections, handed) = mpsc::channel(HANDOVER);
        let thread = thread::Builder::new()
            .name(format!("grpc-{number}"))
            .spawn(move || runtime.block_on(serve(services, handed, ending)))?;
        Ok(Self {
            seats: Seats::default(),
            connections,
            thread,
        })
    }

    /// Waits until the thread has ended.
    pub(super) fn join(self) {
        drop(self.connections);
        if self.thread.join().is_err() {
            tracing::error!("a thread that serves gRPC panicked");
        }
    }
}

async fn serve(services: Services, handed: mpsc::Receiver<Handed>, ending: Ending) {
    let connections = ReceiverStream::new(handed).map(|(stream, seat)| {
        let stream = TcpStream::from_std(stream)?;
        io::Result::Ok(Connection {
            stream,
            _seat: seat,
        })
    });
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .serve_with_incoming_shutdown(services, connections, ending.graceful.cancelled_owned());
    tokio::select! {
        outcome = server => {
            if let Err(error) = outcome {
                tracing::error!(%error, "gRPC cannot be served");
            }
        }
        () = ending.now.cancelled() => tracing::warn!("connections were closed before they had ended"),
    }
}

/// Hands connections to threads until told to end.
pub(super) async fn accept(listener: TcpListener, edges: &[Edge], ending: &Ending) {
    let turned_away = metrics::counter!("bursar_connections_refused_total");
    let accepted = metrics::counter!("bursar_connections_total");
    let mut turn = 0;
    loop {
        let stream = tokio::select! {
            () = ending.graceful.cancelled() => return,
            connection = listener.accept() => match connection {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        turn += 1;
        if hand_over(stream, edges, turn).is_some() {
            accepted.increment(1);
        } else {
            turned_away.increment(1);
        }
    }
}

/// Hands a connection to the thread with the fewest, in turns among equals; `None`: nobody takes it.
fn hand_over(stream: TcpStream, edges: &[Edge], turn: usize) -> Option<()> {
    let in_turn = (0..edges.len()).map(|step| &edges[(turn + step) % edges.len()]);
    let edge = in_turn.min_by_key(|edge| edge.seats.taken())?;
    if edge.seats.taken() >= CONNECTIONS_MAX {
        return None;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection went away at once");
    }
    let stream = stream.into_std().ok()?;
    let seat = edge.seats.take();
    edge.connections.try_send((stream, seat)).ok()
}
