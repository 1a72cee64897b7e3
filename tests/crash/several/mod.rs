//! Several replicas on one database, each behind a link of its own: they are killed, stand still, lose the database,
//! are cut off inside a COMMIT, and clients turn to whichever answers.

mod agree;
mod trouble;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bursar::clock::Stopwatch;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;

pub use self::trouble::Trouble;
use crate::billing::office::Office;
use crate::checker::Stored;
use crate::clients::{Ground, Phase};
use crate::postgres::cluster::Cluster;
use crate::postgres::replica::Replica;
use crate::process::server::Server;
use crate::report::Outcome;
use crate::run::{END_WAIT, Plan, ROUND_WAIT, Result, Round, Stage};
use crate::stored;

const DATABASE: &str = "crash";
/// How long a replica stands at a failpoint when it is not killed soon: longer than it may hold what others wait for.
const LONG_STAND: Duration = Duration::from_millis(4_500);

/// How long clients work on after a trouble has ended.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Transactions that each replica runs at a time.
const COMMITTERS: &str = "4";

/// The database and its replicas.
pub struct Several {
    // Ended before the cluster is.
    replicas: Vec<Replica>,
    cluster: Cluster,
}

impl Several {
    pub fn new(plan: &Plan, catalog: &Path, office: &Office) -> Result<Self> {
        let cluster = Cluster::start();
        runtime()?.block_on(cluster.execute(&format!("CREATE DATABASE {DATABASE}")));
        let replicas = (0..plan.store.servers()).map(|_| {
            let mut replica = Replica::new(&cluster, DATABASE, &plan.binary, catalog);
            // More transactions at a time than there may be cores: what is wrong between them shows sooner.
            replica.setup = office
                .billed(replica.setup)
                .set("BURSAR_COMMITTERS", COMMITTERS);
            if let Some(fault) = plan.fault {
                replica.setup = replica.setup.set("BURSAR_FAULT", fault);
            }
            replica
        });
        Ok(Self {
            replicas: replicas.collect(),
            cluster,
        })
    }

