//! What clients ask of wallets and what they are told, as their logs keep it.

use serde::{Deserialize, Serialize};

/// A call to a wallet of a funded customer. Parts are places in [`PARTS`](crate::world::PARTS), amounts micro-units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credits {
    /// Adds credits; those of a payment are paid for.
    Grant {
        part: usize,
        amount: i64,
        payment: Option<String>,
        expire_time: Option<i64>,
    },
    /// Spends credits.
    Debit {
        part: usize,
        amount: i64,
        may_owe: bool,
    },
    /// Sets credits aside.
    Hold { part: usize, amount: i64, ttl: i64 },
    /// Spends so much of a hold; `is_all`: without saying how much, since it is what is left.
    Capture {
        hold: String,
        amount: i64,
        is_all: bool,
        keep_open: bool,
    },
    /// Gives a hold back.
    Release { hold: String },
    /// Moves credits.
    Transfer { from: usize, to: usize, amount: i64 },
    /// Ends a grant.
    Expire { part: usize, grant: String },
    /// Takes money back.
    ClawBack {
        part: usize,
        grant: String,
        amount: i64,
    },
}

/// What a wallet holds, in micro-units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    pub available: i64,
    pub held: i64,
    pub owed: i64,
}

/// The answer to a call that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The grant or hold that came, or was changed; empty: neither.
    pub id: String,
    /// What is told of it: granted, set aside, captured so far, taken back so far; 0: nothing.
    pub told: i64,
    /// What wallets held after it: of the part that paid, or that gave and that took.
    pub wallets: Vec<(usize, Balance)>,
}

impl Credits {
    /// Whether a call of ours may be refused for this reason.
    pub fn may_refuse(&self, reason: &str) -> bool {
        let reasons: &[&str] = match self {
            Self::Grant { payment, .. } if payment.is_some() => {
                &["PAYMENT_GRANTED", "GRANT_EXPIRED"]
            }
            // It took long to arrive.
            Self::Grant { .. } | Self::Expire { .. } => &["GRANT_EXPIRED"],
            Self::Debit { may_owe: true, .. } => &[],
            Self::Debit { .. } | Self::Hold { .. } | Self::Transfer { .. } => {
                &["CREDITS_INSUFFICIENT", "WALLET_BLOCKED"]
            }
            Self::Capture { .. } | Self::Release { .. } => &["HOLD_RESOLVED"],
            Self::ClawBack { .. } => &["AMOUNT_TOO_LARGE"],
        };
        reasons.contains(&reason)
    }

    /// How many transactions it makes, least and most.
    pub fn transactions(&self) -> (usize, usize) {
        match self {
            Self::Transfer { .. } => (2, 2),
            // Of a grant of which nothing is left to spend nothing moves.
            Self::Expire { .. } => (0, 1),
            Self::Grant { .. }
            | Self::Debit { .. }
            | Self::Hold { .. }
            | Self::Capture { .. }
            | Self::Release { .. }
            | Self::ClawBack { .. } => (1, 1),
        }
    }

    /// Returns the cause that its transactions bear.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Grant { .. } => "grant",
            Self::Debit { .. } => "debit",
            Self::Hold { .. } => "hold",
            Self::Capture { .. } => "capture",
            Self::Release { .. } => "release",
            Self::Transfer { .. } => "transfer",
            Self::Expire { .. } => "grant_expiry",
            Self::ClawBack { .. } => "clawback",
        }
    }
}
