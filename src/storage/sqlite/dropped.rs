//! What counters keep of events that are no longer stored.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::account::counters;
use super::columns::{json, part_column};
use super::names::Reading;
use super::scan::Seen;
use crate::domain::counter::CounterSpec;
use crate::domain::id::SubaccountId;
use crate::domain::window::TimeRange;
use crate::storage::{CustomerNo, StoreError, Use};

/// A fixed counter that trimmed events were part of.
struct Target {
    part: Option<SubaccountId>,
    spec: Arc<CounterSpec>,
    range: TimeRange,
}

/// What trimmed events of one customer added to its fixed counters.
pub(super) struct Drops<'a> {
    reading: Reading<'a>,
    customer: CustomerNo,
    targets: Vec<Target>,
    sums: HashMap<usize, i128>,
}

impl<'a> Drops<'a> {
    pub(super) fn of(reading: Reading<'a>, customer: CustomerNo) -> Result<Self, StoreError> {
        let targets = counters(reading, customer, None)?
            .into_iter()
            .filter(|row| matches!(row.used, Use::Fixed(_)))
            .map(|row| Target {
                part: row.subaccount,
                spec: row.spec,
                range: TimeRange {
                    start: row.start,
                    end: row.end,
                },
            })
            .collect();
        Ok(Self {
            reading,
            customer,
            targets,
            sums: HashMap::new(),
        })
    }

    pub(super) fn add(&mut self, seen: &Seen<'_, '_>) -> Result<(), StoreError> {
        let at = seen.count_time()?;
        let meter_no = seen.meter_no()?;
        let meter = self.reading.meter(meter_no)?;
        for (index, target) in self.targets.iter().enumerate() {
            if target.range.contains(at)
                && target.spec.meter == meter
                && seen.counts_for(meter_no, target.part.as_ref(), &target.spec.filter)?
            {
                *self.sums.entry(index).or_default() += i128::from(seen.weighted()?.0);
            }
        }
        Ok(())
    }

    /// Adds to what the counters keep of dropped events.
    pub(super) fn write(self, conn: &Connection) -> Result<(), StoreError> {
        let mut read = conn.prepare_cached(
            "SELECT dropped FROM counters_dropped
             WHERE customer_no = ?1 AND subaccount = ?2 AND spec_no = ?3 AND start = ?4",
        )?;
        let mut write =
            conn.prepare_cached("REPLACE INTO counters_dropped VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (index, sum) in self.sums {
            let target = &self.targets[index];
            let spec: i64 = conn
                .prepare_cached("SELECT no FROM counter_specs WHERE spec = ?1")?
                .query_row([json(&*target.spec)], |row| row.get(0))?;
            let part = part_column(target.part.as_ref());
            let start = target.range.start.as_micros();
            let before: i64 = read
                .query_row((self.customer, part, spec, start), |row| row.get(0))
                .optional()?
                .unwrap_or(0);
            // A part of a sum that fits; what leaves 64 bits was not within it.
            let bound = if sum < 0 { i64::MIN } else { i64::MAX };
            let dropped = i64::try_from(i128::from(before) + sum).unwrap_or(bound);
            write.execute((self.customer, part, spec, start, dropped))?;
        }
        Ok(())
    }
}
