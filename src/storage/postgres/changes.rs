//! Writing what a decision returned, save customers, events, counters, rollups and wallets: each table in one statement.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use crate::domain::id::{CustomerId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::storage::columns::{json, part_column, state_column};
use crate::storage::{Changes, Denial, StoreError, StoredAnswer, StoredCatalog};

use super::columns::labels;

/// Rows that one statement writes.
const ROWS_A_STATEMENT: usize = 1_000;

/// Returns the customers that changes name by id, those that they create included.
pub(super) fn named(changes: &Changes) -> impl Iterator<Item = &CustomerId> {
    let written = changes.customers.iter().map(|write| &write.customer.id);
    written
        .chain(changes.counters.iter().map(|row| &row.customer))
        .chain(changes.cleared.iter().map(|row| &row.0))
        .chain(changes.shifts.iter().map(|row| &row.customer))
        .chain(changes.subaccounts.iter().map(|row| &row.0))
        .chain(changes.reservations.iter().map(|row| &row.0))
        .chain(changes.allocations.iter().map(|row| &row.0))
        .chain(changes.deallocations.iter().map(|row| &row.0))
        .chain(changes.overrides.iter().map(|row| &row.0))
        .chain(changes.removed_overrides.iter().map(|row| &row.0))
        .chain(changes.adjustments.iter().map(|row| &row.0))
        .chain(changes.books.iter().map(|row| &row.0))
        .chain(
            changes
                .billing
                .iter()
                .filter_map(|row| row.customer.as_ref()),
        )
        .chain(changes.events.iter().map(|row| &row.event.customer_id))
}

