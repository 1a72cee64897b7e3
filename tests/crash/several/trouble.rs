//! What goes wrong in a round beside the kill.

use std::fmt;
use std::time::Duration;

use bursar::clock::Stopwatch;
use rand::RngExt as _;
use rand_pcg::Pcg64;

use super::pass;
use crate::postgres::cluster::Cluster;
use crate::postgres::proxy::{AtCommit, Link};
use crate::postgres::replica::{DATABASE_TIMEOUT_MS, LEASE_MS, Replica};
use crate::run::Result;

/// Longer than every timeout of a server: its lease, its statements, twice as long for an answer.
const LONG: Duration = Duration::from_millis(LEASE_MS + 2 * DATABASE_TIMEOUT_MS);
/// How long a COMMIT is waited for that is to be cut.
const COMMIT_WAIT: Duration = Duration::from_secs(3);
/// Connections that are cut at a COMMIT, one after the other.
const CUTS: usize = 3;

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A replica stands still for longer than every timeout, in the middle of its work.
    Standstill,
    /// The same while it has nothing to do: nothing tells it afterwards that its time is over.
    IdleStandstill,
    /// Its link is cut before a COMMIT, after it, or before it with the COMMIT on its way.
    CutBefore,
    CutAfter,
    CutLate,
    /// The database is stopped at once and started again.
    DatabaseDown,
    /// The database stands still.
    DatabaseStill,
    /// The link is cut, and new connections are refused for a while.
    Cut,
    /// Nothing arrives for longer than every timeout, in one direction or both.
    Silent,
    /// Everything arrives late.
    Slow,
}

impl Trouble {
    /// All of them, the most revealing first: a short run has no time for more.
    pub const ALL: &[Self] = &[
        Self::Standstill,
        Self::CutAfter,
        Self::DatabaseDown,
        Self::CutLate,
        Self::Silent,
        Self::CutBefore,
        Self::IdleStandstill,
        Self::Slow,
        Self::Cut,
        Self::DatabaseStill,
    ];

    /// Whether connections are cut at a COMMIT.
    pub fn cuts_commits(self) -> bool {
        matches!(self, Self::CutBefore | Self::CutAfter | Self::CutLate)
    }

    /// Draws the details of the trouble of a round, for a replica.
    pub fn draw(kinds: &[Self], round: usize, replica: usize, rng: &mut Pcg64) -> Under {
        let kind = kinds[(round - 1) % kinds.len()];
        let (least, most) = match kind {
            Self::Standstill | Self::IdleStandstill => (LONG, LONG),
            Self::Silent if rng.random_ratio(1, 2) => (LONG, LONG),
            Self::Silent => (Duration::from_millis(500), LONG),
            Self::Slow => (Duration::from_secs(2), Duration::from_secs(3)),
            Self::DatabaseDown | Self::DatabaseStill | Self::Cut => {
                (Duration::ZERO, Duration::from_secs(3))
            }
            // They last until they have happened.
            Self::CutBefore | Self::CutAfter | Self::CutLate => (Duration::ZERO, Duration::ZERO),
        };
        Under {
            kind,
            replica,
            time: rng.random_range(least..=most),
            directions: match rng.random_range(0..3) {
                0 => (true, false),
                1 => (false, true),
                _ => (true, true),
            },
            nth: rng.random_range(1..=5),
            began: Stopwatch::start(),
            cuts_before: 0,
        }
    }
}

/// The trouble of one round.
pub struct Under {
    kind: Trouble,
    replica: usize,
    time: Duration,
    /// What is silent: to the database, from it.
    directions: (bool, bool),
    /// Which COMMIT is cut.
    nth: usize,
    began: Stopwatch,
    /// Connections that had been cut at a COMMIT before.
    cuts_before: usize,
}

