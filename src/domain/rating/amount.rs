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
        let denominator = denominator.max(1);
        // Most products are whole, and finding what to reduce a fraction by takes many times as long.
        if self.0.is_integer()
            && let Some(product) = i128::checked_mul(*self.0.numer(), numerator)
            && product % denominator == 0
        {
            return Ok(Self(Ratio::from_integer(product / denominator)));
        }
        let factor = Ratio::new(numerator, denominator);
        self.0.checked_mul(&factor).map(Self).ok_or(Overflow)
    }

    /// Adds.
    ///
    /// # Errors
    /// When the result leaves the range that can be held exactly.
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        if self.0.is_integer() && other.0.is_integer() {
            let whole = i128::checked_add(*self.0.numer(), *other.0.numer());
            return whole.map(Ratio::from_integer).map(Self).ok_or(Overflow);
        }
        self.0.checked_add(&other.0).map(Self).ok_or(Overflow)
    }

    /// Subtracts.
    ///
    /// # Errors
    /// When the result leaves the range that can be held exactly.
    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        if self.0.is_integer() && other.0.is_integer() {
            let whole = i128::checked_sub(*self.0.numer(), *other.0.numer());
            return whole.map(Ratio::from_integer).map(Self).ok_or(Overflow);
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole() -> impl Strategy<Value = i128> {
        prop_oneof![
            -9..9_i128,
            -10_000_000..10_000_000_i128,
            any::<i64>().prop_map(i128::from),
            any::<i128>(),
            Just(i128::MAX),
            Just(i128::MIN),
        ]
    }

    fn part() -> impl Strategy<Value = i128> {
        prop_oneof![Just(1_i128), Just(1000), 1..50_000_i128, 1..i128::MAX]
    }

    fn ratio() -> impl Strategy<Value = Ratio<i128>> {
        // The least number has no opposite, which `Ratio` needs of what it reduces.
        let above = |whole: &i128| *whole > i128::MIN;
        prop_oneof![
            whole().prop_map(Ratio::from_integer),
            (whole().prop_filter("no opposite", above), part()).prop_map(|(n, d)| Ratio::new(n, d)),
        ]
    }

    proptest! {
        #[test]
        fn the_short_ways_are_right(one in ratio(), other in ratio(), n in -100_000..100_000_i128, d in part()) {
            let (a, b) = (Amount(one), Amount(other));
            prop_assert_eq!(a.plus(b).ok().map(|sum| sum.0), one.checked_add(&other));
            prop_assert_eq!(a.minus(b).ok().map(|rest| rest.0), one.checked_sub(&other));
            let whole = Ratio::from_integer(*one.numer() / 1_000_000);
            let factor = Ratio::new(n, d);
            prop_assert_eq!(Amount(whole).times(n, d).ok().map(|some| some.0), whole.checked_mul(&factor));
        }
    }
}
