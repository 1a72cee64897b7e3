//! Use cases: what the services ask for, on customers in memory and a store behind.
//!
//! Checks are answered from memory. Everything that changes something is a mutation: the committer gathers
//! mutations into batches, the store makes each batch one transaction, and the same pure functions of
//! [`crate::domain`] decide in both places.

mod accounts;
mod allocations;
mod amend;
mod answers;
mod assign;
mod audit;
mod background;
mod backoff;
mod billing;
mod catalogs;
mod cell;
mod check;
mod check_together;
mod collect;
mod committer;
mod consume;
mod cost;
mod customers;
mod decide;
mod denials;
mod discounts;
mod documents;
mod entitlements;
mod error;
mod estimate;
mod follow;
mod gauge;
mod lists;
mod load;
mod mutation;
mod outage;
mod overrides;
mod parts;
mod payment;
mod prepare;
mod prices;
mod profiles;
mod rates;
mod record;
mod recount;
mod replan;
mod reserve;
mod settle;
mod shares;
mod side_by_side;
mod so_far;
mod step;
mod subaccounts;
mod subscriptions;
mod sums;
mod take_back;
mod track;
mod under;
mod usage;
mod void;
mod wallet;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use self::accounts::Accounts;
use self::cell::Cell;
use self::committer::Committer;
use self::denials::DenialLog;
use self::gauge::Gauges;
use self::load::Loader;
use self::mutation::{Mutation, Pending, Receiver, Request, Write};
use self::outage::Outage;
use self::rates::{RateClock, Rates};
use self::shares::Shares;
use self::watch::Watchers;
use crate::clock::Clock;
use crate::domain::id::{CustomerId, RequestId};
use crate::domain::time::{Span, Timestamp};
use crate::storage::{Store, StoredCatalog};

pub(crate) use self::backoff::Backoff;

pub use self::allocations::{AllocateAnswer, AllocateCall};
pub use self::amend::{AmendAsk, Amended};
pub use self::assign::PlanCall;
pub use self::audit::Rebuilt;
pub use self::background::Chores;
pub use self::billing::{
    AccountBalance, Biller, BillingFault, BillingTerms, Calling, CancelWhen, ChangeAsk,
    ChangePreview, ChangeWhen, CheckoutAsk, ChunkView, HostedPage, InboundView, InvoiceAsk,
    InvoiceLineView, InvoiceView, LateRefusal, MeterBill, Order, OtherRefusals, OwnInvoice,
    OwnLine, PayAsk, PaymentPage, PaymentRequest, PaymentView, PendingInvoice, PendingLine,
    PreviewLine, Reconciled, RefundAsk, RefundWhy, Replayed, SandboxMemory, SubscribeAsk,
    UsageInvoice, money_mode, moved_ahead,
};
pub use self::catalogs::{CatalogAnswer, CatalogCall};
pub use self::check::{CheckAsk, CheckMode};
pub use self::consume::{ConsumeAsk, Consumed};
pub use self::customers::Profile;
pub use self::denials::{DenialSample, Denied};
pub use self::entitlements::{Entitled, EntitledAsk};
pub use self::error::{Bounded, Error, Overrun, Rule, Thing};
pub use self::estimate::{
    CostAnswer, CostAsk, CostItem, CostOf, ESTIMATE_ITEMS_MAX, ItemCost, Whose,
};
pub use self::overrides::{OverrideCall, OverrideQuery};
pub use self::payment::{Charge, Payment, PaymentFault, PaymentGateway};
pub use self::prepare::Prepared;
pub use self::prices::EditCall;
pub use self::profiles::ProfileChange;
pub use self::record::{RecordOutcome, Recorded};
pub use self::reserve::{ReserveAnswer, ReserveCall};
pub use self::side_by_side::side_by_side;
pub use self::subaccounts::{SubaccountChange, SubaccountProfile, SubaccountQuery};
pub use self::subscriptions::{PlanStanding, RunningCommitment, SubscriptionQuery};
pub use self::usage::{GROUP_BY_MAX, Granularity, UsageAsk, UsageTotal};
pub use self::void::{
    VOIDS_MAX, VoidAnswer, VoidAsk, VoidFilter, VoidResult, VoidStatus, VoidWhat,
};
pub use self::wallet::{
    CapCall, CaptureCall, ClawBackCall, DebitCall, ExpireGrantCall, GrantCall, Granted, HOLDS_MAX,
    HoldView, LedgerFinding, LedgerReport, Moved, ReleaseHoldCall, TopUpCall, TopUpTerms,
    TransferCall, WalletFault, WalletName, WalletView,
};
pub use self::watch::{Watch, WatchUpdate};

