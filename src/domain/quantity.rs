//! Amounts of usage: whole units at the edge, thousandths inside.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Largest quantity of one event, in units of its meter (10¹²).
pub const QUANTITY_MAX: i64 = 1_000_000_000_000;
/// Most whole units that a counter can hold.
pub const COUNTED_MAX: i64 = i64::MAX / 1000;

/// A sum left the range of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sum leaves the range of 64 bits")]
pub struct Overflow;

/// Which bound a quantity goes beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// A counter would leave 64 bits of thousandths.
    #[error("what is counted would go beyond {COUNTED_MAX} units")]
    Counted,
    /// It costs more than can be charged.
    #[error("what is charged would go beyond {limit} micro-units")]
    Charged {
        /// What it costs, in micro-units; `None`: that leaves 64 bits.
        cost: Option<i64>,
        /// The bound, in micro-units.
        limit: i64,
    },
}

impl From<Overflow> for Excess {
    fn from(Overflow: Overflow) -> Self {
        Self::Counted
    }
}

/// A weighted amount in thousandths of a meter's unit: what counters hold.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Milli(pub i64);

impl Milli {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Turns whole units into thousandths.
    ///
    /// # Errors
    /// When the result leaves the range of 64 bits.
    pub const fn from_units(units: i64) -> Result<Self, Overflow> {
        match units.checked_mul(1000) {
            Some(milli) => Ok(Self(milli)),
            None => Err(Overflow),
        }
    }

    /// Turns whole units into thousandths; out of range becomes the nearest bound.
    #[must_use]
    pub const fn from_units_saturating(units: i64) -> Self {
        Self(units.saturating_mul(1000))
    }

    /// Adds.
    ///
    /// # Errors
    /// When the result leaves the range of 64 bits.
    pub const fn plus(self, other: Self) -> Result<Self, Overflow> {
        match self.0.checked_add(other.0) {
            Some(sum) => Ok(Self(sum)),
            None => Err(Overflow),
        }
    }

    /// Subtracts.
    ///
    /// # Errors
    /// When the result leaves the range of 64 bits.
    pub const fn minus(self, other: Self) -> Result<Self, Overflow> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Ok(Self(rest)),
            None => Err(Overflow),
        }
    }

    /// Adds; out of range becomes the nearest bound. For answers and comparisons, never for what is stored.
    #[must_use]
    pub const fn plus_saturating(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Subtracts; out of range becomes the nearest bound. For answers and comparisons, never for what is stored.
    #[must_use]
    pub const fn minus_saturating(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Returns whole units, rounded up: how use is shown, so that it never looks smaller than it is.
    #[must_use]
    pub const fn units_up(self) -> i64 {
        let units = self.0.div_euclid(1000);
        if self.0.rem_euclid(1000) > 0 {
            units + 1
        } else {
            units
        }
    }

    /// Returns whole units, rounded down: how room is shown, so that it never looks larger than it is.
    #[must_use]
    pub const fn units_down(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, rest) = (self.0 / 1000, (self.0 % 1000).abs());
        if rest == 0 {
            return write!(f, "{units}");
        }
        let sign = if self.0 < 0 && units == 0 { "-" } else { "" };
        write!(f, "{sign}{units}.{rest:03}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_never_flatters() {
        assert_eq!(Milli(1001).units_up(), 2);
        assert_eq!(Milli(1001).units_down(), 1);
        assert_eq!(Milli(-1).units_up(), 0);
        assert_eq!(Milli(-1).units_down(), -1);
        assert_eq!(Milli(i64::MAX).plus(Milli(1)), Err(Overflow));
        assert_eq!(Milli::from_units(i64::MAX), Err(Overflow));
        assert_eq!(Milli(-1500).to_string(), "-1.500");
        assert_eq!(Milli(-500).to_string(), "-0.500");
    }
}