impl Under {
    fn at_commit(&self) -> Option<AtCommit> {
        match self.kind {
            Trouble::CutBefore => Some(AtCommit::Before),
            Trouble::CutAfter => Some(AtCommit::After),
            Trouble::CutLate => Some(AtCommit::Late(Duration::from_millis(400))),
            _ => None,
        }
    }

    /// Whether no replica reaches the database.
    pub fn takes_the_database_away(&self) -> bool {
        matches!(self.kind, Trouble::DatabaseDown | Trouble::DatabaseStill)
    }

    /// Whether it begins while nobody asks for anything.
    pub fn begins_at_rest(&self) -> bool {
        self.kind == Trouble::IdleStandstill
    }

    pub fn begin(&mut self, cluster: &Cluster, replicas: &mut [Replica]) -> Result<()> {
        self.began = Stopwatch::start();
        let replica = &mut replicas[self.replica];
        self.cuts_before = replica.link.cuts_at_commit();
        match self.kind {
            Trouble::Standstill | Trouble::IdleStandstill => replica.pause()?,
            Trouble::DatabaseDown => cluster.stop_at_once(),
            Trouble::DatabaseStill => cluster.pause(),
            Trouble::Cut => {
                replica.link.refuse(true);
                replica.link.cut();
            }
            Trouble::Silent => {
                let (to, from) = self.directions;
                replica.link.set(Link::Silent { to, from });
            }
            Trouble::Slow => replica.link.set(Link::Slow(Duration::from_millis(60))),
            Trouble::CutBefore | Trouble::CutAfter | Trouble::CutLate => {
                if let Some(how) = self.at_commit() {
                    replica.link.cut_at_commit(how, self.nth);
                }
            }
        }
        Ok(())
    }

    /// Lets it last as long as it should, and repairs everything. Returns how many connections were cut at a COMMIT.
    pub fn end(&self, cluster: &Cluster, replicas: &mut [Replica]) -> Result<usize> {
        while self.began.elapsed() < self.time {
            pass(replicas, Duration::from_millis(10))?;
        }
        if let Some(how) = self.at_commit() {
            for cut in 1..=CUTS {
                let watch = Stopwatch::start();
                while self.cuts(replicas) < cut && watch.elapsed() < COMMIT_WAIT {
                    pass(replicas, Duration::from_millis(5))?;
                }
                if cut < CUTS {
                    replicas[self.replica].link.cut_at_commit(how, self.nth);
                }
            }
        }
        match self.kind {
            Trouble::DatabaseDown => cluster.start_again(),
            Trouble::DatabaseStill => cluster.resume(),
            _ => {}
        }
        let replica = &mut replicas[self.replica];
        replica.link.heal();
        replica.resume()?;
        Ok(self.cuts(replicas))
    }

    /// How many connections were cut at a COMMIT.
    fn cuts(&self, replicas: &[Replica]) -> usize {
        replicas[self.replica].link.cuts_at_commit() - self.cuts_before
    }
}

impl fmt::Display for Under {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (replica, time) = (self.replica, self.time.as_millis());
        match self.kind {
            Trouble::Standstill => write!(f, "replica {replica} stood still for {time} ms"),
            Trouble::IdleStandstill => {
                write!(
                    f,
                    "replica {replica} stood still for {time} ms, idle before"
                )
            }
            Trouble::DatabaseDown => write!(f, "the database was away for {time} ms"),
            Trouble::DatabaseStill => write!(f, "the database stood still for {time} ms"),
            Trouble::Cut => write!(f, "replica {replica} was cut off for {time} ms"),
            Trouble::Silent => write!(
                f,
                "replica {replica}'s link was silent {:?} for {time} ms",
                self.directions
            ),
            Trouble::Slow => write!(f, "replica {replica}'s link was slow for {time} ms"),
            Trouble::CutBefore | Trouble::CutAfter | Trouble::CutLate => write!(
                f,
                "replica {replica} was cut off at COMMIT {}: {:?}",
                self.nth, self.kind
            ),
        }
    }
}
