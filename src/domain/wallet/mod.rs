//! Credits that are paid for before they are used, and the ledger that moves them.
//!
//! A wallet belongs to a customer or to one of its subaccounts and holds credits of one unit, in micro-units. They come
//! as grants, each with its order of use and its expiry, and leave by debits, by holds that are captured, by transfers to
//! another wallet of the customer, by expiry, or because their money was taken back. Every movement is one transaction of
//! the ledger, whose entries sum to zero; what the wallet holds in memory is the fold of its entries.
//!
//! A grant is never overdrawn. Use that credits do not cover is owed: it stands as a receivable, and while there is one,
//! nothing new is held. A refusal changes nothing.

mod audit;
mod book;
mod cap;
mod draw;
mod fund;
mod grant;
mod included;
mod ledger;
mod moves;
mod post;
mod refund;
mod refusal;
mod spend;
#[cfg(test)]
mod tests;
mod top_up;
mod transfer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use self::audit::{Audit, LedgerFault, audit};
pub use self::book::{Book, BookChanges};
pub use self::cap::SpendCap;
pub use self::draw::{Draw, LateKey, UsageCharge};
pub use self::fund::NewGrant;
pub use self::grant::{Category, Grant, Source};
pub use self::included::{INCLUDED_PRIORITY, Included};
pub use self::ledger::{About, Account, Balance, Cause, Entry, Heads, Posted, Transaction};
pub use self::refusal::Refusal;
pub use self::spend::{Cover, NewHold};
pub use self::top_up::{AutoTopUp, TopUpState};
pub use self::transfer::{Transferred, transfer};
use super::id::{GrantId, HoldId, SubaccountId};
use super::sparse::is_default;
use super::time::{Span, Timestamp};

/// Largest amount of one operation, in micro-units: a billion of the unit.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// How long a grant of which nothing is left can still be refunded to or have its money taken back: as long as payments
/// are disputed. Then memory forgets it; what is stored stays.
pub const SPENT_GRANTS_KEPT: Span = Span::from_days(180);
/// Most grants of one wallet of which something is left, set aside or not.
pub const GRANTS_MAX: usize = 10_000;
/// Most grants of one wallet of which nothing is left that memory keeps: those that were used up last.
pub const SPENT_GRANTS_MAX: usize = 1_000;

/// Names a wallet of a customer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WalletKey {
    /// The subaccount whose it is; `None`: the customer's own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owner: Option<SubaccountId>,
    /// The credit unit.
    pub unit: SmolStr,
}

/// What a wallet is beside its grants and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletHead {
    /// Which.
    pub key: WalletKey,
    /// How many transactions its ledger has; they are numbered from 1, without gaps.
    pub number: i64,
    /// What is owed.
    pub receivable: i64,
    /// What else was set for it.
    pub terms: WalletTerms,
}

/// What was set for a wallet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletTerms {
    /// Bounds what may be spent in a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<SpendCap>,
    /// Asks for money when credits run low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_up: Option<AutoTopUp>,
    /// What it was given of the credits that a plan includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included: Option<Included>,
    /// The disputes about payments for its credits that are not decided: while there is one, nothing is set aside or spent
    /// on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frozen_for: Vec<Box<str>>,
    /// From when on something is to be done although nobody asks, as things stand: money to be asked for, or the next
    /// period's credits to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_time: Option<Timestamp>,
}

/// Credits of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wallet {
    head: WalletHead,
    /// In the order in which they are used up.
    grants: Vec<Grant>,
    /// Those that hold something, and those that ended and are not forgotten yet.
    holds: BTreeMap<HoldId, Hold>,
    /// Whether the head is to be written.
    dirty: bool,
}

/// Credits set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What was set aside.
    pub amount: i64,
    /// What of it was captured.
    pub captured: i64,
    /// What each grant still holds for it, in the order in which they are captured.
    pub legs: Vec<(GrantId, i64)>,
    /// Who spends it, whose cap it counts under; `None`: the customer.
    pub spender: Option<SubaccountId>,
    /// Whether it is what the reservations of a feature hold together, which goes up and down and is named by the feature.
    pub is_pool: bool,
    /// When it was made.
    pub create_time: Timestamp,
    /// The first instant at which it holds nothing any more.
    pub expire_time: Timestamp,
    /// Where it stands.
    pub state: HoldState,
    /// When it left the open state.
    pub end_time: Option<Timestamp>,
    /// Whether it is to be written.
    #[serde(skip)]
    pub dirty: bool,
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

