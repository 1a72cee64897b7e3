//! What must be done although nobody asks: one task, ended by a signal.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::cell::Cell;
use super::error::Error;
use super::mutation::{Applied, Mutation};
use super::step::Step;
use crate::clock::AnchoredClock;
use crate::domain::time::Span;
use crate::storage::StoreError;

/// Most customers whose reservations are ended in one go.
const SWEEP_SLICE: usize = 256;
/// Most such goes in a row, so that the rest of the work has its turn.
const SWEEP_GOES: usize = 16;

/// Most calls to Stripe that are forgotten in one go.
const CALLS_SLICE: usize = 1_000;
/// Customers whose ledgers are proved in one go.
const PROOF_SLICE: usize = 100;

/// How often what is done, and what is kept.
#[derive(Debug, Clone)]
pub struct Chores {
    /// Between looks for reservations whose time is over.
    pub sweep: Duration,
    /// Between writings of the denial log.
    pub denials: Duration,
    /// Between looks for customers that are not in use.
    pub evict: Duration,
    /// From this many customers in memory on, those that are not in use are let go.
    pub customers_kept: usize,
    /// Between readings of the database's time.
    pub clock: Duration,
    /// Between looks for what is older than it must be kept.
    pub trim: Duration,
    /// Between slices of forgetting.
    pub trim_pause: Duration,
    /// How long raw events are kept.
    pub keep_events: Span,
    /// Between attempts to write while the store fails.
    pub probe: Duration,
    /// Between the start and the first proof of all ledgers, and before another attempt when that failed.
    pub first_proof: Duration,
    /// Between proofs of all ledgers.
    pub proof: Duration,
    /// Between slices of a proof, so that it takes its time and not that of others.
    pub proof_pause: Duration,
}

impl Default for Chores {
    fn default() -> Self {
        Self {
            sweep: Duration::from_secs(1),
            denials: Duration::from_secs(2),
            evict: Duration::from_secs(30),
            customers_kept: 100_000,
            clock: Duration::from_mins(1),
            trim: Duration::from_mins(10),
            trim_pause: Duration::from_millis(100),
            keep_events: Span::from_days(400),
            probe: Duration::from_secs(1),
            first_proof: Duration::from_hours(1),
            proof: Duration::from_hours(24),
            proof_pause: Duration::from_millis(100),
        }
    }
}

/// Ends reservations whose time is over: taking an account into a batch does. Without accounts it only shows that
/// the store can be written to.
pub(super) struct Expire {
    cells: Vec<Arc<Cell>>,
}

impl Expire {
    pub(super) fn of(cells: Vec<Arc<Cell>>) -> Self {
        Self { cells }
    }
}

impl Mutation for Expire {
    const METHOD: &'static str = "Expire";
    type Answer = ();

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, _: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        Ok(Applied::Done(()))
    }
}

impl Engine {
    /// Does the chores until `stop` is cancelled, then writes the denial log a last time. `clock` follows the
    /// database's time.
    pub async fn run_chores(
        self,
        chores: Chores,
        clock: Option<Arc<AnchoredClock>>,
        stop: CancellationToken,
    ) {
        // A proof of all ledgers takes long; the others have their turn between its slices.
        tokio::join!(
            self.do_chores(&chores, clock, &stop),
            self.prove_ledgers(&chores, &stop),
        );
        self.shared.flush_denials().await;
        tracing::debug!("chores ended");
    }

