//! What a plan itself costs, period by period.

use super::amount::{Amount, Money};
use crate::domain::catalog::{Interval, Plan};
use crate::domain::quantity::Overflow;

/// Months in an interval.
const fn months(interval: Interval) -> u32 {
    match interval {
        Interval::Month => 1,
        Interval::Year => 12,
    }
}

/// Returns what a plan costs in its `nth` period, counted from 0; `None`: it is by agreement, or not sold by this
/// interval although by another.
///
/// Of a commitment the first months are paid and the rest of those delivered are free; then it begins anew. A period
/// costs the share of its months that is paid.
///
/// # Errors
/// When the amount leaves its range.
pub fn charge(plan: &Plan, interval: Interval, nth: u32) -> Result<Option<Money>, Overflow> {
    let price = plan.prices.iter().find(|price| price.interval == interval);
    let amount = match price {
        Some(price) => price.amount_micros,
        None if plan.prices.is_empty() => Some(0),
        None => None,
    };
    let Some(amount) = amount else {
        return Ok(None);
    };
    let length = months(interval);
    let Some(commitment) = plan.commitment else {
        return Amount::from_micros(amount).round().map(Some);
    };
    let first = u64::from(nth) * u64::from(length);
    let cycle = u64::from(commitment.months_delivered.max(1));
    let is_paid = |month: &u64| month % cycle < u64::from(commitment.months_paid);
    let paid = (first..first + u64::from(length)).filter(is_paid).count();
    let paid = i128::try_from(paid).map_err(|_| Overflow)?;
    let due = Amount::from_micros(amount).times(paid, i128::from(length))?;
    due.round().map(Some)
}
