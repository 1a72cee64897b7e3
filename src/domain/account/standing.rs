//! When decisions may change although nothing happens.

use super::{Account, SubaccountState};
use crate::domain::counter::{Counter, Tally};
use crate::domain::time::Timestamp;

impl Account {
    /// Returns the first instant after `now` at which a decision may be another although nothing happens: a window
    /// or an override ends, a bucket leaves a rolling window, a reservation expires, a trial or a grace is over, included
    /// credits come anew.
    #[must_use]
    pub fn stands_until(&self, now: Timestamp) -> Timestamp {
        let below = self.subaccounts.values();
        let counters = self
            .counters
            .iter()
            .chain(below.flat_map(|state: &SubaccountState| &state.counters));
        let windows = counters.filter_map(|counter| turns(counter, now));
        let held = self.subscription.as_deref();
        let ends = held.and_then(|held| held.trial_end);
        let grace = held.and_then(|held| held.grace_end);
        windows
            .chain([self.rights_until, self.next_expiry()])
            .chain(ends)
            .chain(grace)
            .chain(self.book.included_ends())
            .filter(|at| *at > now)
            .min()
            .unwrap_or(Timestamp::MAX)
    }
}

/// Returns when a counter may hold less by itself.
fn turns(counter: &Counter, now: Timestamp) -> Option<Timestamp> {
    match &counter.tally {
        Tally::Fixed { range, .. } => Some(range.end),
        Tally::Rolling { buckets, ring } => {
            let oldest = buckets.oldest(now);
            let counts = ring.0.iter().find(|entry| entry.0 >= oldest);
            counts.map(|entry| buckets.gone(entry.0))
        }
    }
}
