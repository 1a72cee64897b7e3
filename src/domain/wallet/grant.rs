//! Credits that came at once, and the order in which they are used up.

use serde::{Deserialize, Serialize};

use super::SPENT_GRANTS_KEPT;
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;

/// Whether money stands behind credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// They were paid for.
    Paid,
    /// They were given.
    Promotional,
}

/// Where credits came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A payment through Stripe.
    Stripe,
    /// A payment over x402.
    X402,
    /// A promotion, or what a plan includes.
    Promotion,
    /// An administrator.
    Manual,
    /// Another wallet of the customer.
    Transfer,
}

impl Source {
    /// Whether it brings money, so that what it names brings credits once.
    #[must_use]
    pub const fn is_payment(self) -> bool {
        match self {
            Self::Stripe | Self::X402 => true,
            Self::Promotion | Self::Manual | Self::Transfer => false,
        }
    }
}

/// Credits that came at once. `used + held + lapsed` never exceeds `amount`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// What came, in micro-units of the wallet's credit unit.
    pub amount: i64,
    /// What was spent, moved to another wallet, or paid what was owed.
    pub used: i64,
    /// What of `used` went to another wallet: it was not spent here.
    #[serde(default)]
    pub moved: i64,
    /// What of `used` paid what was owed.
    #[serde(default)]
    pub settled: i64,
    /// What is set aside.
    pub held: i64,
    /// What expired or was taken back.
    pub lapsed: i64,
    /// What of `lapsed` expired unspent, and whose money was not taken back since.
    #[serde(default)]
    pub expired: i64,
    /// What was taken back of its money, from it or from elsewhere; of credits that were given, what was taken back.
    pub returned: i64,
    /// Lower is used first.
    pub priority: i32,
    /// Whether money stands behind it.
    pub category: Category,
    /// Where it came from.
    pub source: Source,
    /// Names the payment or the reason at its source.
    pub reference: Box<str>,
    /// When it came.
    pub create_time: Timestamp,
    /// When anything of it last changed.
    pub change_time: Timestamp,
    /// The first instant at which what is not held can no longer be spent.
    pub expire_time: Option<Timestamp>,
    /// Whether it is to be written.
    #[serde(skip)]
    pub dirty: bool,
}

impl Grant {
    /// Returns what is neither spent nor set aside nor gone.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.amount - self.used - self.held - self.lapsed
    }

    /// Returns what debits, captures and usage took of it.
    pub(super) const fn spent(&self) -> i64 {
        self.used - self.moved - self.settled
    }

    /// Ends a part of it that nobody spent.
    pub(super) const fn expire(&mut self, part: i64) {
        self.lapsed += part;
        self.expired += part;
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expire_time.is_some_and(|end| end <= now)
    }

    /// Whether nothing is left of it, set aside or not.
    #[must_use]
    pub const fn is_used_up(&self) -> bool {
        self.available() == 0 && self.held == 0
    }

    /// Whether nothing is left of it and nothing was for so long that memory need not know it.
    #[must_use]
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        self.is_used_up() && self.change_time.plus(SPENT_GRANTS_KEPT) <= now
    }

    /// Returns what orders grants: by priority, then the next to expire, then the oldest, then by id.
    pub(super) fn order(&self) -> impl Ord + '_ {
        (
            self.priority,
            self.expire_time.unwrap_or(Timestamp::MAX),
            self.create_time,
            &self.id,
        )
    }
}