/// Writes the rows of a decision.
pub(super) async fn write(
    conn: &mut PgConnection,
    now: Timestamp,
    changes: &Changes,
) -> Result<(), StoreError> {
    subaccounts(conn, changes).await?;
    for rows in changes.reservations.chunks(ROWS_A_STATEMENT) {
        reservations(conn, rows).await?;
    }
    allocations(conn, changes).await?;
    overrides(conn, changes).await?;
    let rows: BTreeMap<_, _> = changes
        .adjustments
        .iter()
        .map(|row| (&row.0, row))
        .collect();
    if !rows.is_empty() {
        sqlx::query(
            "INSERT INTO adjustments SELECT * FROM UNNEST($1::text[], $2::text[])
             ON CONFLICT (customer_id) DO UPDATE SET body = excluded.body",
        )
        .bind(rows.keys().map(|id| id.as_str()).collect::<Vec<_>>())
        .bind(rows.values().map(|row| json(&row.1)).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    }
    if let Some(applied) = &changes.catalog {
        catalog(conn, applied).await?;
    }
    for rows in changes.answers.chunks(ROWS_A_STATEMENT) {
        answers(conn, rows, now).await?;
    }
    Ok(())
}

async fn subaccounts(conn: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    for rows in changes.subaccounts.chunks(ROWS_A_STATEMENT) {
        let rows: BTreeMap<_, _> = rows.iter().map(|row| ((&row.0, &row.1.id), row)).collect();
        sqlx::query(
            "INSERT INTO subaccounts SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[])
             ON CONFLICT (customer_id, id) DO UPDATE SET body = excluded.body, tracked = excluded.tracked",
        )
        .bind(rows.keys().map(|key| key.0.as_str()).collect::<Vec<_>>())
        .bind(rows.keys().map(|key| key.1.as_str()).collect::<Vec<_>>())
        .bind(rows.values().map(|row| json(&row.1)).collect::<Vec<_>>())
        .bind(rows.values().map(|row| json(&row.2)).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn reservations(
    conn: &mut PgConnection,
    rows: &[(CustomerId, crate::domain::reservation::Reservation)],
) -> Result<(), StoreError> {
    let rows: BTreeMap<_, _> = rows.iter().map(|(id, row)| ((id, &row.id), row)).collect();
    let state = |state| i16::try_from(state_column(state)).unwrap_or_default();
    let parts = rows.values().map(|row| row.subaccount.as_ref());
    sqlx::query(
        "INSERT INTO reservations SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[],
             $5::text[], $6::text[], $7::int8[], $8::int8[], $9::int2[], $10::int8[])
         ON CONFLICT (customer_id, id) DO UPDATE SET subaccount = excluded.subaccount, holder = excluded.holder,
             metadata = excluded.metadata, items = excluded.items, reserve_time = excluded.reserve_time,
             expire_time = excluded.expire_time, state = excluded.state, end_time = excluded.end_time",
    )
    .bind(rows.keys().map(|key| key.0.as_str()).collect::<Vec<_>>())
    .bind(rows.keys().map(|key| key.1.as_str()).collect::<Vec<_>>())
    .bind(parts.map(|part| part.map(SubaccountId::as_str)).collect::<Vec<_>>())
    .bind(rows.values().map(|row| &*row.holder).collect::<Vec<_>>())
    .bind(rows.values().map(|row| labels(&row.metadata)).collect::<Vec<_>>())
    .bind(rows.values().map(|row| json(&row.items)).collect::<Vec<_>>())
    .bind(rows.values().map(|row| row.reserve_time.as_micros()).collect::<Vec<_>>())
    .bind(rows.values().map(|row| row.expire_time.as_micros()).collect::<Vec<_>>())
    .bind(rows.values().map(|row| state(row.state)).collect::<Vec<_>>())
    .bind(rows.values().map(|row| row.end_time.map(Timestamp::as_micros)).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

async fn allocations(conn: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    let gone = &changes.deallocations;
    if !gone.is_empty() {
        sqlx::query(
            "DELETE FROM allocations a USING UNNEST($1::text[], $2::text[], $3::text[]) AS g (customer_id, feature, id)
             WHERE a.customer_id = g.customer_id AND a.feature = g.feature AND a.id = g.id",
        )
        .bind(gone.iter().map(|row| row.0.as_str()).collect::<Vec<_>>())
        .bind(gone.iter().map(|row| row.1.as_str()).collect::<Vec<_>>())
        .bind(gone.iter().map(|row| row.2.as_str()).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    }
    for rows in changes.allocations.chunks(ROWS_A_STATEMENT) {
        let rows: BTreeMap<_, _> = rows
            .iter()
            .map(|(customer, row)| ((customer, &row.feature, &row.id), row))
            .collect();
        let parts = rows.values().map(|row| row.subaccount.as_ref());
        sqlx::query(
            "INSERT INTO allocations SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
             ON CONFLICT (customer_id, feature, id)
             DO UPDATE SET body = excluded.body, subaccount = excluded.subaccount",
        )
        .bind(rows.keys().map(|key| key.0.as_str()).collect::<Vec<_>>())
        .bind(rows.keys().map(|key| key.1.as_str()).collect::<Vec<_>>())
        .bind(rows.keys().map(|key| key.2.as_str()).collect::<Vec<_>>())
        .bind(parts.map(|part| part.map(SubaccountId::as_str)).collect::<Vec<_>>())
        .bind(rows.values().map(|row| json(*row)).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn overrides(conn: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    let gone = &changes.removed_overrides;
    if !gone.is_empty() {
        sqlx::query(
            "DELETE FROM overrides o USING UNNEST($1::text[], $2::text[], $3::text[]) AS g (customer_id, feature, part)
             WHERE o.customer_id = g.customer_id AND o.feature = g.feature AND o.subaccount = g.part",
        )
        .bind(gone.iter().map(|row| row.0.as_str()).collect::<Vec<_>>())
        .bind(gone.iter().map(|row| row.1.as_str()).collect::<Vec<_>>())
        .bind(gone.iter().map(|row| part_column(row.2.as_ref())).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    }
    for rows in changes.overrides.chunks(ROWS_A_STATEMENT) {
        let rows: BTreeMap<_, _> = rows
            .iter()
            .map(|(customer, row)| ((customer, &row.feature, row.subaccount.as_ref()), row))
            .collect();
        sqlx::query(
            "INSERT INTO overrides SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[])
             ON CONFLICT (customer_id, feature, subaccount) DO UPDATE SET body = excluded.body",
        )
        .bind(rows.keys().map(|key| key.0.as_str()).collect::<Vec<_>>())
        .bind(rows.keys().map(|key| key.1.as_str()).collect::<Vec<_>>())
        .bind(rows.keys().map(|key| part_column(key.2)).collect::<Vec<_>>())
        .bind(rows.values().map(|row| json(*row)).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn catalog(conn: &mut PgConnection, applied: &StoredCatalog) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO catalogs VALUES ($1, $2, $3, $4)")
        .bind(applied.version())
        .bind(json(&*applied.catalog))
        .bind(&*applied.source)
        .bind(applied.apply_time.as_micros())
        .execute(conn)
        .await?;
    Ok(())
}

async fn answers(
    conn: &mut PgConnection,
    rows: &[StoredAnswer],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO answers
         SELECT *, $6 FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[])",
    )
    .bind(rows.iter().map(|row| &*row.key.caller).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.key.method).collect::<Vec<_>>())
    .bind(
        rows.iter()
            .map(|row| row.key.request.as_str())
            .collect::<Vec<_>>(),
    )
    .bind(rows.iter().map(|row| &row.content[..]).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| &*row.answer).collect::<Vec<_>>())
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds to the denial log.
pub(super) async fn log_denials(
    conn: &mut PgConnection,
    denials: &[Denial],
) -> Result<(), StoreError> {
    let mut rows: BTreeMap<_, (i64, &str)> = BTreeMap::new();
    for denial in denials {
        let key = (
            &denial.customer,
            denial.minute,
            &denial.feature,
            &denial.reason,
        );
        let row = rows.entry(key).or_default();
        row.0 = row.0.saturating_add(denial.count);
        row.1 = &denial.sample;
    }
    let rows: Vec<_> = rows.into_iter().collect();
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        sqlx::query(
            "INSERT INTO denials AS d SELECT * FROM UNNEST($1::text[], $2::int8[], $3::text[], $4::text[],
                 $5::int8[], $6::text[])
             ON CONFLICT (customer_id, minute, feature, reason)
             DO UPDATE SET count = d.count + excluded.count, sample = excluded.sample",
        )
        .bind(rows.iter().map(|(key, _)| key.0.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(key, _)| key.1.as_micros()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(key, _)| key.2.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(key, _)| &**key.3).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.1).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
