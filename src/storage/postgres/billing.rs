//! Dealings with Stripe.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::lists::{asked, page as page_of};
use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;
use crate::storage::columns::{corrupt, read_time, read_token, token};
use crate::storage::{
    BillingKey, BillingKind, BillingQuery, BillingRow, Changes, Page, StoreError,
};

/// Rows that one statement writes: their bodies may be long.
const ROWS_A_STATEMENT: usize = 200;
const COLUMNS: &str = "kind, id, customer, state, due_time, create_time, body";

/// Looks up rows by name, and keeps others from changing them until the end of the transaction.
pub(super) async fn find(
    conn: &mut PgConnection,
    keys: &[BillingKey],
) -> Result<Vec<Option<BillingRow>>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    // In the order of the key, so that nobody waits for somebody who waits for it.
    let sql = format!(
        "SELECT {COLUMNS} FROM billing
         WHERE (kind, id) IN (SELECT * FROM UNNEST($1::text[], $2::text[]))
         ORDER BY kind, id FOR UPDATE"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(keys.iter().map(|key| key.kind.word()).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| &*key.id).collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let row = read(row)?;
        found.insert(row.key.clone(), row);
    }
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// Writes what was decided.
pub(super) async fn write(conn: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    let gone = &changes.billing_gone;
    if !gone.is_empty() {
        sqlx::query(
            "DELETE FROM billing WHERE (kind, id) IN (SELECT * FROM UNNEST($1::text[], $2::text[]))",
        )
        .bind(gone.iter().map(|key| key.kind.word()).collect::<Vec<_>>())
        .bind(gone.iter().map(|key| &*key.id).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    }
    // One statement must not touch a row twice: the last one counts.
    let rows: BTreeMap<_, _> = changes.billing.iter().map(|row| (&row.key, row)).collect();
    let rows: Vec<_> = rows.into_values().collect();
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        let customers = rows.iter().map(|row| row.customer.as_ref());
        let dues = rows.iter().map(|row| row.due_time);
        sqlx::query(
            "INSERT INTO billing SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::int8[],
                 $6::int8[], $7::text[])
             ON CONFLICT (kind, id) DO UPDATE SET customer = excluded.customer, state = excluded.state,
                 due_time = excluded.due_time, create_time = excluded.create_time, body = excluded.body",
        )
        .bind(rows.iter().map(|row| row.key.kind.word()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &*row.key.id).collect::<Vec<_>>())
        .bind(customers.map(|id| id.map(CustomerId::as_str)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &*row.state).collect::<Vec<_>>())
        .bind(dues.map(|due| due.map(Timestamp::as_micros)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.create_time.as_micros()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &*row.body).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Lists rows: those that are due, or the newest first.
pub(super) async fn page(
    conn: &mut PgConnection,
    query: &BillingQuery,
) -> Result<Page<BillingRow>, StoreError> {
    let (at, id): (i64, String) = match &query.after {
        Some(text) => read_token(text)?,
        None => (i64::MIN, String::new()),
    };
    let (range, order, at) = match query.due_by {
        Some(_) => (
            "due_time <= $5 AND (due_time, id) > ($6, $7)",
            "due_time, id",
            at,
        ),
        None => (
            "$5::int8 IS NULL AND (create_time < $6 OR (create_time = $6 AND id > $7))",
            "create_time DESC, id",
            at.saturating_neg(),
        ),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM billing
         WHERE kind = $1 AND ($2::text IS NULL OR id = $2) AND ($3::text IS NULL OR customer = $3)
           AND ($4::text IS NULL OR state = $4) AND ($9::text IS NULL OR starts_with(id, $9)) AND {range}
         ORDER BY {order} LIMIT $8"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(query.kind.word())
        .bind(query.id.as_deref())
        .bind(query.customer.as_ref().map(CustomerId::as_str))
        .bind(query.state.as_deref())
        .bind(query.due_by.map(Timestamp::as_micros))
        .bind(at)
        .bind(id)
        .bind(asked(query.limit))
        .bind(query.begins.as_deref())
        .fetch_all(conn)
        .await?;
    let items: Vec<BillingRow> = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok(page_of(items, query.limit, |row| token(&query.place(row))))
}

fn read(row: &PgRow) -> Result<BillingRow, StoreError> {
    let kind: String = row.try_get(0)?;
    let customer: Option<String> = row.try_get(2)?;
    let due: Option<i64> = row.try_get(4)?;
    Ok(BillingRow {
        key: BillingKey {
            kind: BillingKind::read(&kind)?,
            id: row.try_get::<String, _>(1)?.into(),
        },
        customer: customer
            .map(CustomerId::new)
            .transpose()
            .map_err(|error| corrupt("billing", error))?,
        state: row.try_get::<String, _>(3)?.into(),
        due_time: due.map(|at| read_time("billing", at)).transpose()?,
        create_time: read_time("billing", row.try_get(5)?)?,
        body: row.try_get::<String, _>(6)?.into(),
    })
}
