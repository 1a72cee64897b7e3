//! One server on a file: it is killed, and another takes its place.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bursar::clock::Stopwatch;
use rand::SeedableRng as _;
use rand_pcg::Pcg64;

use crate::billing::office::Office;
use crate::checker::Stored;
use crate::clients::Ground;
use crate::process::server::{Server, Setup};
use crate::report::Outcome;
use crate::run::{Plan, ROUND_WAIT, Result, Round, Stage};
use crate::stored;

/// The file and who serves from it.
pub struct Alone {
    setup: Setup,
    database: PathBuf,
    /// The one that serves at the end.
    server: Option<Server>,
}

impl Alone {
    pub fn new(plan: &Plan, folder: &Path, catalog: &Path, office: &Office) -> Self {
        let database = folder.join("bursar.db");
        let setup = Setup::new(&plan.binary, database.to_string_lossy(), catalog);
        let mut setup = office.billed(setup);
        if let Some(fault) = plan.fault {
            setup = setup.set("BURSAR_FAULT", fault);
        }
        Self {
            setup,
            database,
            server: None,
        }
    }

    fn one_round(
        &self,
        plan: &Plan,
        ground: &Ground,
        number: usize,
        round: &Round,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let watch = Stopwatch::start();
        let acked = ground.acked();
        if round.early {
            let server = Server::spawn(&self.setup, None)?;
            server.wait(round.wait);
            server.kill()?;
            println!(
                "round {number}/{}: killed while it starts, after {} ms",
                plan.rounds,
                watch.elapsed().as_millis()
            );
            return Ok(());
        }
        let server = Server::start(&self.setup, round.failpoint)?;
        let started = watch.elapsed();
        ground.serve_at(0, Some(server.addr));
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
        ground.serve_at(0, None);
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
}

impl Stage for Alone {
    fn start(&self) -> io::Result<Server> {
        Server::start(&self.setup, None)
    }

    fn rounds(&mut self, plan: &Plan, ground: &Arc<Ground>, outcome: &mut Outcome) -> Result<()> {
        let mut rng = Pcg64::seed_from_u64(plan.seed);
        for (number, round) in (1..).zip(plan.rounds(&mut rng)) {
            self.one_round(plan, ground, number, &round, outcome)?;
        }
        let server = self.start()?;
        ground.serve_at(0, Some(server.addr));
        self.server = Some(server);
        Ok(())
    }

    fn addr(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|server| server.addr)
    }

    fn wait(&mut self, time: Duration) -> Result<()> {
        if let Some(server) = &mut self.server {
            server.wait(time);
            server.is_alive()?;
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.server = Some(self.start()?);
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        Ok(self.server.take().map_or(Ok(()), Server::stop)?)
    }

    fn read(&self) -> Result<Stored> {
        stored::sqlite::read(&self.database)
    }
}
