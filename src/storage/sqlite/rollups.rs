//! Writing hourly rollups: adding, and capping combinations.

use std::collections::HashMap;

use rusqlite::CachedStatement;

use super::columns::{labels_column, part_column};
use super::names::{Numbers, Reading};
use super::recounts::Recounts;
use crate::domain::rollup::COMBINATIONS_MAX;
use crate::storage::columns::OVERFLOW;
use crate::storage::{CustomerNo, RollupShift, StoreError};

const ADD: &str = "UPDATE rollups SET count = count + ?6, sum = sum + ?7,
    max = CASE WHEN ?8 IS NULL OR max >= ?8 THEN max ELSE ?8 END,
    latest = CASE WHEN ?9 IS NULL OR (latest_time, latest) >= (?9, ?10) THEN latest ELSE ?10 END,
    latest_time = CASE WHEN ?9 IS NULL OR latest_time >= ?9 THEN latest_time ELSE ?9 END
    WHERE customer_no = ?1 AND meter_no = ?2 AND hour = ?3 AND subaccount = ?4 AND dimensions = ?5";
const MAKE: &str = "INSERT INTO rollups VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Names the rollups of one hour: customer, meter, hour, subaccount.
type HourKey = (CustomerNo, i64, i64, String);

/// Most hours whose number of combinations is kept at hand.
const HOURS_KEPT: usize = 65_536;

/// How many combinations an hour has; emptied after a rollback.
#[derive(Default)]
pub(super) struct Combinations(HashMap<HourKey, i64, foldhash::fast::RandomState>);

/// Writes shifts.
struct Writing<'a> {
    reading: Reading<'a>,
    combinations: &'a mut Combinations,
    add: CachedStatement<'a>,
    make: CachedStatement<'a>,
}

/// Adds to rollups.
pub(super) fn write(
    reading: Reading<'_>,
    numbers: &mut Numbers,
    combinations: &mut Combinations,
    shifts: &[RollupShift],
) -> Result<(), StoreError> {
    if shifts.is_empty() {
        return Ok(());
    }
    let mut writing = Writing {
        reading,
        combinations,
        add: reading.conn.prepare_cached(ADD)?,
        make: reading.conn.prepare_cached(MAKE)?,
    };
    let mut labels = Vec::new();
    let mut recounts = Recounts::default();
    for shift in shifts {
        let meter = numbers.meter(reading.conn, &shift.meter)?;
        let dimensions = labels_column(&shift.dimensions, &mut labels).unwrap_or("");
        let row = writing.shift(shift, meter, dimensions)?;
        if shift.recount {
            recounts.ask(shift, meter, row);
        }
    }
    recounts.write(reading)
}

fn hour_key(shift: &RollupShift, meter: i64) -> HourKey {
    (
        shift.customer,
        meter,
        shift.hour.as_micros(),
        part_column(shift.subaccount.as_ref()).to_owned(),
    )
}

impl Writing<'_> {
    /// Adds to the row of a combination, or to the one beyond the cap. Returns which.
    fn shift<'d>(
        &mut self,
        shift: &RollupShift,
        meter: i64,
        dimensions: &'d str,
    ) -> Result<&'d str, StoreError> {
        if execute(&mut self.add, shift, meter, dimensions)? > 0 {
            return Ok(dimensions);
        }
        if !dimensions.is_empty() {
            let count = self.combinations_of(shift, meter)?;
            if *count >= COMBINATIONS_MAX {
                if execute(&mut self.add, shift, meter, OVERFLOW)? == 0 {
                    execute(&mut self.make, shift, meter, OVERFLOW)?;
                }
                return Ok(OVERFLOW);
            }
            *count += 1;
        }
        execute(&mut self.make, shift, meter, dimensions)?;
        Ok(dimensions)
    }

    fn combinations_of(&mut self, shift: &RollupShift, meter: i64) -> Result<&mut i64, StoreError> {
        let key = hour_key(shift, meter);
        let known = &mut self.combinations.0;
        if known.len() >= HOURS_KEPT && !known.contains_key(&key) {
            known.clear();
        }
        match known.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let (customer, meter, hour, part) = entry.key();
                let count = self
                    .reading
                    .conn
                    .prepare_cached(
                        "SELECT count(*) FROM rollups WHERE customer_no = ?1 AND meter_no = ?2
                         AND hour = ?3 AND subaccount = ?4 AND dimensions NOT IN ('', '*')",
                    )?
                    .query_row((customer, meter, hour, part), |row| row.get(0))?;
                Ok(entry.insert(count))
            }
        }
    }
}

impl Combinations {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn execute(
    statement: &mut CachedStatement<'_>,
    shift: &RollupShift,
    meter: i64,
    dimensions: &str,
) -> Result<usize, StoreError> {
    let add = &shift.add;
    statement.raw_bind_parameter(1, shift.customer)?;
    statement.raw_bind_parameter(2, meter)?;
    statement.raw_bind_parameter(3, shift.hour.as_micros())?;
    statement.raw_bind_parameter(4, part_column(shift.subaccount.as_ref()))?;
    statement.raw_bind_parameter(5, dimensions)?;
    statement.raw_bind_parameter(6, add.count)?;
    statement.raw_bind_parameter(7, add.sum.0)?;
    statement.raw_bind_parameter(8, add.max.map(|max| max.0))?;
    statement.raw_bind_parameter(9, add.latest.map(|latest| latest.0.as_micros()))?;
    statement.raw_bind_parameter(10, add.latest.map(|latest| latest.1.0))?;
    Ok(statement.raw_execute()?)
}