impl HoldState {
    /// Returns the state as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Captured => "captured",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

impl Wallet {
    /// Returns an empty wallet.
    #[must_use]
    pub fn new(key: WalletKey) -> Self {
        let head = WalletHead {
            key,
            number: 0,
            receivable: 0,
            terms: WalletTerms::default(),
        };
        Self::restore(head, Vec::new(), Vec::new())
    }

    /// Puts a wallet together from what is stored of it; grants in any order.
    #[must_use]
    pub fn restore(head: WalletHead, mut grants: Vec<Grant>, holds: Vec<(HoldId, Hold)>) -> Self {
        grants.sort_by(|one, other| one.order().cmp(&other.order()));
        let mut wallet = Self {
            head,
            grants,
            holds: holds.into_iter().collect(),
            dirty: false,
        };
        wallet.forget_spent();
        wallet
    }

    /// Returns what it is beside its grants and holds.
    #[must_use]
    pub const fn head(&self) -> &WalletHead {
        &self.head
    }

    /// Returns which wallet it is.
    #[must_use]
    pub const fn key(&self) -> &WalletKey {
        &self.head.key
    }

    /// Whether credits ever came to it or went from it; until then it is only a place for a cap.
    #[must_use]
    pub const fn is_opened(&self) -> bool {
        self.head.number > 0
    }

    /// Whether nothing was ever written of it.
    fn is_new(&self) -> bool {
        !self.is_opened() && !self.dirty && self.head.terms == WalletTerms::default()
    }

    /// Returns what can be spent at `now`, in micro-units.
    #[must_use]
    pub fn available(&self, now: Timestamp) -> i64 {
        let alive = self.grants.iter().filter(|grant| !grant.is_expired(now));
        let sum: i128 = alive.map(|grant| i128::from(grant.available())).sum();
        i64::try_from(sum).unwrap_or(i64::MAX)
    }

    /// Returns what holds whose time is over still hold, and will give back once somebody looks.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> i64 {
        let is_over = |hold: &&Hold| hold.state == HoldState::Open && hold.expire_time <= now;
        let legs = self
            .holds
            .values()
            .filter(is_over)
            .flat_map(|hold| &hold.legs);
        let is_alive = |id: &GrantId| {
            let grant = self.grants.iter().find(|grant| grant.id == *id);
            grant.is_some_and(|grant| !grant.is_expired(now))
        };
        let sum: i128 = legs
            .filter(|leg| is_alive(&leg.0))
            .map(|leg| i128::from(leg.1))
            .sum();
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
        self.head.receivable
    }

    /// Returns the grants in the order in which they are used up.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Returns the holds that memory has.
    #[must_use]
    pub const fn holds(&self) -> &BTreeMap<HoldId, Hold> {
        &self.holds
    }

    /// Returns a hold.
    #[must_use]
    pub fn hold_of(&self, id: &HoldId) -> Option<&Hold> {
        self.holds.get(id)
    }

    /// Returns the cap on what may be spent in a window.
    #[must_use]
    pub const fn cap(&self) -> Option<&SpendCap> {
        self.head.terms.cap.as_ref()
    }

    /// Refuses to spend while a payment for its credits is disputed.
    ///
    /// # Errors
    /// When one is.
    pub(in crate::domain) fn check_frozen(&self) -> Result<(), Refusal> {
        match self.head.terms.frozen_for.first() {
            Some(dispute) => Err(Refusal::Frozen {
                dispute: dispute.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Freezes it for a dispute, or ends that.
    pub fn freeze(&mut self, dispute: &str, is_open: bool) {
        let is_frozen = |held: &str| *held == *dispute;
        let mut frozen_for = self.head.terms.frozen_for.iter();
        if frozen_for.any(|held| is_frozen(held)) == is_open {
            return;
        }
        let frozen_for = &mut self.terms_mut().frozen_for;
        if is_open {
            frozen_for.push(dispute.into());
        } else {
            frozen_for.retain(|held| !is_frozen(held));
        }
    }

    /// Changes what was set for it.
    pub fn terms_mut(&mut self) -> &mut WalletTerms {
        self.dirty = true;
        &mut self.head.terms
    }

    /// Returns the number of its next transaction.
    fn next_number(&mut self) -> i64 {
        self.dirty = true;
        self.head.number += 1;
        self.head.number
    }

    fn grant_mut(&mut self, id: &GrantId) -> Option<&mut Grant> {
        self.grants.iter_mut().find(|grant| grant.id == *id)
    }
}

impl Hold {
    /// Whether it still holds what was not captured.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == HoldState::Open
    }

    /// Returns what is still set aside.
    #[must_use]
    pub fn held(&self) -> i64 {
        self.legs.iter().map(|leg| leg.1).sum()
    }
}
