//! The clients: each a thread with connections and a log of its own. They do not stop for anything: what is not
//! answered is sent again, with the same ids, to whatever server there is. Where there are several, any of them will
//! do for anything.

mod answers;
mod calls;
mod draw;
mod job;
mod stream;
mod wallet_calls;
mod wallets;
pub mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bursar::clock::{Stopwatch, wall_clock};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_pcg::Pcg64;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use crate::journal::Journal;

/// Clients that stream, clients that send batches and make calls.
pub const STREAMS: usize = 3;
const CALLERS: usize = 4;

/// How long a call may take: the one server is killed long before.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// With several, a call goes to another one soon, though the first may still do it.
const CALL_TIMEOUT_SEVERAL: Duration = Duration::from_secs(3);

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Whatever they draw.
    Work,
    /// Get the last answers and wait.
    Rest,
    /// Finish what they began.
    End,
    /// Give up.
    Over,
}

/// What all clients share with the parent.
pub struct Ground {
    /// Where the servers are; `None`: nowhere.
    servers: watch::Sender<Vec<Option<SocketAddr>>>,
    phase: watch::Sender<Phase>,
    /// By client, what it sent and has no answer to.
    unanswered: Vec<AtomicUsize>,
    /// By client, whether it rests.
    rests: Vec<AtomicBool>,
    /// Events and calls with their final answer.
    acked: AtomicUsize,
    /// Reservations that were granted, and whatever was denied.
    decided: AtomicUsize,
    clock: Stopwatch,
    /// The wall clock when `clock` started.
    pub began: i64,
    folder: PathBuf,
    seed: u64,
}

impl Ground {
    pub fn new(folder: &Path, seed: u64, servers: usize) -> Arc<Self> {
        let clients = 0..STREAMS + CALLERS;
        Arc::new(Self {
            servers: watch::Sender::new(vec![None; servers]),
            phase: watch::Sender::new(Phase::Work),
            unanswered: clients.clone().map(|_| AtomicUsize::new(0)).collect(),
            rests: clients.map(|_| AtomicBool::new(false)).collect(),
            acked: AtomicUsize::new(0),
            decided: AtomicUsize::new(0),
            clock: Stopwatch::start(),
            began: wall_clock().as_micros(),
            folder: folder.to_owned(),
            seed,
        })
    }

    /// Tells all clients where a server is.
    pub fn serve_at(&self, server: usize, addr: Option<SocketAddr>) {
        self.servers.send_modify(|servers| servers[server] = addr);
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

    /// Tells all clients what to do from now on.
    pub fn turn_to(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Whether all clients rest.
    pub fn is_at_rest(&self) -> bool {
        self.rests.iter().all(|one| one.load(Ordering::Relaxed))
    }

    fn is_several(&self) -> bool {
        self.servers.borrow().len() > 1
    }

    fn call_timeout(&self) -> Duration {
        if self.is_several() {
            CALL_TIMEOUT_SEVERAL
        } else {
            CALL_TIMEOUT
        }
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
    /// Where calls go; apart from what is drawn, which is the same whatever servers do.
    route: Pcg64,
    /// Where the servers are; it tells when that is news.
    servers: watch::Receiver<Vec<Option<SocketAddr>>>,
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
                servers: ground.servers.subscribe(),
                route: Pcg64::seed_from_u64(ground.seed.wrapping_add(number as u64)),
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

    /// Connects to all servers that there are, as soon as there is one, in random order; `None`: it is over.
    async fn connect(&mut self) -> Option<Vec<Channel>> {
        loop {
            if *self.ground.phase.borrow() == Phase::Over {
                return None;
            }
            let mut known: Vec<_> = self
                .servers
                .borrow_and_update()
                .iter()
                .flatten()
                .copied()
                .collect();
            known.shuffle(&mut self.route);
            let mut channels = Vec::with_capacity(known.len());
            for addr in known {
                let endpoint =
                    Endpoint::from_shared(format!("http://{addr}")).expect("an address is a URI");
                let endpoint = endpoint.timeout(self.ground.call_timeout());
                // One that stands still takes connections and does not answer.
                let connected = timeout(CONNECT_TIMEOUT, endpoint.connect()).await;
                channels.extend(connected.into_iter().flatten());
            }
            if !channels.is_empty() {
                return Some(channels);
            }
            // It is told when there is another server, and looks again by itself in case this one is slow.
            let _ = timeout(Duration::from_millis(20), self.servers.changed()).await;
        }
    }

    /// Waits while nothing new is to be begun; false when nothing is any more.
    async fn may_begin(&self) -> bool {
        let mut phase = self.ground.phase.subscribe();
        loop {
            let now = *phase.borrow_and_update();
            self.ground.rests[self.number].store(now != Phase::Work, Ordering::Relaxed);
            match now {
                Phase::Work => return true,
                Phase::End | Phase::Over => return false,
                Phase::Rest => {}
            }
            // The parent outlives its clients.
            let _ = phase.changed().await;
        }
    }

    /// Whether there are other servers than those that it is connected to.
    fn has_news(&self) -> bool {
        self.servers.has_changed().unwrap_or(false)
    }

    fn is_at_work(&self) -> bool {
        *self.ground.phase.borrow() == Phase::Work
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
