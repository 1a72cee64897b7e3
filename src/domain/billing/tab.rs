//! What was sealed of one customer and meter, by billing period, and which chunk is on its way.

use serde::{Deserialize, Serialize};

use crate::domain::catalog::CatalogVersion;
use crate::domain::id::{MeterId, PlanId};
use crate::domain::quantity::Milli;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;

/// How long a period stays on the tab after its end: as long as usage may come late.
const KEPT: Span = Span::from_days(36);
/// How long after the end of a period its last chunk is sealed: usage may be recorded for up to five minutes ahead.
pub const SETTLING: Span = Span::from_minutes(6);

/// Between two looks at a period that has ended, for usage that comes late or is taken back.
const LATE_PAUSE: Span = Span::from_hours(6);
/// Between two looks at a tab that waits for somebody who pays, or for its meter.
const REST: Span = Span::from_days(1);
/// Thousandths in a unit.
const MILLI_A_UNIT: i64 = 1_000;

/// What was sealed of one customer and meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tab {
    /// The meter.
    pub meter: MeterId,
    /// The periods that usage may still come for, oldest first.
    pub periods: Vec<TabPeriod>,
    /// The chunk that is on its way, by its name; others wait for it.
    pub in_flight: Option<Box<str>>,
    /// When it is to be looked at next.
    pub due_time: Timestamp,
    /// Whether it waits for somebody who pays, or for its meter to be there again.
    #[serde(default)]
    pub waits: bool,
}

/// The plan that usage is charged under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanOf {
    /// The catalog version that it is of.
    pub version: CatalogVersion,
    /// The plan; `None`: there was none.
    pub plan: Option<PlanId>,
}

/// What was sealed of one billing period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TabPeriod {
    /// The period.
    pub range: TimeRange,
    /// The sum of its chunks, in whole units.
    pub sealed: i64,
    /// How many chunks there are.
    pub chunks: u32,
    /// When it was last looked at.
    pub look_time: Option<Timestamp>,
    /// The plans that it ran under, the first from its beginning on: what is used under one is charged under that one, also
    /// when another came since. Empty: that was not seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<PlanSpan>,
}

/// A plan, and from when on it was in force in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSpan {
    /// From when on.
    pub since: Timestamp,
    /// Which.
    pub plan: PlanOf,
}

/// What is to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealing {
    /// The period.
    pub range: TimeRange,
    /// Counts the chunks of the period.
    pub number: u32,
    /// Whole units; not zero.
    pub value: i64,
    /// The instant at which they are to count.
    pub count_time: Timestamp,
}

impl Tab {
    /// Returns a tab on which nothing stands, to be looked at at once.
    #[must_use]
    pub const fn new(meter: MeterId, now: Timestamp) -> Self {
        Self {
            meter,
            periods: Vec::new(),
            in_flight: None,
            due_time: now,
            waits: false,
        }
    }

    /// Takes up the period that runs, and forgets those for which nothing can come any more.
    pub fn open(&mut self, running: TimeRange, now: Timestamp) {
        self.periods
            .retain(|period| now.since(period.range.end) < KEPT);
        if self.periods.iter().all(|period| period.range != running) {
            // A period that was cut short by another ends where that one starts.
            for period in &mut self.periods {
                period.range.end = period.range.end.min(running.start.max(period.range.start));
            }
            self.periods.push(TabPeriod {
                range: running,
                sealed: 0,
                chunks: 0,
                look_time: None,
                plans: Vec::new(),
            });
        }
    }

    /// Notes under which plan the running period is; true when that is new.
    pub fn note_plan(&mut self, running: TimeRange, plan: &PlanOf, now: Timestamp) -> bool {
        let period = self.periods.iter_mut().find(|one| one.range == running);
        let Some(plans) = period.map(|period| &mut period.plans) else {
            return false;
        };
        let since = match plans.last() {
            None => running.start,
            Some(last) if last.plan == *plan => return false,
            Some(last) => now.max(last.since),
        };
        let plan = plan.clone();
        plans.push(PlanSpan { since, plan });
        true
    }

    /// Returns the plans that a period ran under; empty: that was not seen.
    #[must_use]
    pub fn plans_of(&self, range: TimeRange) -> &[PlanSpan] {
        let period = self.periods.iter().find(|one| one.range == range);
        period.map_or(&[], |period| &period.plans)
    }

    /// Returns the periods to look at: the running one each time, one that has ended when it has settled, and then from
    /// time to time for what comes late.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = TimeRange> {
        let is_due = move |period: &&TabPeriod| {
            let settled = period.range.end.plus(SETTLING);
            match period.look_time {
                Some(looked) if now >= settled => {
                    looked < settled || now.since(looked) >= LATE_PAUSE
                }
                Some(_) | None => true,
            }
        };
        self.periods
            .iter()
            .filter(is_due)
            .map(|period| period.range)
    }

    /// Seals what a period came to beyond what was sealed of it; `None`: nothing. Fractions wait for more.
    pub fn seal(&mut self, range: TimeRange, charged: Milli, now: Timestamp) -> Option<Sealing> {
        let period = self
            .periods
            .iter_mut()
            .find(|period| period.range == range)?;
        period.look_time = Some(now);
        // Down, so that a fraction is never sealed before it is whole.
        let whole = charged.0.div_euclid(MILLI_A_UNIT);
        let value = whole
            .checked_sub(period.sealed)
            .filter(|value| *value != 0)?;
        period.sealed = whole;
        period.chunks += 1;
        let last = range.end.minus(Span::from_millis(1_000)).max(range.start);
        Some(Sealing {
            range,
            number: period.chunks,
            value,
            count_time: now.min(last).max(range.start),
        })
    }

    /// Lets it wait for somebody who pays, or for its meter: then it is woken, and looked at from time to time all the same.
    pub fn rest(&mut self, now: Timestamp) {
        self.waits = true;
        self.due_time = now.plus(REST);
    }

    /// Has it looked at now if it waits; false when it does not.
    pub fn wake(&mut self, now: Timestamp) -> bool {
        if self.waits {
            self.waits = false;
            self.due_time = now;
            return true;
        }
        false
    }

    /// Sets when to look next: a window later, at whole minutes unless it is shorter than one, or when the running period has
    /// settled.
    pub fn put_off(&mut self, window: Span, now: Timestamp) {
        self.waits = false;
        let step = Span::from_minutes(1).min(window).as_micros().max(1);
        let next = now.plus(window).as_micros().div_euclid(step) * step;
        let next = Timestamp::from_micros_clamped(next.max(now.as_micros() + 1));
        let settled = self
            .periods
            .iter()
            .map(|period| period.range.end.plus(SETTLING));
        let settled = settled.filter(|at| *at > now).min();
        self.due_time = settled.map_or(next, |at| at.min(next));
    }
}
