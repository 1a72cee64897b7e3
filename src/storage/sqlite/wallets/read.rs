//! Reading what stands of wallets.

use rusqlite::Row;

use super::super::columns::{corrupt, read_json};
use super::super::names::Reading;
use crate::domain::id::{CustomerId, HoldId};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{Draw, Grant, Hold, SPENT_GRANTS_KEPT, Wallet, WalletHead, WalletKey};
use crate::storage::wallets::{GrantColumns, HoldColumns, assemble, meant, read_key};
use crate::storage::{CustomerNo, StoreError};

const GRANTS: &str = "
    SELECT subaccount, unit, id, amount, used, held, lapsed, change_time, due_time, body
    FROM books INDEXED BY books_open WHERE customer_no = ?1 AND kind = 1 AND state = 0
    UNION ALL
    SELECT subaccount, unit, id, amount, used, held, lapsed, change_time, due_time, body
    FROM books INDEXED BY grants_spent
    WHERE customer_no = ?1 AND kind = 1 AND state <> 0 AND end_time > ?2";

/// A hold of an id, in whichever wallet of its customer.
const HOLD: &str = "
    SELECT h.subaccount, h.unit, h.state, h.due_time, h.end_time, h.body
    FROM books w INDEXED BY books_open CROSS JOIN books h
    WHERE w.customer_no = ?1 AND w.kind = 0 AND w.state = 0 AND h.customer_no = w.customer_no
      AND h.subaccount = w.subaccount AND h.unit = w.unit AND h.kind = 2 AND h.id = ?2";

/// What was drawn in periods that have not ended.
const DRAWS: &str = "
    SELECT body FROM books
    WHERE customer_no = ?1 AND subaccount = '' AND unit = '' AND kind = 3 AND due_time > ?2";

/// Reads the wallets of a customer and its subaccounts: heads, grants that are not forgotten, holds that are open.
pub(in super::super) fn wallets(
    reading: Reading<'_>,
    customer: CustomerNo,
    now: Timestamp,
) -> Result<Vec<Wallet>, StoreError> {
    let heads = heads(reading, customer)?;
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    assemble(
        heads,
        grants(reading, customer, now)?,
        open_holds(reading, customer)?,
    )
}

fn heads(reading: Reading<'_>, customer: CustomerNo) -> Result<Vec<WalletHead>, StoreError> {
    let mut statement = reading.conn.prepare_cached(
        "SELECT subaccount, unit, number, receivable, body
         FROM books INDEXED BY books_open WHERE customer_no = ?1 AND kind = 0 AND state = 0",
    )?;
    let mut rows = statement.query([customer])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(WalletHead {
            key: key("wallets", row)?,
            number: row.get(2)?,
            receivable: row.get(3)?,
            terms: read_json("wallets", text("wallets", row, 4)?)?,
        });
    }
    Ok(found)
}

fn grants(
    reading: Reading<'_>,
    customer: CustomerNo,
    now: Timestamp,
) -> Result<Vec<(WalletKey, Grant)>, StoreError> {
    let forgotten = now.minus(SPENT_GRANTS_KEPT).as_micros();
    let mut statement = reading.conn.prepare_cached(GRANTS)?;
    let mut rows = statement.query((customer, forgotten))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let columns = GrantColumns {
            id: text("grants", row, 2)?,
            amount: row.get(3)?,
            used: row.get(4)?,
            held: row.get(5)?,
            lapsed: row.get(6)?,
            change_time: row.get(7)?,
            expire_time: row.get(8)?,
            body: text("grants", row, 9)?,
        };
        found.push((key("grants", row)?, columns.read()?));
    }
    Ok(found)
}

fn open_holds(
    reading: Reading<'_>,
    customer: CustomerNo,
) -> Result<Vec<(WalletKey, HoldId, Hold)>, StoreError> {
    let mut statement = reading.conn.prepare_cached(
        "SELECT subaccount, unit, state, due_time, end_time, body, id
         FROM books INDEXED BY books_open WHERE customer_no = ?1 AND kind = 2 AND state = 0",
    )?;
    let mut rows = statement.query([customer])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id = HoldId::new(text("holds", row, 6)?).map_err(|error| corrupt("holds", error))?;
        found.push((key("holds", row)?, id, read_hold(row)?));
    }
    Ok(found)
}

/// Finds a hold, whatever became of it.
pub(in super::super) fn hold(
    reading: Reading<'_>,
    customer: &CustomerId,
    id: &HoldId,
) -> Result<Option<(WalletKey, Hold)>, StoreError> {
    let Some(customer) = reading.customer_no(customer)? else {
        return Ok(None);
    };
    let mut statement = reading.conn.prepare_cached(HOLD)?;
    let mut rows = statement.query((customer, id.as_str()))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((key("holds", row)?, read_hold(row)?));
    }
    Ok(meant(found))
}

/// Reads a hold from the columns after those of its wallet.
fn read_hold(row: &Row<'_>) -> Result<Hold, StoreError> {
    let columns = HoldColumns {
        state: row.get(2)?,
        expire_time: row.get(3)?,
        end_time: row.get(4)?,
        body: text("holds", row, 5)?,
    };
    columns.read()
}

/// Reads what usage drew in billing periods that have not ended, by feature and start.
pub(in super::super) fn draws(
    reading: Reading<'_>,
    customer: CustomerNo,
    now: Timestamp,
) -> Result<Vec<Draw>, StoreError> {
    let mut statement = reading.conn.prepare_cached(DRAWS)?;
    let mut rows = statement.query((customer, now.as_micros()))?;
    let mut found: Vec<Draw> = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_json("draws", text("draws", row, 0)?)?);
    }
    found.sort_unstable_by(|a, b| (&a.feature, a.period.start).cmp(&(&b.feature, b.period.start)));
    Ok(found)
}

/// Reads which wallet a row belongs to, from its first two columns.
fn key(table: &'static str, row: &Row<'_>) -> Result<WalletKey, StoreError> {
    read_key(table, text(table, row, 0)?, text(table, row, 1)?)
}

/// Shows a column of text as it stands.
pub(super) fn text<'r>(
    table: &'static str,
    row: &'r Row<'_>,
    at: usize,
) -> Result<&'r str, StoreError> {
    let value = row.get_ref(at)?;
    value.as_str().map_err(|error| corrupt(table, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::open::empty;

    #[test]
    fn what_is_looked_for_is_found_by_a_key() {
        let conn = empty();
        for (sql, last) in [
            (HOLD, "subaccount=? AND unit=? AND kind=? AND id=?)"),
            (DRAWS, "subaccount=? AND unit=? AND kind=?)"),
        ] {
            let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps: Vec<String> = explain
                .raw_query()
                .mapped(|row| row.get(3))
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(
                steps.iter().all(|step| step.starts_with("SEARCH")),
                "{steps:?}"
            );
            assert!(steps.last().unwrap().ends_with(last), "{steps:?}");
        }
    }
}
