//! Reads wallets from the database.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::{Result, all};
use crate::checker::Stored;
use crate::credits::Balance;
use crate::wallets::rows::{Grant, Head, Key, key};

/// Reads all that is stored of wallets.
pub async fn read(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    heads(conn, stored).await?;
    grants(conn, stored).await?;
    holds(conn, stored).await?;
    ledger(conn, stored).await?;
    draws(conn, stored).await
}

/// Takes rows of a table that begin with customer, part and unit.
fn each(
    rows: &[PgRow],
    stored: &mut Stored,
    take: impl Fn(&mut Stored, Key, &PgRow) -> Result<()>,
) -> Result<()> {
    for row in rows {
        let (customer, part): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let known = key(customer, part, row.try_get(2)?);
        let taken = known
            .map_err(Into::into)
            .and_then(|key| take(stored, key, row));
        if let Err(error) = taken {
            stored.strange.push(error.to_string());
        }
    }
    Ok(())
}

async fn heads(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let sql = "SELECT customer_id, subaccount, unit, number, receivable FROM wallets";
    each(&all(conn, sql).await?, stored, |stored, key, row| {
        let head = Head {
            number: row.try_get(3)?,
            owed: row.try_get(4)?,
        };
        stored.books.heads.insert(key, head);
        Ok(())
    })
}

async fn grants(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let sql =
        "SELECT customer_id, subaccount, unit, id, amount, used, held, lapsed, payment FROM grants";
    each(&all(conn, sql).await?, stored, |stored, key, row| {
        let grant = Grant {
            part: key.1,
            amount: row.try_get(4)?,
            used: row.try_get(5)?,
            held: row.try_get(6)?,
            lapsed: row.try_get(7)?,
            payment: row.try_get(8)?,
        };
        Ok(stored.books.grant(key.0, row.try_get(3)?, grant)?)
    })
}

async fn holds(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let sql = "SELECT customer_id, subaccount, unit, id, state::int8, body FROM holds";
    each(&all(conn, sql).await?, stored, |stored, key, row| {
        let (id, state) = (row.try_get(3)?, row.try_get(4)?);
        Ok(stored.books.hold(key, id, state, row.try_get(5)?)?)
    })
}

async fn ledger(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    let sql = "SELECT customer_id, subaccount, unit, number, cause, body, available, held, receivable FROM ledger
        ORDER BY customer_id, subaccount, unit, number";
    each(&all(conn, sql).await?, stored, |stored, key, row| {
        let balance = Balance {
            available: row.try_get(6)?,
            held: row.try_get(7)?,
            owed: row.try_get(8)?,
        };
        let what = (row.try_get(3)?, row.try_get(4)?);
        Ok(stored.books.posted(key, what, row.try_get(5)?, balance)?)
    })
}

async fn draws(conn: &mut PgConnection, stored: &mut Stored) -> Result<()> {
    for row in all(conn, "SELECT customer_id, feature, body FROM draws").await? {
        let (customer, feature): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        if let Err(text) = stored.books.draw(customer, feature, row.try_get(2)?) {
            stored.strange.push(text);
        }
    }
    Ok(())
}
