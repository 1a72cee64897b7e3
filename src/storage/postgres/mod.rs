//! The store in PostgreSQL: any number of processes work on one database at a time.
//!
//! A commit is acknowledged after PostgreSQL's COMMIT returned, with its flushes read back as on when the database was
//! opened. Transactions are READ COMMITTED: what a decision depends on belongs to customers, and the rows of those are
//! locked before anything of them is read. Nothing here decides.

mod account;
mod archive;
mod audit;
mod billing;
mod changes;
#[cfg(test)]
pub(super) mod cluster;
mod columns;
mod commit;
mod copy;
mod counters;
mod customers;
mod days;
mod dropped;
mod epochs;
mod error;
mod event_list;
mod find;
mod insert;
mod lists;
mod locks;
mod marks;
mod migrate;
mod names;
mod open;
mod rates;
mod rollups;
mod scan;
#[cfg(test)]
mod tests;
mod trim;
mod usage;
mod wallets;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::Mutex;
use tokio::time::timeout;

pub use self::archive::{PostgresSnapshot, PostgresTarget};
pub use self::open::{Options, Seen};

use self::days::Days;
use self::names::Names;
use self::trim::{Slice, TrimCursor};
use super::{
    AccountRows, AllocationQuery, AuditPage, AuditQuery, Batch, BillingQuery, BillingRow,
    ClaimRates, Committed, CustomerQuery, Denial, DenialQuery, EventQuery, Feed, FeedCursor,
    LedgerQuery, Page, ReservationQuery, Store, StoreError, StoredCatalog, StoredEvent, UsageQuery,
    UsageRow,
};
use crate::domain::catalog::CatalogVersion;
use crate::domain::customer::{Allocation, Customer};
use crate::domain::id::{CustomerId, HoldId};
use crate::domain::reservation::Reservation;
use crate::domain::subscription::Subscription;
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::{Hold, Posted, WalletKey};

/// Connections that follow others, keep this process alive for them, and make partitions.
const FEED_CONNECTIONS: u32 = 3;
/// So many times as long as for the first connection is waited for one of many that are busy.
const BUSY: u32 = 5;

/// What was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Names this life of the database; a restored backup is to get another.
    pub incarnation: String,
}

/// Everything bursar remembers, in a PostgreSQL database.
pub struct PostgresStore {
    shared: Shared,
    trimming: Mutex<TrimCursor>,
}

/// What all calls use.
struct Shared {
    options: Options,
    writers: PgPool,
    /// Apart from the others, so that no work of theirs keeps this process from following and from saying that it lives;
    /// and whoever holds a writer and needs a connection beside it gets one.
    feed: PgPool,
    /// Loads customers.
    loaders: PgPool,
    /// Reads what may take long.
    reports: PgPool,
    names: Names,
    days: Days,
    /// Names this process among those that use the database.
    process: String,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens a database by its address (`postgres://user@host/name`) and brings its schema up to date.
    ///
    /// # Errors
    /// When it cannot be reached, its settings would not keep what is acknowledged, or it was written by a newer
    /// version that this one cannot work beside.
    pub async fn open(url: &str, options: Options) -> Result<(Self, Opened), StoreError> {
        let connecting = open::connecting(url, &options)?;
        let opened = timeout(
            open::duration(Span::from_minutes(10)),
            open::begin(&connecting, &options),
        )
        .await
        .map_err(late)??;
        let store = Self {
            shared: Shared {
                writers: open::pool(&connecting, &options, (options.writers, 1), false),
                feed: open::pool(&connecting, &options, (FEED_CONNECTIONS, 1), true),
                loaders: open::pool(&connecting, &options, (options.readers, BUSY), true),
                reports: open::pool(&connecting, &options, (options.readers, BUSY), true),
                options,
                names: Names::default(),
                days: Days::default(),
                process: uuid(),
            },
            trimming: Mutex::default(),
        };
        Ok((store, opened))
    }

    /// Waits for an answer, but not for ever.
    async fn read<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        reading: F,
    ) -> Result<T, StoreError> {
        let limit = open::duration(self.shared.options.answer_timeout);
        timeout(limit, reading).await.map_err(late)?
    }

    /// Begins to read several tables as they were at one instant.
    async fn snapshot(&self, pool: &PgPool) -> Result<Transaction<'static, Postgres>, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        Ok(pool.begin_with(begin).await?)
    }
}

/// Looks at a database and changes nothing. `elapsed` tells how long ago something was.
///
/// # Errors
/// When it cannot be reached.
pub async fn look(address: &str, elapsed: impl Fn() -> Duration) -> Result<Seen, StoreError> {
    let options = Options::default();
    let limit = open::duration(options.answer_timeout);
    let connecting = open::connecting(address, &options)?;
    timeout(limit, open::look(&connecting, elapsed))
        .await
        .map_err(late)?
}

async fn now(conn: &mut PgConnection) -> Result<Timestamp, StoreError> {
    let micros: i64 =
        sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8")
            .fetch_one(conn)
            .await?;
    super::columns::read_time("clock", micros)
}

/// Returns a name that no other process has.
#[expect(
    clippy::disallowed_methods,
    reason = "a process is named once, when it opens the database"
)]
fn uuid() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn late(_: tokio::time::error::Elapsed) -> StoreError {
    StoreError::Unavailable("the database did not answer in time".to_owned())
}

