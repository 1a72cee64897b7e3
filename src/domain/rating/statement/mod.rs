//! A billing period of one customer, rated into lines.
//!
//! Each unit that a meter counted stands in one line, and so has one destination: what a product sells, what exceeds a
//! limit that the plan prices, what a wallet paid or owes, and the rest, which is included.

mod lines;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::lines::{add_on_lines, outcome_line, plan_line, usage_lines};
use super::amount::Money;
use super::destination::Destination;
use super::line::Line;
use super::percent::Percent;
use super::plan::charge;
use crate::domain::catalog::{Catalog, Interval, Plan, Pricing};
use crate::domain::id::{AddOnId, FeatureId, MeterId, PlanId, ProductId};
use crate::domain::quantity::{Milli, Overflow};

/// What happened in a billing period.
#[derive(Debug, Clone)]
pub struct Period<'a> {
    /// The catalog that the customer is on.
    pub catalog: &'a Catalog,
    /// Its plan; `None`: it has none.
    pub plan: Option<&'a Plan>,
    /// How often the plan is paid.
    pub interval: Interval,
    /// Which period of the subscription it is, from 0.
    pub nth: u32,
    /// What its volume takes off the price of use.
    pub discount: Percent,
    /// What was used, by meter: sums and counts, weighted.
    pub used: BTreeMap<MeterId, Milli>,
    /// What exceeded the limit that overage counts against, window by window, by feature.
    pub overage: BTreeMap<FeatureId, Milli>,
    /// What was charged to wallets when it was used, by feature.
    pub drawn: BTreeMap<FeatureId, Drawn>,
    /// How many outcomes were delivered, by product.
    pub outcomes: BTreeMap<ProductId, i64>,
}

/// What was charged to a wallet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drawn {
    /// What credits covered.
    pub paid: DrawnPart,
    /// What they did not.
    pub owed: DrawnPart,
}

/// A part of what was charged to a wallet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrawnPart {
    /// What was used.
    pub quantity: Milli,
    /// What it cost, in micro-units of US dollars.
    pub amount_micros: i64,
}

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The plan's own price.
    Plan(PlanId),
    /// A product: one that is sold by use, or an outcome.
    Product(ProductId),
    /// Use of a feature that the plan charges.
    Feature(FeatureId),
    /// Use of a meter that nothing charges.
    Meter(MeterId),
    /// What is added in percent.
    AddOn(AddOnId),
}

/// How the amount of a line came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Basis {
    /// By a price, for the quantity.
    Price(Pricing),
    /// By a share of other lines.
    Share(Percent),
    /// It was charged when it was used.
    Charged,
    /// It costs nothing.
    Nothing,
}

/// One line of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementLine {
    /// What it is about.
    pub subject: Subject,
    /// The meter that counted the quantity; `None`: it is no usage.
    pub meter: Option<MeterId>,
    /// Where it ends up. What is no usage is billed by an invoice of ours, unless Stripe bills its subscription.
    pub destination: Destination,
    /// How its amount came about.
    pub basis: Basis,
    /// Quantity and amounts.
    pub rated: Line,
}

/// A billing period in lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The plan, use by meter, outcomes, add-ons.
    pub lines: Vec<StatementLine>,
    /// Whether the plan costs what was agreed on, which no line says.
    pub by_agreement: bool,
    /// What the lines come to.
    pub totals: Totals,
}

/// What the lines of a statement come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// What is to be paid.
    pub due: Money,
    /// What wallets paid already.
    pub paid: Money,
    /// What wallets owe.
    pub owed: Money,
    /// What discounts took off.
    pub discount: Money,
}

/// Why a period cannot be rated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementFault {
    /// More is charged than was used.
    #[error("more of meter {0} is charged than was used")]
    MoreThanUsed(MeterId),
    /// Charged use of a feature that counts on no meter, or overage that the plan does not price.
    #[error("feature {0} has no price")]
    Unpriced(FeatureId),
    /// The product is not known, or not sold by the piece.
    #[error("product {0} is no outcome")]
    NoOutcome(ProductId),
    /// A sum left its range.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// Rates a billing period.
///
/// What was not used costs nothing: neither a flat price nor a minimum is charged without use.
///
/// # Errors
/// When the parts do not fit together, or a sum leaves its range.
pub fn rate(period: &Period<'_>) -> Result<Statement, StatementFault> {
    let mut lines = Vec::new();
    let mut by_agreement = false;
    if let Some(plan) = period.plan {
        match charge(plan, period.interval, period.nth)? {
            Some(money) => lines.push(plan_line(plan, money)),
            None => by_agreement = true,
        }
    }
    lines.extend(usage_lines(period)?);
    for (id, count) in period.outcomes.iter().filter(|(_, count)| **count > 0) {
        lines.push(outcome_line(period.catalog, id, *count)?);
    }
    let shares = add_on_lines(period, &lines)?;
    lines.extend(shares);
    let totals = totals(&lines)?;
    Ok(Statement {
        lines,
        by_agreement,
        totals,
    })
}

fn totals(lines: &[StatementLine]) -> Result<Totals, Overflow> {
    let mut totals = Totals::default();
    for line in lines {
        let Line {
            amount, discount, ..
        } = line.rated;
        match line.destination {
            Destination::Included => {}
            Destination::Wallet => totals.paid = totals.paid.plus(amount)?,
            Destination::Receivable => totals.owed = totals.owed.plus(amount)?,
            Destination::StripeMeter | Destination::OwnInvoice => {
                totals.due = totals.due.plus(amount)?;
                totals.discount = totals.discount.plus(discount)?;
            }
        }
    }
    Ok(totals)
}
