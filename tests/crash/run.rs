//! One run: clients at work while servers are killed again and again, then everything compared.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bursar::clock::{Stopwatch, wall_clock};
use bursar::failpoint;
use rand::RngExt as _;
use rand_distr::{Distribution as _, Exp};
use rand_pcg::Pcg64;

use crate::alone::Alone;
use crate::billing::office::{self, Office};
use crate::checker::{Findings, Kind, Times, check};
use crate::clients::{self, Ground, Phase};
use crate::fold::totals_of;
use crate::history::History;
use crate::process::server::Server;
use crate::report::Outcome;
use crate::several::{Several, Trouble};
use crate::world::SECOND;
use crate::{admission, billing, journal, live, wallets};

/// Mean time between the first answer of a round and its kill.
const MEAN_ROUND: f64 = 0.3;
/// Longest time that a round without a failpoint lasts, in seconds.
const LONGEST_ROUND: f64 = 2.0;
/// How long a round waits for what it is about: a first answer, its failpoint.
pub const ROUND_WAIT: Duration = Duration::from_secs(15);
/// How long the last round may take to reach the number of acknowledgements wanted.
const STEADY_WAIT: Duration = Duration::from_mins(3);
/// How long clients may take to get the last answers.
pub const END_WAIT: Duration = Duration::from_mins(1);
/// The windows of all customers step from this long before the run.
const ANCHOR_BACK: i64 = 600 * SECOND;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
type Clients = Vec<JoinHandle<io::Result<()>>>;

/// What the server keeps its data in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// A file, and one server.
    Sqlite,
    /// A database, and several replicas.
    Postgres,
}

/// When the server is killed.
#[derive(Debug, Clone, Copy)]
pub enum Schedule {
    /// At each failpoint in turn, and in between at random.
    Mixed,
    /// Always at this stop, a while after it is reached, so that answers that were sent arrive.
    At(&'static str),
    /// At random.
    Random,
}

/// What a run is to do.
pub struct Plan {
    pub binary: PathBuf,
    pub store: Store,
    pub rounds: usize,
    pub seed: u64,
    pub schedule: Schedule,
    pub fault: Option<&'static str>,
    /// What else goes wrong where there are several servers, round by round.
    pub troubles: &'static [Trouble],
    /// Acknowledgements that are wanted before the end, and decisions of limits.
    pub least: (usize, usize),
}

/// One round of the schedule.
pub struct Round {
    pub failpoint: Option<(&'static str, u64)>,
    /// How long to wait before the kill.
    pub wait: Duration,
    /// Whether to kill it while it starts.
    pub early: bool,
}

impl Plan {
    pub fn rounds(&self, rng: &mut Pcg64) -> Vec<Round> {
        let between = Exp::new(1.0 / MEAN_ROUND).expect("the mean is positive");
        // Failpoints first, each once, then again and again: with fewer rounds than stops each round has one.
        let stops = self.rounds.min(failpoint::ALL.len()).max(self.rounds / 2);
        let mut rounds: Vec<Round> = (0..self.rounds)
            .map(|round| {
                let name = match self.schedule {
                    Schedule::Mixed => {
                        (round < stops).then(|| failpoint::ALL[round % failpoint::ALL.len()])
                    }
                    Schedule::At(name) => Some(name),
                    Schedule::Random => None,
                };
                let failpoint = name.map(|name| (name, rng.random_range(3..=25)));
                let early = failpoint.is_none() && rng.random_ratio(1, 6);
                let wait = match (self.schedule, failpoint) {
                    _ if early => rng.random_range(0.0..0.04),
                    (Schedule::At(_), _) => 0.2,
                    (_, Some(_)) => rng.random_range(0.0..0.05),
                    (_, None) => between.sample(rng).min(LONGEST_ROUND),
                };
                Round {
                    failpoint,
                    wait: Duration::from_secs_f64(wait),
                    early,
                }
            })
            .collect();
        for last in (1..rounds.len()).rev() {
            rounds.swap(last, rng.random_range(0..=last));
        }
        rounds
    }
}

/// What a run has to do with the servers of a store.
pub trait Stage {
    /// Starts a server for a call or two, while no other runs.
    fn start(&self) -> io::Result<Server>;
    /// Kills servers as planned; afterwards all that are needed serve.
    fn rounds(&mut self, plan: &Plan, ground: &Arc<Ground>, outcome: &mut Outcome) -> Result<()>;
    /// Returns where one serves, after the rounds.
    fn addr(&self) -> Option<SocketAddr>;
    /// Lets time pass while the servers run; an error when one ends by itself.
    fn wait(&mut self, time: Duration) -> Result<()>;
    /// Stops and starts all, so that what clients still wait for is given up.
    fn restart(&mut self) -> Result<()>;
    /// Stops all.
    fn stop(&mut self) -> Result<()>;
    /// Reads what is stored.
    fn read(&self) -> Result<crate::checker::Stored>;
}

/// Runs a plan to its end. An error is a failure of the test itself, or a server that ends by itself.
pub fn run(plan: &Plan) -> Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("bursar-crash-").tempdir()?;
    let catalog = folder.path().join("catalog.toml");
    std::fs::write(&catalog, crate::world::CATALOG)?;
    let office = Office::open()?;
    let mut stage: Box<dyn Stage> = match plan.store {
        Store::Sqlite => Box::new(Alone::new(plan, folder.path(), &catalog, &office)),
        Store::Postgres => Box::new(Several::new(plan, &catalog, &office)?),
    };
    let ground = Ground::new(folder.path(), plan.seed, plan.store.servers());
    let anchor = ground.began - ANCHOR_BACK;
    let server = stage.start()?;
    live::create_customers(server.addr, anchor)?;
    office::enlist(server.addr)?;
    server.stop()?;