#[async_trait]
impl Store for PostgresStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.read(async { now(&mut *self.shared.feed.acquire().await?).await })
            .await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        commit::commit(&self.shared, batch).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn enlist(&self, committer: u16) -> Result<i64, StoreError> {
        self.read(async {
            let mut conn = self.shared.feed.acquire().await?;
            let whose = (&*self.shared.process, committer);
            epochs::enlist(&mut conn, whose, self.shared.options.lease).await
        })
        .await
    }

    async fn follow(&self, since: Option<FeedCursor>) -> Result<Feed, StoreError> {
        self.read(async {
            let Shared {
                process, options, ..
            } = &self.shared;
            let mut conn = self.shared.feed.acquire().await?;
            epochs::renew(&mut conn, process, options.lease).await?;
            epochs::follow(&mut conn, process, since).await
        })
        .await
    }

    async fn resign(&self) -> Result<(), StoreError> {
        self.read(async {
            let mut conn = self.shared.feed.acquire().await?;
            rates::leave(&mut conn, &self.shared.process).await?;
            epochs::resign(&mut conn, &self.shared.process).await
        })
        .await
    }

    async fn share_rates(&self, claim: ClaimRates) -> Result<Option<Span>, StoreError> {
        self.read(async {
            let Shared {
                process, options, ..
            } = &self.shared;
            rates::share(
                &mut *self.shared.feed.acquire().await?,
                process,
                options.lease,
                claim,
            )
            .await?;
            Ok(Some(options.lease))
        })
        .await
    }

    async fn accounts(
        &self,
        customers: &[CustomerId],
        now: Timestamp,
    ) -> Result<Vec<Option<AccountRows>>, StoreError> {
        self.read(async {
            let mut snapshot = self.snapshot(&self.shared.loaders).await?;
            account::read(&mut snapshot, &self.shared.names, customers, now).await
        })
        .await
    }

    async fn catalog(
        &self,
        version: Option<CatalogVersion>,
    ) -> Result<Option<StoredCatalog>, StoreError> {
        self.read(async {
            lists::catalog(&mut *self.shared.loaders.acquire().await?, version).await
        })
        .await
    }

    async fn customers(
        &self,
        query: CustomerQuery,
    ) -> Result<Page<(Customer, Option<Subscription>)>, StoreError> {
        self.read(async {
            lists::customers(&mut *self.shared.reports.acquire().await?, &query).await
        })
        .await
    }

    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        self.read(async {
            usage::read(&mut *self.snapshot(&self.shared.reports).await?, &query).await
        })
        .await
    }

    async fn events(&self, query: EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        self.read(async {
            event_list::page(&mut *self.shared.reports.acquire().await?, &query).await
        })
        .await
    }

    async fn reservations(&self, query: ReservationQuery) -> Result<Page<Reservation>, StoreError> {
        self.read(async {
            lists::reservations(&mut *self.shared.reports.acquire().await?, &query).await
        })
        .await
    }

    async fn allocations(&self, query: AllocationQuery) -> Result<Page<Allocation>, StoreError> {
        self.read(async {
            lists::allocations(&mut *self.shared.reports.acquire().await?, &query).await
        })
        .await
    }

    async fn ledger(&self, query: LedgerQuery) -> Result<Page<Posted>, StoreError> {
        self.read(async {
            wallets::ledger(&mut *self.shared.reports.acquire().await?, &query).await
        })
        .await
    }

    async fn hold(
        &self,
        customer: &CustomerId,
        id: &HoldId,
    ) -> Result<Option<(WalletKey, Hold)>, StoreError> {
        self.read(async {
            wallets::hold(&mut *self.shared.loaders.acquire().await?, customer, id).await
        })
        .await
    }

    async fn overdue(&self, now: Timestamp, limit: usize) -> Result<Vec<CustomerId>, StoreError> {
        self.read(async {
            lists::overdue(&mut *self.shared.reports.acquire().await?, now, limit).await
        })
        .await
    }

    async fn billing(&self, query: BillingQuery) -> Result<Page<BillingRow>, StoreError> {
        self.read(async { billing::page(&mut *self.shared.reports.acquire().await?, &query).await })
            .await
    }

    async fn log_denials(&self, denials: Vec<Denial>) -> Result<(), StoreError> {
        self.read(async {
            let mut transaction = self.shared.writers.begin().await?;
            changes::log_denials(&mut transaction, &denials).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn denials(&self, query: DenialQuery) -> Result<Page<Denial>, StoreError> {
        self.read(async {
            lists::denials(&mut *self.shared.reports.acquire().await?, &query).await
        })
        .await
    }

    async fn audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        self.read(async {
            let mut snapshot = self.snapshot(&self.shared.reports).await?;
            audit::page(&mut snapshot, &self.shared.names, &query).await
        })
        .await
    }

    async fn trim(&self, now: Timestamp, keep_events: Span) -> Result<bool, StoreError> {
        let mut cursor = self.trimming.lock().await;
        let slice = Slice::new(&self.shared, now, keep_events);
        let more = self.read(slice.run(&mut cursor)).await;
        if more.is_err() {
            *cursor = TrimCursor::default();
        }
        more
    }
}
