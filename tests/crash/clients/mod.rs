//! The clients: each a thread with a connection and a log of its own. They do not stop for anything: what is not
//! answered is sent again, with the same ids, to the next server.

mod calls;
mod draw;
mod job;
mod stream;
pub mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bursar::clock::{Stopwatch, wall_clock};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use crate::journal::Journal;

/// Clients that stream, clients that send batches and make calls.
pub const STREAMS: usize = 3;
const CALLERS: usize = 4;

/// How long a call may take. The server is killed long before.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// What all clients share with the parent.
pub struct Ground {
    /// Where the server is; `None`: nowhere.
    server: watch::Sender<Option<SocketAddr>>,
    /// By client, what it sent and has no answer to.
    unanswered: Vec<AtomicUsize>,
    /// Events and calls with their final answer.
    acked: AtomicUsize,
    /// Reservations that were granted, and whatever was denied.
    decided: AtomicUsize,
    /// Set once nothing new is to be begun.
    is_ending: AtomicBool,
    /// Set once clients must give up.
    is_over: AtomicBool,
    clock: Stopwatch,
    /// The wall clock when `clock` started.
    pub began: i64,
    folder: PathBuf,
    seed: u64,
}

impl Ground {
    pub fn new(folder: &Path, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            server: watch::Sender::new(None),
            unanswered: (0..STREAMS + CALLERS)
                .map(|_| AtomicUsize::new(0))
                .collect(),
            acked: AtomicUsize::new(0),
            decided: AtomicUsize::new(0),
            is_ending: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            clock: Stopwatch::start(),
            began: wall_clock().as_micros(),
            folder: folder.to_owned(),
            seed,
        })
    }

    /// Tells all clients where the server is.
    pub fn serve_at(&self, addr: Option<SocketAddr>) {
        self.server.send_replace(addr);
    }

    /// Returns how many requests and events wait for an answer.
    pub fn unanswered(&self) -> usize {
        self.unanswered
            .iter()
            .map(|one| one.load(Ordering::Relaxed))
            .sum()
    }

    pub fn acked(&self) -> usize {
        self.acked.load(Ordering::Relaxed)
    }

    pub fn decided(&self) -> usize {
        self.decided.load(Ordering::Relaxed)
    }

    /// Lets clients finish what they began.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Lets clients give up.
    pub fn give_up(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.end();
        self.serve_at(None);
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Returns the clients' clock, in microseconds.
    fn now(&self) -> i64 {
        i64::try_from(self.clock.elapsed().as_micros()).expect("a run lasts no ages")
    }

    /// Returns the path of a client's log.
    pub fn journal(&self, client: usize) -> PathBuf {
        self.folder.join(format!("client-{client}.jsonl"))
    }

    /// Returns the paths of all logs.
    pub fn journals(&self) -> Vec<PathBuf> {
        (0..self.unanswered.len())
            .map(|client| self.journal(client))
            .collect()
    }
}

/// One client.
struct Client {
    ground: Arc<Ground>,
    number: usize,
    journal: Journal,
    draw: draw::Draw,
}

/// Starts all clients.
pub fn start(ground: &Arc<Ground>) -> io::Result<Vec<std::thread::JoinHandle<io::Result<()>>>> {
    let numbers = 0..STREAMS + CALLERS;
    numbers
        .map(|number| {
            let client = Client {
                ground: Arc::clone(ground),
                number,
                journal: Journal::create(&ground.journal(number))?,
                draw: draw::Draw::new(ground.seed, number, ground.began),
            };
            std::thread::Builder::new()
                .name(format!("client-{number}"))
                .spawn(move || client.run())
        })
        .collect()
}

impl Client {
    fn run(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            if self.number < STREAMS {
                stream::run(self).await
            } else {
                calls::run(self).await
            }
        })
    }

    /// Connects to the server as soon as there is one; `None`: it is over.
    async fn connect(&self) -> Option<Channel> {
        let mut server = self.ground.server.subscribe();
        loop {
            if self.ground.is_over() {
                return None;
            }
            let addr = *server.borrow_and_update();
            if let Some(addr) = addr {
                let endpoint =
                    Endpoint::from_shared(format!("http://{addr}")).expect("an address is a URI");
                if let Ok(channel) = endpoint.timeout(CALL_TIMEOUT).connect().await {
                    return Some(channel);
                }
            }
            // It is told when there is another server, and looks again by itself in case this one is slow.
            let _ = tokio::time::timeout(Duration::from_millis(20), server.changed()).await;
        }
    }

    fn waits_for(&self, count: usize) {
        self.ground.unanswered[self.number].store(count, Ordering::Relaxed);
    }

    fn acked(&self, count: usize) {
        self.ground.acked.fetch_add(count, Ordering::Relaxed);
    }

    fn decided(&self, count: usize) {
        self.ground.decided.fetch_add(count, Ordering::Relaxed);
    }
}
