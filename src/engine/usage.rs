//! Reporting usage by the meter's own aggregation, in steps of time and groups of dimension values.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::error::{Error, Rule, Thing};
use super::lists::page_token;
use crate::domain::catalog::{Aggregation, Interval, Meter};
use crate::domain::id::{CustomerId, MeterId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::rating::Money;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::{EVENT_AGE_MAX, EVENT_AHEAD_MAX, Labels};
use crate::domain::window::{Anchor, TimeRange, Window};
use crate::storage::{Page, StoreError, UsageQuery, UsageRow};

/// Most dimensions that usage may be grouped by.
pub const GROUP_BY_MAX: usize = 8;
/// Most steps that one reading covers.
const STEPS_READ: usize = 500;
/// As [`STEPS_READ`], when each step may hold many groups.
const GROUPED_STEPS_READ: usize = 24;
/// Most readings for one page; a page that would take more of them is short.
const READINGS_MAX: usize = 16;

/// A question for usage.
#[derive(Debug, Clone)]
pub struct UsageAsk {
    /// Whose.
    pub customer: CustomerId,
    /// Only this part; `None`: all.
    pub subaccount: Option<SubaccountId>,
    /// Of what.
    pub meter: MeterId,
    /// When it counts.
    pub range: TimeRange,
    /// How finely the range is split.
    pub granularity: Granularity,
    /// Declared dimensions to tell apart.
    pub group_by: Vec<Box<str>>,
    /// Only with these values of declared dimensions.
    pub filter: Labels,
    /// Where to go on.
    pub after: Option<String>,
    /// Most rows; at least 1.
    pub limit: usize,
    /// Whether rows say what they cost.
    pub with_cost: bool,
}

impl UsageAsk {
    /// Asks for all usage of a customer and a meter, in one row.
    #[must_use]
    pub fn of(customer: CustomerId, meter: MeterId) -> Self {
        Self {
            customer,
            subaccount: None,
            meter,
            range: TimeRange::ALWAYS,
            granularity: Granularity::None,
            group_by: Vec::new(),
            filter: Labels::new(),
            after: None,
            limit: 1,
            with_cost: false,
        }
    }
}

/// How finely a range is split; hours, days and months are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// Not at all.
    None,
    /// By hour.
    Hour,
    /// By day.
    Day,
    /// By calendar month.
    Month,
}

/// Usage of one stretch of time and one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageTotal {
    /// The stretch, cut to the range that was asked for.
    pub range: TimeRange,
    /// Values of the dimensions that were told apart; a missing one was not stated.
    pub group: Labels,
    /// The aggregate.
    pub value: Milli,
    /// How many events it is made of, voided ones not counted.
    pub events: i64,
    /// Whether combinations of dimension values were too many for all to be kept.
    pub overflowed: bool,
    /// What it cost; `None`: it was not asked for, or nothing charges the meter.
    pub cost: Option<Money>,
}

/// Where a page goes on: in the step that starts here, after this group, or with all of it.
#[derive(Serialize, Deserialize)]
struct Place(Timestamp, Option<Labels>);

impl Engine {
    /// Reports usage, in order of step and group; steps without usage have no row.
    ///
    /// # Errors
    /// When the customer or the meter does not exist, or the question breaks a rule.
    pub async fn usage(&self, ask: UsageAsk) -> Result<Page<UsageTotal>, Error> {
        let meter = self.meter(&ask.meter)?;
        check(&ask, &meter)?;
        let Some(cell) = self.shared.load(&ask.customer).await? else {
            return Err(Error::not_found(Thing::Customer, &ask.customer));
        };
        let created = {
            let inner = cell.lock();
            let account = inner.account.as_ref();
            account.map_or(Timestamp::MIN, |account| account.customer.create_time)
        };
        let after: Option<Place> = match &ask.after {
            Some(text) => Some(serde_json::from_str(text).map_err(|_| page_token())?),
            None => None,
        };
        let mut steps = Steps::new(&ask, created, self.now(), after.as_ref().map(|at| at.0))?;
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let mut costing = if ask.with_cost {
            self.costing(&ask, &meter).await?
        } else {
            None
        };
        for _ in 0..READINGS_MAX {
            let ranges = steps.take(&ask);
            let Some(last) = ranges.last().copied() else {
                return Ok(page);
            };
            let query = UsageQuery {
                customer: ask.customer.clone(),
                subaccount: ask.subaccount.clone(),
                meter: meter.clone(),
                steps: ranges.clone(),
                group_by: ask.group_by.clone(),
                filter: ask.filter.clone(),
            };
            let rows = self.shared.store.usage(query).await.map_err(sum_error)?;
            let mut costs = match &mut costing {
                Some(costing) => Some(self.costs(costing, &ask, &ranges).await?),
                None => None,
            };
            for row in rows {
                let range = ranges.get(row.step).copied().unwrap_or(last);
                if after
                    .as_ref()
                    .is_some_and(|at| at.covers(range, &row.group))
                {
                    continue;
                }
                if page.items.len() == ask.limit.max(1) {
                    page.next = page.items.last().and_then(Place::after);
                    return Ok(page);
                }
                let cost = costs.as_mut().map(|costs| {
                    let of = (row.step, row.group.clone());
                    costs.remove(&of).unwrap_or_default()
                });
                let mut row = total(row, range, &meter)?;
                row.cost = cost;
                page.items.push(row);
            }
            page.next = steps.rest().and_then(|next| Place(next, None).token());
        }
        Ok(page)
    }
}

