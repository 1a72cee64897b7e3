//! Prices of the list as Stripe writes them, and whether one at Stripe is what the list says.

use std::collections::BTreeMap;
use std::fmt;

use super::difference::interval;
use crate::domain::billing::{ListedAmount, ListedPrice, Sold, word};
use crate::stripe::gateway::{Charge, Link, Price, PriceTier, Step};
use crate::stripe::mirrored::{INTERVAL_KEY, PLAN_KEY};

/// The metadata of a price that was there before it was sold here.
pub(super) const ADOPTED_KEY: &str = "bursar_adopted";

/// What a price says of itself, so that a subscription to it tells the plan.
pub(super) fn metadata(sold: &Sold) -> BTreeMap<String, String> {
    let pair = |key: &str, value: &dyn fmt::Display| (key.to_owned(), value.to_string());
    BTreeMap::from_iter(match sold {
        Sold::Plan(plan, interval) => {
            vec![pair(PLAN_KEY, plan), pair(INTERVAL_KEY, &word(*interval))]
        }
        Sold::Overage(plan, feature, _) => {
            vec![
                pair("bursar_overage_plan", plan),
                pair("bursar_feature", feature),
            ]
        }
        Sold::Usage(product, _) | Sold::Piece(product) => vec![pair("bursar_product", product)],
    })
}

pub(super) fn charge(amount: &ListedAmount) -> Charge {
    match amount {
        ListedAmount::Unit(cents) => cents
            .parse()
            .map_or_else(|_| Charge::Decimal(cents.to_string()), Charge::Cents),
        ListedAmount::Package { cents, size } => Charge::Package {
            cents: cents.to_string(),
            divide_by: *size,
            round: Step::Up,
        },
        ListedAmount::Tiered { by_volume, tiers } => {
            let tier = |(up_to, cents): &(Option<i64>, Box<str>)| PriceTier {
                up_to: *up_to,
                unit: Some(cents.to_string()),
                flat: None,
            };
            let tiers = tiers.iter().map(tier).collect();
            if *by_volume {
                Charge::Volume(tiers)
            } else {
                Charge::Graduated(tiers)
            }
        }
    }
}

/// Whether a price at Stripe is what the list says.
pub(super) fn agrees(price: &Price, listed: &ListedPrice, meter: Option<&str>) -> bool {
    let product = price.product.as_ref().map(Link::id);
    let recurring = price.recurring.as_ref();
    let counted = recurring.and_then(|recurring| recurring.meter.as_deref());
    // One that was there before has a product of its own.
    let is_adopted = price.metadata.contains_key(ADOPTED_KEY);
    (is_adopted || product == Some(&*listed.product))
        && counted == meter.filter(|_| listed.meter.is_some())
        && says(price, &listed.sold)
        && unfit(price, listed).is_none()
}

/// Whether a price says of itself what it is the price of.
pub(super) fn says(price: &Price, sold: &Sold) -> bool {
    let said = |(key, value): (&String, &String)| price.metadata.get(key) == Some(value);
    metadata(sold).iter().all(said)
}

/// Says why a price at Stripe does not charge what the list says; `None`: it does.
pub(super) fn unfit(price: &Price, listed: &ListedPrice) -> Option<&'static str> {
    let recurring = price.recurring.as_ref();
    let every = recurring.map(|recurring| (recurring.interval.as_str(), recurring.interval_count));
    let wanted = interval(&listed.sold).map(|interval| (word(interval), 1));
    if price.currency != "usd" {
        Some("it is not in US dollars")
    } else if every != wanted {
        Some("it is charged at other intervals")
    } else if !costs(price, &listed.amount) {
        Some("it costs something else")
    } else {
        None
    }
}

/// Whether a price costs what the list says.
fn costs(price: &Price, amount: &ListedAmount) -> bool {
    let unit = |whole: Option<i64>, decimal: Option<&str>| {
        decimal.map_or_else(
            || whole.map(|cents| cents.to_string()),
            |text| Some(plain(text)),
        )
    };
    let own = || unit(price.unit_amount, price.unit_amount_decimal.as_deref());
    match amount {
        ListedAmount::Unit(cents) => {
            price.transform_quantity.is_none() && own().as_deref() == Some(cents)
        }
        ListedAmount::Package { cents, size } => {
            let package = price.transform_quantity.as_ref();
            own().as_deref() == Some(cents)
                && package.is_some_and(|of| of.divide_by == *size && of.round == "up")
        }
        ListedAmount::Tiered { by_volume, tiers } => {
            let mode = if *by_volume { "volume" } else { "graduated" };
            let theirs = price.tiers.iter().map(|tier| {
                let cents = unit(tier.unit_amount, tier.unit_amount_decimal.as_deref());
                (tier.up_to, cents.unwrap_or_default())
            });
            let ours = tiers
                .iter()
                .map(|(up_to, cents)| (*up_to, cents.to_string()));
            price.tiers_mode.as_deref() == Some(mode) && theirs.eq(ours)
        }
    }
}

/// Writes a decimal without needless zeros, as the list has it.
fn plain(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}
