//! What the engine tells of itself; handles are made once, so that counting costs an atomic.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::{RecordOutcome, Shared};
use crate::storage::{Committed, StoreError};

/// Handles of the engine's metrics.
pub(super) struct Gauges {
    pub(super) checks_allowed: Counter,
    pub(super) checks_denied: Counter,
    pub(super) events_recorded: Counter,
    pub(super) events_duplicate: Counter,
    pub(super) events_rejected: Counter,
    pub(super) overloads: Counter,
    pub(super) denials_dropped: Counter,
    pub(super) batches: Counter,
    pub(super) batch_failures: Counter,
    pub(super) batch_writes: Counter,
    pub(super) commit_seconds: Histogram,
    pub(super) customers: Gauge,
    pub(super) ledger_faults: Gauge,
}

impl Gauges {
    pub(super) fn new() -> Self {
        Self {
            checks_allowed: counter!("bursar_checks_total", "outcome" => "allowed"),
            checks_denied: counter!("bursar_checks_total", "outcome" => "denied"),
            events_recorded: counter!("bursar_events_total", "outcome" => "recorded"),
            events_duplicate: counter!("bursar_events_total", "outcome" => "duplicate"),
            events_rejected: counter!("bursar_events_total", "outcome" => "rejected"),
            overloads: counter!("bursar_overloads_total"),
            denials_dropped: counter!("bursar_denials_dropped_total"),
            batches: counter!("bursar_batches_total"),
            batch_failures: counter!("bursar_batch_failures_total"),
            batch_writes: counter!("bursar_batch_writes_total"),
            commit_seconds: histogram!("bursar_commit_seconds"),
            customers: gauge!("bursar_customers_in_memory"),
            ledger_faults: gauge!("bursar_ledger_faults"),
        }
    }
}

impl Gauges {
    /// Counts what became of events.
    pub(super) fn count_outcomes(&self, outcomes: &[RecordOutcome]) {
        let (mut recorded, mut duplicate, mut rejected) = (0, 0, 0);
        for outcome in outcomes {
            match outcome {
                RecordOutcome::Recorded(_) => recorded += 1,
                RecordOutcome::Duplicate(_) => duplicate += 1,
                RecordOutcome::Rejected(_) => rejected += 1,
            }
        }
        self.events_recorded.increment(recorded);
        self.events_duplicate.increment(duplicate);
        self.events_rejected.increment(rejected);
    }
}

impl Shared {
    /// Notes how a batch went.
    pub(super) fn note_batch(
        &self,
        writes: usize,
        outcome: &Result<Committed, StoreError>,
        took: Duration,
    ) {
        self.gauges.batches.increment(1);
        self.gauges.batch_writes.increment(writes as u64);
        self.gauges.commit_seconds.record(took.as_secs_f64());
        match outcome {
            Ok(committed) => {
                self.outage.succeeded();
                for (customer, no) in &committed.created {
                    if let Some(cell) = self.accounts.get(customer.as_str()) {
                        cell.set_no(*no);
                    }
                }
            }
            Err(error) => {
                self.gauges.batch_failures.increment(1);
                self.outage.failed(self.clock.now(), error);
            }
        }
    }
}
