//! What a run came to, as people and scripts read it.

use std::collections::BTreeMap;
use std::fmt;

use bursar::failpoint;

use crate::checker::{Findings, Kind};
use crate::run::{Hit, Plan, Schedule, Store};

/// Findings of each kind that are written out.
const SHOWN_OF_KIND: usize = 5;
/// From so many rounds on a run must have done something.
const LONG_RUN: usize = 30;
const ACKED_MIN: usize = 100_000;
const KILLS_MIN: usize = 20;

/// What a run came to.
pub struct Outcome {
    pub store: Store,
    pub rounds: usize,
    pub seed: u64,
    pub acked: usize,
    pub kills_in_flight: usize,
    /// Connections to the database that were cut at a COMMIT, and how many are to be.
    pub commits_cut: usize,
    pub cuts_wanted: usize,
    pub admitted: usize,
    pub denied: usize,
    /// Calls that moved credits, and those that wallets refused.
    pub moved: usize,
    pub refused: usize,
    /// Amounts that were sealed for Stripe.
    pub chunks: usize,
    pub hit: Hit,
    /// Failpoints that the schedule was to reach.
    pub wanted: usize,
    pub findings: Findings,
}

impl Outcome {
    pub fn new(plan: &Plan) -> Self {
        Self {
            store: plan.store,
            rounds: plan.rounds,
            seed: plan.seed,
            acked: 0,
            kills_in_flight: 0,
            commits_cut: 0,
            cuts_wanted: match plan.store {
                Store::Sqlite => 0,
                Store::Postgres => {
                    let troubles = plan.troubles.iter().cycle().take(plan.rounds);
                    troubles.filter(|one| one.cuts_commits()).count()
                }
            },
            admitted: 0,
            denied: 0,
            moved: 0,
            refused: 0,
            chunks: 0,
            hit: Hit::new(),
            wanted: match plan.schedule {
                Schedule::Mixed => failpoint::ALL.len().min(plan.rounds),
                Schedule::At(_) | Schedule::Random => 0,
            },
            findings: Findings::default(),
        }
    }

    /// Notes where replicas told other numbers than those that are stored.
    pub fn differ(&mut self, round: usize, differences: Vec<String>) {
        for text in differences {
            let text = format!("after round {round}: {text}");
            self.findings.add(Kind::Unexpected, text);
        }
    }

    /// Returns what makes the run worthless, although nothing wrong was found.
    pub fn idle(&self) -> Vec<String> {
        let mut idle = Vec::new();
        let is_long = self.rounds >= LONG_RUN;
        let mut need = |what: &str, is: usize, least: usize| {
            if is < least {
                idle.push(format!("{what}: {is}, at least {least} are needed"));
            }
        };
        need(
            "acknowledged",
            self.acked,
            if is_long { ACKED_MIN } else { 1 },
        );
        need(
            "kills in flight",
            self.kills_in_flight,
            if is_long { KILLS_MIN } else { 1 },
        );
        need("admitted", self.admitted, 1);
        need("denied", self.denied, 1);
        need("moves of credits", self.moved, 1);
        need("refusals of wallets", self.refused, 1);
        need("amounts billed through Stripe", self.chunks, 1);
        need("failpoints", self.hit.len(), self.wanted);
        need("cuts at a COMMIT", self.commits_cut, self.cuts_wanted);
        idle
    }

    /// Whether everything that was promised was kept, and put to the test.
    pub fn is_good(&self) -> bool {
        self.findings.0.is_empty() && self.idle().is_empty()
    }

    /// Prints what is wrong, and the last line.
    pub fn print(&self) {
        let mut shown: BTreeMap<Kind, usize> = BTreeMap::new();
        for found in &self.findings.0 {
            let count = shown.entry(found.kind).or_default();
            *count += 1;
            if *count <= SHOWN_OF_KIND {
                println!("{:?}: {}", found.kind, found.text);
            }
        }
        for (kind, count) in shown {
            println!("{kind:?}: {count} found in all");
        }
        for idle in self.idle() {
            println!("too little was tested: {idle}");
        }
        println!("{self}");
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "crash: store={}{} rounds={} acked={} kills_in_flight={} admitted={} denied={} moved={} refused={} \
             billed={} failpoints={}/{} lost={} duplicated={} unexpected={} over_admitted={} credits_made={} credits_lost={} \
             ledger_faults={} billing_faults={}",
            self.store.name(),
            match self.store.servers() {
                1 => String::new(),
                several => format!(" replicas={several}"),
            },
            self.rounds,
            self.acked,
            self.kills_in_flight,
            self.admitted,
            self.denied,
            self.moved,
            self.refused,
            self.chunks,
            self.hit.len(),
            failpoint::ALL.len(),
            self.findings.count(Kind::Lost),
            self.findings.count(Kind::Duplicated),
            self.findings.count(Kind::Unexpected),
            self.findings.count(Kind::OverAdmitted),
            self.findings.count(Kind::CreditsMade),
            self.findings.count(Kind::CreditsLost),
            self.findings.count(Kind::Ledger),
            self.findings.count(Kind::Billing),
        )
    }
}
