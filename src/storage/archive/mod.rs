//! Everything that a store remembers, on its way out of one database and into another or into a file.
//!
//! A [`Source`] sends the rows of one instant, a [`Sink`] takes them; both in pieces, so that neither has to fit into
//! memory. What a [`Target`] was given becomes visible at once and only after it was read back and compared. Marks of
//! batches are not copied: they belong to one life of a database, and a copy begins another.

mod copy;
mod credits;
mod file;
mod record;
mod table;
mod tally;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::copy::{Copied, Watch, copy, save};
pub use self::credits::{DrawRecord, GrantRecord, HoldRecord, PostedRecord, WalletRecord};
pub use self::file::{ArchiveReader, ArchiveWriter};
pub use self::record::{
    AdjustmentRecord, AllocationRecord, AnswerRecord, BillingRecord, CatalogRecord, CounterRecord,
    CustomerRecord, DenialRecord, EventRecord, Json, OverrideRecord, Record, ReservationRecord,
    RollupRecord, SubaccountRecord,
};
pub(super) use self::record::{json, json_or_none};
pub use self::table::Table;
pub use self::tally::{CustomerTotals, Sum, Tally};

use super::StoreError;
use crate::domain::id::CustomerId;
use crate::domain::window::TimeRange;

/// The version of the format that this binary writes, and the newest that it reads. The first knows no wallets, the second
/// no dealings with Stripe.
pub const FORMAT: u32 = 3;
/// Most records that are given at once.
pub const PIECE: usize = 1_000;

/// Refuses a schema other than the one that this binary knows: rows that it does not know would be left out.
pub(super) fn check_schema(found: i64, known: i64) -> Result<(), ArchiveError> {
    if found == known {
        return Ok(());
    }
    Err(ArchiveError::Foreign(format!(
        "the database has schema {found} and this binary copies {known}: use the binary whose servers have it, or start \
         a server of this one once"
    )))
}

/// What an archive says of itself before its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the format.
    pub bursar_archive: u32,
    /// The version of the binary that made it.
    pub made_by: String,
    /// When, in words.
    pub made: String,
    /// From which kind of database: `sqlite` or `postgres`.
    pub from: String,
    /// The version of its schema.
    pub schema: i64,
    /// Which life of a database it is of.
    pub incarnation: String,
    /// The latest instant that the store was told, of a batch or a trim, in microseconds.
    pub latest: i64,
}

/// What is asked of a source.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Which tables.
    pub tables: Vec<Table>,
    /// Of events and hourly totals, only those of this time.
    pub range: TimeRange,
    /// Of events and hourly totals, only this customer's.
    pub customer: Option<CustomerId>,
}

impl Scope {
    /// Asks for everything.
    #[must_use]
    pub fn all() -> Self {
        Self::of(&Table::ALL)
    }

    /// Asks for some tables.
    #[must_use]
    pub fn of(tables: &[Table]) -> Self {
        Self {
            tables: tables.to_vec(),
            range: TimeRange::ALWAYS,
            customer: None,
        }
    }

    /// Returns from when on and until when rows are asked for, in microseconds.
    #[must_use]
    pub fn bounds(&self) -> (i64, i64) {
        if self.range == TimeRange::ALWAYS {
            return (i64::MIN, i64::MAX);
        }
        (self.range.start.as_micros(), self.range.end.as_micros())
    }
}

/// Why something could not be copied. In each case the target shows nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file failed.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The archive was cut or altered.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// It is not one, or one that this binary cannot read.
    #[error("{0}")]
    Foreign(String),
    /// There is something where the copy should be.
    #[error("{0}")]
    NotEmpty(String),
    /// What was read back is not what was written.
    #[error("the copy is not what was copied: {0}")]
    Differs(String),
}

/// Takes records, all of one table at a time.
#[async_trait(?Send)]
pub trait Sink {
    /// Takes at most [`PIECE`] records.
    ///
    /// # Errors
    /// When they cannot be kept.
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError>;
}

/// Sends the records of one instant, as often as it is asked to.
#[async_trait(?Send)]
pub trait Source {
    /// Says what is sent.
    fn header(&self) -> &Header;

    /// Sends what is asked for, table by table in the order of [`Table::ALL`]. Hourly totals come by customer, meter
    /// and hour; nothing else is in any order.
    ///
    /// # Errors
    /// When it cannot be read, makes no sense, or cannot be taken.
    async fn send(&mut self, scope: &Scope, sink: &mut dyn Sink) -> Result<(), ArchiveError>;

    /// Returns sums of the customers after one, at most [`PIECE`], by id; `None`: it cannot add up by itself.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn totals(&mut self, after: &str) -> Result<Option<Vec<CustomerTotals>>, ArchiveError>;
}

/// A place for a copy, which nobody opens meanwhile. As a source it sends what it was given so far. One that is
/// dropped before it was finished or abandoned says to whoever opens it that it is half a copy.
#[async_trait(?Send)]
pub trait Target: Source + Sink {
    /// Ends the writing: what was given is complete.
    ///
    /// # Errors
    /// When the database fails.
    async fn settle(&mut self) -> Result<(), ArchiveError>;

    /// Shows the copy to everybody, as a new life of what the header tells.
    ///
    /// # Errors
    /// When the database fails; what was copied may be tried again.
    async fn finish(self: Box<Self>, from: &Header) -> Result<(), ArchiveError>;

    /// Takes everything back and leaves the place as it was found.
    async fn abandon(self: Box<Self>);
}
