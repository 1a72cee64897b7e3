//! The row of a batch: the mark that makes it repeatable, and a chain over what was stored.

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::columns::{IdColumn, kind_column};
use super::insert::Inserted;
use crate::domain::catalog::CatalogVersion;
use crate::domain::time::Timestamp;
use crate::domain::wallet::Posted;
use crate::storage::wallets::{cause_column, key_columns};
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
    /// Writes the row with its hash, and returns that.
    pub(super) fn write(
        &self,
        conn: &Connection,
        previous: &[u8],
        chain: Chain,
    ) -> Result<Vec<u8>, StoreError> {
        let hash = chain.0.finalize().to_vec();
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
            &*hash,
        ))?;
        Ok(hash)
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

/// The hash of a batch in the making: over the one before it, its mark and time, each stored event's key and amounts, and
/// each transaction of a ledger.
pub(super) struct Chain(Sha256);

impl Chain {
    pub(super) fn begin(previous: &[u8], mark: BatchMark, now: Timestamp) -> Self {
        let mut hash = Sha256::new();
        hash.update(previous);
        for number in [mark.epoch, mark.number, now.as_micros()] {
            hash.update(number.to_be_bytes());
        }
        Self(hash)
    }

    /// Adds the events that the batch stored.
    pub(super) fn events(&mut self, inserted: &Inserted<'_>, decided: &[EventRow]) {
        for (id, row) in inserted.rows() {
            self.event(id, row);
        }
        for row in decided {
            self.event(IdColumn::of(&row.event.event_id), row);
        }
    }

    fn event(&mut self, id: IdColumn<'_>, row: &EventRow) {
        let mut tail = [0; 17];
        tail[..8].copy_from_slice(&row.customer.to_be_bytes());
        tail[8..16].copy_from_slice(&row.weighted.0.to_be_bytes());
        tail[16] = u8::from(kind_column(row.kind) != 0);
        self.0.update(id.as_bytes());
        self.0.update(tail);
        if let Some(charge) = &row.charge {
            self.0.update(charge.amount.to_be_bytes());
        }
    }

    /// Adds a transaction of a ledger.
    pub(super) fn posted(&mut self, customer: CustomerNo, posted: &Posted, body: &str) {
        let (part, unit) = key_columns(&posted.wallet);
        let balance = &posted.balance;
        for text in [part, unit, cause_column(posted.transaction.cause), body] {
            self.0.update(text.len().to_be_bytes());
            self.0.update(text);
        }
        for number in [
            customer,
            posted.number,
            posted.time.as_micros(),
            balance.available,
            balance.held,
            balance.receivable,
        ] {
            self.0.update(number.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::conformance::fixture::START;
    use crate::storage::conformance::fixture::purse::rich;
    use crate::storage::wallets::posted_body;

    #[test]
    fn a_transaction_counts_with_whose_it_is_and_its_number() {
        let posted = rich(START).posted.remove(0);
        let mark = BatchMark {
            epoch: 1,
            number: 1,
        };
        let hash = |customer, posted: &Posted| {
            let mut chain = Chain::begin(&[], mark, START);
            chain.posted(customer, posted, &posted_body(posted));
            chain.0.finalize()
        };
        let sound = hash(1, &posted);
        assert_eq!(hash(1, &posted), sound);
        assert_ne!(hash(2, &posted), sound);
        let number = posted.number + 1;
        assert_ne!(hash(1, &Posted { number, ..posted }), sound);
    }
}