    let clients = clients::start(&ground)?;
    let mut outcome = Outcome::new(plan);
    let end = work(&mut *stage, plan, &ground, &clients, &mut outcome);
    if end.is_err() {
        ground.turn_to(Phase::Over);
    }
    for client in clients {
        if let Err(error) = client.join().map_err(|_| "a client panicked")? {
            let text = format!("a client ended: {error}");
            outcome.findings.add(Kind::Answer, text);
        }
    }
    end?;
    let server = stage.addr().ok_or("no server is left")?;
    office.settle(server)?;
    stage.stop()?;

    let lines = ground
        .journals()
        .iter()
        .map(|path| journal::read(path))
        .collect::<io::Result<Vec<_>>>()?;
    let history = History::of(lines.into_iter().flatten());
    let read = wall_clock().as_micros();
    let stored = stage.read()?;
    let times = Times {
        anchor,
        began: ground.began,
        read,
    };
    let found: &mut Findings = &mut outcome.findings;
    found.0.extend(check(&history, &stored, times).0);
    let counted = office.counted(&stored)?;
    billing::check(&stored, &counted, anchor, found);
    let server = stage.start()?;
    let totals = totals_of(&history, &stored);
    if let Err(error) = live::check(server.addr, &history, &totals, ground.began, found) {
        found.add(Kind::Answer, error.to_string());
    }
    server.stop()?;
    (outcome.admitted, outcome.denied) = admission::tally(&history);
    (outcome.moved, outcome.refused) = wallets::tally(&history);
    outcome.acked = history.acked();
    outcome.chunks = stored.chunks.len();
    Ok(outcome)
}

impl Store {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// How many servers work on it at a time.
    pub fn servers(self) -> usize {
        match self {
            Self::Sqlite => 1,
            Self::Postgres => 3,
        }
    }
}

/// Kills servers as planned, then lets the clients finish.
fn work(
    stage: &mut dyn Stage,
    plan: &Plan,
    ground: &Arc<Ground>,
    clients: &Clients,
    outcome: &mut Outcome,
) -> Result<()> {
    stage.rounds(plan, ground, outcome)?;
    let watch = Stopwatch::start();
    let is_short = || ground.acked() < plan.least.0 || ground.decided() < plan.least.1;
    while is_short() && watch.elapsed() < STEADY_WAIT {
        stage.wait(Duration::from_millis(50))?;
    }
    ground.turn_to(Phase::End);
    let watch = Stopwatch::start();
    while clients.iter().any(|client| !client.is_finished()) {
        if watch.elapsed() > END_WAIT {
            // What is not answered by now shows among the findings.
            ground.turn_to(Phase::Over);
            return stage.restart();
        }
        stage.wait(Duration::from_millis(20))?;
    }
    Ok(())
}

/// The failpoints that were reached.
pub type Hit = BTreeSet<&'static str>;
