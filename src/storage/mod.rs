//! What bursar remembers: one contract, several implementations, one conformance suite.
//!
//! A store knows no rules of entitlement. It makes atomic what a pure closure decides: it finds out which events
//! are new, reads what the closure needs, lets it decide, writes what it returns and commits, all in one
//! transaction. Every promise written here is a test in `conformance`.

pub mod archive;
mod batch;
mod billing;
mod columns;
#[cfg(test)]
pub(crate) mod conformance;
mod dues;
mod feed;
pub mod memory;
pub mod postgres;
mod query;
mod rates;
mod rows;
pub mod sqlite;
mod summary;
mod sums;
mod wallets;

use async_trait::async_trait;

pub use batch::{
    Batch, BatchMark, Changes, Committed, CounterSet, CounterShift, CustomerWrite, Decide,
    Duplicate, EventKey, Fold, FoldResult, Found, Named, RequestKey, Reread, RollupShift,
    StoredAnswer, WindowUse,
};
pub use billing::{BillingKey, BillingKind, BillingQuery, BillingRow};
pub use feed::{Feed, FeedCursor};
pub use query::{
    AllocationQuery, AuditPage, AuditQuery, CounterMismatch, CustomerQuery, Denial, DenialQuery,
    EventQuery, LedgerQuery, Page, PlanInForce, ReservationQuery, UsageQuery, UsageRow,
};
pub use rates::{ClaimRates, RateClaims, RateKey, RateShare, RateTable};
pub use rows::{
    AccountRows, CounterRow, CustomerNo, EventFlags, EventKind, EventRow, StoredCatalog,
    StoredEvent, SubaccountRows, Use,
};

use crate::domain::catalog::CatalogVersion;
use crate::domain::customer::Allocation;
use crate::domain::customer::Customer;
use crate::domain::id::{CustomerId, HoldId};
use crate::domain::reservation::Reservation;
use crate::domain::subscription::Subscription;
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::{Hold, Posted, WalletKey};

