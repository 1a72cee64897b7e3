//! Usage over time: whole hours from rollups, cut hours from events.

use std::collections::BTreeMap;

use super::rollups::HourKey;
use super::state::Books;
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::rollup::Rollup;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::domain::window::TimeRange;
use crate::storage::{EventKind, StoreError, UsageQuery, UsageRow};

/// Sums of one step under one group.
#[derive(Default)]
struct Group {
    rollup: Rollup,
    /// Events by value of the meter's `unique_by`.
    values: BTreeMap<Box<str>, i64>,
}

/// Sums of one step.
struct Step<'a> {
    query: &'a UsageQuery,
    groups: BTreeMap<Labels, Group>,
    overflowed: bool,
}

/// Summarises usage by step and group.
pub(super) fn usage(books: &Books, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
    let mut rows = Vec::new();
    for (index, range) in query.steps.iter().enumerate() {
        let mut step = Step {
            query,
            groups: BTreeMap::new(),
            overflowed: false,
        };
        step.fill(books, *range).map_err(|Overflow| {
            StoreError::Constraint(String::from("a usage sum leaves the range of 64 bits"))
        })?;
        step.finish(index, &mut rows);
    }
    Ok(rows)
}

impl Step<'_> {
    fn fill(&mut self, books: &Books, range: TimeRange) -> Result<(), Overflow> {
        let hour = Span::from_hours(1);
        let last = Rollup::hour_of(range.end);
        let first = match Rollup::hour_of(range.start) {
            start if start == range.start => start,
            cut => cut.plus(hour),
        };
        if first >= last {
            return self.events(books, range);
        }
        let (start, end) = (range.start, range.end);
        self.events(books, TimeRange { start, end: first })?;
        self.hours(books, first, last)?;
        self.events(books, TimeRange { start: last, end })
    }

    fn hours(&mut self, books: &Books, first: Timestamp, last: Timestamp) -> Result<(), Overflow> {
        let query = self.query;
        let at = |hour| HourKey {
            meter: query.meter.id.clone(),
            hour,
            subaccount: None,
        };
        for (key, hour) in books.rollups.range(at(first)..at(last)) {
            if query.subaccount.is_some() && key.subaccount != query.subaccount {
                continue;
            }
            for (dimensions, rollup) in &hour.rows {
                self.add(dimensions, *rollup)?;
            }
            if let Some(rollup) = hour.overflow {
                self.overflowed = true;
                self.add(&Labels::new(), rollup)?;
            }
        }
        Ok(())
    }

    fn events(&mut self, books: &Books, range: TimeRange) -> Result<(), Overflow> {
        let query = self.query;
        for row in books.between(range) {
            if row.event.meter_id != query.meter.id
                || query.subaccount.is_some() && row.event.subaccount_id != query.subaccount
            {
                continue;
            }
            let mut rollup = Rollup::of_event(row.weighted, row.count_time);
            if row.kind == EventKind::Void {
                rollup.count = -1;
            }
            if row.kind == EventKind::Void || books.is_voided(row) {
                rollup.max = None;
                rollup.latest = None;
            }
            self.add(&row.event.dimensions, rollup)?;
        }
        Ok(())
    }

    fn add(&mut self, dimensions: &Labels, rollup: Rollup) -> Result<(), Overflow> {
        let query = self.query;
        if query
            .filter
            .iter()
            .any(|(key, value)| dimensions.get(key) != Some(value))
        {
            return Ok(());
        }
        let pairs = dimensions.iter();
        let pairs = pairs.filter(|(key, _)| query.group_by.contains(key));
        let key: Labels = pairs
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let group = self.groups.entry(key).or_default();
        group.rollup = group.rollup.merge(rollup)?;
        let unique = query.meter.unique_by.as_ref();
        if let Some(value) = unique.and_then(|key| dimensions.get(key)) {
            *group.values.entry(value.clone()).or_default() += rollup.count;
        }
        Ok(())
    }

    fn finish(self, step: usize, rows: &mut Vec<UsageRow>) {
        for (group, sums) in self.groups {
            if sums.rollup.count == 0 && sums.rollup.sum == Milli::ZERO {
                continue;
            }
            let unique = sums.values.values().filter(|count| **count > 0).count();
            rows.push(UsageRow {
                step,
                group,
                rollup: sums.rollup,
                unique: i64::try_from(unique).unwrap_or(i64::MAX),
                overflowed: self.overflowed,
            });
        }
    }
}
