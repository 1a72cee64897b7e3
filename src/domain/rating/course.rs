//! A tariff in the course of a billing period: what the next use costs depends on what was used before it.

use super::line::{Line, step};
use super::tariff::{Included, Tariff};
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::time::Timestamp;
use crate::domain::window::{Anchor, TimeRange, Window};

/// A tariff, and how much of it was used so far.
#[derive(Debug, Clone)]
pub struct Course {
    /// The tariff.
    pub tariff: Tariff,
    /// What was charged in the billing period.
    pub charged: Milli,
    /// What was used in the window of what is included.
    pub in_window: Milli,
    /// The windows that count differently.
    pub changed: Vec<Changed>,
    /// How the window counts that it has come to.
    runs: Option<Changed>,
    /// Whether use is of the time before it began to count.
    is_before: bool,
    /// The billing period and the window that these belong to, by their starts.
    holds: Option<(Timestamp, Option<Timestamp>)>,
}

/// How one window of what is included counts differently since a plan came within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The start of the window.
    pub window: Timestamp,
    /// From when on use counts, so that what was used before is not charged; `None`: that of the whole window does.
    pub since: Option<Timestamp>,
    /// The amount that is included in it; `None`: the tariff's.
    pub amount: Option<Milli>,
}

/// What some use came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// The part that is not charged.
    pub included: Milli,
    /// The part that is, with what it adds to the line of the billing period.
    pub line: Line,
}

impl Course {
    /// Begins with nothing used.
    #[must_use]
    pub const fn new(tariff: Tariff) -> Self {
        Self {
            tariff,
            charged: Milli::ZERO,
            in_window: Milli::ZERO,
            changed: Vec::new(),
            runs: None,
            is_before: false,
            holds: None,
        }
    }

    /// Moves on to an instant: a new billing period begins with nothing charged, a new window with nothing used.
    pub fn move_to(&mut self, anchor: Anchor, at: Timestamp) {
        let period = Window::BillingPeriod.range(anchor, at).start;
        let window = stepping(&self.tariff).map(|window| window.range(anchor, at).start);
        let (before, window_before) = self.holds.unzip();
        if before != Some(period) {
            self.charged = Milli::ZERO;
        }
        if window_before != Some(window) {
            self.in_window = Milli::ZERO;
        }
        let runs = self.changed.iter();
        let mut runs = runs.filter(|changed| Some(changed.window) == window);
        self.runs = runs.next().copied();
        let since = self.runs.and_then(|changed| changed.since);
        self.is_before = since.is_some_and(|since| at < since);
        self.holds = Some((period, window));
    }

    /// Adds use and says what it costs. What several additions in one billing period cost adds up to the line of all.
    ///
    /// # Errors
    /// When a sum leaves its range.
    pub fn add(&mut self, quantity: Milli) -> Result<Added, Overflow> {
        let charged = match self.tariff.included {
            None => quantity,
            Some(_) if self.is_before => Milli::ZERO,
            Some(Included { amount, .. }) => {
                let own = self.runs.and_then(|changed| changed.amount);
                let amount = own.unwrap_or(amount);
                let beyond = |used: Milli| Ok(used.minus(amount)?.max(Milli::ZERO));
                let in_window = self.in_window.plus(quantity)?;
                let charged = beyond(in_window)?.minus(beyond(self.in_window)?)?;
                self.in_window = in_window;
                charged
            }
        };
        let to = self.charged.plus(charged)?;
        let line = step(&self.tariff.pricing, self.charged, to, self.tariff.terms)?;
        self.charged = to;
        Ok(Added {
            included: quantity.minus(charged)?,
            line,
        })
    }
}

/// Returns the window of what is included, if its windows follow one another.
fn stepping(tariff: &Tariff) -> Option<Window> {
    let included = tariff.included.filter(Included::steps);
    included.map(|included| included.window)
}

/// Returns the instant from which use must be known to tell what use from `at` on costs.
#[must_use]
pub fn lead_in(tariff: &Tariff, anchor: Anchor, at: Timestamp) -> Timestamp {
    let period = Window::BillingPeriod.range(anchor, at).start;
    match stepping(tariff) {
        Some(window) => window.range(anchor, period).start,
        None => period,
    }
}

/// Cuts a stretch where a billing period or a window of the tariff ends, or where use begins to count; `None`: into more
/// than `most` parts.
#[must_use]
pub fn cut(
    course: &Course,
    anchor: Anchor,
    range: TimeRange,
    most: usize,
) -> Option<Vec<TimeRange>> {
    let mut parts = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let period = Window::BillingPeriod.range(anchor, start).end;
        let window = stepping(&course.tariff).map(|window| window.range(anchor, start).end);
        let changed = course.changed.iter().filter_map(|changed| changed.since);
        let ends = changed.filter(|since| start < *since).chain(window);
        let end = ends.fold(period, Ord::min).min(range.end);
        if parts.len() == most || end <= start {
            return None;
        }
        parts.push(TimeRange { start, end });
        start = end;
    }
    Some(parts)
}