fn check(ask: &UsageAsk, meter: &Meter) -> Result<(), Error> {
    if ask.range.end <= ask.range.start {
        return Err(Error::invalid("end_time", "must lie after start_time"));
    }
    if ask.group_by.len() > GROUP_BY_MAX {
        return Err(Error::Invalid {
            field: "group_by".to_owned(),
            rule: Rule::TooLong(GROUP_BY_MAX),
        });
    }
    let undeclared = |field: String| Error::Invalid {
        field,
        rule: Rule::DimensionUndeclared,
    };
    let declared = |key: &str| meter.dimensions.iter().any(|name| **name == *key);
    if let Some(index) = ask.group_by.iter().position(|key| !declared(key)) {
        return Err(undeclared(format!("group_by[{index}]")));
    }
    if let Some(key) = ask.filter.keys().find(|key| !declared(key)) {
        return Err(undeclared(format!("filter[\"{key}\"]")));
    }
    Ok(())
}

pub(super) fn sum_error(error: StoreError) -> Error {
    match error {
        StoreError::Constraint(_) => Error::Overflow(None),
        other @ (StoreError::Unavailable(_)
        | StoreError::Full(_)
        | StoreError::Unknown(_)
        | StoreError::Conflict(_)
        | StoreError::Outdated
        | StoreError::Fenced
        | StoreError::Corrupt { .. }) => Error::Store(other),
    }
}

impl Place {
    fn after(row: &UsageTotal) -> Option<String> {
        Self(row.range.start, Some(row.group.clone())).token()
    }

    fn token(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// Whether a row was on an earlier page.
    fn covers(&self, step: TimeRange, group: &Labels) -> bool {
        step.start == self.0 && self.1.as_ref().is_some_and(|last| group <= last)
    }
}

fn total(row: UsageRow, range: TimeRange, meter: &Meter) -> Result<UsageTotal, Error> {
    let rollup = row.rollup;
    let value = match meter.aggregation {
        Aggregation::Sum | Aggregation::Count => rollup.sum,
        Aggregation::Max => rollup.max.unwrap_or_default(),
        Aggregation::Latest => rollup.latest.map_or(Milli::ZERO, |latest| latest.1),
        Aggregation::UniqueCount => Milli::from_units(row.unique)?,
    };
    Ok(UsageTotal {
        range,
        group: row.group,
        value,
        events: rollup.count,
        overflowed: row.overflowed,
        cost: None,
    })
}

/// The steps of a range, from where a page goes on.
struct Steps {
    window: Option<Window>,
    range: TimeRange,
    /// The first instant that is not in a step yet; `None`: all are.
    next: Option<Timestamp>,
    /// No usage counts from here on.
    until: Timestamp,
}

impl Steps {
    /// Leaves steps out that lie before anything the customer can have used, or in the future.
    fn new(
        ask: &UsageAsk,
        created: Timestamp,
        now: Timestamp,
        after: Option<Timestamp>,
    ) -> Result<Self, Error> {
        let window = match ask.granularity {
            Granularity::None => None,
            Granularity::Hour => Some(Window::Hour),
            Granularity::Day => Some(Window::Day),
            Granularity::Month => Some(Window::Month),
        };
        let mut steps = Self {
            window,
            range: ask.range,
            next: None,
            until: now.plus(EVENT_AHEAD_MAX).plus(Span::from_minutes(1)),
        };
        let first = match after {
            Some(at) if ask.range.contains(at) && steps.holding(at).start == at => at,
            Some(_) => return Err(page_token()),
            None if window.is_none() => ask.range.start,
            None => ask.range.start.max(created.minus(EVENT_AGE_MAX)),
        };
        steps.next = Some(steps.holding(first).start);
        Ok(steps)
    }

    /// Returns the step that holds an instant, cut to the range.
    fn holding(&self, at: Timestamp) -> TimeRange {
        let Some(window) = self.window else {
            return self.range;
        };
        let utc = Anchor {
            start: Timestamp::MIN,
            interval: Interval::Month,
        };
        let step = window.range(utc, at);
        TimeRange {
            start: step.start.max(self.range.start),
            end: step.end.min(self.range.end),
        }
    }

    /// Returns where the next step starts, if there is one.
    fn rest(&self) -> Option<Timestamp> {
        let end = match self.window {
            None => self.range.end,
            Some(_) => self.range.end.min(self.until),
        };
        self.next.filter(|next| *next < end)
    }

    /// Takes steps for one reading.
    fn take(&mut self, ask: &UsageAsk) -> Vec<TimeRange> {
        let most = if ask.group_by.is_empty() {
            ask.limit.clamp(1, STEPS_READ)
        } else {
            GROUPED_STEPS_READ
        };
        let mut steps = Vec::new();
        while steps.len() < most
            && let Some(next) = self.rest()
        {
            let step = self.holding(next);
            self.next = (step.end > next).then_some(step.end);
            steps.push(step);
        }
        steps
    }
}
