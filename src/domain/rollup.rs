//! Hourly summaries of usage by declared dimensions: what reports read, and what stays when raw events go.

use serde::{Deserialize, Serialize};

use super::quantity::{Milli, Overflow};
use super::time::Timestamp;

/// Most distinct combinations of dimension values per customer, subaccount, meter and hour; what comes after is
/// summed in one row without dimensions that says so.
pub const COMBINATIONS_MAX: i64 = 1000;

/// What happened in one hour under one combination of dimension values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rollup {
    /// Events, voids taken off.
    pub count: i64,
    /// Sum of weighted quantities.
    pub sum: Milli,
    /// Largest weighted quantity; `None`: no event.
    pub max: Option<Milli>,
    /// Time and weighted quantity of the latest event; of two at one time the larger.
    pub latest: Option<(Timestamp, Milli)>,
}

impl Rollup {
    /// Summarises one event.
    #[must_use]
    pub fn of_event(weighted: Milli, at: Timestamp) -> Self {
        Self {
            count: 1,
            sum: weighted,
            max: Some(weighted),
            latest: Some((at, weighted)),
        }
    }

    /// Puts two summaries together. Order does not matter.
    ///
    /// # Errors
    /// When a sum leaves the range of 64 bits.
    pub fn merge(self, other: Self) -> Result<Self, Overflow> {
        Ok(Self {
            count: self.count.checked_add(other.count).ok_or(Overflow)?,
            sum: self.sum.plus(other.sum)?,
            max: self.max.max(other.max),
            latest: self.latest.max(other.latest),
        })
    }

    /// Returns the start of the hour (UTC) that holds an instant.
    #[must_use]
    pub const fn hour_of(at: Timestamp) -> Timestamp {
        const HOUR: i64 = 3_600_000_000;
        Timestamp::from_micros_clamped(at.as_micros() / HOUR * HOUR)
    }
}
