//! What a quantity costs by a price of the catalog, before anything that belongs to a customer.

use super::amount::Amount;
use crate::domain::catalog::{PriceTier, Pricing};
use crate::domain::quantity::{Milli, Overflow};

/// Thousandths in a unit.
const MILLI: i128 = 1000;

/// Prices a quantity; one below zero costs what zero costs. Weighted quantities may hold parts of a unit:
///
/// * per unit, graduated and volume prices take them in proportion;
/// * a package is paid in full once any part of it is used;
/// * a tier ends after exactly `up_to` units, and a volume price takes the first tier that holds the whole quantity.
///
/// # Errors
/// When the amount leaves the range that can be held exactly.
pub fn price(pricing: &Pricing, quantity: Milli) -> Result<Amount, Overflow> {
    let milli = i128::from(quantity.0.max(0));
    match pricing {
        Pricing::Flat { amount_micros } => Ok(Amount::from_micros(*amount_micros)),
        Pricing::PerUnit { amount_micros, per } => {
            Amount::from_micros(*amount_micros).times(milli, MILLI * i128::from((*per).max(1)))
        }
        Pricing::Package {
            amount_micros,
            size,
        } => {
            let size = MILLI * i128::from((*size).max(1));
            let begun = milli / size + i128::from(milli % size != 0);
            Amount::from_micros(*amount_micros).times(begun, 1)
        }
        Pricing::Graduated { tiers } => graduated(tiers, milli),
        Pricing::Volume { tiers } => {
            let holds = |tier: &&PriceTier| end_of(tier).is_none_or(|end| milli <= end);
            match tiers.iter().find(holds).or(tiers.last()) {
                Some(tier) => Amount::from_micros(tier.unit_micros).times(milli, MILLI),
                None => Ok(Amount::ZERO),
            }
        }
    }
}

fn graduated(tiers: &[PriceTier], milli: i128) -> Result<Amount, Overflow> {
    let (mut sum, mut begin) = (Amount::ZERO, 0);
    for tier in tiers {
        let end = end_of(tier).map_or(milli, |end| end.min(milli));
        let part = (end - begin).max(0);
        sum = sum.plus(Amount::from_micros(tier.unit_micros).times(part, MILLI)?)?;
        begin = begin.max(end);
    }
    Ok(sum)
}

/// Returns the end of a tier in thousandths of a unit; `None`: it has none.
fn end_of(tier: &PriceTier) -> Option<i128> {
    tier.up_to.map(|units| i128::from(units) * MILLI)
}
