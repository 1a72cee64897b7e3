//! How processes on one database share rates out: who is there, and who holds how much of what.

use crate::domain::id::{CustomerId, FeatureId};
use crate::domain::rate_share::Want;

/// Names a rate: of a customer's feature.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RateKey {
    /// Whose.
    pub customer: CustomerId,
    /// Of what.
    pub feature: FeatureId,
}

/// What a process holds of one rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateShare {
    /// Of which.
    pub key: RateKey,
    /// The process, by its place in [`RateTable::defaults`].
    pub process: usize,
    /// How much, in parts of [`WHOLE`](crate::domain::rate_share::WHOLE).
    pub parts: u32,
    /// How much it wants.
    pub want: Want,
}

/// Who holds how much.
#[derive(Debug, Clone, Default)]
pub struct RateTable {
    /// What each process that is alive holds of each rate of which it has no share of its own, in parts.
    pub defaults: Vec<u32>,
    /// Which of them asks.
    pub own: usize,
    /// Shares of single rates.
    pub shares: Vec<RateShare>,
}

/// What a process takes, and gives up.
#[derive(Debug, Clone, Default)]
pub struct RateClaims {
    /// What it holds from now on of each rate of which it has no share of its own.
    pub default: u32,
    /// Its shares of single rates, in place of those before.
    pub shares: Vec<(RateKey, u32, Want)>,
}

/// Decides what a process takes: pure, called at most once.
pub type ClaimRates = Box<dyn FnOnce(&RateTable) -> RateClaims + Send>;
