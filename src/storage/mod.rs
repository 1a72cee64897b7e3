//! What bursar remembers: one contract, several implementations, one conformance suite.
//!
//! A store knows no rules of entitlement. It makes atomic what a pure closure decides: it finds out which events
//! are new, reads what the closure needs, lets it decide, writes what it returns and commits, all in one
//! transaction. Every promise written here is a test in `conformance`.

mod batch;
mod query;
mod rows;

use async_trait::async_trait;

pub use batch::{
    Batch, BatchMark, Changes, Committed, CounterSet, CounterShift, CustomerWrite, Decide,
    Duplicate, EventKey, Fold, FoldResult, Found, RequestKey, RollupShift, StoredAnswer, WindowUse,
};
pub use query::{
    AllocationQuery, AuditPage, AuditQuery, CounterMismatch, CustomerQuery, Denial, DenialQuery,
    EventQuery, Page, ReservationQuery, UsageQuery, UsageRow,
};
pub use rows::{
    AccountRows, CounterRow, CustomerNo, EventFlags, EventKind, EventRow, StoredCatalog,
    StoredEvent, SubaccountRows, Use,
};

use crate::domain::catalog::CatalogVersion;
use crate::domain::customer::Allocation;
use crate::domain::customer::Customer;
use crate::domain::id::CustomerId;
use crate::domain::reservation::Reservation;
use crate::domain::subscription::Subscription;
use crate::domain::time::{Span, Timestamp};

/// Why a store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or is busy; nothing was changed. Trying again later may help.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// It has no space left or may not write; nothing was changed. Reading may still work.
    #[error("the store refuses to write: {0}")]
    Full(String),
    /// A tripwire on the rows fired (a counter left 64 bits, a row broke a CHECK); nothing was changed.
    /// The batch's Writes should be tried one by one.
    #[error("a write broke a constraint: {0}")]
    Constraint(String),
    /// The connection was lost inside COMMIT: it may or may not have happened. The same batch may be given again.
    #[error("the outcome of a commit is unknown: {0}")]
    Unknown(String),
    /// What was read makes no sense.
    #[error("corrupt {table}: {detail}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong with which row.
        detail: String,
    },
}

/// Everything bursar remembers.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns the database's own time: what every replica agrees on.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Decides and writes one batch in one transaction and returns when it is durable.
    ///
    /// In this order: refuses a batch whose mark is already stored ([`Committed::repeated`]); inserts the plain
    /// events that are new; reads what the batch asks for; calls `decide` once; writes the changes and the mark.
    /// On an error nothing of it is stored, save after [`StoreError::Unknown`].
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError>;

    /// Reads what decisions about one customer need; `None`: no such customer. Counters whose window ended by
    /// `now` and reservations that are no longer open are left out.
    async fn account(
        &self,
        customer: &CustomerId,
        now: Timestamp,
    ) -> Result<Option<AccountRows>, StoreError>;

    /// Returns a catalog; `None` for the version asks for the newest.
    async fn catalog(
        &self,
        version: Option<CatalogVersion>,
    ) -> Result<Option<StoredCatalog>, StoreError>;

    /// Lists customers with their subscriptions, by id.
    async fn customers(
        &self,
        query: CustomerQuery,
    ) -> Result<Page<(Customer, Option<Subscription>)>, StoreError>;

    /// Summarises usage over a range, by step and dimensions. Hours that the range cuts are read from raw events.
    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageRow>, StoreError>;

    /// Lists events, newest count time first.
    async fn events(&self, query: EventQuery) -> Result<Page<StoredEvent>, StoreError>;

    /// Lists reservations of a customer, newest first, those that ended included.
    async fn reservations(&self, query: ReservationQuery) -> Result<Page<Reservation>, StoreError>;

    /// Lists allocations of a customer, by feature and id.
    async fn allocations(&self, query: AllocationQuery) -> Result<Page<Allocation>, StoreError>;

    /// Returns customers that have a reservation in the open state whose time is over, at most `limit`.
    async fn overdue(&self, now: Timestamp, limit: usize) -> Result<Vec<CustomerId>, StoreError>;

    /// Adds to the denial log, summed by customer, feature, reason and minute.
    async fn log_denials(&self, denials: Vec<Denial>) -> Result<(), StoreError>;

    /// Lists the denial log of a customer, newest minute first.
    async fn denials(&self, query: DenialQuery) -> Result<Page<Denial>, StoreError>;

    /// Compares counters with the fold of events and open reservations, one slice at a time.
    async fn audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError>;

    /// Forgets what is older than it must be kept, one short slice; true when there is more to do.
    async fn trim(&self, now: Timestamp, keep_events: Span) -> Result<bool, StoreError>;
}
