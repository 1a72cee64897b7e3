//! Amounts of money: exact ones, and what they are rounded to.

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedMul, CheckedSub};
use serde::{Deserialize, Serialize};

use crate::domain::quantity::Overflow;

/// Micro-units in a cent.
const MICROS_A_CENT: i128 = 10_000;

/// An exact amount, in micro-units of US dollars and any fraction of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(Ratio<i128>);

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As text: not every format holds 128 bits.
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A rounded amount, in two units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Money {
    /// Micro-units of US dollars, rounded half to even.
    pub micros: i64,
    /// Cents, rounded half to even from the exact amount, not from `micros`.
    pub cents: i64,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(Ratio::ZERO);

    /// Returns an amount of whole micro-units.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(Ratio::from_integer(i128::from(micros)))
    }

    /// Returns the amount taken `numerator / denominator` times. The denominator is at least 1.
    ///
    /// # Errors
    /// When the result leaves the range that can be held exactly.
    pub fn times(self, numerator: i128, denominator: i128) -> Result<Self, Overflow> {
        let factor = Ratio::new(numerator, denominator.max(1));
        self.0.checked_mul(&factor).map(Self).ok_or(Overflow)
    }

    /// Adds.
    ///
    /// # Errors
    /// When the result leaves the range that can be held exactly.
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_add(&other.0).map(Self).ok_or(Overflow)
    }

    /// Subtracts.
    ///
    /// # Errors
    /// When the result leaves the range that can be held exactly.
    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_sub(&other.0).map(Self).ok_or(Overflow)
    }

    /// Returns the least whole number of micro-units that is not less.
    ///
    /// # Errors
    /// When it leaves 64 bits.
    pub fn ceil(self) -> Result<i64, Overflow> {
        i64::try_from(self.0.ceil().to_integer()).map_err(|_| Overflow)
    }

    /// Rounds.
    ///
    /// # Errors
    /// When the amount leaves 64 bits of micro-units.
    pub fn round(self) -> Result<Money, Overflow> {
        let cents = self.times(1, MICROS_A_CENT)?;
        Ok(Money {
            micros: half_to_even(self.0)?,
            cents: half_to_even(cents.0)?,
        })
    }
}

/// Rounds to the nearest whole number, and to the even one of two that are as near.
fn half_to_even(exact: Ratio<i128>) -> Result<i64, Overflow> {
    let (numerator, denominator) = (*exact.numer(), *exact.denom());
    let below = numerator.div_euclid(denominator);
    let rest = numerator.rem_euclid(denominator);
    let is_up = match rest.cmp(&(denominator - rest)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => below % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    i64::try_from(below + i128::from(is_up)).map_err(|_| Overflow)
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self {
        micros: 0,
        cents: 0,
    };

    /// Adds.
    ///
    /// # Errors
    /// When a sum leaves 64 bits.
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        Ok(Self {
            micros: self.micros.checked_add(other.micros).ok_or(Overflow)?,
            cents: self.cents.checked_add(other.cents).ok_or(Overflow)?,
        })
    }

    /// Subtracts.
    ///
    /// # Errors
    /// When a difference leaves 64 bits.
    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        Ok(Self {
            micros: self.micros.checked_sub(other.micros).ok_or(Overflow)?,
            cents: self.cents.checked_sub(other.cents).ok_or(Overflow)?,
        })
    }

    /// Adds up.
    ///
    /// # Errors
    /// When the sum leaves 64 bits.
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, Overflow> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }
}