    /// Starts those that are not there, `victim` with its failpoint.
    fn start_all(
        &mut self,
        ground: &Ground,
        victim: usize,
        failpoint: Option<(&str, u64)>,
    ) -> Result<()> {
        if failpoint.is_some() {
            ground.serve_at(victim, None);
            self.replicas[victim].stop()?;
        }
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            if replica.server().is_none() {
                let failpoint = failpoint.filter(|_| number == victim);
                let addr = replica.start(failpoint)?.addr;
                ground.serve_at(number, Some(addr));
            }
        }
        Ok(())
    }

    fn one_round(
        &mut self,
        plan: &Plan,
        ground: &Ground,
        (number, round): (usize, &Round),
        rng: &mut Pcg64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let watch = Stopwatch::start();
        let acked = ground.acked();
        let victim = rng.random_range(0..self.replicas.len());
        let other = (victim + rng.random_range(1..self.replicas.len())) % self.replicas.len();
        self.start_all(ground, victim, round.failpoint)?;
        let mut what = self.until_due(ground, victim, round, outcome)?;
        let mut trouble = Trouble::draw(plan.troubles, number, other, rng);
        if trouble.begins_at_rest() {
            self.come_to_rest(ground)?;
        }
        trouble.begin(&self.cluster, &mut self.replicas)?;
        ground.turn_to(Phase::Work);
        let mut wait = round.wait;
        if round.failpoint.is_some() && rng.random_ratio(1, 4) {
            what += ", after it held what others wait for";
            wait = LONG_STAND;
        }
        self.wait(wait)?;
        let unanswered = ground.unanswered();
        self.replicas[victim].kill()?;
        ground.serve_at(victim, None);
        outcome.kills_in_flight += usize::from(unanswered > 0);
        if round.early {
            let server = Server::spawn(&self.replicas[victim].setup, None)?;
            server.wait(round.wait);
            // Without its database it ends by itself, and says why.
            if let Err(ended) = server.kill()
                && !(trouble.takes_the_database_away()
                    && ended.to_string().contains("the store cannot be reached"))
            {
                return Err(ended.into());
            }
            what += ", and again while it starts";
        }
        outcome.commits_cut += trouble.end(&self.cluster, &mut self.replicas)?;
        // Whoever was in trouble gets work again.
        ground.serve_at(other, self.replicas[other].addr());
        self.wait(AFTERMATH)?;
        let lasted = watch.elapsed();
        self.come_to_rest(ground)?;
        let differences = agree::check(&stored_url(&self.cluster), &self.addrs())?;
        let is_agreed = differences.is_empty();
        for text in differences.iter().take(3) {
            println!("  {text}");
        }
        outcome.differ(number, differences);
        ground.turn_to(Phase::Work);
        println!(
            "round {number}/{}: replica {victim} killed {what}; {trouble}; {} ms, {} ms to agree ({is_agreed}), \
             {} acknowledged, {unanswered} unanswered",
            plan.rounds,
            lasted.as_millis(),
            watch.elapsed().saturating_sub(lasted).as_millis(),
            ground.acked() - acked,
        );
        Ok(())
    }

    /// Waits for the victim's failpoint, or until something is acknowledged.
    fn until_due(
        &mut self,
        ground: &Ground,
        victim: usize,
        round: &Round,
        outcome: &mut Outcome,
    ) -> Result<String> {
        if let Some((name, count)) = round.failpoint {
            let server = self.replicas[victim].server();
            if server.is_some_and(|server| server.wait_for_failpoint(name, ROUND_WAIT)) {
                outcome.hit.insert(name);
            }
            return Ok(format!("at {name}, hit {count}"));
        }
        let (acked, watch) = (ground.acked(), Stopwatch::start());
        while ground.acked() == acked && watch.elapsed() < ROUND_WAIT {
            self.wait(Duration::from_millis(5))?;
        }
        Ok("at random".to_owned())
    }

    /// Lets clients get their last answers, and nothing more be asked for.
    fn come_to_rest(&mut self, ground: &Ground) -> Result<()> {
        ground.turn_to(Phase::Rest);
        let watch = Stopwatch::start();
        while !ground.is_at_rest() {
            if watch.elapsed() > END_WAIT {
                let logs: String = self
                    .replicas
                    .iter()
                    .filter_map(Replica::server)
                    .fold(String::new(), |text, server| {
                        text + "a replica said:\n" + &server.log()
                    });
                let left = ground.unanswered();
                return Err(format!(
                    "{left} requests get no answer although every replica serves\n{logs}"
                )
                .into());
            }
            self.wait(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Where the replicas are that live.
    fn addrs(&self) -> Vec<(usize, std::net::SocketAddr)> {
        let addrs = self.replicas.iter().map(Replica::addr);
        addrs
            .enumerate()
            .filter_map(|(number, addr)| Some((number, addr?)))
            .collect()
    }
}

/// Lets time pass; an error when a replica ends by itself.
fn pass(replicas: &mut [Replica], time: Duration) -> Result<()> {
    match replicas.iter().find_map(Replica::server) {
        Some(server) => server.wait(time),
        None => return Err("no replica is left".into()),
    }
    Ok(replicas.iter_mut().try_for_each(Replica::check)?)
}

fn stored_url(cluster: &Cluster) -> String {
    cluster.url(DATABASE)
}

pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

impl Stage for Several {
    fn start(&self) -> io::Result<Server> {
        // It may be asked for something that takes long.
        let setup = self.replicas[0].setup.clone();
        Server::start(&setup.set("BURSAR_DATABASE_TIMEOUT_MS", 30_000), None)
    }

    fn rounds(&mut self, plan: &Plan, ground: &Arc<Ground>, outcome: &mut Outcome) -> Result<()> {
        let mut rng = Pcg64::seed_from_u64(plan.seed);
        for (number, round) in (1..).zip(plan.rounds(&mut rng)) {
            self.one_round(plan, ground, (number, &round), &mut rng, outcome)?;
        }
        self.start_all(ground, 0, None)
    }

    fn addr(&self) -> Option<SocketAddr> {
        self.replicas.iter().find_map(Replica::addr)
    }

    fn wait(&mut self, time: Duration) -> Result<()> {
        pass(&mut self.replicas, time)
    }

    fn restart(&mut self) -> Result<()> {
        self.stop()?;
        for replica in &mut self.replicas {
            replica.start(None)?;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        Ok(self.replicas.iter_mut().try_for_each(Replica::stop)?)
    }

    fn read(&self) -> Result<Stored> {
        stored::postgres::read(&stored_url(&self.cluster))
    }
}
