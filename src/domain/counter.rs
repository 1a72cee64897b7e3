//! Counters: what was used and reserved in a window.
//!
//! A counter belongs to a meter, a filter and a window, never to a plan, so a change of plan keeps it.

use serde::{Deserialize, Serialize};

use super::catalog::Filter;
use super::id::MeterId;
use super::quantity::{Milli, Overflow};
use super::time::Timestamp;
use super::window::{Anchor, Buckets, ROLLING_BUCKETS, TimeRange, Window};

/// What a counter counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CounterSpec {
    /// The meter.
    pub meter: MeterId,
    /// The part of it that counts.
    pub filter: Filter,
    /// The window.
    pub window: Window,
}

/// One counter as it is kept in memory: the window that holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// What is set aside by open reservations.
    pub reserved: Milli,
    /// Whether it changed since it was last written.
    pub dirty: bool,
    /// What was used.
    pub tally: Tally,
}

/// What was used in the window that holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tally {
    /// A fixed window.
    Fixed {
        /// Its bounds.
        range: TimeRange,
        /// What was used in it.
        used: Milli,
        /// What was already used in the window after it, by events up to five minutes ahead.
        ahead: Option<Box<Milli>>,
    },
    /// A rolling window.
    Rolling {
        /// How it is divided.
        buckets: Buckets,
        /// What was used, bucket by bucket.
        ring: Box<Ring>,
    },
}

/// The buckets of a rolling window that may still count, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ring(pub Vec<(i64, Milli)>);

impl Ring {
    /// Adds to a bucket and forgets those before `oldest`.
    ///
    /// # Errors
    /// When the bucket leaves the range of 64 bits; nothing is changed then.
    pub fn add(&mut self, bucket: i64, amount: Milli, oldest: i64) -> Result<(), Overflow> {
        if bucket < oldest {
            return Ok(());
        }
        match self.0.binary_search_by_key(&bucket, |entry| entry.0) {
            Ok(index) => self.0[index].1 = self.0[index].1.plus(amount)?,
            Err(index) => self.0.insert(index, (bucket, amount)),
        }
        let gone = self.0.partition_point(|entry| entry.0 < oldest);
        // Forgetting in bulk keeps the common case, nothing gone, free of moves.
        if gone > 0 && self.0.len() > usize::try_from(ROLLING_BUCKETS).unwrap_or(usize::MAX) {
            self.0.drain(..gone);
        }
        Ok(())
    }

    /// Returns what counts from bucket `oldest` on.
    #[must_use]
    pub fn used(&self, oldest: i64) -> Milli {
        let from = self.0.partition_point(|entry| entry.0 < oldest);
        self.0[from..]
            .iter()
            .fold(Milli::ZERO, |sum, entry| sum.plus_saturating(entry.1))
    }
}

impl Counter {
    /// Returns an empty counter for the window that holds `now`.
    #[must_use]
    pub fn empty(window: Window, anchor: Anchor, now: Timestamp) -> Self {
        let tally = match window {
            Window::Rolling(length) => Tally::Rolling {
                buckets: Buckets::of(length),
                ring: Box::default(),
            },
            fixed @ (Window::Hour
            | Window::Day
            | Window::Week
            | Window::Month
            | Window::BillingPeriod
            | Window::Lifetime) => Tally::Fixed {
                range: fixed.range(anchor, now),
                used: Milli::ZERO,
                ahead: None,
            },
        };
        Self {
            reserved: Milli::ZERO,
            dirty: false,
            tally,
        }
    }

    /// Whether `now` lies past its window, so that [`Counter::advance`] is due.
    #[must_use]
    pub fn is_past(&self, now: Timestamp) -> bool {
        match &self.tally {
            Tally::Fixed { range, .. } => now >= range.end,
            Tally::Rolling { .. } => false,
        }
    }

    /// Moves on to the window that holds `now`. What is reserved in the window left behind stays with its row.
    pub fn advance(&mut self, window: Window, anchor: Anchor, now: Timestamp) {
        let Tally::Fixed { range, used, ahead } = &mut self.tally else {
            return;
        };
        if now < range.end {
            return;
        }
        let next = window.range(anchor, now);
        let carried = if next.start == range.end {
            ahead.take()
        } else {
            None
        };
        *used = carried.map_or(Milli::ZERO, |used| *used);
        *ahead = None;
        *range = next;
        self.reserved = Milli::ZERO;
        self.dirty = false;
    }

    /// Returns what counts as used at `now`.
    #[must_use]
    pub fn used(&self, now: Timestamp) -> Milli {
        match &self.tally {
            Tally::Fixed { used, .. } => *used,
            Tally::Rolling { buckets, ring } => ring.used(buckets.oldest(now)),
        }
    }

    /// Returns the start of the window as rows are keyed by it; [`Timestamp::MIN`] for rolling windows.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        match &self.tally {
            Tally::Fixed { range, .. } => range.start,
            Tally::Rolling { .. } => Timestamp::MIN,
        }
    }
}
