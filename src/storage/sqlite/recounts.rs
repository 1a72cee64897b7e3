//! Rollups whose largest and latest event are read again, since one of theirs was taken back.

use std::collections::{BTreeMap, HashMap};

use rusqlite::OptionalExtension;

use super::columns::part_column;
use super::names::Reading;
use super::scan::{Seen, visit};
use crate::domain::quantity::Milli;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;
use crate::storage::columns::OVERFLOW;
use crate::storage::{CustomerNo, EventKind, RollupShift, StoreError};

/// Names a row within its hour: meter, subaccount, dimensions.
type RowKey = (i64, String, String);

/// The largest amount of a row, and the latest with its time.
#[derive(Default)]
struct Peak {
    max: Option<Milli>,
    latest: Option<(Timestamp, Milli)>,
}

/// The rows to be read again, by customer and hour: the events of an hour are walked once, however many rows of it are
/// asked for.
#[derive(Default)]
pub(super) struct Recounts(BTreeMap<(CustomerNo, i64), HashMap<RowKey, Peak>>);

impl Recounts {
    /// Asks for the row that an event was taken off.
    pub(super) fn ask(&mut self, shift: &RollupShift, meter: i64, dimensions: &str) {
        let part = part_column(shift.subaccount.as_ref()).to_owned();
        let hour = (shift.customer, shift.hour.as_micros());
        let rows = self.0.entry(hour).or_default();
        rows.insert((meter, part, dimensions.to_owned()), Peak::default());
    }

    /// Reads and writes all that was asked for.
    pub(super) fn write(self, reading: Reading<'_>) -> Result<(), StoreError> {
        for ((customer, hour), mut rows) in self.0 {
            let start = Timestamp::from_micros_clamped(hour);
            let range = TimeRange {
                start,
                end: start.plus(Span::from_hours(1)),
            };
            visit(reading, customer, range, &mut |seen| {
                if seen.kind()? != EventKind::Usage || seen.voided()? {
                    return Ok(());
                }
                if let Some(peak) = row_of(reading, (customer, hour), &mut rows, seen)? {
                    let weighted = seen.weighted()?;
                    peak.max = peak.max.max(Some(weighted));
                    let latest = (seen.count_time()?, weighted);
                    peak.latest = peak.latest.max(Some(latest));
                }
                Ok(())
            })?;
            let mut update = reading.conn.prepare_cached(
                "UPDATE rollups SET max = ?6, latest_time = ?7, latest = ?8 WHERE customer_no = ?1
                 AND meter_no = ?2 AND hour = ?3 AND subaccount = ?4 AND dimensions = ?5",
            )?;
            for ((meter, part, dimensions), peak) in rows {
                update.execute((
                    customer,
                    meter,
                    hour,
                    part,
                    dimensions,
                    peak.max.map(|max| max.0),
                    peak.latest.map(|latest| latest.0.as_micros()),
                    peak.latest.map(|latest| latest.1.0),
                ))?;
            }
        }
        Ok(())
    }
}

/// Returns the row that an event belongs to, if it is one of these: that of its dimensions, or the one beyond the cap
/// when they have none.
fn row_of<'p>(
    reading: Reading<'_>,
    (customer, hour): (CustomerNo, i64),
    rows: &'p mut HashMap<RowKey, Peak>,
    seen: &Seen<'_, '_>,
) -> Result<Option<&'p mut Peak>, StoreError> {
    let meter = seen.meter_no()?;
    let part = seen.part()?.unwrap_or("").to_owned();
    let mut key = (meter, part, seen.dimensions_column()?.to_owned());
    if !rows.contains_key(&key) {
        let dimensions = std::mem::replace(&mut key.2, OVERFLOW.to_owned());
        if !rows.contains_key(&key) {
            return Ok(None);
        }
        let mut has_row = reading.conn.prepare_cached(
            "SELECT 1 FROM rollups WHERE customer_no = ?1 AND meter_no = ?2 AND hour = ?3
             AND subaccount = ?4 AND dimensions = ?5",
        )?;
        let of_its_own = has_row
            .query_row((customer, meter, hour, &key.1, dimensions), |_| Ok(()))
            .optional()?;
        if of_its_own.is_some() {
            return Ok(None);
        }
    }
    Ok(rows.get_mut(&key))
}
