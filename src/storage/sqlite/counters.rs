//! Writing counters.

use std::sync::Arc;

use super::columns::{pack_ring, part_column};
use super::names::{Numbers, Reading};
use crate::domain::counter::{CounterSpec, Ring};
use crate::domain::id::{CustomerId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::window::Window;
use crate::storage::{CounterSet, CounterShift, StoreError, Use};

/// Forgets every window of counters, with what they hold of dropped events.
pub(super) fn clear(
    reading: Reading<'_>,
    numbers: &mut Numbers,
    cleared: &[(CustomerId, Option<SubaccountId>, Arc<CounterSpec>)],
) -> Result<(), StoreError> {
    for (customer, part, spec) in cleared {
        let customer = numbers.customer(reading, customer)?;
        let spec = numbers.spec(reading.conn, spec)?;
        for table in ["counters", "counters_dropped"] {
            let sql = format!(
                "DELETE FROM {table} WHERE customer_no = ?1 AND subaccount = ?2 AND spec_no = ?3"
            );
            let mut statement = reading.conn.prepare_cached(&sql)?;
            statement.execute((customer, part_column(part.as_ref()), spec))?;
        }
    }
    Ok(())
}

/// Replaces the counters whose new value is known. A row is replaced whole: what it holds of dropped events stands
/// in a table of its own.
pub(super) fn set(
    reading: Reading<'_>,
    numbers: &mut Numbers,
    sets: &[CounterSet],
) -> Result<(), StoreError> {
    if sets.is_empty() {
        return Ok(());
    }
    let mut statement = reading
        .conn
        .prepare_cached("REPLACE INTO counters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for CounterSet { customer, row } in sets {
        let customer = numbers.customer(reading, customer)?;
        let spec = numbers.spec(reading.conn, &row.spec)?;
        let (used, ring) = match &row.used {
            Use::Fixed(used) => (used.0, None),
            Use::Rolling(ring) => (0, Some(pack_ring(ring))),
        };
        statement.raw_bind_parameter(1, customer)?;
        statement.raw_bind_parameter(2, part_column(row.subaccount.as_ref()))?;
        statement.raw_bind_parameter(3, spec)?;
        statement.raw_bind_parameter(4, row.start.as_micros())?;
        statement.raw_bind_parameter(5, row.end.as_micros())?;
        statement.raw_bind_parameter(6, used)?;
        statement.raw_bind_parameter(7, row.reserved.0)?;
        statement.raw_bind_parameter(8, ring)?;
        statement.raw_execute()?;
    }
    Ok(())
}

/// Adds to counters that memory does not hold. A sum beyond 64 bits becomes a float, which the CHECK refuses.
pub(super) fn shift(
    reading: Reading<'_>,
    numbers: &mut Numbers,
    shifts: &[CounterShift],
) -> Result<(), StoreError> {
    if shifts.is_empty() {
        return Ok(());
    }
    let mut statement = reading.conn.prepare_cached(
        "INSERT INTO counters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET used = used + excluded.used, reserved = reserved + excluded.reserved",
    )?;
    for shift in shifts {
        let is_rolling = matches!(shift.spec.window, Window::Rolling(_));
        if is_rolling && shift.used != Milli::ZERO {
            return Err(StoreError::Constraint(
                "a counter of a rolling window was shifted".to_owned(),
            ));
        }
        let customer = numbers.customer(reading, &shift.customer)?;
        let spec = numbers.spec(reading.conn, &shift.spec)?;
        statement.execute((
            customer,
            part_column(shift.subaccount.as_ref()),
            spec,
            shift.start.as_micros(),
            shift.end.as_micros(),
            shift.used.0,
            shift.reserved.0,
            is_rolling.then(|| pack_ring(&Ring::default())),
        ))?;
    }
    Ok(())
}
