//! The store in one SQLite file: one thread writes, a few connections read.
//!
//! A commit is acknowledged after SQLite's COMMIT in WAL mode with `synchronous = FULL` returned, never before.
//! Nothing here decides: the writer calls the batch's own closure between reading and writing.

mod account;
mod archive;
mod audit;
mod billing;
mod changes;
mod checkpoint;
mod columns;
mod counters;
mod diagnose;
mod dropped;
mod error;
mod event_list;
mod find;
mod insert;
mod lists;
mod marks;
mod names;
mod open;
mod readers;
mod recounts;
mod rollups;
mod scan;
mod segments;
mod trim;
mod usage;
mod wallets;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

pub use archive::{SqliteSnapshot, SqliteTarget};
pub use diagnose::{Diagnosis, diagnose};
pub use open::Opened;

use self::checkpoint::Checkpointer;
use self::names::{Names, Reading};
use self::readers::Readers;
use self::writer::{Ask, WriterHandle};
use super::{
    AccountRows, AllocationQuery, AuditPage, AuditQuery, Batch, BillingQuery, BillingRow,
    Committed, CustomerQuery, Denial, DenialQuery, EventQuery, LedgerQuery, Page, ReservationQuery,
    Store, StoreError, StoredCatalog, StoredEvent, UsageQuery, UsageRow,
};
use crate::domain::catalog::CatalogVersion;
use crate::domain::customer::{Allocation, Customer};
use crate::domain::id::{CustomerId, HoldId};
use crate::domain::reservation::Reservation;
use crate::domain::subscription::Subscription;
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::{Hold, Posted, WalletKey};

/// Size of a page of a new file, in bytes.
const PAGE_BYTES: u32 = 4096;

/// How a database file is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory for pages of the writing connection, in KiB; at least 1024. Not the more the better: most commits that
    /// split a page of a tree go through all pages that are kept.
    pub writer_cache_kib: u32,
    /// Memory for pages of each reading connection, in KiB; at least 1024.
    pub reader_cache_kib: u32,
    /// Connections that read at the same time; 1 to 64.
    pub readers: usize,
    /// Pages that wait in the write-ahead log from which on they are moved into the file, beside the commits; at
    /// least 1.
    pub checkpoint_pages: i64,
    /// SQLite's `journal_mode`; anything but `wal` is weak.
    pub journal_mode: &'static str,
    /// SQLite's `synchronous`; anything but `FULL` is weak.
    pub synchronous: &'static str,
    /// Whether to run although what is acknowledged may be lost in a power cut.
    pub allow_weak_durability: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            writer_cache_kib: 16_384,
            reader_cache_kib: 8_192,
            readers: 4,
            checkpoint_pages: 2_000,
            journal_mode: "wal",
            synchronous: "FULL",
            allow_weak_durability: false,
        }
    }
}

/// Everything bursar remembers, in one SQLite file.
pub struct SqliteStore {
    // Declared first, so that the writer has ended and its connection is closed before the lock is given up.
    writer: WriterHandle,
    readers: Arc<Readers>,
    _lock: File,
}

impl SqliteStore {
    /// Opens or creates a database file and takes it for this process alone.
    ///
    /// # Errors
    /// When another process has it, it cannot be read, its settings would not keep what is acknowledged, or it was
    /// written by a newer version.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<(Self, Opened), StoreError> {
        let path = path.as_ref();
        let lock = open::lock(path)?;
        archive::refuse_unfinished(path)?;
        let mut conn = open::writer(path, &options)?;
        open::migrate(&mut conn)?;
        let opened = open::begin(&mut conn, path)?;
        let names = Arc::new(Names::default());
        names.tell(open::latest(&conn)?);
        let checkpointer = Checkpointer::start(path, &options)?;
        let writer = WriterHandle::start(conn, Arc::clone(&names), checkpointer)?;
        let readers = Arc::new(Readers::new(path, options, names));
        let store = Self {
            writer,
            readers,
            _lock: lock,
        };
        Ok((store, opened))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        // Not before what was stored, should this machine's clock have been set back since.
        self.readers
            .read(|reading| Ok(open::time(reading.conn)?.max(reading.latest)))
            .await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.writer
            .ask(|reply| Ask::Commit(Box::new(batch), reply))
            .await
    }

    async fn enlist(&self, _committer: u16) -> Result<i64, StoreError> {
        self.writer.ask(Ask::Enlist).await
    }

    async fn accounts(
        &self,
        customers: &[CustomerId],
        now: Timestamp,
    ) -> Result<Vec<Option<AccountRows>>, StoreError> {
        let customers = customers.to_vec();
        let read = move |reading: Reading<'_>| {
            let one = |customer| account::read(reading, customer, now);
            customers.iter().map(one).collect()
        };
        self.readers.read(read).await
    }

    async fn catalog(
        &self,
        version: Option<CatalogVersion>,
    ) -> Result<Option<StoredCatalog>, StoreError> {
        self.readers
            .read(move |reading| lists::catalog(reading, version))
            .await
    }

    async fn customers(
        &self,
        query: CustomerQuery,
    ) -> Result<Page<(Customer, Option<Subscription>)>, StoreError> {
        self.readers
            .read(move |reading| lists::customers(reading, &query))
            .await
    }

    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        self.readers
            .read(move |reading| usage::read(reading, &query))
            .await
    }

    async fn events(&self, query: EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        self.readers
            .read(move |reading| event_list::page(reading, &query))
            .await
    }

    async fn reservations(&self, query: ReservationQuery) -> Result<Page<Reservation>, StoreError> {
        self.readers
            .read(move |reading| lists::reservations(reading, &query))
            .await
    }

    async fn allocations(&self, query: AllocationQuery) -> Result<Page<Allocation>, StoreError> {
        self.readers
            .read(move |reading| lists::allocations(reading, &query))
            .await
    }

    async fn ledger(&self, query: LedgerQuery) -> Result<Page<Posted>, StoreError> {
        self.readers
            .read(move |reading| wallets::page(reading, &query))
            .await
    }

    async fn hold(
        &self,
        customer: &CustomerId,
        id: &HoldId,
    ) -> Result<Option<(WalletKey, Hold)>, StoreError> {
        let (customer, id) = (customer.clone(), id.clone());
        self.readers
            .read(move |reading| wallets::hold(reading, &customer, &id))
            .await
    }

    async fn overdue(&self, now: Timestamp, limit: usize) -> Result<Vec<CustomerId>, StoreError> {
        self.readers
            .read(move |reading| lists::overdue(reading, now, limit))
            .await
    }

    async fn billing(&self, query: BillingQuery) -> Result<Page<BillingRow>, StoreError> {
        self.readers
            .read(move |reading| billing::page(reading, &query))
            .await
    }

    async fn log_denials(&self, denials: Vec<Denial>) -> Result<(), StoreError> {
        self.writer.ask(|reply| Ask::Denials(denials, reply)).await
    }

    async fn denials(&self, query: DenialQuery) -> Result<Page<Denial>, StoreError> {
        self.readers
            .read(move |reading| lists::denials(reading, &query))
            .await
    }

    async fn audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        self.readers
            .read(move |reading| audit::page(reading, &query))
            .await
    }

    async fn trim(&self, now: Timestamp, keep_events: Span) -> Result<bool, StoreError> {
        self.writer
            .ask(|reply| Ask::Trim(now, keep_events, reply))
            .await
    }
}
