//! What Stripe's sums say of usage whose outcome nobody knows.

use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;

/// A minute, in microseconds.
const MINUTE: i64 = 60_000_000;

/// Returns the whole minutes that hold a billing period: Stripe sums over those. Chunks of the period before and of the one
/// after may lie in the first and the last.
#[must_use]
pub fn summed(period: TimeRange) -> TimeRange {
    let (start, end) = (period.start.as_micros(), period.end.as_micros());
    let end = end.saturating_add(MINUTE - 1).div_euclid(MINUTE);
    TimeRange {
        start: Timestamp::from_micros_clamped(start.div_euclid(MINUTE) * MINUTE),
        end: Timestamp::from_micros_clamped(end.saturating_mul(MINUTE)),
    }
}

/// What is known of a chunk in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Stripe's sums have it.
    Counted,
    /// Stripe's sums do not have it, although they have had the time.
    Missing,
    /// They say neither.
    Unclear,
}

/// What is known here of the chunks of a period, and of others that Stripe sums up with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The sum of those that were delivered; `None`: more than can be summed.
    pub delivered: Option<i64>,
    /// Those that may be at Stripe, by their values, in the order in which they are sent. The first is the one in doubt; the
    /// others are those after it that another life of the database may have sent.
    pub perhaps: Vec<i64>,
}

impl Ledger {
    /// Says what Stripe's sum of the period means for the first chunk of those that may be there; `None`: the sum is more
    /// than can be said exactly.
    ///
    /// Chunks of a period are sent one after the other, so that those which arrived are the first ones.
    #[must_use]
    pub fn judge(&self, sum: Option<i64>) -> Evidence {
        let (Some(sum), Some(delivered)) = (sum, self.delivered) else {
            return Evidence::Unclear;
        };
        let beyond = i128::from(sum) - i128::from(delivered);
        let mut arrived = 0_i128;
        let is_counted = self.perhaps.iter().any(|value| {
            arrived += i128::from(*value);
            arrived == beyond
        });
        match (is_counted, beyond == 0) {
            (true, false) => Evidence::Counted,
            (false, true) => Evidence::Missing,
            // Neither fits, or both do.
            (false, false) | (true, true) => Evidence::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(sum: Option<i64>, delivered: i64, perhaps: &[i64]) -> Evidence {
        let ledger = Ledger {
            delivered: Some(delivered),
            perhaps: perhaps.to_vec(),
        };
        ledger.judge(sum)
    }

    #[test]
    fn sums_decide_only_where_they_are_exact() {
        assert_eq!(judged(Some(15), 10, &[5]), Evidence::Counted);
        assert_eq!(judged(Some(10), 10, &[5]), Evidence::Missing);
        assert_eq!(judged(Some(12), 10, &[5]), Evidence::Unclear);
        assert_eq!(judged(None, 10, &[5]), Evidence::Unclear);
        assert_eq!(judged(Some(7), 10, &[-3]), Evidence::Counted);
        let unknown = Ledger {
            delivered: None,
            perhaps: vec![5],
        };
        assert_eq!(unknown.judge(Some(5)), Evidence::Unclear);
    }

    #[test]
    fn what_came_after_it_says_that_it_arrived() {
        assert_eq!(judged(Some(18), 10, &[5, 3, 4]), Evidence::Counted);
        assert_eq!(judged(Some(22), 10, &[5, 3, 4]), Evidence::Counted);
        assert_eq!(judged(Some(10), 10, &[5, 3, 4]), Evidence::Missing);
        // Not without the first.
        assert_eq!(judged(Some(13), 10, &[5, 3, 4]), Evidence::Unclear);
        // All or none.
        assert_eq!(judged(Some(10), 10, &[5, -5]), Evidence::Unclear);
        assert_eq!(judged(Some(15), 10, &[5, -5]), Evidence::Counted);
    }

    #[test]
    fn sums_at_the_bounds_are_exact() {
        let most = i64::MAX;
        assert_eq!(judged(Some(most), most - 1, &[1]), Evidence::Counted);
        assert_eq!(judged(Some(i64::MIN), most, &[1]), Evidence::Unclear);
        assert_eq!(judged(Some(0), 0, &[most, most, 1]), Evidence::Missing);
    }
}
