//! Usage over time: whole hours from rollups, cut hours from events.

use super::columns::{read_labels, read_time};
use super::names::Reading;
use super::scan::visit;
use crate::domain::catalog::Filter;
use crate::domain::id::SubaccountId;
use crate::domain::quantity::Milli;
use crate::domain::rollup::Rollup;
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::storage::columns::OVERFLOW;
use crate::storage::summary::{Piece, Summary, pieces};
use crate::storage::{CustomerNo, EventKind, StoreError, UsageQuery, UsageRow};

/// One step that is being read.
struct Step<'a> {
    reading: Reading<'a>,
    query: &'a UsageQuery,
    customer: CustomerNo,
    meter: i64,
    summary: Summary<'a>,
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
            summary: Summary::new(query),
        };
        for piece in pieces(*range) {
            match piece {
                Piece::Events(range) => step.events(range)?,
                Piece::Hours(first, last) => step.hours(first, last)?,
            }
        }
        step.summary.finish(index, &mut rows);
    }
    Ok(rows)
}

impl Step<'_> {
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
            self.summary.overflowed |= dimensions == OVERFLOW;
            let stated = Some(&*dimensions).filter(|text| !text.is_empty() && *text != OVERFLOW);
            self.summary.add(&read_labels("rollups", stated)?, rollup)?;
        }
        Ok(())
    }

    fn events(&mut self, range: TimeRange) -> Result<(), StoreError> {
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
            self.summary.add(&seen.dimensions()?, rollup)
        })
    }
}
