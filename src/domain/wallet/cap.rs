//! What a wallet may spend in a window.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::window::{Anchor, TimeRange, Window};

/// Bounds what is spent and set aside in each window. What is set aside counts when it is set aside, and once it is spent
/// when it was spent. Only what is asked for before it is spent can be refused; use that
/// has happened counts, and is never refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendCap {
    /// Micro-units in each window.
    pub amount: i64,
    /// The window; not a rolling one.
    pub window: Window,
    anchor: Anchor,
    range: TimeRange,
    spent: i64,
    /// Since when it counts: what was set aside before is not in it, and does not come back to it.
    since: Timestamp,
}

impl SpendCap {
    /// Returns a cap of which nothing is used; `None`: the window is a rolling one.
    #[must_use]
    pub fn new(amount: i64, window: Window, anchor: Anchor, now: Timestamp) -> Option<Self> {
        (!matches!(window, Window::Rolling(_))).then(|| Self {
            amount,
            window,
            anchor,
            range: window.range(anchor, now),
            spent: 0,
            since: now,
        })
    }

    /// Takes over what was spent in the window of `now` under the cap before, if that had the same window.
    #[must_use]
    pub fn after(mut self, before: Option<&Self>, now: Timestamp) -> Self {
        if let Some(before) = before
            && before.range(now) == self.range
        {
            self.spent = before.spent(now);
            self.since = before.since;
        }
        self
    }

    /// Returns what was spent and is set aside in the window of `now`.
    #[must_use]
    pub fn spent(&self, now: Timestamp) -> i64 {
        if self.range.contains(now) {
            self.spent
        } else {
            0
        }
    }

    /// Returns what it leaves in the window of `now`.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> i64 {
        self.amount.saturating_sub(self.spent(now)).max(0)
    }

    /// Returns the window of `now`.
    #[must_use]
    pub fn range(&self, now: Timestamp) -> TimeRange {
        self.window.range(self.anchor, now)
    }

    /// Refuses what the cap does not leave room for.
    ///
    /// # Errors
    /// When more is needed than it leaves.
    pub fn check(&self, needed: i64, now: Timestamp) -> Result<(), Refusal> {
        let left = self.left(now);
        if needed <= left {
            return Ok(());
        }
        Err(Refusal::CapReached {
            needed,
            cap: self.amount,
            left,
            window_end: self.range(now).end,
        })
    }

    /// Counts what is spent or set aside.
    pub fn count(&mut self, amount: i64, now: Timestamp) {
        if !self.range.contains(now) {
            self.range = self.window.range(self.anchor, now);
            self.spent = 0;
        }
        self.spent = self.spent.saturating_add(amount);
    }

    /// Counts what is given back of what was spent or set aside at `at`: in the window of that instant, if it still runs
    /// and the cap was there.
    pub fn give_back(&mut self, amount: i64, at: Timestamp) {
        if self.range.contains(at) && self.since <= at {
            self.spent = self.spent.saturating_sub(amount).max(0);
        }
    }
}
