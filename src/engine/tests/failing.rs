//! A store that fails on demand, in every way in which a commit can.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::domain::catalog::CatalogVersion;
use crate::domain::customer::{Allocation, Customer};
use crate::domain::id::{CustomerId, HoldId};
use crate::domain::reservation::Reservation;
use crate::domain::subscription::Subscription;
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::{Hold, Posted, WalletKey};
use crate::storage::memory::MemoryStore;
use crate::storage::{
    AccountRows, AllocationQuery, AuditPage, AuditQuery, Batch, BillingQuery, BillingRow, Changes,
    Committed, CustomerQuery, Denial, DenialQuery, EventQuery, LedgerQuery, Page, ReservationQuery,
    Store, StoreError, StoredCatalog, StoredEvent, UsageQuery, UsageRow,
};

/// What fails, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Everything, before it began.
    All,
    /// Every commit, after its decision: nothing of it is stored.
    Commits,
    /// The next commit, of which nobody knows that nothing of it is stored.
    OneIsLost,
    /// The next commit, of which nobody knows that it is stored.
    OneIsDone,
}

pub struct Failing {
    inner: MemoryStore,
    failure: Mutex<Option<Failure>>,
    commits: AtomicUsize,
}

impl Failing {
    pub fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            failure: Mutex::default(),
            commits: AtomicUsize::default(),
        }
    }

    pub fn fail(&self, how: Failure) {
        *self.failure.lock() = Some(how);
    }

    /// Returns how many commits were asked for so far.
    pub fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }

    pub fn work(&self) {
        *self.failure.lock() = None;
    }

    fn check(&self) -> Result<(), StoreError> {
        match *self.failure.lock() {
            Some(Failure::All) => Err(StoreError::Unavailable("unplugged".to_owned())),
            Some(Failure::Commits | Failure::OneIsLost | Failure::OneIsDone) | None => Ok(()),
        }
    }

    async fn commit_or_fail(&self, mut batch: Batch) -> Result<Committed, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.check()?;
        let failure = *self.failure.lock();
        let unknown = || StoreError::Unknown("cut inside COMMIT".to_owned());
        match failure {
            None | Some(Failure::All) => self.inner.commit(batch).await,
            Some(Failure::OneIsDone) => {
                self.work();
                self.inner.commit(batch).await?;
                Err(unknown())
            }
            Some(Failure::Commits | Failure::OneIsLost) => {
                let decide = batch.decide;
                batch.decide = Box::new(|found| {
                    drop(decide(found));
                    let abort = Some("the disk is full".to_owned());
                    Changes {
                        abort,
                        ..Changes::default()
                    }
                });
                let aborted = self.inner.commit(batch).await;
                assert!(aborted.is_err(), "nothing of it is stored");
                if failure == Some(Failure::OneIsLost) {
                    self.work();
                    return Err(unknown());
                }
                Err(StoreError::Full("no space left".to_owned()))
            }
        }
    }
}

macro_rules! passed_on {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for Failing {
            async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
                self.commit_or_fail(batch).await
            }

            $(async fn $name(&self, $($argument: $kind),*) -> Result<$answer, StoreError> {
                self.check()?;
                self.inner.$name($($argument),*).await
            })*
        }
    };
}

passed_on! {
    now() -> Timestamp;
    enlist(committer: u16) -> i64;
    accounts(customers: &[CustomerId], now: Timestamp) -> Vec<Option<AccountRows>>;
    catalog(version: Option<CatalogVersion>) -> Option<StoredCatalog>;
    customers(query: CustomerQuery) -> Page<(Customer, Option<Subscription>)>;
    usage(query: UsageQuery) -> Vec<UsageRow>;
    events(query: EventQuery) -> Page<StoredEvent>;
    reservations(query: ReservationQuery) -> Page<Reservation>;
    allocations(query: AllocationQuery) -> Page<Allocation>;
    ledger(query: LedgerQuery) -> Page<Posted>;
    hold(customer: &CustomerId, id: &HoldId) -> Option<(WalletKey, Hold)>;
    overdue(now: Timestamp, limit: usize) -> Vec<CustomerId>;
    billing(query: BillingQuery) -> Page<BillingRow>;
    log_denials(denials: Vec<Denial>) -> ();
    denials(query: DenialQuery) -> Page<Denial>;
    audit(query: AuditQuery) -> AuditPage;
    trim(now: Timestamp, keep_events: Span) -> bool;
}
