//! Usage over time: whole hours from rollups, cut hours from events.

use std::collections::BTreeMap;

use super::columns::{read_labels, read_time};
use super::names::Reading;
use super::rollups::OVERFLOW;
use super::scan::visit;
use crate::domain::catalog::Filter;
use crate::domain::id::SubaccountId;
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::rollup::Rollup;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::domain::window::TimeRange;
use crate::storage::{CustomerNo, EventKind, StoreError, UsageQuery, UsageRow};

/// Sums of one step under one group.
#[derive(Default)]
struct Group {
    rollup: Rollup,
    /// Events by value of the meter's `unique_by`.
    values: BTreeMap<Box<str>, i64>,
}

/// Sums of one step.
struct Step<'a> {
    reading: Reading<'a>,
    query: &'a UsageQuery,
    customer: CustomerNo,
    meter: i64,
    groups: BTreeMap<Labels, Group>,
    overflowed: bool,
}

/// Summarises usage by step and group.
pub(super) fn read(reading: Reading<'_>, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
    let mut rows = Vec::new();
    let Some(customer) = reading.customer_no(&query.customer)? else {
        return Ok(rows);
    };
    let Some(meter) = reading.meter_no(&query.meter.id)? else {
        return Ok(rows);
    };
    for (index, range) in query.steps.iter().enumerate() {
        let mut step = Step {
            reading,
            query,
            customer,
            meter,
            groups: BTreeMap::new(),
            overflowed: false,
        };
        step.fill(*range)?;
        step.finish(index, &mut rows);
    }
    Ok(rows)
}

impl Step<'_> {
    fn fill(&mut self, range: TimeRange) -> Result<(), StoreError> {
        let last = Rollup::hour_of(range.end);
        let first = match Rollup::hour_of(range.start) {
            start if start == range.start => start,
            cut => cut.plus(Span::from_hours(1)),
        };
        if first >= last {
            return self.events(range);
        }
        let (start, end) = (range.start, range.end);
        self.events(TimeRange { start, end: first })?;
        self.hours(first, last)?;
        self.events(TimeRange { start: last, end })
    }

    fn hours(&mut self, first: Timestamp, last: Timestamp) -> Result<(), StoreError> {
        let mut statement = self.reading.conn.prepare_cached(
            "SELECT dimensions, count, sum, max, latest_time, latest FROM rollups
             WHERE customer_no = ?1 AND meter_no = ?2 AND hour >= ?3 AND hour < ?4
               AND (?5 IS NULL OR subaccount = ?5)",
        )?;
        let mut rows = statement.query((
            self.customer,
            self.meter,
            first.as_micros(),
            last.as_micros(),
            self.query.subaccount.as_ref().map(SubaccountId::as_str),
        ))?;
        while let Some(row) = rows.next()? {
            let dimensions: String = row.get(0)?;
            let latest_time: Option<i64> = row.get(4)?;
            let latest: Option<i64> = row.get(5)?;
            let latest = match latest_time.zip(latest) {
                Some((at, amount)) => Some((read_time("rollups", at)?, Milli(amount))),
                None => None,
            };
            let rollup = Rollup {
                count: row.get(1)?,
                sum: Milli(row.get(2)?),
                max: row.get::<_, Option<i64>>(3)?.map(Milli),
                latest,
            };
            self.overflowed |= dimensions == OVERFLOW;
            let stated = Some(&*dimensions).filter(|text| !text.is_empty() && *text != OVERFLOW);
            self.add(&read_labels("rollups", stated)?, rollup)?;
        }
        Ok(())
    }

    fn events(&mut self, range: TimeRange) -> Result<(), StoreError> {
        if range.start >= range.end {
            return Ok(());
        }
        let (reading, customer, meter) = (self.reading, self.customer, self.meter);
        let part = self.query.subaccount.as_ref();
        visit(reading, customer, range, &mut |seen| {
            if !seen.counts_for(meter, part, &Filter::default())? {
                return Ok(());
            }
            let mut rollup = Rollup::of_event(seen.weighted()?, seen.count_time()?);
            let is_void = seen.kind()? == EventKind::Void;
            if is_void {
                rollup.count = -1;
            }
            if is_void || seen.voided()? {
                rollup.max = None;
                rollup.latest = None;
            }
            self.add(&seen.dimensions()?, rollup)
        })
    }

    fn add(&mut self, dimensions: &Labels, rollup: Rollup) -> Result<(), StoreError> {
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
