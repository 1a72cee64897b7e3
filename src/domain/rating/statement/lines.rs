//! The lines of a statement, by what they are about.

use std::collections::BTreeMap;

use super::{Basis, DrawnPart, Period, StatementFault, StatementLine, Subject};
use crate::domain::catalog::{
    AddOnBase, Catalog, Charge, EntitlementSpec, FeatureKind, Plan, Pricing, Product,
};
use crate::domain::id::{FeatureId, MeterId, ProductId};
use crate::domain::quantity::Milli;
use crate::domain::rating::{Amount, Destination, Line, Money, Terms, add_on, line};

pub(super) fn plan_line(plan: &Plan, money: Money) -> StatementLine {
    StatementLine {
        subject: Subject::Plan(plan.id.clone()),
        meter: None,
        destination: Destination::OwnInvoice,
        basis: Basis::Price(Pricing::Flat {
            amount_micros: money.micros,
        }),
        rated: Line::settled(Milli::from_units_saturating(1), money),
    }
}

pub(super) fn usage_lines(period: &Period<'_>) -> Result<Vec<StatementLine>, StatementFault> {
    let mut charged = charged_lines(period)?;
    let mut lines = Vec::new();
    for (meter, used) in &period.used {
        let own = charged.remove(meter).unwrap_or_default();
        let mut rest = *used;
        for line in &own {
            rest = rest.minus(line.rated.quantity)?;
        }
        if !own.is_empty() && rest < Milli::ZERO {
            return Err(StatementFault::MoreThanUsed(meter.clone()));
        }
        lines.extend(own);
        let sold = product_of(period.catalog, meter).filter(|_| rest > Milli::ZERO);
        if let Some(product) = sold {
            lines.push(product_line(period, meter, rest, product)?);
        } else if rest != Milli::ZERO {
            lines.push(StatementLine {
                subject: Subject::Meter(meter.clone()),
                meter: Some(meter.clone()),
                destination: Destination::Included,
                basis: Basis::Nothing,
                rated: Line::settled(rest, Money::ZERO),
            });
        }
    }
    match charged.pop_first() {
        Some((meter, _)) => Err(StatementFault::MoreThanUsed(meter)),
        None => Ok(lines),
    }
}

/// A product that is sold by use.
#[derive(Clone, Copy)]
struct Sold<'a> {
    id: &'a ProductId,
    pricing: &'a Pricing,
    minimum_micros: i64,
}

fn product_of<'a>(catalog: &'a Catalog, meter: &MeterId) -> Option<Sold<'a>> {
    catalog.products.values().find_map(|product| match product {
        Product::Usage {
            id,
            meter: sold,
            pricing,
            minimum_micros,
            ..
        } if sold == meter => Some(Sold {
            id,
            pricing,
            minimum_micros: *minimum_micros,
        }),
        Product::Usage { .. } | Product::Outcome { .. } | Product::CreditPack(_) => None,
    })
}

fn product_line(
    period: &Period<'_>,
    meter: &MeterId,
    used: Milli,
    product: Sold<'_>,
) -> Result<StatementLine, StatementFault> {
    let terms = Terms {
        discount: period.discount,
        minimum_micros: product.minimum_micros,
    };
    Ok(StatementLine {
        subject: Subject::Product(product.id.clone()),
        meter: Some(meter.clone()),
        destination: Destination::billed(period.catalog.meters.get(meter).map(AsRef::as_ref)),
        basis: Basis::Price(product.pricing.clone()),
        rated: line(product.pricing, used, terms)?,
    })
}

