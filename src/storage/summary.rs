//! Summarising usage: what stores do alike, where only the way to the rows differs.

use std::collections::BTreeMap;

use super::{StoreError, UsageQuery, UsageRow};
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::rollup::Rollup;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::domain::window::TimeRange;

/// What a stretch of time is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Within one hour: from events.
    Events(TimeRange),
    /// Whole hours, from the first to the start of the last one: from rollups.
    Hours(Timestamp, Timestamp),
}

/// Cuts a step into whole hours and what is left of it before and after them.
pub(super) fn pieces(step: TimeRange) -> Vec<Piece> {
    let TimeRange { start, end } = step;
    let last = Rollup::hour_of(end);
    let first = match Rollup::hour_of(start) {
        hour if hour == start => hour,
        cut => cut.plus(Span::from_hours(1)),
    };
    let events = |start, end| (start < end).then_some(Piece::Events(TimeRange { start, end }));
    if first >= last {
        return events(start, end).into_iter().collect();
    }
    let hours = Some(Piece::Hours(first, last));
    let all = [events(start, first), hours, events(last, end)];
    all.into_iter().flatten().collect()
}

/// Sums of one group.
#[derive(Default)]
struct Group {
    rollup: Rollup,
    /// Events by value of the meter's `unique_by`.
    values: BTreeMap<Box<str>, i64>,
}

/// Sums of one step, by group.
pub(super) struct Summary<'q> {
    query: &'q UsageQuery,
    groups: BTreeMap<Labels, Group>,
    /// Whether some dimension values were not kept.
    pub(super) overflowed: bool,
}

impl<'q> Summary<'q> {
    pub(super) fn new(query: &'q UsageQuery) -> Self {
        Self {
            query,
            groups: BTreeMap::new(),
            overflowed: false,
        }
    }

    /// Adds a row, if the filter lets it.
    pub(super) fn add(&mut self, dimensions: &Labels, rollup: Rollup) -> Result<(), StoreError> {
        let query = self.query;
        let passes = query
            .filter
            .iter()
            .all(|(key, value)| dimensions.get(key) == Some(value));
        if !passes {
            return Ok(());
        }
        let stated = query
            .group_by
            .iter()
            .filter_map(|key| dimensions.get_key_value(key));
        let key: Labels = stated
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let group = self.groups.entry(key).or_default();
        group.rollup = group.rollup.merge(rollup).map_err(|Overflow| {
            StoreError::Constraint("a usage sum leaves the range of 64 bits".to_owned())
        })?;
        let unique = query.meter.unique_by.as_ref();
        if let Some(value) = unique.and_then(|key| dimensions.get(key)) {
            *group.values.entry(value.clone()).or_default() += rollup.count;
        }
        Ok(())
    }

    /// Gives the rows of a step, without those that hold nothing.
    pub(super) fn finish(self, step: usize, rows: &mut Vec<UsageRow>) {
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
