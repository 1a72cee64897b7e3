//! Writing counters.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::PgConnection;

use super::columns::indexed;
use crate::domain::counter::{CounterSpec, Ring};
use crate::domain::id::{CustomerId, SubaccountId};
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::time::Timestamp;
use crate::domain::window::Window;
use crate::storage::columns::{json, pack_ring, part_column};
use crate::storage::{CounterSet, CounterShift, StoreError, Use};

/// Rows that one statement writes.
const ROWS_A_STATEMENT: usize = 1_000;

/// Names a counter as its key does.
type Key<'a> = (
    &'a CustomerId,
    Option<&'a SubaccountId>,
    &'a CounterSpec,
    Timestamp,
);

/// What a row is to hold, or what is to be added to it.
struct Value {
    end: Timestamp,
    used: Milli,
    reserved: Milli,
    ring: Option<Vec<u8>>,
}

/// Forgets every window of counters, with what they hold of dropped events.
pub(super) async fn clear(
    conn: &mut PgConnection,
    cleared: &[(CustomerId, Option<SubaccountId>, Arc<CounterSpec>)],
) -> Result<(), StoreError> {
    if cleared.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = cleared.iter().map(|(.., spec)| json(&**spec)).collect();
    sqlx::query(
        "DELETE FROM counters c
         USING UNNEST($1::text[], $2::text[], $3::text[]) AS g (customer_id, subaccount, spec)
         WHERE c.customer_id = g.customer_id AND c.subaccount = g.subaccount AND c.spec = g.spec",
    )
    .bind(cleared.iter().map(|row| row.0.as_str()).collect::<Vec<_>>())
    .bind(
        cleared
            .iter()
            .map(|row| part_column(row.1.as_ref()))
            .collect::<Vec<_>>(),
    )
    .bind(texts.iter().map(|text| indexed(text).0).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes counters whose new value is known, then adds to those of which only the change is.
pub(super) async fn write(
    conn: &mut PgConnection,
    sets: &[CounterSet],
    shifts: &[CounterShift],
) -> Result<(), StoreError> {
    let mut known: BTreeMap<Key<'_>, Value> = BTreeMap::new();
    for CounterSet { customer, row } in sets {
        let (used, ring) = match &row.used {
            Use::Fixed(used) => (*used, None),
            Use::Rolling(ring) => (Milli::ZERO, Some(pack_ring(ring))),
        };
        let key = (customer, row.subaccount.as_ref(), &*row.spec, row.start);
        let value = Value {
            end: row.end,
            used,
            reserved: row.reserved,
            ring,
        };
        known.insert(key, value);
    }
    let mut added: BTreeMap<Key<'_>, Value> = BTreeMap::new();
    for shift in shifts {
        let is_rolling = matches!(shift.spec.window, Window::Rolling(_));
        if is_rolling && shift.used != Milli::ZERO {
            return Err(StoreError::Constraint(
                "a counter of a rolling window was shifted".to_owned(),
            ));
        }
        let part = shift.subaccount.as_ref();
        let key = (&shift.customer, part, &*shift.spec, shift.start);
        let value = match known.get_mut(&key) {
            Some(value) => value,
            None => added.entry(key).or_insert_with(|| Value {
                end: shift.end,
                used: Milli::ZERO,
                reserved: Milli::ZERO,
                ring: is_rolling.then(|| pack_ring(&Ring::default())),
            }),
        };
        value.used = value.used.plus(shift.used).map_err(too_large)?;
        value.reserved = value.reserved.plus(shift.reserved).map_err(too_large)?;
    }
    let set = "used = excluded.used, reserved = excluded.reserved, end_time = excluded.end_time, ring = excluded.ring";
    upsert(conn, &known, set).await?;
    // A sum that leaves 64 bits is refused by the database.
    let add = "used = c.used + excluded.used, reserved = c.reserved + excluded.reserved";
    upsert(conn, &added, add).await
}

fn too_large(_: Overflow) -> StoreError {
    StoreError::Constraint("a counter leaves the range of 64 bits".to_owned())
}

/// Makes rows, or changes those that are there, in key order.
async fn upsert(
    conn: &mut PgConnection,
    rows: &BTreeMap<Key<'_>, Value>,
    change: &'static str,
) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO counters AS c
             (customer_id, subaccount, spec, long_spec, start_time, end_time, used, reserved, ring)
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::int8[], $6::int8[], $7::int8[],
             $8::int8[], $9::bytea[])
         ON CONFLICT (customer_id, subaccount, spec, start_time) DO UPDATE SET {change}"
    );
    let rows: Vec<_> = rows.iter().collect();
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        let texts: Vec<String> = rows.iter().map(|(key, _)| json(key.2)).collect();
        let specs: Vec<_> = texts.iter().map(|text| indexed(text)).collect();
        let numbers = |of: fn(&Value) -> i64| rows.iter().map(|row| of(row.1)).collect::<Vec<_>>();
        sqlx::query(sqlx::AssertSqlSafe(&*sql))
            .bind(
                rows.iter()
                    .map(|(key, _)| key.0.as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(
                rows.iter()
                    .map(|(key, _)| part_column(key.1))
                    .collect::<Vec<_>>(),
            )
            .bind(specs.iter().map(|spec| &*spec.0).collect::<Vec<_>>())
            .bind(specs.iter().map(|spec| spec.1).collect::<Vec<_>>())
            .bind(
                rows.iter()
                    .map(|(key, _)| key.3.as_micros())
                    .collect::<Vec<_>>(),
            )
            .bind(numbers(|value| value.end.as_micros()))
            .bind(numbers(|value| value.used.0))
            .bind(numbers(|value| value.reserved.0))
            .bind(
                rows.iter()
                    .map(|row| row.1.ring.as_deref())
                    .collect::<Vec<_>>(),
            )
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}