    async fn do_chores(
        &self,
        chores: &Chores,
        clock: Option<Arc<AnchoredClock>>,
        stop: &CancellationToken,
    ) {
        let mut sweep = every(chores.sweep);
        let mut denials = every(chores.denials);
        let mut evict = every(chores.evict);
        let mut follow = every(chores.clock);
        let mut trim = every(chores.trim);
        let mut probe = every(chores.probe);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = probe.tick() => self.probe().await,
                _ = sweep.tick() => self.sweep().await,
                _ = denials.tick() => self.shared.flush_denials().await,
                _ = evict.tick() => self.evict(chores.customers_kept),
                _ = follow.tick() => {
                    if let Some(clock) = &clock {
                        self.follow(clock).await;
                    }
                }
                _ = trim.tick() => {
                    if self.trim(chores.keep_events).await {
                        trim.reset_after(chores.trim_pause);
                    }
                }
            }
        }
    }

    /// Proves all ledgers from time to time, while the store works.
    async fn prove_ledgers(&self, chores: &Chores, stop: &CancellationToken) {
        let mut wait = chores.first_proof;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = chores.first_proof;
            if self.shared.outage.since().is_some() {
                continue;
            }
            let proof = self.audit_all_ledgers(PROOF_SLICE, chores.proof_pause);
            let proof = tokio::select! {
                () = stop.cancelled() => return,
                proof = proof => proof,
            };
            match proof {
                Ok(_) => wait = chores.proof,
                Err(Error::Store(error)) => self.failed("ledgers cannot be read", &error),
                Err(error) => {
                    tracing::warn!(%error, what = "ledgers cannot be read", "a chore failed");
                }
            }
        }
    }

    /// Ends reservations whose time is over.
    pub(super) async fn sweep(&self) {
        for _ in 0..SWEEP_GOES {
            let overdue = self.shared.store.overdue(self.now(), SWEEP_SLICE).await;
            let overdue = match overdue {
                Ok(overdue) => overdue,
                Err(error) => return self.failed("overdue reservations cannot be read", &error),
            };
            let more = overdue.len() == SWEEP_SLICE;
            let mut cells = Vec::with_capacity(overdue.len());
            for customer in &overdue {
                match self.find(customer).await {
                    Ok(cell) => cells.extend(cell),
                    Err(error) => {
                        tracing::debug!(customer.id = %customer, %error, "reservations cannot be ended yet");
                    }
                }
            }
            if cells.is_empty() {
                return;
            }
            for cells in self.by_lane(cells.clone()) {
                if let Err(error) = self.submit(Expire::of(cells)).await {
                    tracing::debug!(%error, "overdue reservations are not ended yet");
                    return;
                }
            }
            self.top_up(cells).await;
            if !more {
                return;
            }
        }
    }

    /// Returns customers apart by their committers.
    fn by_lane(&self, cells: Vec<Arc<Cell>>) -> Vec<Vec<Arc<Cell>>> {
        let mut lanes = vec![Vec::new(); self.queues.len()];
        for cell in cells {
            lanes[self.lane(&cell)].push(cell);
        }
        lanes.retain(|lane| !lane.is_empty());
        lanes
    }

    /// Lets go of customers that are not in use, when there are many.
    fn evict(&self, kept: usize) {
        let accounts = &self.shared.accounts;
        if accounts.len() > kept {
            let gone = accounts.evict_idle();
            tracing::debug!(gone, "idle customers let go");
        }
        let held = u32::try_from(accounts.len()).unwrap_or(u32::MAX);
        self.shared.gauges.customers.set(held);
    }

    async fn follow(&self, clock: &AnchoredClock) {
        match self.shared.store.now().await {
            Ok(now) if clock.follow(now) => {}
            Ok(now) => {
                tracing::warn!(database = %now, ours = %self.now(), "the database's time is too far off to be followed");
            }
            Err(error) => self.failed("the database's time cannot be read", &error),
        }
    }

    /// Forgets a slice of what is older than it must be kept; true when there is more.
    async fn trim(&self, keep_events: Span) -> bool {
        if let Err(error) = self.forget_calls(CALLS_SLICE).await {
            tracing::debug!(%error, "calls to Stripe are forgotten later");
        }
        match self.shared.store.trim(self.now(), keep_events).await {
            Ok(more) => more,
            Err(error) => {
                self.failed("what is old cannot be forgotten", &error);
                false
            }
        }
    }

    /// Tries to write while the store fails, so that its recovery is noticed without traffic.
    async fn probe(&self) {
        if self.shared.outage.since().is_none() {
            return;
        }
        if let Err(error) = self.submit(Expire::of(Vec::new())).await {
            tracing::debug!(%error, "the store still fails");
        }
    }

    fn failed(&self, what: &'static str, error: &StoreError) {
        self.shared.outage.failed(self.now(), error);
        tracing::warn!(%error, what, "a chore failed");
    }
}

pub(super) fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