/// Returns what the plan and wallets charge, by meter.
fn charged_lines(
    period: &Period<'_>,
) -> Result<BTreeMap<MeterId, Vec<StatementLine>>, StatementFault> {
    let mut charged: BTreeMap<MeterId, Vec<StatementLine>> = BTreeMap::new();
    let mut add = |feature: &FeatureId, destination, basis, rated| {
        let meter = meter_of(period.catalog, feature)?;
        charged
            .entry(meter.clone())
            .or_default()
            .push(StatementLine {
                subject: Subject::Feature(feature.clone()),
                meter: Some(meter.clone()),
                destination,
                basis,
                rated,
            });
        Ok::<_, StatementFault>(())
    };
    for (feature, quantity) in &period.overage {
        if *quantity <= Milli::ZERO {
            continue;
        }
        let unpriced = || StatementFault::Unpriced(feature.clone());
        let pricing = overage_price(period.plan, feature).ok_or_else(unpriced)?;
        let meter = period
            .catalog
            .meters
            .get(meter_of(period.catalog, feature)?);
        let terms = Terms {
            discount: period.discount,
            minimum_micros: 0,
        };
        let rated = line(pricing, *quantity, terms)?;
        let destination = Destination::billed(meter.map(AsRef::as_ref));
        add(feature, destination, Basis::Price(pricing.clone()), rated)?;
    }
    for (feature, drawn) in &period.drawn {
        for (destination, part) in [
            (Destination::Wallet, drawn.paid),
            (Destination::Receivable, drawn.owed),
        ] {
            if part != DrawnPart::default() {
                let money = Amount::from_micros(part.amount_micros).round()?;
                let rated = Line::settled(part.quantity, money);
                add(feature, destination, Basis::Charged, rated)?;
            }
        }
    }
    Ok(charged)
}

fn meter_of<'a>(catalog: &'a Catalog, feature: &FeatureId) -> Result<&'a MeterId, StatementFault> {
    match catalog.features.get(feature).map(|feature| &feature.kind) {
        Some(FeatureKind::Metered { meter, .. }) => Ok(meter),
        Some(
            FeatureKind::Boolean
            | FeatureKind::Static
            | FeatureKind::Allocation
            | FeatureKind::Concurrency
            | FeatureKind::Rate,
        )
        | None => Err(StatementFault::Unpriced(feature.clone())),
    }
}

fn overage_price<'a>(plan: Option<&'a Plan>, feature: &FeatureId) -> Option<&'a Pricing> {
    match plan?.entitlements.get(feature)? {
        EntitlementSpec::Metered(spec) => match spec.charge.as_ref()? {
            Charge::Overage(pricing) => Some(pricing),
            Charge::Wallet { .. } => None,
        },
        EntitlementSpec::Boolean(_)
        | EntitlementSpec::Static(_)
        | EntitlementSpec::Allocation(_)
        | EntitlementSpec::Concurrency(_)
        | EntitlementSpec::Rate(_) => None,
    }
}

pub(super) fn outcome_line(
    catalog: &Catalog,
    id: &ProductId,
    count: i64,
) -> Result<StatementLine, StatementFault> {
    let Some(Product::Outcome { amount_micros, .. }) = catalog.products.get(id) else {
        return Err(StatementFault::NoOutcome(id.clone()));
    };
    let pricing = Pricing::PerUnit {
        amount_micros: *amount_micros,
        per: 1,
    };
    Ok(StatementLine {
        subject: Subject::Product(id.clone()),
        meter: None,
        destination: Destination::OwnInvoice,
        rated: line(&pricing, Milli::from_units(count)?, Terms::default())?,
        basis: Basis::Price(pricing),
    })
}

pub(super) fn add_on_lines(
    period: &Period<'_>,
    lines: &[StatementLine],
) -> Result<Vec<StatementLine>, StatementFault> {
    let granted = period.plan.iter().flat_map(|plan| &plan.add_ons);
    let mut shares = Vec::new();
    for share in granted.filter_map(|id| period.catalog.add_ons.get(id)) {
        let counts = |line: &&StatementLine| {
            line.destination.is_due()
                && match share.of {
                    AddOnBase::Usage => line.meter.is_some(),
                    AddOnBase::All => true,
                }
        };
        let base: Vec<Line> = lines.iter().filter(counts).map(|line| line.rated).collect();
        if base.is_empty() {
            continue;
        }
        shares.push(StatementLine {
            subject: Subject::AddOn(share.id.clone()),
            meter: None,
            destination: Destination::OwnInvoice,
            basis: Basis::Share(share.percent),
            rated: add_on(share.percent, &base)?,
        });
    }
    Ok(shares)
}
