//! Lines of an invoice: a price, less a customer's discount, at least a minimum; and what is added in percent.

use super::amount::{Amount, Money};
use super::percent::Percent;
use super::price::price;
use crate::domain::catalog::Pricing;
use crate::domain::quantity::{Milli, Overflow};

/// What changes a price for one customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// What the customer's volume takes off.
    pub discount: Percent,
    /// The least that the line costs, in micro-units, whatever is used and taken off; 0: nothing.
    pub minimum_micros: i64,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What was used.
    pub quantity: Milli,
    /// By the price alone.
    pub full: Money,
    /// What the discount took off; `full - discount` is `amount` unless the minimum is more.
    pub discount: Money,
    /// What is to be paid.
    pub amount: Money,
}

impl Line {
    /// Returns a line whose amount is given.
    #[must_use]
    pub const fn settled(quantity: Milli, amount: Money) -> Self {
        Self {
            quantity,
            full: amount,
            discount: Money::ZERO,
            amount,
        }
    }
}

/// Rates a quantity: the price, less the discount, at least the minimum, rounded.
///
/// # Errors
/// When an amount leaves its range.
pub fn line(pricing: &Pricing, quantity: Milli, terms: Terms) -> Result<Line, Overflow> {
    let full = price(pricing, quantity)?;
    let less = full.minus(terms.discount.of(full)?)?;
    let amount = less.max(Amount::from_micros(terms.minimum_micros));
    let full = full.round()?;
    Ok(Line {
        quantity,
        full,
        // Of rounded amounts, so that the line adds up.
        discount: full.minus(less.round()?)?,
        amount: amount.round()?,
    })
}

/// Rates what use adds to a line that holds some already: the difference of the rounded lines, so that steps add up to
/// the line. Without use there is no line, so that the first step brings a flat amount or a minimum.
///
/// # Errors
/// When an amount leaves its range.
pub fn step(pricing: &Pricing, from: Milli, to: Milli, terms: Terms) -> Result<Line, Overflow> {
    let line_of = |used: Milli| {
        if used > Milli::ZERO {
            line(pricing, used, terms)
        } else {
            Ok(Line::settled(used, Money::ZERO))
        }
    };
    let (before, after) = (line_of(from)?, line_of(to)?);
    Ok(Line {
        quantity: to.minus(from)?,
        full: after.full.minus(before.full)?,
        discount: after.discount.minus(before.discount)?,
        amount: after.amount.minus(before.amount)?,
    })
}

/// Rates what is added in percent of other lines.
///
/// # Errors
/// When an amount leaves its range.
pub fn add_on(percent: Percent, lines: &[Line]) -> Result<Line, Overflow> {
    // Of cents, as whoever reads the invoice would calculate it.
    let base = Money::sum(lines.iter().map(|line| line.amount))?;
    let base = base.cents.checked_mul(10_000).ok_or(Overflow)?;
    let full = percent.of(Amount::from_micros(base))?.round()?;
    Ok(Line {
        quantity: Milli::ZERO,
        full,
        discount: Money::ZERO,
        amount: full,
    })
}
