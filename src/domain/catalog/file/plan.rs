//! `[plans.*]`: bundles of prices and entitlements.

use std::collections::BTreeMap;

use super::add_on::{Named, read_granted};
use super::entitlement::read_entitlement;
use super::feature::Kinds;
use super::node::{Node, Table};
use super::{DECLARED_MAX, values};
use crate::domain::catalog::{Commitment, EntitlementSpec, Interval, OnChange, Plan, PlanPrice};
use crate::domain::id::{FeatureId, PlanId};

/// Longest trial, in days: the longest that Stripe takes.
const TRIAL_DAYS_MAX: i64 = 730;
/// Longest commitment, in months.
const COMMITMENT_MONTHS_MAX: i64 = 120;

/// Reads plans as they are declared, without what they extend.
pub(super) fn read_plans(
    root: &Table<'_>,
    kinds: &Kinds,
    add_ons: &Named,
) -> BTreeMap<PlanId, Plan> {
    let mut plans = BTreeMap::new();
    let Some(table) = root.get("plans").and_then(|node| node.table()) else {
        return plans;
    };
    let mut position = 0;
    for (key, node) in table.entries(DECLARED_MAX, "plans") {
        position += 1;
        if let Some(id) = values::key_id::<PlanId>(&node, key)
            && let Some(table) = node.table()
        {
            let mut plan = read_plan(&table, id.clone(), position, kinds);
            plan.add_ons = read_granted(&table, add_ons);
            plans.insert(id, plan);
        }
    }
    plans
}

fn read_plan(table: &Table<'_>, id: PlanId, position: i32, kinds: &Kinds) -> Plan {
    table.only(&[
        "name",
        "extends",
        "prices",
        "trial_days",
        "commitment",
        "on_change",
        "rank",
        "add_ons",
        "entitlements",
    ]);
    let trial_days = table
        .get("trial_days")
        .and_then(|node| node.integer(0..=TRIAL_DAYS_MAX));
    let rank = table
        .get("rank")
        .and_then(|node| node.integer(0..=1_000_000));
    Plan {
        name: values::name(table, id.as_str()),
        extends: table
            .get("extends")
            .and_then(|node| values::id::<PlanId>(&node, "the id of a plan")),
        prices: read_prices(table),
        trial_days: trial_days
            .and_then(|days| u32::try_from(days).ok())
            .unwrap_or(0),
        commitment: table
            .get("commitment")
            .and_then(|node| read_commitment(&node)),
        on_change: table
            .get("on_change")
            .and_then(|node| read_on_change(&node))
            .unwrap_or(OnChange::Carry),
        rank: rank
            .and_then(|rank| i32::try_from(rank).ok())
            .unwrap_or(position),
        add_ons: Vec::new(),
        entitlements: read_entitlements(table, kinds),
        id,
    }
}

fn read_prices(table: &Table<'_>) -> Vec<PlanPrice> {
    let Some(node) = table.get("prices") else {
        return Vec::new();
    };
    let Some(table) = node.table_or("a table such as { month = \"99.00\" }") else {
        return Vec::new();
    };
    table.only(&["month", "year"]);
    let mut prices = Vec::new();
    for (key, interval) in [("month", Interval::Month), ("year", Interval::Year)] {
        let Some(node) = table.get(key) else {
            continue;
        };
        let amount_micros = if node.as_str() == Some("custom") {
            None
        } else {
            let Some(micros) = values::money(&node) else {
                continue;
            };
            Some(micros)
        };
        prices.push(PlanPrice {
            interval,
            amount_micros,
            currency: "USD".into(),
        });
    }
    prices
}

fn read_commitment(node: &Node<'_>) -> Option<Commitment> {
    let table = node.table_or("a table such as { paid = 9, delivered = 12 }")?;
    table.only(&["paid", "delivered"]);
    let months = |key: &str| {
        let months = table.required(key)?.integer(1..=COMMITMENT_MONTHS_MAX)?;
        u32::try_from(months).ok()
    };
    let (paid, delivered) = (months("paid"), months("delivered"));
    let commitment = Commitment {
        months_paid: paid?,
        months_delivered: delivered?,
    };
    if commitment.months_delivered < commitment.months_paid {
        table.fault(format!(
            "delivered ({}) must be at least paid ({})",
            commitment.months_delivered, commitment.months_paid
        ));
    }
    Some(commitment)
}

fn read_on_change(node: &Node<'_>) -> Option<OnChange> {
    node.choice(&[
        ("carry", OnChange::Carry),
        ("reset", OnChange::Reset),
        ("prorate", OnChange::Prorate),
    ])
}

fn read_entitlements(table: &Table<'_>, kinds: &Kinds) -> BTreeMap<FeatureId, EntitlementSpec> {
    let mut entitlements = BTreeMap::new();
    let Some(table) = table.get("entitlements").and_then(|node| node.table()) else {
        return entitlements;
    };
    for (key, node) in table.entries(DECLARED_MAX, "entitlements") {
        let Some(kind) = kinds.get(key) else {
            let known = kinds.keys().map(String::as_str);
            node.unknown(format!("unknown feature {key:?}"), key, known);
            continue;
        };
        if let Some(kind) = kind
            && let Some(spec) = read_entitlement(&node, kind)
            && let Some(feature) = values::key_id::<FeatureId>(&node, key)
        {
            entitlements.insert(feature, spec);
        }
    }
    entitlements
}
