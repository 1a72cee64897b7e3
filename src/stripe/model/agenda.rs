//! The virtual clock, and what becomes due as it moves.
//!
//! What is due is noted when it becomes known and looked at again when its time has come: a note that no longer fits the
//! object does nothing, so nothing has to be struck out.

use serde::{Deserialize, Serialize};

use super::Model;

/// Something that happens at a time. At the same time the earlier variant comes first: a plan changes before its period
/// is renewed, and what is canceled is not renewed at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Due {
    /// Meter events were looked at.
    MeterReport,
    /// A checkout session was not completed.
    SessionExpires(String),
    /// A change of a subscription was not paid.
    PendingUpdateExpires(String),
    /// The first payment of a subscription did not come.
    IncompleteExpires(String),
    /// A phase of a schedule begins or ends.
    Phase(String),
    /// A trial ends in three days.
    TrialWillEnd(String),
    /// A subscription ends as was asked for.
    Cancels(String),
    /// An item's period ends, or a trial.
    Renews(String),
    /// A draft invoice becomes final.
    Finalizes(String),
    /// A payment that failed is tried again.
    Retries(String),
    /// A schedule is over in a week.
    Expiring(String),
}

impl Model {
    /// Notes what happens at a time.
    pub(super) fn note(&mut self, at: i64, due: Due) {
        self.agenda.insert((at, due));
    }

    /// Returns when something happens next by itself, in seconds since 1970; `None`: nothing will.
    #[must_use]
    pub fn next_due(&self) -> Option<i64> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Moves the clock forward, doing on the way what becomes due, in the order of time. A time that lies before the
    /// present one changes nothing.
    pub fn advance(&mut self, to: i64) {
        self.cause = super::Cause::default();
        while self.agenda.first().is_some_and(|(at, _)| *at <= to) {
            let Some((at, due)) = self.agenda.pop_first() else {
                break;
            };
            self.now = self.now.max(at);
            self.store.settle();
            self.run(&due);
        }
        self.now = self.now.max(to);
        self.store.settle();
        self.keys.expire(self.now);
        self.usage.expire(self.now);
        self.compact_usage();
        self.prune_events();
    }

    fn run(&mut self, due: &Due) {
        match due {
            Due::MeterReport => self.report_meter_errors(),
            Due::SessionExpires(id) => self.session_expires(id),
            Due::PendingUpdateExpires(id) => self.pending_update_expires(id),
            Due::IncompleteExpires(id) => self.incomplete_expires(id),
            Due::Phase(id) => self.phase_changes(id),
            Due::TrialWillEnd(id) => self.trial_will_end(id),
            Due::Cancels(id) => self.cancels(id),
            Due::Renews(id) => self.renews(id),
            Due::Finalizes(id) => self.finalizes(id),
            Due::Retries(id) => self.retries(id),
            Due::Expiring(id) => self.schedule_expires(id),
        }
    }
}
