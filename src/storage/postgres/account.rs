//! Reading what decisions about customers need: each table once, however many customers are asked for.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::names::Names;
use super::wallets::Parts;
use crate::domain::id::{CustomerId, ReservationId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::Reservation;
use crate::domain::time::Timestamp;
use crate::domain::wallet::SPENT_GRANTS_KEPT;
use crate::storage::columns::{
    corrupt, read_json, read_labels, read_part, read_state, read_time, unpack_ring,
};
use crate::storage::{AccountRows, CounterRow, StoreError, SubaccountRows, Use};

/// Columns of a reservation, in the order in which [`reservation`] takes them.
pub(super) const RESERVATION: &str =
    "id, subaccount, holder, metadata, items, reserve_time, expire_time, state, end_time";

/// What is mostly not there: one question, since each costs a round trip that others may wait for. The body of a row, its
/// id or what it tracks, whose wallet it is of, and its numbers.
const REST: &str = "
    SELECT 0, customer_id, body, NULL::text, NULL::text, NULL::text, NULL::int8[]
    FROM overrides WHERE customer_id = ANY($1)
    UNION ALL SELECT 1, customer_id, body, NULL, NULL, NULL, NULL FROM allocations WHERE customer_id = ANY($1)
    UNION ALL SELECT 2, customer_id, body, NULL, NULL, NULL, NULL FROM adjustments WHERE customer_id = ANY($1)
    UNION ALL SELECT 3, customer_id, body, tracked, NULL, NULL, NULL FROM subaccounts WHERE customer_id = ANY($1)
    UNION ALL SELECT 4, customer_id, terms, NULL, subaccount, unit, ARRAY[number, receivable]
    FROM wallets WHERE customer_id = ANY($1)
    UNION ALL SELECT 5, customer_id, body, id, subaccount, unit,
        ARRAY[amount, used, held, lapsed, change_time, expire_time]
    FROM grants WHERE customer_id = ANY($1) AND spent_time > $3
    UNION ALL SELECT 6, customer_id, body, id, subaccount, unit, ARRAY[state, expire_time, end_time]
    FROM holds WHERE customer_id = ANY($1) AND state = 0
    UNION ALL SELECT 7, customer_id, body, NULL, NULL, NULL, NULL
    FROM draws WHERE customer_id = ANY($1) AND period_end > $2";

/// Reads accounts, by position. All of them are seen at one instant only in a transaction that repeats its reads, or
/// when their customers are locked.
pub(super) async fn read(
    conn: &mut PgConnection,
    names: &Names,
    customers: &[CustomerId],
    now: Timestamp,
) -> Result<Vec<Option<AccountRows>>, StoreError> {
    if customers.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = customers.iter().map(CustomerId::as_str).collect();
    let rows = sqlx::query(
        "SELECT customer_id, no, body, subscription, tracked, version FROM customers WHERE customer_id = ANY($1)",
    )
    .bind(&ids)
    .fetch_all(&mut *conn)
    .await?;
    let mut accounts: HashMap<String, AccountRows> = HashMap::with_capacity(rows.len());
    for row in rows {
        let subscription: Option<&str> = row.try_get(3)?;
        let account = AccountRows {
            no: row.try_get(1)?,
            version: row.try_get(5)?,
            customer: read_json("customers", row.try_get(2)?)?,
            subscription: subscription
                .map(|text| read_json("customers", text))
                .transpose()?,
            overrides: Vec::new(),
            tracked: names.specs(row.try_get(4)?)?,
            counters: Vec::new(),
            adjustments: Vec::new(),
            reservations: Vec::new(),
            allocations: Vec::new(),
            subaccounts: Vec::new(),
            wallets: Vec::new(),
            draws: Vec::new(),
        };
        names.learn(account.no, &account.customer.id);
        accounts.insert(row.try_get(0)?, account);
    }
    if !accounts.is_empty() {
        fill(conn, names, &ids, now, &mut accounts).await?;
    }
    // One that is asked for twice is given twice.
    let given = ids.iter().map(|id| accounts.get(*id).cloned());
    Ok(given.collect())
}

/// Reads what belongs to customers.
async fn fill(
    conn: &mut PgConnection,
    names: &Names,
    ids: &[&str],
    now: Timestamp,
    accounts: &mut HashMap<String, AccountRows>,
) -> Result<(), StoreError> {
    for (id, row) in counters(conn, names, ids, Some(now)).await? {
        if let Some(account) = accounts.get_mut(&id) {
            account.counters.push(row.0);
        }
    }
    for row in open_reservations(conn, ids).await? {
        if let Some(account) = accounts.get_mut(row.try_get::<&str, _>(9)?) {
            account.reservations.push(reservation(&row)?);
        }
    }
    let rows = sqlx::query(REST)
        .bind(ids)
        .bind(now.as_micros())
        .bind(now.minus(SPENT_GRANTS_KEPT).as_micros())
        .fetch_all(conn)
        .await?;
    let mut wallets: HashMap<&str, Parts> = HashMap::new();
    for row in &rows {
        let (kind, id): (i32, &str) = (row.try_get(0)?, row.try_get(1)?);
        let Some(account) = accounts.get_mut(id) else {
            continue;
        };
        let body: &str = row.try_get(2)?;
        match kind {
            0 => account.overrides.push(read_json("overrides", body)?),
            1 => account.allocations.push(read_json("allocations", body)?),
            2 => account.adjustments = read_json("adjustments", body)?,
            3 => account.subaccounts.push(SubaccountRows {
                subaccount: read_json("subaccounts", body)?,
                tracked: names.specs(row.try_get::<Option<&str>, _>(3)?.unwrap_or("[]"))?,
            }),
            _ => wallets.entry(id).or_default().take(kind - 4, row, 2)?,
        }
    }
    for (id, parts) in wallets {
        if let Some(account) = accounts.get_mut(id) {
            (account.wallets, account.draws) = parts.finish()?;
        }
    }
    Ok(())
}

/// Reads the counters of customers and their subaccounts, with what each holds of dropped events; with `now` only
/// those whose window has not ended.
pub(super) async fn counters(
    conn: &mut PgConnection,
    names: &Names,
    ids: &[&str],
    now: Option<Timestamp>,
) -> Result<Vec<(String, (CounterRow, Milli))>, StoreError> {
    let rows = sqlx::query(
        "SELECT customer_id, subaccount, coalesce(long_spec, spec), start_time, end_time, used, reserved, ring,
             dropped
         FROM counters WHERE customer_id = ANY($1) AND end_time > $2",
    )
    .bind(ids)
    .bind(now.map_or(-1, Timestamp::as_micros))
    .fetch_all(conn)
    .await?;
    let read = |row: PgRow| {
        let ring: Option<&[u8]> = row.try_get(7)?;
        let counter = CounterRow {
            subaccount: read_part("counters", row.try_get(1)?)?,
            spec: names.spec(row.try_get(2)?)?,
            start: read_time("counters", row.try_get(3)?)?,
            end: read_time("counters", row.try_get(4)?)?,
            used: match ring {
                Some(ring) => Use::Rolling(unpack_ring(ring)?),
                None => Use::Fixed(Milli(row.try_get(5)?)),
            },
            reserved: Milli(row.try_get(6)?),
        };
        Ok((row.try_get(0)?, (counter, Milli(row.try_get(8)?))))
    };
    rows.into_iter().map(read).collect()
}

/// Reads the reservations of customers that are in the open state; the column after [`RESERVATION`] is whose.
pub(super) async fn open_reservations(
    conn: &mut PgConnection,
    ids: &[&str],
) -> Result<Vec<PgRow>, StoreError> {
    let sql = format!(
        "SELECT {RESERVATION}, customer_id FROM reservations
         WHERE customer_id = ANY($1) AND state = 0 ORDER BY customer_id, id"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(conn);
    Ok(rows.await?)
}

/// Reads a reservation from the columns [`RESERVATION`].
pub(super) fn reservation(row: &PgRow) -> Result<Reservation, StoreError> {
    const TABLE: &str = "reservations";
    let end_time: Option<i64> = row.try_get(8)?;
    let part: Option<&str> = row.try_get(1)?;
    Ok(Reservation {
        id: ReservationId::new(row.try_get::<&str, _>(0)?)
            .map_err(|error| corrupt(TABLE, error))?,
        subaccount: read_part(TABLE, part.unwrap_or(""))?,
        holder: row.try_get::<&str, _>(2)?.into(),
        metadata: read_labels(TABLE, row.try_get(3)?)?,
        items: read_json(TABLE, row.try_get(4)?)?,
        reserve_time: read_time(TABLE, row.try_get(5)?)?,
        expire_time: read_time(TABLE, row.try_get(6)?)?,
        state: read_state(i64::from(row.try_get::<i16, _>(7)?))?,
        end_time: end_time
            .map(|micros| read_time(TABLE, micros))
            .transpose()?,
    })
}
