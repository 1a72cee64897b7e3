//! Reads wallets from the file.

use rusqlite::{Connection, Row};

use super::Result;
use crate::checker::Stored;
use crate::credits::Balance;
use crate::wallets::rows::{Grant, Head, Key, key};

/// Reads all that is stored of wallets.
pub fn read(conn: &Connection, stored: &mut Stored) -> Result<()> {
    heads(conn, stored)?;
    grants(conn, stored)?;
    holds(conn, stored)?;
    ledger(conn, stored)?;
    draws(conn, stored)
}

/// Reads each row of a table that begins with customer, part and unit.
fn each(
    (conn, sql): (&Connection, &str),
    stored: &mut Stored,
    mut take: impl FnMut(&mut Stored, Key, &Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let customer: Option<String> = row.get(0)?;
        let (part, unit): (String, String) = (row.get(1)?, row.get(2)?);
        let known = key(customer.as_deref().unwrap_or_default(), &part, &unit);
        let taken = known
            .map_err(Into::into)
            .and_then(|key| take(stored, key, row));
        if let Err(error) = taken {
            stored.strange.push(error.to_string());
        }
    }
    Ok(())
}

fn heads(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let sql = "SELECT customers.id, subaccount, unit, number, receivable
        FROM wallets LEFT JOIN customers ON customers.no = customer_no";
    each((conn, sql), stored, |stored, key, row| {
        let head = Head {
            number: row.get(3)?,
            owed: row.get(4)?,
        };
        stored.books.heads.insert(key, head);
        Ok(())
    })
}

fn grants(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let sql =
        "SELECT customers.id, subaccount, unit, grants.id, amount, used, held, lapsed, payment
        FROM grants LEFT JOIN customers ON customers.no = customer_no";
    each((conn, sql), stored, |stored, key, row| {
        let grant = Grant {
            part: key.1,
            amount: row.get(4)?,
            used: row.get(5)?,
            held: row.get(6)?,
            lapsed: row.get(7)?,
            payment: row.get(8)?,
        };
        Ok(stored.books.grant(key.0, row.get(3)?, grant)?)
    })
}

fn holds(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let sql = "SELECT customers.id, subaccount, unit, holds.id, state, holds.body
        FROM holds LEFT JOIN customers ON customers.no = customer_no";
    each((conn, sql), stored, |stored, key, row| {
        let body: String = row.get(5)?;
        let (id, state) = (row.get(3)?, row.get(4)?);
        Ok(stored.books.hold(key, id, state, &body)?)
    })
}

fn ledger(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let sql = "SELECT customers.id, subaccount, unit, number, cause, ledger.body, available, held, receivable
        FROM ledger LEFT JOIN customers ON customers.no = customer_no
        ORDER BY customer_no, subaccount, unit, number";
    each((conn, sql), stored, |stored, key, row| {
        let body: String = row.get(5)?;
        let balance = Balance {
            available: row.get(6)?,
            held: row.get(7)?,
            owed: row.get(8)?,
        };
        let what = (row.get(3)?, row.get(4)?);
        Ok(stored.books.posted(key, what, &body, balance)?)
    })
}

fn draws(conn: &Connection, stored: &mut Stored) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT customers.id, feature, draws.body
         FROM draws LEFT JOIN customers ON customers.no = customer_no",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let customer: Option<String> = row.get(0)?;
        let (feature, body): (String, String) = (row.get(1)?, row.get(2)?);
        let customer = customer.unwrap_or_default();
        if let Err(text) = stored.books.draw(&customer, &feature, &body) {
            stored.strange.push(text);
        }
    }
    Ok(())
}
