//! Decimals as text, exact: money in millionths, weights in thousandths.

use std::fmt;

/// Why a text is not a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::domain) enum InvalidDecimal {
    /// It holds something other than digits and one point between digits.
    #[error("must be a decimal such as \"1.5\"")]
    Malformed,
    /// It starts with a minus.
    #[error("must not be negative")]
    Negative,
    /// More digits after the point than are kept.
    #[error("must have at most {0} decimals")]
    TooFine(usize),
    /// It leaves the range of 64 bits.
    #[error("is too large")]
    TooLarge,
}

/// Reads a decimal and returns it in units of ten to the minus `decimals`.
pub(in crate::domain) fn parse_decimal(text: &str, decimals: usize) -> Result<i64, InvalidDecimal> {
    if text.starts_with('-') {
        return Err(InvalidDecimal::Negative);
    }
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(InvalidDecimal::Malformed),
        None => (text, ""),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(InvalidDecimal::Malformed);
    }
    if fraction.len() > decimals {
        return Err(InvalidDecimal::TooFine(decimals));
    }
    format!("{whole}{fraction:0<decimals$}")
        .parse()
        .map_err(|_| InvalidDecimal::TooLarge)
}

/// Writes millionths as a decimal with two to six digits after the point.
pub(in crate::domain) struct Millionths(pub(in crate::domain) i64);

impl fmt::Display for Millionths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let fraction = format!("{:06}", magnitude % 1_000_000);
        let trimmed = fraction.trim_end_matches('0');
        let shown = if trimmed.len() < 2 {
            &fraction[..2]
        } else {
            trimmed
        };
        write!(f, "{sign}{}.{shown}", magnitude / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        assert_eq!(parse_decimal("99.00", 6), Ok(99_000_000));
        assert_eq!(parse_decimal("0.000001", 6), Ok(1));
        assert_eq!(parse_decimal("7", 3), Ok(7_000));
        assert_eq!(parse_decimal("1.0000", 3), Err(InvalidDecimal::TooFine(3)));
        assert_eq!(parse_decimal("-1", 3), Err(InvalidDecimal::Negative));
        assert_eq!(
            parse_decimal("99999999999999999999", 0),
            Err(InvalidDecimal::TooLarge)
        );
        for bad in [
            "", ".", "1.", ".5", "1e3", "+1", "1,5", "1.5 EUR", "1.2.3", "\u{663}",
        ] {
            assert_eq!(
                parse_decimal(bad, 6),
                Err(InvalidDecimal::Malformed),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn money_is_written_with_two_to_six_decimals() {
        for (micros, text) in [
            (99_000_000, "99.00"),
            (19_990_000, "19.99"),
            (2_000, "0.002"),
            (-1_500_000, "-1.50"),
        ] {
            assert_eq!(Millionths(micros).to_string(), text);
        }
    }
}
