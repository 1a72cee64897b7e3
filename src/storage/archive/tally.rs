//! What was copied, in few numbers: rows and a digest per table, and sums per customer.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ArchiveError, Record, Sink, Table};

/// Rows of a table and a digest of them that does not depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub rows: u64,
    /// The sum of their hashes.
    pub digest: u128,
}

/// The sums of all tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    sums: [Sum; Table::ALL.len()],
}

/// The sums of one table as an archive holds them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableSum {
    table: Table,
    rows: u64,
    digest: String,
}

impl Tally {
    /// Returns the sums of a table.
    #[must_use]
    pub const fn of(&self, table: Table) -> Sum {
        self.sums[table as usize]
    }

    /// Returns how many rows there are of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.sums.iter().map(|sum| sum.rows).sum()
    }

    /// Adds a row by its line.
    pub(super) fn add(&mut self, table: Table, line: &[u8]) {
        let hash = Sha256::digest(line);
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        let sum = &mut self.sums[table as usize];
        sum.rows += 1;
        sum.digest = sum.digest.wrapping_add(u128::from_be_bytes(half));
    }

    /// Says of each table what it holds, in words of the archive.
    pub(super) fn tables(&self) -> Vec<TableSum> {
        let of = |table| {
            let Sum { rows, digest } = self.of(table);
            let digest = format!("{digest:032x}");
            TableSum {
                table,
                rows,
                digest,
            }
        };
        Table::ALL.into_iter().map(of).collect()
    }

    /// Whether an archive's own words say the same: of each table once, where it does not leave out one that it has
    /// nothing of, as older formats do.
    pub(super) fn agrees(&self, said: &[TableSum]) -> bool {
        let is_said = |own: &TableSum| {
            let mut same = said.iter().filter(|said| said.table == own.table);
            match (same.next(), same.next()) {
                (Some(said), None) => (own.rows, &own.digest) == (said.rows, &said.digest),
                (None, None) => own.rows == 0,
                (_, Some(_)) => false,
            }
        };
        self.tables().iter().all(is_said)
    }

    /// Names the first table in which two tallies differ, with both sides.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        Table::ALL.into_iter().find_map(|table| {
            let (own, other) = (self.of(table), other.of(table));
            if own.rows != other.rows {
                return Some(format!(
                    "{} has {} rows, and {} were read",
                    table.name(),
                    other.rows,
                    own.rows
                ));
            }
            (own != other).then(|| format!("{} holds other rows than were read", table.name()))
        })
    }
}

#[async_trait::async_trait(?Send)]
impl Sink for Tally {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        let mut line = Vec::new();
        for record in records {
            record.write(&mut line)?;
            self.add(record.table(), &line);
        }
        Ok(())
    }
}

/// What a customer has, summed up by the database itself: a second opinion beside the digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerTotals {
    /// Whose.
    pub customer: String,
    /// Of its fixed counters, what was used, in thousandths.
    pub used: i128,
    /// Of its counters, what open reservations hold.
    pub reserved: i128,
    /// Of its hourly totals, the events.
    pub events: i128,
    /// Of its hourly totals, what they weigh.
    pub weighted: i128,
    /// Its open reservations.
    pub open: i64,
    /// Its allocations.
    pub allocations: i64,
    /// Of its grants, what is left or set aside, in micro-units of whatever unit.
    pub credits: i128,
    /// Of its wallets, what is owed.
    pub owed: i128,
    /// Its open holds.
    pub holds: i64,
    /// The transactions of its ledgers.
    pub transactions: i64,
}
