//! What is stored, as the floors above see it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::catalog::{Catalog, CatalogVersion};
use crate::domain::counter::{CounterSpec, Ring};
use crate::domain::customer::{Adjustment, Allocation, Customer, Override, Subaccount};
use crate::domain::id::SubaccountId;
use crate::domain::quantity::Milli;
use crate::domain::reservation::Reservation;
use crate::domain::subscription::Subscription;
use crate::domain::time::Timestamp;
use crate::domain::usage::UsageEvent;
use crate::domain::wallet::{Draw, UsageCharge, Wallet};

/// The number a store knows a customer by; given when it is created, never used again.
pub type CustomerNo = i64;

/// What decisions about one customer need.
#[derive(Debug, Clone)]
pub struct AccountRows {
    /// Its number.
    pub no: CustomerNo,
    /// Rises by one with each batch that names or changes the customer, from 1; always 0 in a store that only one
    /// process writes to.
    pub version: i64,
    /// Who it is.
    pub customer: Customer,
    /// Its plan; `None`: the catalog's default plan.
    pub subscription: Option<Subscription>,
    /// What is granted instead of the plan's, for it and its subaccounts, expired ones included.
    pub overrides: Vec<Override>,
    /// The customer's own counters that are kept since it has had them; see [`CounterRow`].
    pub tracked: Vec<Arc<CounterSpec>>,
    /// Counters of the customer and its subaccounts whose window has not ended.
    pub counters: Vec<CounterRow>,
    /// Windows that count differently since a change of plan.
    pub adjustments: Vec<Adjustment>,
    /// Reservations in the open state, overdue ones included.
    pub reservations: Vec<Reservation>,
    /// Its allocations.
    pub allocations: Vec<Allocation>,
    /// Its subaccounts, deleted ones included.
    pub subaccounts: Vec<SubaccountRows>,
    /// Its wallets and those of its subaccounts, with grants that are not forgotten, and holds in the open state.
    pub wallets: Vec<Wallet>,
    /// What usage drew on wallets in billing periods that have not ended, by feature and start.
    pub draws: Vec<Draw>,
}

/// A subaccount and what it counts.
#[derive(Debug, Clone)]
pub struct SubaccountRows {
    /// Who it is.
    pub subaccount: Subaccount,
    /// Its own counters that are kept since it has had them.
    pub tracked: Vec<Arc<CounterSpec>>,
}

/// A counter as it is stored. A window without a row was not used, if its spec is tracked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterRow {
    /// Whose counter; `None`: the customer's.
    pub subaccount: Option<SubaccountId>,
    /// What it counts.
    pub spec: Arc<CounterSpec>,
    /// The start of its window; [`Timestamp::MIN`] for rolling and lifetime windows.
    pub start: Timestamp,
    /// The end of its window; [`Timestamp::MAX`] for rolling and lifetime windows.
    pub end: Timestamp,
    /// What was used.
    pub used: Use,
    /// What open reservations hold.
    pub reserved: Milli,
}

/// What was used in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// In a fixed window.
    Fixed(Milli),
    /// In a rolling window, by bucket.
    Rolling(Ring),
}

/// Whether an event says what was used or takes it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventKind {
    /// What was used.
    Usage,
    /// Takes a usage event back: same id, negative amounts, counted at the same time.
    Void,
}

/// What was noticed when an event was recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFlags {
    /// It named a reservation that was no longer open.
    pub reservation_closed: bool,
    /// It used more than its reservation had left.
    pub beyond_reservation: bool,
}

impl EventFlags {
    /// Packs the flags into bits, in order of declaration.
    #[must_use]
    pub const fn bits(self) -> i64 {
        self.reservation_closed as i64 | ((self.beyond_reservation as i64) << 1)
    }

    /// Unpacks [`EventFlags::bits`].
    #[must_use]
    pub const fn from_bits(bits: i64) -> Self {
        Self {
            reservation_closed: bits & 1 != 0,
            beyond_reservation: bits & 2 != 0,
        }
    }
}

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// Whose event.
    pub customer: CustomerNo,
    /// What its sender states.
    pub event: UsageEvent,
    /// Whether it takes back.
    pub kind: EventKind,
    /// What it adds to counters.
    pub weighted: Milli,
    /// When it was used: the stated event time, or the receipt.
    pub event_time: Timestamp,
    /// The instant at which it counts.
    pub count_time: Timestamp,
    /// When it was received.
    pub record_time: Timestamp,
    /// What was noticed.
    pub flags: EventFlags,
    /// What it drew on a wallet; of a void, what came back, below zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<Box<UsageCharge>>,
}

/// An event that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The event. `event.event_time` is `None` when its sender stated none.
    pub row: EventRow,
    /// Whether a void took it back.
    pub voided: bool,
}

/// A catalog that was applied.
#[derive(Debug, Clone)]
pub struct StoredCatalog {
    /// The catalog, with its version set.
    pub catalog: Arc<Catalog>,
    /// The text it was read from.
    pub source: Arc<str>,
    /// When it was applied.
    pub apply_time: Timestamp,
}

impl StoredCatalog {
    /// Its version.
    #[must_use]
    pub fn version(&self) -> CatalogVersion {
        self.catalog.version
    }
}
