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
    SELECT subaccount, unit, id, amount, used, held, lapsed, change_time, expire_time, body
    FROM grants INDEXED BY grants_open WHERE customer_no = ?1 AND is_open = 1
    UNION ALL
    SELECT subaccount, unit, id, amount, used, held, lapsed, change_time, expire_time, body
    FROM grants INDEXED BY grants_spent WHERE customer_no = ?1 AND is_open = 0 AND change_time > ?2";

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
        "SELECT subaccount, unit, number, receivable, terms FROM wallets WHERE customer_no = ?1",
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
        "SELECT subaccount, unit, state, expire_time, end_time, body, id
         FROM holds INDEXED BY holds_open WHERE customer_no = ?1 AND state = 0",
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
    let mut statement = reading.conn.prepare_cached(
        "SELECT subaccount, unit, state, expire_time, end_time, body FROM holds
         WHERE customer_no = ?1 AND id = ?2 ORDER BY subaccount, unit",
    )?;
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
    let mut statement = reading.conn.prepare_cached(
        "SELECT body FROM draws WHERE customer_no = ?1 AND period_end > ?2
         ORDER BY feature, period_start",
    )?;
    let mut rows = statement.query((customer, now.as_micros()))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_json("draws", text("draws", row, 0)?)?);
    }
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
