//! What some of the next units cost at most, whichever of them they are.

use super::amount::Amount;
use super::price::price;
use crate::domain::catalog::{PriceTier, Pricing};
use crate::domain::quantity::{Milli, Overflow};

/// Thousandths in a unit.
const MILLI: i128 = 1000;

/// Returns what `quantity` of the `total` that comes after `base` costs at most, when others may use the rest before it,
/// after it or in between. By volume, where each unit moves the price of all, only before and after are looked at.
///
/// # Errors
/// When the amount leaves the range that can be held exactly.
pub fn dearest(
    pricing: &Pricing,
    base: Milli,
    total: Milli,
    quantity: Milli,
) -> Result<Amount, Overflow> {
    let part = |from: Milli, to: Milli| price(pricing, to)?.minus(price(pricing, from)?);
    let end = base.plus(total)?;
    match pricing {
        Pricing::Flat { .. } => part(base, end),
        Pricing::PerUnit { .. } => part(Milli::ZERO, quantity),
        Pricing::Package { amount_micros, .. } => {
            // Each unit may be the one that begins a package.
            let units = quantity.0.max(0).unsigned_abs().div_ceil(1000);
            let alone = Amount::from_micros(*amount_micros).times(i128::from(units), 1)?;
            Ok(part(base, end)?.min(alone))
        }
        Pricing::Graduated { tiers } => of_tiers(tiers, (base, end), quantity),
        Pricing::Volume { .. } => {
            let first = part(base, base.plus(quantity)?)?;
            Ok(first.max(part(end.minus(quantity)?, end)?))
        }
    }
}

/// Adds up the units of the dearest tiers that reach into a range.
fn of_tiers(
    tiers: &[PriceTier],
    (from, to): (Milli, Milli),
    quantity: Milli,
) -> Result<Amount, Overflow> {
    let (from, to) = (i128::from(from.0.max(0)), i128::from(to.0.max(0)));
    let mut begin = 0;
    let mut parts: Vec<(i64, i128)> = Vec::with_capacity(tiers.len());
    for tier in tiers {
        let end = tier
            .up_to
            .map_or(i128::MAX, |units| i128::from(units) * MILLI);
        parts.push((tier.unit_micros, (end.min(to) - from.max(begin)).max(0)));
        begin = end;
    }
    parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.0));
    let (mut sum, mut left) = (Amount::ZERO, i128::from(quantity.0.max(0)));
    for (unit_micros, part) in parts {
        let part = part.min(left);
        sum = sum.plus(Amount::from_micros(unit_micros).times(part, MILLI)?)?;
        left -= part;
    }
    Ok(sum)
}
