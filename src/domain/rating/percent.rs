//! Shares of an amount: discounts and add-ons.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use crate::domain::catalog::decimal::parse_decimal;
use crate::domain::quantity::Overflow;

/// A share from 0 to 100 percent, in thousandths of a percent.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Percent(u32);

/// What a text that is not a percentage should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a decimal from \"0\" to \"100\" with at most three decimals, such as \"8.5\"")]
pub struct InvalidPercent;

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const WHOLE: Self = Self(100_000);

    /// Returns a share in thousandths of a percent; `None`: it is more than all.
    #[must_use]
    pub fn from_thousandths(thousandths: u32) -> Option<Self> {
        (thousandths <= Self::WHOLE.0).then_some(Self(thousandths))
    }

    /// Returns the share in thousandths of a percent.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// Returns the share of an amount, exactly.
    pub(super) fn of(self, amount: Amount) -> Result<Amount, Overflow> {
        amount.times(i128::from(self.0), i128::from(Self::WHOLE.0))
    }
}

impl FromStr for Percent {
    type Err = InvalidPercent;

    fn from_str(text: &str) -> Result<Self, InvalidPercent> {
        let thousandths = parse_decimal(text, 3).map_err(|_| InvalidPercent)?;
        let thousandths = u32::try_from(thousandths).map_err(|_| InvalidPercent)?;
        Self::from_thousandths(thousandths).ok_or(InvalidPercent)
    }
}

/// Writes it as it is read, without needless zeros.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{rest:03}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_exactly_and_written_back() {
        for (text, thousandths) in [
            ("0", 0),
            ("8.5", 8_500),
            ("12.345", 12_345),
            ("100", 100_000),
        ] {
            let percent: Percent = text.parse().unwrap();
            assert_eq!(percent.thousandths(), thousandths);
            assert_eq!(percent.to_string(), text);
        }
        for bad in ["", "-1", "100.001", "1.2345", "8,5", "8.", "99999999999"] {
            assert_eq!(bad.parse::<Percent>(), Err(InvalidPercent), "{bad}");
        }
    }
}
