//! The row of a batch: the mark that makes it repeatable, and a chain over what was stored.

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::columns::{IdColumn, kind_column};
use super::insert::Inserted;
use crate::domain::catalog::CatalogVersion;
use crate::domain::time::Timestamp;
use crate::storage::{BatchMark, CustomerNo, EventRow, StoreError};

/// What the row of a batch says beside its hash.
pub(super) struct Link {
    pub(super) mark: BatchMark,
    pub(super) now: Timestamp,
    /// Events that were stored.
    pub(super) events: i64,
    /// Customers that they are of.
    pub(super) customers: i64,
}

impl Link {
    pub(super) fn write(
        &self,
        conn: &Connection,
        previous: &[u8],
        hash: &[u8],
    ) -> Result<(), StoreError> {
        conn.prepare_cached(
            "INSERT INTO batches (epoch, number, time, events, customers, prev_hash, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            self.mark.epoch,
            self.mark.number,
            self.now.as_micros(),
            self.events,
            self.customers,
            previous,
            hash,
        ))?;
        Ok(())
    }
}

/// Whether a batch is already stored.
pub(super) fn is_marked(conn: &Connection, mark: BatchMark) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM batches WHERE epoch = ?1 AND number = ?2")?
        .exists((mark.epoch, mark.number))?)
}

/// Refuses a batch that rests on a catalog which is no longer the newest.
pub(super) fn check_catalog(conn: &Connection, known: CatalogVersion) -> Result<(), StoreError> {
    if known == 0 {
        return Ok(());
    }
    let newest: CatalogVersion = conn
        .prepare_cached("SELECT ifnull(max(version), 0) FROM catalogs")?
        .query_row([], |row| row.get(0))?;
    if newest > known {
        return Err(StoreError::Outdated);
    }
    Ok(())
}

/// Refuses events of customers that do not exist.
pub(super) fn check_customers<'a>(
    conn: &Connection,
    rows: impl Iterator<Item = &'a EventRow>,
) -> Result<(), StoreError> {
    check_numbers(conn, rows.map(|row| row.customer))
}

/// Refuses numbers that no customer has: they are dense from 1, since customers are never removed.
pub(super) fn check_numbers(
    conn: &Connection,
    numbers: impl Iterator<Item = CustomerNo>,
) -> Result<(), StoreError> {
    let Some((least, most)) = numbers.fold(None, |bounds, no| match bounds {
        None => Some((no, no)),
        Some((least, most)) => Some((no.min(least), no.max(most))),
    }) else {
        return Ok(());
    };
    let newest: i64 = conn
        .prepare_cached("SELECT ifnull(max(no), 0) FROM customers")?
        .query_row([], |row| row.get(0))?;
    if least < 1 || most > newest {
        return Err(StoreError::Constraint(
            "a row names a customer number that was never given".to_owned(),
        ));
    }
    Ok(())
}

/// Returns the hash of a batch over the one before it, its mark and time, and each stored event's key and amount.
pub(super) fn chain(
    previous: &[u8],
    mark: BatchMark,
    now: Timestamp,
    inserted: &Inserted<'_>,
    decided: &[EventRow],
) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(previous);
    for number in [mark.epoch, mark.number, now.as_micros()] {
        hash.update(number.to_be_bytes());
    }
    let mut add = |id: IdColumn<'_>, row: &EventRow| {
        let mut tail = [0; 17];
        tail[..8].copy_from_slice(&row.customer.to_be_bytes());
        tail[8..16].copy_from_slice(&row.weighted.0.to_be_bytes());
        tail[16] = u8::from(kind_column(row.kind) != 0);
        hash.update(id.as_bytes());
        hash.update(tail);
    };
    for (id, row) in inserted.rows() {
        add(id, row);
    }
    for row in decided {
        add(IdColumn::of(&row.event.event_id), row);
    }
    hash.finalize().to_vec()
}