/// Bounds on what waits and on what a batch holds.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most events in one batch.
    pub batch_events: usize,
    /// Most bytes in one batch, roughly.
    pub batch_bytes: usize,
    /// Most mutations that wait for the committer.
    pub queue_writes: usize,
    /// Most events that wait for the committer or are in a batch.
    pub queue_events: usize,
    /// Most watchers of entitlements.
    pub watchers: usize,
    /// Most watchers of one customer's entitlements.
    pub watchers_per_customer: usize,
    /// Committers, each with a range of the customers: how many transactions may run at a time.
    pub committers: u16,
    /// How far answers from memory may be behind what other processes did.
    pub refresh: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_events: 65_536,
            batch_bytes: 32 * 1024 * 1024,
            queue_writes: 16_384,
            queue_events: 262_144,
            watchers: 10_000,
            watchers_per_customer: 100,
            committers: 1,
            refresh: Duration::from_millis(250),
        }
    }
}

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    /// Where mutations wait, by committer.
    queues: Arc<[mpsc::Sender<Box<dyn Write>>]>,
}

/// What the engine's parts share.
pub(crate) struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    rates: RateClock,
    shares: Shares,
    loader: Loader,
    accounts: Accounts,
    limits: Limits,
    /// Permits for events that wait or are in a batch.
    events: Arc<Semaphore>,
    outage: Outage,
    /// What billing needs to know.
    billing: OnceLock<BillingTerms>,
    /// Whoever bills.
    biller: parking_lot::RwLock<Option<Arc<dyn Biller>>>,
    /// Whoever moves money.
    payments: OnceLock<Arc<dyn PaymentGateway>>,
    gauges: Gauges,
    denials: DenialLog,
    watchers: Watchers,
    /// Tokens for creating customers by first use.
    creations: parking_lot::Mutex<Rates>,
    draining: AtomicBool,
}

/// How long a caller should wait when too much is waiting.
const OVERLOAD_WAIT: Span = Span::from_millis(100);

