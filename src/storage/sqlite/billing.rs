//! Dealings with Stripe.

use rusqlite::{OptionalExtension, Row};

use super::columns::{corrupt, equals, read_time, read_token, token};
use super::lists::Filling;
use super::names::{Numbers, Reading};
use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;
use crate::storage::{
    BillingKey, BillingKind, BillingQuery, BillingRow, Changes, Page, StoreError,
};

const COLUMNS: &str = "kind, id, customer, state, due_time, create_time, body";

/// Looks up rows by name.
pub(super) fn find(
    reading: Reading<'_>,
    keys: &[BillingKey],
) -> Result<Vec<Option<BillingRow>>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM billing WHERE kind = ?1 AND id = ?2");
    let one = |key: &BillingKey| {
        let mut statement = reading.conn.prepare_cached(&sql)?;
        let found = statement.query_row((key.kind.word(), &*key.id), |row| Ok(read(row)));
        found.optional()?.transpose()
    };
    keys.iter().map(one).collect()
}

/// Writes what was decided.
pub(super) fn write(
    reading: Reading<'_>,
    numbers: &mut Numbers,
    changes: &Changes,
) -> Result<(), StoreError> {
    for key in &changes.billing_gone {
        let sql = "DELETE FROM billing WHERE kind = ?1 AND id = ?2";
        let mut statement = reading.conn.prepare_cached(sql)?;
        statement.execute((key.kind.word(), &*key.id))?;
    }
    for row in &changes.billing {
        if let Some(customer) = &row.customer {
            numbers.customer(reading, customer)?;
        }
        let sql = "INSERT INTO billing VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                   ON CONFLICT (kind, id) DO UPDATE SET customer = excluded.customer,
                   state = excluded.state, due_time = excluded.due_time,
                   create_time = excluded.create_time, body = excluded.body";
        reading.conn.prepare_cached(sql)?.execute((
            row.key.kind.word(),
            &*row.key.id,
            row.customer.as_ref().map(CustomerId::as_str),
            &*row.state,
            row.due_time.map(Timestamp::as_micros),
            row.create_time.as_micros(),
            &*row.body,
        ))?;
    }
    Ok(())
}

/// Lists rows: those that are due, or the newest first.
pub(super) fn page(
    reading: Reading<'_>,
    query: &BillingQuery,
) -> Result<Page<BillingRow>, StoreError> {
    let (at, id): (i64, String) = match &query.after {
        Some(text) => read_token(text)?,
        None => (i64::MIN, String::new()),
    };
    let mut statement = reading.conn.prepare_cached(&page_sql(query))?;
    let mut rows = statement.query((
        query.kind.word(),
        query.id.as_deref(),
        query.customer.as_ref().map(CustomerId::as_str),
        query.state.as_deref(),
        query.due_by.map(Timestamp::as_micros),
        if query.due_by.is_some() {
            at
        } else {
            at.saturating_neg()
        },
        id,
        query.begins.as_deref(),
    ))?;
    let mut filling = Filling::new(query.limit);
    while let Some(row) = rows.next()? {
        if !filling.take(read(row)?) {
            break;
        }
    }
    Ok(filling.page(|row| token(&query.place(row))))
}

fn page_sql(query: &BillingQuery) -> String {
    let by_id = equals("id", "?2", query.id.is_some());
    let by_start = equals("substr(id, 1, length(?8))", "?8", query.begins.is_some());
    let by_customer = equals("customer", "?3", query.customer.is_some());
    let by_state = equals("state", "?4", query.state.is_some());
    let (range, order) = match query.due_by {
        Some(_) => (
            "due_time <= ?5 AND (due_time, id) > (?6, ?7)",
            "due_time, id",
        ),
        None => (
            "?5 IS NULL AND (create_time < ?6 OR (create_time = ?6 AND id > ?7))",
            "create_time DESC, id",
        ),
    };
    format!(
        "SELECT {COLUMNS} FROM billing WHERE kind = ?1 AND {by_id} AND {by_customer} AND {by_state}
         AND {by_start} AND {range} ORDER BY {order}"
    )
}

fn read(row: &Row<'_>) -> Result<BillingRow, StoreError> {
    let kind: String = row.get(0)?;
    let customer: Option<String> = row.get(2)?;
    let due: Option<i64> = row.get(4)?;
    Ok(BillingRow {
        key: BillingKey {
            kind: BillingKind::read(&kind)?,
            id: row.get::<_, String>(1)?.into(),
        },
        customer: customer
            .map(CustomerId::new)
            .transpose()
            .map_err(|error| corrupt("billing", error))?,
        state: row.get::<_, String>(3)?.into(),
        due_time: due.map(|at| read_time("billing", at)).transpose()?,
        create_time: read_time("billing", row.get(5)?)?,
        body: row.get::<_, String>(6)?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::open::empty;

    #[test]
    fn what_is_asked_for_is_found_by_an_index() {
        let conn = empty();
        let all = BillingQuery::of(BillingKind::Chunk, 10);
        let named = BillingQuery {
            id: Some("x".into()),
            ..all.clone()
        };
        let due = BillingQuery {
            due_by: Some(Timestamp::MAX),
            ..all.clone()
        };
        let own = BillingQuery {
            customer: CustomerId::new("acme").ok(),
            ..all.clone()
        };
        for (query, index) in [
            (named, "(kind=? AND id=?)"),
            (due, "billing_due"),
            (own, "billing_of_customer"),
            (all, "billing_newest"),
        ] {
            let sql = format!("EXPLAIN QUERY PLAN {}", page_sql(&query));
            let values = ("chunk", "x", "acme", "s", 0, 0, "x", "x");
            let plan: String = conn.query_row(&sql, values, |row| row.get(3)).unwrap();
            assert!(plan.contains(index), "{plan}");
        }
    }
}
