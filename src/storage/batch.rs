//! One transaction: what it inserts, what it must find out, and what a decision makes of that.

use std::sync::Arc;

use super::billing::{BillingKey, BillingRow};
use super::rows::{AccountRows, CustomerNo, EventKind, EventRow, StoredCatalog, StoredEvent};
use crate::domain::catalog::CatalogVersion;
use crate::domain::counter::{CounterSpec, Ring};
use crate::domain::customer::{Adjustment, Allocation, Customer, Override, Subaccount};
use crate::domain::id::{
    AllocationId, CustomerId, EventId, FeatureId, MeterId, RequestId, SubaccountId,
};
use crate::domain::quantity::Milli;
use crate::domain::reservation::Reservation;
use crate::domain::rollup::Rollup;
use crate::domain::subscription::Subscription;
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::domain::wallet::BookChanges;

/// The decision of a batch: pure, called once, with everything that was found.
pub type Decide = Box<dyn FnOnce(&Found<'_>) -> Changes + Send>;

/// Names a batch: the numbers of what an epoch committed are dense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMark {
    /// The life of the committer that made it, see [`Store::enlist`](super::Store::enlist).
    pub epoch: i64,
    /// Its number within the epoch, from 1. That of a batch which is known not to have been committed is used again.
    pub number: i64,
}

/// A customer that a batch decides on, and what its maker knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Who.
    pub id: CustomerId,
    /// The version that memory holds; 0: it holds nothing.
    pub version: i64,
}

/// What a store says of a [`Named`] customer.
#[derive(Debug, Clone)]
pub enum Reread {
    /// What its maker holds is what is stored.
    Same,
    /// Somebody changed it since, or its maker holds nothing.
    Rows(Box<AccountRows>),
    /// There is none of this id.
    Absent,
}

impl Reread {
    /// Returns what was read.
    #[must_use]
    pub fn rows(&self) -> Option<&AccountRows> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Same | Self::Absent => None,
        }
    }
}

/// One transaction.
pub struct Batch {
    /// Its name.
    pub mark: BatchMark,
    /// The instant of its decisions.
    pub now: Timestamp,
    /// Events that are stored if they are new, whatever is decided, in the chunks in which they arrived.
    pub plain: Vec<Arc<Vec<EventRow>>>,
    /// Events whose presence the decision depends on.
    pub probe_events: Vec<EventKey>,
    /// Requests whose earlier answer the decision depends on.
    pub probe_requests: Vec<RequestKey>,
    /// Rows of dealings with Stripe that the decision depends on.
    pub probe_billing: Vec<BillingKey>,
    /// The newest catalog that its maker knows; 0: it decides nothing that depends on one.
    pub catalog: CatalogVersion,
    /// The customers that it decides on. A store that only one process writes to may be told of none.
    pub customers: Vec<Named>,
    /// Counters to be built from events.
    pub folds: Vec<Fold>,
    /// Whether the decision may apply a catalog.
    pub changes_catalog: bool,
    /// The decision.
    pub decide: Decide,
}

/// Names an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventKey {
    /// Whose event.
    pub customer: CustomerNo,
    /// Its id.
    pub event: EventId,
    /// Whether it takes back.
    pub kind: EventKind,
}

impl EventKey {
    /// Names the event of a row.
    #[must_use]
    pub fn of(row: &EventRow) -> Self {
        Self {
            customer: row.customer,
            event: row.event.event_id.clone(),
            kind: row.kind,
        }
    }
}

/// Names a mutation attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// Who asks.
    pub caller: Box<str>,
    /// For what.
    pub method: &'static str,
    /// Under which id.
    pub request: RequestId,
}

/// The answer a mutation got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Which mutation.
    pub key: RequestKey,
    /// A hash of what it asked for: 16 bytes.
    pub content: [u8; 16],
    /// The answer, in the engine's own encoding.
    pub answer: Box<str>,
}

/// A counter to be built from stored events, plain ones of the batch included: every window of it since `since`.
/// What was dropped with trimmed events is in it, so a counter that is built again holds what it held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Whose counter.
    pub customer: CustomerNo,
    /// The subaccount's own; `None`: the customer's.
    pub subaccount: Option<SubaccountId>,
    /// What it counts.
    pub spec: Arc<CounterSpec>,
    /// From where its calendar windows step.
    pub anchor: crate::domain::window::Anchor,
    /// The first instant that matters: windows, or buckets, that ended by then are left out.
    pub since: Timestamp,
}

/// What a fold found: used windows of a fixed counter, or the ring of a rolling one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoldResult {
    /// Windows whose use is not zero, by start.
    Windows(Vec<WindowUse>),
    /// Buckets whose use is not zero.
    Ring(Ring),
    /// A sum left 64 bits.
    Overflow,
}

/// The use of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowUse {
    /// Its start.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// What was used in it.
    pub used: Milli,
}

/// A plain event that was already stored, or that an earlier plain event of the batch repeats.
#[derive(Debug)]
pub struct Duplicate {
    /// Which chunk of [`Batch::plain`].
    pub chunk: usize,
    /// Which event of the chunk.
    pub index: usize,
    /// What is stored under its id.
    pub stored: StoredEvent,
}

/// What a store found out for a batch.
pub struct Found<'a> {
    /// The plain events, as they were given.
    pub plain: &'a [Arc<Vec<EventRow>>],
    /// Those of them that were not inserted, by chunk and index.
    pub duplicates: Vec<Duplicate>,
    /// Answers to [`Batch::probe_events`], by position.
    pub events: Vec<Option<StoredEvent>>,
    /// Answers to [`Batch::probe_requests`], by position.
    pub requests: Vec<Option<StoredAnswer>>,
    /// Answers to [`Batch::probe_billing`], by position; nobody else changes them before the batch is committed.
    pub billing: Vec<Option<BillingRow>>,
    /// Answers to [`Batch::customers`], by position.
    pub accounts: Vec<Reread>,
    /// Answers to [`Batch::folds`], by position.
    pub folds: Vec<FoldResult>,
}

