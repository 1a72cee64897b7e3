//! Quota, concurrency and credits set aside before work.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::counter::CounterSpec;
use super::id::{FeatureId, MeterId, ReservationId, SubaccountId};
use super::quantity::Milli;
use super::sparse::is_default;
use super::time::{Span, Timestamp};
use super::usage::Labels;
use super::wallet::WalletKey;

/// Shortest time a reservation may be set to live.
pub const TTL_MIN: Span = Span::from_secs(1);
/// Longest time a reservation may be set to live, from each call that sets it.
pub const TTL_MAX: Span = Span::from_hours(24);
/// How long a reservation lives when nothing is said.
pub const TTL_DEFAULT: Span = Span::from_secs(60);
/// Longest life of a reservation however often it is extended, so that its usage falls in windows still kept.
pub const LIFE_MAX: Span = Span::from_days(7);
/// Most items in one reservation.
pub const ITEMS_MAX: usize = 32;

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReservationState {
    /// It holds what it reserved, until its expire time.
    Open,
    /// Its usage was recorded and the rest was freed.
    Committed,
    /// It was given back.
    Released,
    /// Nobody ended it in time.
    Expired,
}

/// Quota and concurrency set aside for one piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its id, unique within the customer.
    pub id: ReservationId,
    /// The part of the customer it is for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub subaccount: Option<SubaccountId>,
    /// Who holds it, for people: a worker, a job, a host.
    #[serde(default, skip_serializing_if = "is_default")]
    pub holder: Box<str>,
    /// Free text.
    #[serde(default, skip_serializing_if = "is_default")]
    pub metadata: Labels,
    /// What is set aside.
    pub items: Vec<ReservedItem>,
    /// When it was made; its usage counts in the windows of this instant.
    pub reserve_time: Timestamp,
    /// The first instant at which it no longer holds anything.
    pub expire_time: Timestamp,
    /// Where it stands.
    pub state: ReservationState,
    /// When it left the open state.
    #[serde(default, skip_serializing_if = "is_default")]
    pub end_time: Option<Timestamp>,
}

impl Reservation {
    /// Whether it holds what it reserved at this instant.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == ReservationState::Open && now < self.expire_time
    }
}

/// One feature's part of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservedItem {
    /// The feature.
    pub feature: FeatureId,
    /// Units that were granted.
    pub granted: i64,
    /// Dimensions that were given when it was made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dimensions: Labels,
    /// What is held.
    pub hold: ItemHold,
    /// What it has pledged of a wallet; `None`: the feature draws on none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pledge: Option<Pledge>,
}

/// Credits set aside for what an item may come to draw. They lie in the wallet's pool for the feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pledge {
    /// The wallet that pays.
    pub wallet: WalletKey,
    /// What of it counts under spend caps and was not spent yet, in micro-units.
    #[serde(default, skip_serializing_if = "is_default")]
    pub counted: i64,
}

/// What an item holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemHold {
    /// Room in counters.
    Quota {
        /// The meter whose usage uses it up.
        meter: MeterId,
        /// What is still set aside.
        reserved: Milli,
        /// What was used of it; use beyond it is not counted here.
        #[serde(default, skip_serializing_if = "is_default")]
        used: Milli,
        /// The counters that were raised.
        windows: Vec<HeldWindow>,
    },
    /// Slots of a concurrency feature: `granted` of them.
    Slots,
    /// Nothing: a right that was only checked.
    Right,
}

impl ItemHold {
    /// Returns what is still set aside in counters.
    #[must_use]
    pub fn reserved(&self) -> Milli {
        match self {
            Self::Quota { reserved, .. } => *reserved,
            Self::Slots | Self::Right => Milli::ZERO,
        }
    }
}

/// One counter that a reservation raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldWindow {
    /// Whether it is the subaccount's own counter.
    #[serde(default, skip_serializing_if = "is_default")]
    pub of_subaccount: bool,
    /// What the counter counts.
    pub spec: Arc<CounterSpec>,
    /// The start of its window; [`Timestamp::MIN`] for rolling and lifetime windows.
    pub start: Timestamp,
}
