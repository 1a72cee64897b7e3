//! Building counters from events: what stores do alike, where only the way to the events differs.

use std::collections::BTreeMap;

use super::{Fold, FoldResult, WindowUse};
use crate::domain::counter::Ring;
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::window::{Buckets, TimeRange, Window};

/// Sums of a fold, wide enough not to overflow on the way.
pub(super) struct Sums<'a> {
    fold: &'a Fold,
    buckets: Option<Buckets>,
    /// The first instant that matters.
    first: Timestamp,
    /// End and use by window start, or only use by bucket.
    windows: BTreeMap<i64, (Timestamp, i128)>,
}

impl<'a> Sums<'a> {
    pub(super) fn new(fold: &'a Fold) -> Self {
        let (buckets, first) = match fold.spec.window {
            Window::Rolling(length) => {
                let buckets = Buckets::of(length);
                (Some(buckets), buckets.start(buckets.at(fold.since)))
            }
            fixed @ (Window::Hour
            | Window::Day
            | Window::Week
            | Window::Month
            | Window::BillingPeriod
            | Window::Lifetime) => (None, fixed.range(fold.anchor, fold.since).start),
        };
        Self {
            fold,
            buckets,
            first,
            windows: BTreeMap::new(),
        }
    }

    /// From where on events matter.
    pub(super) fn range(&self) -> TimeRange {
        TimeRange {
            start: self.first,
            end: Timestamp::MAX,
        }
    }

    /// Whether events that are no longer stored count in it: a rolling window has none.
    pub(super) const fn takes_dropped(&self) -> bool {
        self.buckets.is_none()
    }

    /// Takes what was trimmed: it is not found in events any more, and still counts.
    pub(super) fn take_dropped(&mut self, start: Timestamp, end: Timestamp, dropped: Milli) {
        if self.takes_dropped() && end > self.fold.since {
            let sum = i128::from(dropped.0);
            self.windows.insert(start.as_micros(), (end, sum));
        }
    }

    /// Adds an event that counts for it.
    pub(super) fn add(&mut self, at: Timestamp, amount: Milli) {
        let (key, end) = match self.buckets {
            Some(buckets) if at >= self.first => (buckets.at(at), Timestamp::MAX),
            Some(_) => return,
            None => {
                let range = self.fold.spec.window.range(self.fold.anchor, at);
                if range.end <= self.fold.since {
                    return;
                }
                (range.start.as_micros(), range.end)
            }
        };
        self.windows.entry(key).or_insert((end, 0)).1 += i128::from(amount.0);
    }

    /// Returns what was found.
    pub(super) fn result(self) -> FoldResult {
        self.within_bounds().unwrap_or(FoldResult::Overflow)
    }

    /// Returns the result; `None` when a sum leaves 64 bits.
    fn within_bounds(self) -> Option<FoldResult> {
        let used = self.windows.into_iter().filter(|(_, (_, sum))| *sum != 0);
        if self.buckets.is_some() {
            let ring =
                used.map(|(bucket, (_, sum))| Some((bucket, Milli(i64::try_from(sum).ok()?))));
            return Some(FoldResult::Ring(Ring(ring.collect::<Option<_>>()?)));
        }
        let windows = used.map(|(start, (end, sum))| {
            Some(WindowUse {
                start: Timestamp::from_micros_clamped(start),
                end,
                used: Milli(i64::try_from(sum).ok()?),
            })
        });
        Some(FoldResult::Windows(windows.collect::<Option<_>>()?))
    }
}