/// What a decision writes. Each row appears once, save that a counter may be set and then shifted. A customer may
/// be named by id in the changes that create it.
#[derive(Debug, Default)]
pub struct Changes {
    /// Why nothing of the batch may be stored; the store takes it back and answers
    /// [`StoreError::Constraint`](super::StoreError::Constraint) with this text.
    pub abort: Option<String>,
    /// Plain events to be taken out again: chunk and index. Nothing happens for one that was a duplicate.
    pub refused: Vec<(usize, usize)>,
    /// Further events to be stored; the decision knows that they are new.
    pub events: Vec<EventRow>,
    /// Customers to be created or replaced, with all that [`CustomerWrite`] says and nothing else of them.
    pub customers: Vec<CustomerWrite>,
    /// Subaccounts to be created or replaced, with what they track.
    pub subaccounts: Vec<(CustomerId, Subaccount, Vec<Arc<CounterSpec>>)>,
    /// Counters of which every window is forgotten before any is set, with what was dropped of trimmed events: the
    /// anchor moved, and they are laid out anew.
    pub cleared: Vec<(CustomerId, Option<SubaccountId>, Arc<CounterSpec>)>,
    /// Counters whose new value is known.
    pub counters: Vec<CounterSet>,
    /// Counters whose value is not in memory: amounts to add.
    pub shifts: Vec<CounterShift>,
    /// Rollups to add to.
    pub rollups: Vec<RollupShift>,
    /// Reservations to be written.
    pub reservations: Vec<(CustomerId, Reservation)>,
    /// Allocations to be written.
    pub allocations: Vec<(CustomerId, Allocation)>,
    /// Allocations to be removed.
    pub deallocations: Vec<(CustomerId, FeatureId, AllocationId)>,
    /// Overrides to be written.
    pub overrides: Vec<(CustomerId, Override)>,
    /// Overrides to be removed.
    pub removed_overrides: Vec<(CustomerId, FeatureId, Option<SubaccountId>)>,
    /// What changed in the wallets of customers, each customer once: rows to be written or replaced, and transactions to be
    /// appended to ledgers. A grant keeps its wallet, its amount and its payment, which brings one grant to all wallets
    /// of a customer; a hold is named by its wallet as well, since pools of several wallets may bear one name.
    pub books: Vec<(CustomerId, BookChanges)>,
    /// Adjustments that replace all those of a customer.
    pub adjustments: Vec<(CustomerId, Vec<Adjustment>)>,
    /// Rows of dealings with Stripe to be written or replaced. A batch that replaces one has probed it.
    pub billing: Vec<BillingRow>,
    /// Rows of dealings with Stripe to be forgotten.
    pub billing_gone: Vec<BillingKey>,
    /// A catalog to be stored as the newest.
    pub catalog: Option<StoredCatalog>,
    /// Answers to be kept.
    pub answers: Vec<StoredAnswer>,
}

/// A customer to be created or replaced.
#[derive(Debug, Clone)]
pub struct CustomerWrite {
    /// Who it is.
    pub customer: Customer,
    /// Its plan.
    pub subscription: Option<Subscription>,
    /// Counters that are kept from now on.
    pub tracked: Vec<Arc<CounterSpec>>,
}

/// A counter whose new value is known. Replaces the row, save for what was dropped with trimmed events.
#[derive(Debug, Clone)]
pub struct CounterSet {
    /// Whose counter.
    pub customer: CustomerId,
    /// The counter.
    pub row: super::rows::CounterRow,
}

/// An amount to add to a counter that memory does not hold; the row is made when missing. The counter is fixed, or
/// `used` is zero: what a reservation holds of a rolling window may outlive its counter in memory.
#[derive(Debug, Clone)]
pub struct CounterShift {
    /// Whose counter.
    pub customer: CustomerId,
    /// The subaccount's own; `None`: the customer's.
    pub subaccount: Option<SubaccountId>,
    /// What it counts.
    pub spec: Arc<CounterSpec>,
    /// The start of its window.
    pub start: Timestamp,
    /// The end of its window.
    pub end: Timestamp,
    /// To add to what was used.
    pub used: Milli,
    /// To add to what is reserved.
    pub reserved: Milli,
}

/// A summary to add to a rollup row; the row is made when missing.
#[derive(Debug, Clone)]
pub struct RollupShift {
    /// Whose usage.
    pub customer: CustomerNo,
    /// Whose part.
    pub subaccount: Option<SubaccountId>,
    /// Of what.
    pub meter: MeterId,
    /// The hour.
    pub hour: Timestamp,
    /// The combination of dimension values. One with values that has no row yet goes to the hour's overflow row
    /// when `COMBINATIONS_MAX` such combinations have one (of this customer, subaccount and meter).
    pub dimensions: Labels,
    /// What to add. A void adds a count of −1 and a negative sum; max and latest are then read again from events.
    pub add: Rollup,
    /// Whether max and latest must be read again: from the usage events of this row that are stored after the
    /// batch and that no void took back. `latest` goes by count time.
    pub recount: bool,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Committed {
    /// The numbers of customers that were created, not of those that were replaced.
    pub created: Vec<(CustomerId, CustomerNo)>,
    /// The batch had already been committed, before an unknown outcome; nothing was done and nothing was decided.
    pub repeated: bool,
}
