//! Credits that are paid for before they are used, and the ledger that moves them.
//!
//! A wallet belongs to a customer or to one of its subaccounts and holds credits of one unit, in micro-units. They come
//! as grants, each with its order of use and its expiry, and leave by debits, by holds that are captured, by transfers to
//! another wallet of the customer, by expiry, or because their money was taken back. Every movement is one transaction of
//! the ledger, whose entries sum to zero; what the wallet holds in memory is the fold of its entries.
//!
//! A grant is never overdrawn. Use that credits do not cover is owed: it stands as a receivable, and while there is one,
//! nothing new is held. A refusal changes nothing.

mod cap;
mod fund;
mod grant;
mod ledger;
mod spend;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::cap::SpendCap;
pub use self::fund::{NewGrant, transfer};
pub use self::grant::{Category, Grant, Source};
pub use self::ledger::{Account, Cause, Entry, Heads, LedgerFault, Transaction, audit};
pub use self::spend::Cover;
use super::id::{GrantId, HoldId, SubaccountId};
use super::time::Timestamp;

/// Largest amount of one operation, in micro-units: a billion of the unit.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// Credits of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    /// Whose it is; `None`: the customer's own.
    pub owner: Option<SubaccountId>,
    /// The credit unit.
    pub unit: Box<str>,
    /// In the order in which they are used up.
    grants: Vec<Grant>,
    /// Those that hold something, and those that ended and are not forgotten yet.
    holds: BTreeMap<HoldId, Hold>,
    /// What is owed.
    receivable: i64,
    cap: Option<SpendCap>,
}

/// Credits set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What was set aside.
    pub amount: i64,
    /// What of it was captured.
    pub captured: i64,
    /// What each grant still holds for it, in the order in which they are captured.
    legs: Vec<(GrantId, i64)>,
    /// When it was made.
    pub create_time: Timestamp,
    /// The first instant at which it holds nothing any more.
    pub expire_time: Timestamp,
    /// Where it stands.
    pub state: HoldState,
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// It holds what was not captured yet.
    Open,
    /// It was captured for the last time; the rest went back.
    Captured,
    /// It was given back.
    Released,
    /// Nobody ended it in time.
    Expired,
}

/// Why an operation is refused, with the numbers behind it, in micro-units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The balance does not cover it.
    #[error("{needed} micro-units are needed and {available} available")]
    InsufficientCredits {
        /// What was asked for.
        needed: i64,
        /// What there is.
        available: i64,
    },
    /// The cap on what the wallet may spend in a window does not leave room for it.
    #[error("{needed} micro-units are needed and the cap of {cap} leaves {left}")]
    CapReached {
        /// What was asked for.
        needed: i64,
        /// The cap.
        cap: i64,
        /// What it leaves until its window ends.
        left: i64,
        /// When its window ends.
        window_end: Timestamp,
    },
    /// Something is owed.
    #[error("{owed} micro-units are owed")]
    BlockedByReceivable {
        /// What is owed.
        owed: i64,
    },
    /// The wallet has no such grant.
    #[error("there is no grant {0}")]
    UnknownGrant(GrantId),
    /// The grant is there already.
    #[error("there is a grant {0} already")]
    GrantExists(GrantId),
    /// The grant ended before.
    #[error("the grant ended at {expire_time:?}")]
    GrantExpired {
        /// When it ended.
        expire_time: Timestamp,
    },
    /// More is taken back than was granted and not taken back yet.
    #[error("{amount} micro-units are to be taken back, and {left} can be")]
    ClawbackTooLarge {
        /// What was asked for.
        amount: i64,
        /// What can be taken back.
        left: i64,
    },
    /// The wallet has no such hold.
    #[error("there is no hold {0}")]
    UnknownHold(HoldId),
    /// The hold is there already.
    #[error("there is a hold {0} already")]
    HoldExists(HoldId),
    /// The hold ended before.
    #[error("the hold has ended: {state:?}, {captured} micro-units captured")]
    HoldResolved {
        /// How.
        state: HoldState,
        /// What was captured of it.
        captured: i64,
    },
    /// More is captured than is held.
    #[error("{amount} micro-units are to be captured and {held} are held")]
    CaptureTooLarge {
        /// What was asked for.
        amount: i64,
        /// What is held.
        held: i64,
    },
    /// An amount below 1 or above [`AMOUNT_MAX`], or a sum that leaves its range.
    #[error("amounts are from 1 to {AMOUNT_MAX} micro-units, and so are their sums")]
    AmountOutOfRange,
    /// The wallets of a transfer are one, or hold different units.
    #[error("credits go from one wallet to another of the same unit")]
    WalletsDoNotMatch,
}

impl Wallet {
    /// Returns an empty wallet.
    #[must_use]
    pub fn new(owner: Option<SubaccountId>, unit: impl Into<Box<str>>) -> Self {
        Self {
            owner,
            unit: unit.into(),
            grants: Vec::new(),
            holds: BTreeMap::new(),
            receivable: 0,
            cap: None,
        }
    }

    /// Returns what can be spent at `now`, in micro-units.
    #[must_use]
    pub fn available(&self, now: Timestamp) -> i64 {
        let alive = self.grants.iter().filter(|grant| !grant.is_expired(now));
        let sum: i128 = alive.map(|grant| i128::from(grant.available())).sum();
        i64::try_from(sum).unwrap_or(i64::MAX)
    }

    /// Returns what is set aside.
    #[must_use]
    pub fn held(&self) -> i64 {
        let sum: i128 = self.grants.iter().map(|grant| i128::from(grant.held)).sum();
        i64::try_from(sum).unwrap_or(i64::MAX)
    }

    /// Returns what is owed.
    #[must_use]
    pub const fn receivable(&self) -> i64 {
        self.receivable
    }

    /// Returns the grants in the order in which they are used up.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Returns a hold.
    #[must_use]
    pub fn hold_of(&self, id: &HoldId) -> Option<&Hold> {
        self.holds.get(id)
    }

    /// Returns the cap on what may be spent in a window.
    #[must_use]
    pub const fn cap(&self) -> Option<&SpendCap> {
        self.cap.as_ref()
    }

    /// Sets or removes the cap. What was spent in the window that runs does not count under a new cap.
    pub fn set_cap(&mut self, cap: Option<SpendCap>) {
        self.cap = cap;
    }

    fn grant_mut(&mut self, id: &GrantId) -> Option<&mut Grant> {
        self.grants.iter_mut().find(|grant| grant.id == *id)
    }
}

impl Hold {
    /// Returns what is still set aside.
    #[must_use]
    pub fn held(&self) -> i64 {
        self.legs.iter().map(|leg| leg.1).sum()
    }
}