/// How long the key of an event is kept, from its receipt; the event is never dropped before.
pub const EVENT_KEYS_KEPT: Span = Span::from_days(36);
/// How long the row of a batch is kept: as long as a process may lag that follows what others do, and long enough to
/// look into what happened.
pub const BATCHES_KEPT: Span = Span::from_days(7);
/// How long the answer to a mutation is kept.
pub const ANSWERS_KEPT: Span = Span::from_days(40);
/// How long a row of the denial log is kept.
pub const DENIALS_KEPT: Span = Span::from_days(30);
/// Most rows of the denial log of one customer; the oldest go first.
pub const DENIALS_MAX: usize = 10_000;
/// How long a reservation, or a hold of credits, is kept after its end.
pub const RESERVATIONS_KEPT: Span = Span::from_days(35);
/// Most rows that one call of [`Store::trim`] drops.
pub const TRIM_SLICE: usize = 1_000;

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
    /// Another process changed meanwhile what the decision rests on, in a way that only showed when it was written;
    /// nothing was changed. The same is to be decided again.
    #[error("another process was faster: {0}")]
    Conflict(String),
    /// The batch rests on a catalog that is no longer the newest; nothing was changed or decided.
    #[error("a newer catalog was applied")]
    Outdated,
    /// The epoch of the batch was ended, and the batch is not stored; nothing was changed. A new epoch is to be taken.
    #[error("the epoch was ended by another process")]
    Fenced,
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
///
/// Lists go by key: a page starts after the key of the last item before it, so that rows which come or go
/// meanwhile neither repeat nor hide others. Page tokens are opaque and good for the store that made them; any
/// other is [`StoreError::Constraint`]. An unknown customer has empty lists and no usage.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns the database's own time: what every replica agrees on.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Whether other processes may write to the same database, so that what memory holds may be behind.
    fn is_shared(&self) -> bool {
        false
    }

    /// Begins a life of a committer, which the process counts from 0, and returns its number: the epoch. Epochs rise
    /// with each start and are never used twice. What an earlier life of the same committer of this process still has
    /// under way is waited for and then kept from committing.
    async fn enlist(&self, committer: u16) -> Result<i64, StoreError>;

    /// Says that this process is alive, ends the epochs of those that have not said so in time, and returns what
    /// others changed since the cursor; without one, where they are now. Nothing where [`Store::is_shared`] is false.
    async fn follow(&self, since: Option<FeedCursor>) -> Result<Feed, StoreError> {
        let cursor = since.unwrap_or_default();
        Ok(Feed {
            cursor,
            ..Feed::default()
        })
    }

    /// Says that this process is alive, and lets it look at how rates are shared out and take its part, one process at a
    /// time. Returns for how long from the call on what it took is its own; `None` and nothing else where
    /// [`Store::is_shared`] is false.
    async fn share_rates(&self, _claim: ClaimRates) -> Result<Option<Span>, StoreError> {
        Ok(None)
    }

    /// Ends what was begun by [`Store::enlist`], so that others need not wait to find this process silent.
    async fn resign(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Decides and writes one batch in one transaction and returns when it is durable.
    ///
    /// In this order: refuses a batch whose mark is already stored ([`Committed::repeated`]); inserts the plain
    /// events that are new; reads what the batch asks for; calls `decide` once; writes the changes and the mark.
    /// On an error nothing of it is stored, save after [`StoreError::Unknown`].
    ///
    /// What was read of the customers that the batch names holds until it is committed. Where others write as well,
    /// changes concern only customers that are named, that plain events are of, or that they create; anything else is
    /// locked late and may have to be tried again.
    ///
    /// A plain event is visible to everything that is read afterwards: a repeat of it later in the batch is a
    /// [`Duplicate`] of it, probes find it, and folds count it.
    ///
    /// Refused with [`StoreError::Constraint`]: a sum that leaves 64 bits, a customer that is neither stored nor
    /// created in the same changes, and an event, an answer or a catalog version that is already stored; the last two
    /// with [`StoreError::Conflict`] where another process may have stored them meanwhile. Likewise a number that
    /// stands in the ledger of its wallet already, a wallet that is owed to, a grant of which more is gone, spent or set
    /// aside than came, one that would become another, and a second one for the same payment.
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError>;

    /// Reads what decisions about customers need, by position; `None`: no such customer. Counters whose window ended
    /// by `now` and reservations that are no longer open are left out.
    async fn accounts(
        &self,
        customers: &[CustomerId],
        now: Timestamp,
    ) -> Result<Vec<Option<AccountRows>>, StoreError>;

    /// Reads one of [`Store::accounts`].
    async fn account(
        &self,
        customer: &CustomerId,
        now: Timestamp,
    ) -> Result<Option<AccountRows>, StoreError> {
        let read = self.accounts(std::slice::from_ref(customer), now).await?;
        Ok(read.into_iter().next().flatten())
    }

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

    /// Summarises usage over a range, by step and dimensions, in this order. Hours that lie wholly inside a step
    /// are read from rollups; those that a step cuts from events, by count time, as far as they are still stored.
    /// Rows of count 0 and sum 0 are left out.
    ///
    /// The overflow row of an hour has no dimensions: it falls under the empty group, no filter accepts it, and
    /// each row of a step that reads such an hour is marked as overflowed, whatever its filter.
    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageRow>, StoreError>;

    /// Lists events, voids as rows of their own, newest count time first, then by event id, usage before void.
    async fn events(&self, query: EventQuery) -> Result<Page<StoredEvent>, StoreError>;

    /// Lists reservations of a customer, newest reserve time first, then by id, those that ended included.
    async fn reservations(&self, query: ReservationQuery) -> Result<Page<Reservation>, StoreError>;

    /// Lists allocations of a customer, by feature and id.
    async fn allocations(&self, query: AllocationQuery) -> Result<Page<Allocation>, StoreError>;

    /// Lists the ledger of a wallet by number. Times rise with numbers, save that clocks of several processes may differ
    /// by up to an hour.
    async fn ledger(&self, query: LedgerQuery) -> Result<Page<Posted>, StoreError>;

    /// Returns a hold, whatever became of it, and the wallet it belongs to; `None`: there is none, or it is no longer
    /// kept. Only where there is no other of this id is it a pool.
    async fn hold(
        &self,
        customer: &CustomerId,
        id: &HoldId,
    ) -> Result<Option<(WalletKey, Hold)>, StoreError>;

    /// Returns customers that have a reservation or a hold in the open state, or a grant with something left to spend, with
    /// `expire_time <= now`, or a wallet with `due_time <= now`; at most `limit`, in any order.
    async fn overdue(&self, now: Timestamp, limit: usize) -> Result<Vec<CustomerId>, StoreError>;

    /// Lists what is kept of dealings with Stripe.
    async fn billing(&self, query: BillingQuery) -> Result<Page<BillingRow>, StoreError>;

    /// Adds to the denial log: counts are summed by customer, feature, reason and minute, the sample is replaced.
    async fn log_denials(&self, denials: Vec<Denial>) -> Result<(), StoreError>;

    /// Lists the denial log of a customer, newest minute first, then by feature and reason.
    async fn denials(&self, query: DenialQuery) -> Result<Page<Denial>, StoreError>;

    /// Compares counters with the fold of events and open reservations, one slice of customers at a time, by id.
    ///
    /// Compared is every counter that has a row, that a reservation in the open state holds, or that is tracked
    /// and whose window holds the latest instant the store was told (of a batch or a trim); one without a row
    /// holds nothing. A customer's own counter counts the events of all its subaccounts, a subaccount's only its
    /// own. Calendar windows step as [`anchor_of`](crate::domain::subscription::anchor_of) says.
    ///
    /// Used should be what was dropped with trimmed events plus the events that count in the window; of a rolling
    /// window, bucket by bucket, those that still count at that latest instant, of which a mismatch states the
    /// sums. A counter that only reservations name has no window to fold, so its use is not compared.
    async fn audit(&self, query: AuditQuery) -> Result<AuditPage, StoreError>;

    /// Forgets what is older than it must be kept, at most [`TRIM_SLICE`] rows; true when there may be more to do.
    ///
    /// Events go that count before `now − keep_events` and were received before `now −` [`EVENT_KEYS_KEPT`]; a
    /// `keep_events` shorter than that is taken as that. What they added to a fixed counter that still has a row
    /// is kept with it as dropped, so that audits and folds stay equal. A fixed counter goes when its window
    /// ended before `now − keep_events`, nothing is reserved in it and no event of its customer is stored that
    /// counts within its bounds: a late void finds its window. Then answers, denials and reservations that ended,
    /// by [`ANSWERS_KEPT`], [`DENIALS_KEPT`] and [`DENIALS_MAX`], [`RESERVATIONS_KEPT`], and holds that ended likewise.
    /// Rollups, grants and ledgers stay.
    async fn trim(&self, now: Timestamp, keep_events: Span) -> Result<bool, StoreError>;
}
