//! Reading what decisions about one customer need.

use rusqlite::OptionalExtension;

use super::columns::{
    corrupt, read_json, read_labels, read_part, read_state, read_time, unpack_ring,
};
use super::names::Reading;
use super::wallets;
use crate::domain::id::{CustomerId, ReservationId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::Reservation;
use crate::domain::time::Timestamp;
use crate::storage::{AccountRows, CounterRow, CustomerNo, StoreError, SubaccountRows, Use};

/// Columns of a reservation, in the order in which [`reservation`] takes them.
pub(super) const RESERVATION: &str =
    "id, subaccount, holder, metadata, items, reserve_time, expire_time, state, end_time";

/// Reads an account.
pub(super) fn read(
    reading: Reading<'_>,
    customer: &CustomerId,
    now: Timestamp,
) -> Result<Option<AccountRows>, StoreError> {
    let found: Option<(CustomerNo, String, Option<String>, String)> = reading
        .conn
        .prepare_cached("SELECT no, body, subscription, tracked FROM customers WHERE id = ?1")?
        .query_row([customer.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((no, body, subscription, tracked)) = found else {
        return Ok(None);
    };
    let adjustments: Option<String> = reading
        .conn
        .prepare_cached("SELECT body FROM adjustments WHERE customer_no = ?1")?
        .query_row([no], |row| row.get(0))
        .optional()?;
    Ok(Some(AccountRows {
        no,
        version: 0,
        customer: read_json("customers", &body)?,
        subscription: subscription
            .map(|text| read_json("customers", &text))
            .transpose()?,
        overrides: bodies(
            reading,
            "overrides",
            "SELECT body FROM overrides WHERE customer_no = ?1",
            no,
        )?,
        tracked: reading.specs(&tracked)?,
        counters: counters(reading, no, Some(now))?,
        adjustments: adjustments
            .map(|text| read_json("adjustments", &text))
            .transpose()?
            .unwrap_or_default(),
        reservations: open_reservations(reading, no)?,
        allocations: bodies(
            reading,
            "allocations",
            "SELECT body FROM allocations WHERE customer_no = ?1",
            no,
        )?,
        subaccounts: subaccounts(reading, no)?,
        wallets: wallets::wallets(reading, no, now)?,
        draws: wallets::draws(reading, no, now)?,
    }))
}

fn bodies<T: serde::de::DeserializeOwned>(
    reading: Reading<'_>,
    table: &'static str,
    sql: &str,
    customer: CustomerNo,
) -> Result<Vec<T>, StoreError> {
    let mut statement = reading.conn.prepare_cached(sql)?;
    let mut rows = statement.query([customer])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_json(table, &row.get::<_, String>(0)?)?);
    }
    Ok(found)
}

/// Reads the counters of a customer and its subaccounts; with `now` only those whose window has not ended.
pub(super) fn counters(
    reading: Reading<'_>,
    customer: CustomerNo,
    now: Option<Timestamp>,
) -> Result<Vec<CounterRow>, StoreError> {
    let mut statement = reading.conn.prepare_cached(
        "SELECT subaccount, spec_no, start, end, used, reserved, ring FROM counters
         WHERE customer_no = ?1 AND end > ?2",
    )?;
    let mut rows = statement.query((customer, now.map_or(-1, Timestamp::as_micros)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let ring: Option<Vec<u8>> = row.get(6)?;
        found.push(CounterRow {
            subaccount: read_part("counters", &row.get::<_, String>(0)?)?,
            spec: reading.spec(row.get(1)?)?,
            start: read_time("counters", row.get(2)?)?,
            end: read_time("counters", row.get(3)?)?,
            used: match ring {
                Some(ring) => Use::Rolling(unpack_ring(&ring)?),
                None => Use::Fixed(Milli(row.get(4)?)),
            },
            reserved: Milli(row.get(5)?),
        });
    }
    Ok(found)
}

/// Reads the reservations of a customer that are in the open state.
pub(super) fn open_reservations(
    reading: Reading<'_>,
    customer: CustomerNo,
) -> Result<Vec<Reservation>, StoreError> {
    let mut statement = reading.conn.prepare_cached(&format!(
        "SELECT {RESERVATION} FROM reservations INDEXED BY reservations_open
         WHERE customer_no = ?1 AND state = 0 ORDER BY id"
    ))?;
    let mut rows = statement.query([customer])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(reservation(row)?);
    }
    Ok(found)
}

/// Reads a reservation from the columns [`RESERVATION`].
pub(super) fn reservation(row: &rusqlite::Row<'_>) -> Result<Reservation, StoreError> {
    const TABLE: &str = "reservations";
    let end_time: Option<i64> = row.get(8)?;
    Ok(Reservation {
        id: ReservationId::new(row.get::<_, String>(0)?).map_err(|error| corrupt(TABLE, error))?,
        subaccount: read_part(
            TABLE,
            row.get::<_, Option<String>>(1)?.as_deref().unwrap_or(""),
        )?,
        holder: row.get::<_, String>(2)?.into(),
        metadata: read_labels(TABLE, row.get::<_, Option<String>>(3)?.as_deref())?,
        items: read_json(TABLE, &row.get::<_, String>(4)?)?,
        reserve_time: read_time(TABLE, row.get(5)?)?,
        expire_time: read_time(TABLE, row.get(6)?)?,
        state: read_state(row.get(7)?)?,
        end_time: end_time
            .map(|micros| read_time(TABLE, micros))
            .transpose()?,
    })
}

fn subaccounts(
    reading: Reading<'_>,
    customer: CustomerNo,
) -> Result<Vec<SubaccountRows>, StoreError> {
    let mut statement = reading
        .conn
        .prepare_cached("SELECT body, tracked FROM subaccounts WHERE customer_no = ?1")?;
    let mut rows = statement.query([customer])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(SubaccountRows {
            subaccount: read_json("subaccounts", &row.get::<_, String>(0)?)?,
            tracked: reading.specs(&row.get::<_, String>(1)?)?,
        });
    }
    Ok(found)
}