impl Engine {
    /// Starts the engine and its committers on the current runtime. The returned handle ends when every engine is
    /// dropped and all that waited is answered.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        catalog: StoredCatalog,
        limits: Limits,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let version = catalog.version();
        let shared = Arc::new(Shared {
            rates: RateClock(Arc::clone(&clock)),
            shares: Shares::new(store.is_shared()),
            store,
            clock,
            loader: Loader::new(catalog),
            accounts: Accounts::new(),
            events: Arc::new(Semaphore::new(limits.queue_events)),
            limits,
            outage: Outage::default(),
            billing: OnceLock::new(),
            biller: parking_lot::RwLock::default(),
            payments: OnceLock::new(),
            gauges: Gauges::new(),
            denials: DenialLog::default(),
            watchers: Watchers::new(version),
            creations: parking_lot::Mutex::default(),
            draining: AtomicBool::new(false),
        });
        let mut queues = Vec::new();
        let mut committers = JoinSet::new();
        for place in 0..shared.limits.committers.max(1) {
            let (queue, waiting) = mpsc::channel(shared.limits.queue_writes);
            committers.spawn(Committer::new(Arc::clone(&shared), waiting, place).run());
            queues.push(queue);
        }
        let queues = queues.into();
        let task = tokio::spawn(async move { while committers.join_next().await.is_some() {} });
        (Self { shared, queues }, task)
    }

    /// Returns which committer a customer belongs to: the ranges of the hash are of one size.
    fn lane(&self, cell: &Cell) -> usize {
        (usize::from(cell.hash) * self.queues.len()) >> u16::BITS
    }

    /// Returns the engine's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Returns the newest catalog.
    #[must_use]
    pub fn catalog(&self) -> StoredCatalog {
        self.shared.loader.current()
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Drops everything that memory holds. What is committed is not changed by it.
    pub fn forget_all(&self) {
        self.shared.accounts.forget_all();
    }

    /// Returns since when the store fails; `None`: it works.
    #[must_use]
    pub fn fails_since(&self) -> Option<Timestamp> {
        self.shared.outage.since()
    }

    /// Refuses new mutations from now on; those that wait are still answered, and watchers are told.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
        self.shared.watchers.wake_all();
    }

    /// Whether new mutations are refused.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }

    /// Returns a customer with its account in memory and its counters kept.
    async fn customer(&self, id: &CustomerId) -> Result<Arc<Cell>, Error> {
        self.find(id)
            .await?
            .ok_or_else(|| Error::not_found(Thing::Customer, id))
    }

    /// As [`Engine::customer`]; `None`: there is none.
    async fn find(&self, id: &CustomerId) -> Result<Option<Arc<Cell>>, Error> {
        let Some(cell) = self.shared.load(id).await? else {
            return Ok(None);
        };
        if cell.lock().untracked {
            self.submit(track::Track::new(Arc::clone(&cell))).await?;
        }
        Ok(Some(cell))
    }

    /// Takes room for events among those that wait; they hold it until they are answered, whoever asked for them is
    /// there still or not.
    fn room(&self, events: usize) -> Result<OwnedSemaphorePermit, Error> {
        let room = Arc::clone(&self.shared.events).try_acquire_many_owned(self.permits(events));
        room.map_err(|_| {
            self.shared.gauges.overloads.increment(1);
            Error::Overloaded {
                queue: "writes",
                retry_after: OVERLOAD_WAIT,
            }
        })
    }

    /// Returns how many permits so much room is: never more than there are, so that it can be had at all.
    fn permits(&self, size: usize) -> u32 {
        let most = self.shared.limits.queue_events;
        u32::try_from(size.min(most)).unwrap_or(u32::MAX)
    }

    /// Hands a mutation to the committer and waits for its answer; refused when too much is waiting.
    async fn submit<M: Mutation>(&self, mutation: M) -> Result<M::Answer, Error> {
        self.send(mutation)?.await.map_err(|_| Error::Draining)?
    }

    /// Hands a mutation to the committer; refused when too much is waiting.
    fn send<M: Mutation>(&self, mutation: M) -> Result<Receiver<M>, Error> {
        let (pending, answer) = Pending::new(mutation);
        self.offer(Box::new(pending))?;
        Ok(answer)
    }

    /// As [`Engine::submit`], done once per caller and request id.
    async fn submit_once<M: Mutation, C: Serialize>(
        &self,
        caller: &str,
        request: RequestId,
        content: &C,
        mutation: M,
    ) -> Result<M::Answer, Error>
    where
        M::Answer: Serialize + DeserializeOwned,
    {
        let request = Request::new(caller, M::METHOD, request, content)?;
        let (pending, answer) = Pending::once(mutation, request);
        self.offer(Box::new(pending))?;
        answer.await.map_err(|_| Error::Draining)?
    }

    fn offer(&self, write: Box<dyn Write>) -> Result<(), Error> {
        if self.is_draining() {
            return Err(Error::Draining);
        }
        // All that it looks at belongs to one committer; what looks at no customer goes to the first.
        let lane = write.named().first().map_or(0, |cell| self.lane(cell));
        debug_assert!(write.named().iter().all(|cell| self.lane(cell) == lane));
        self.queues[lane]
            .try_send(write)
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => {
                    self.shared.gauges.overloads.increment(1);
                    Error::Overloaded {
                        queue: "writes",
                        retry_after: OVERLOAD_WAIT,
                    }
                }
                mpsc::error::TrySendError::Closed(_) => Error::Draining,
            })
    }
}

impl Shared {
    /// Returns a customer with its account in memory; `None`: there is none.
    async fn load(&self, id: &CustomerId) -> Result<Option<Arc<Cell>>, Error> {
        let loaded = self
            .accounts
            .load(id, &*self.store, &self.loader, &*self.clock)
            .await;
        if let Err(Error::Store(error)) = &loaded {
            self.outage.failed(self.clock.now(), error);
        }
        loaded
    }
}

#[cfg(test)]
mod tests;
