//! One run: clients at work while the server is killed again and again, then everything compared.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bursar::clock::{Stopwatch, wall_clock};
use bursar::failpoint;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Exp};
use rand_pcg::Pcg64;

use crate::checker::{Findings, Kind, Times, check};
use crate::clients::{self, Ground};
use crate::fold::totals_of;
use crate::history::History;
use crate::report::Outcome;
use crate::server::{Server, Setup, folder, write_catalog};
use crate::world::SECOND;
use crate::{admission, journal, live, stored};

/// Mean time between the first answer of a round and its kill.
const MEAN_ROUND: f64 = 0.3;
/// Longest time that a round without a failpoint lasts, in seconds.
const LONGEST_ROUND: f64 = 2.0;
/// How long a round waits for what it is about: a first answer, its failpoint.
const ROUND_WAIT: Duration = Duration::from_secs(15);
/// How long the last round may take to reach the number of acknowledgements wanted.
const STEADY_WAIT: Duration = Duration::from_mins(3);
/// How long clients may take to get the last answers.
const END_WAIT: Duration = Duration::from_mins(1);
/// The windows of all customers step from this long before the run.
const ANCHOR_BACK: i64 = 600 * SECOND;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
type Clients = Vec<JoinHandle<io::Result<()>>>;

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
    pub rounds: usize,
    pub seed: u64,
    pub schedule: Schedule,
    pub fault: Option<&'static str>,
    /// Acknowledgements that are wanted before the end, and decisions of limits.
    pub least: (usize, usize),
}

/// One round of the schedule.
struct Round {
    failpoint: Option<(&'static str, u64)>,
    /// How long to wait before the kill.
    wait: Duration,
    /// Whether to kill it while it starts.
    early: bool,
}

impl Plan {
    fn rounds(&self, rng: &mut Pcg64) -> Vec<Round> {
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

/// Runs a plan to its end. An error is a failure of the test itself, or a server that ends by itself.
pub fn run(plan: &Plan) -> Result<Outcome> {
    let folder = folder()?;
    let setup = Setup {
        binary: plan.binary.clone(),
        folder: folder.path().to_owned(),
        fault: plan.fault,
    };
    write_catalog(&setup.catalog())?;
    let ground = Ground::new(folder.path(), plan.seed);
    let anchor = ground.began - ANCHOR_BACK;
    let server = Server::start(&setup, None)?;
    live::create_customers(server.addr, anchor)?;
    server.stop()?;

    let clients = clients::start(&ground)?;
    let mut outcome = Outcome::new(plan);
    let end = work(plan, &setup, &ground, &clients, &mut outcome);
    if end.is_err() {
        ground.give_up();
    }
    let mut found = Findings::default();
    for client in clients {
        if let Err(error) = client.join().map_err(|_| "a client panicked")? {
            found.add(Kind::Answer, format!("a client ended: {error}"));
        }
    }
    end?.stop()?;

    let lines = ground
        .journals()
        .iter()
        .map(|path| journal::read(path))
        .collect::<io::Result<Vec<_>>>()?;
    let history = History::of(lines.into_iter().flatten());
    let read = wall_clock().as_micros();
    let stored = stored::read(&setup.database())?;
    let times = Times {
        anchor,
        began: ground.began,
        read,
    };
    found.0.extend(check(&history, &stored, times).0);
    let server = Server::start(&setup, None)?;
    let totals = totals_of(&history, &stored);
    if let Err(error) = live::check(server.addr, &history, &totals, ground.began, &mut found) {
        found.add(Kind::Answer, error.to_string());
    }
    server.stop()?;
    (outcome.admitted, outcome.denied) = admission::tally(&history);
    outcome.acked = history.acked();
    outcome.findings = found;
    Ok(outcome)
}

/// Kills the server as planned, then lets the clients finish on the last one, which is returned.
fn work(
    plan: &Plan,
    setup: &Setup,
    ground: &Arc<Ground>,
    clients: &Clients,
    outcome: &mut Outcome,
) -> Result<Server> {
    let mut rng = Pcg64::seed_from_u64(plan.seed);
    for (number, round) in (1..).zip(plan.rounds(&mut rng)) {
        one_round(plan, setup, ground, number, &round, outcome)?;
    }
    let server = Server::start(setup, None)?;
    ground.serve_at(Some(server.addr));
    let watch = Stopwatch::start();
    let is_short = || ground.acked() < plan.least.0 || ground.decided() < plan.least.1;
    while is_short() && watch.elapsed() < STEADY_WAIT {
        server.wait(Duration::from_millis(50));
    }
    ground.end();
    let watch = Stopwatch::start();
    while clients.iter().any(|client| !client.is_finished()) {
        if watch.elapsed() > END_WAIT {
            // What is not answered by now shows among the findings.
            ground.give_up();
            server.stop()?;
            return Ok(Server::start(setup, None)?);
        }
        server.wait(Duration::from_millis(20));
    }
    Ok(server)
}

fn one_round(
    plan: &Plan,
    setup: &Setup,
    ground: &Arc<Ground>,
    number: usize,
    round: &Round,
    outcome: &mut Outcome,
) -> Result<()> {
    let watch = Stopwatch::start();
    let acked = ground.acked();
    if round.early {
        let server = Server::spawn(setup, None)?;
        server.wait(round.wait);
        server.kill()?;
        println!(
            "round {number}/{}: killed while it starts, after {} ms",
            plan.rounds,
            watch.elapsed().as_millis()
        );
        return Ok(());
    }
    let server = Server::start(setup, round.failpoint)?;
    let started = watch.elapsed();
    ground.serve_at(Some(server.addr));
    let what = if let Some((name, count)) = round.failpoint {
        if server.wait_for_failpoint(name, ROUND_WAIT) {
            outcome.hit.insert(name);
        }
        format!("{name}, hit {count}")
    } else {
        while ground.acked() == acked && watch.elapsed() < ROUND_WAIT {
            server.wait(Duration::from_millis(5));
        }
        "at random".to_owned()
    };
    server.wait(round.wait);
    let unanswered = ground.unanswered();
    server.kill()?;
    ground.serve_at(None);
    outcome.kills_in_flight += usize::from(unanswered > 0);
    println!(
        "round {number}/{}: killed {what}; {} ms to start, {} ms in all, {} acknowledged, {unanswered} unanswered",
        plan.rounds,
        started.as_millis(),
        watch.elapsed().as_millis(),
        ground.acked() - acked,
    );
    Ok(())
}

/// The failpoints that were reached.
pub type Hit = BTreeSet<&'static str>;
