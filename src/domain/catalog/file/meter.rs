//! `[meters.*]`: what is counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::node::{Node, Table};
use super::{DECLARED_MAX, values};
use crate::domain::catalog::decimal::parse_decimal;
use crate::domain::catalog::{Aggregation, Catalog, Meter, Weight};
use crate::domain::id::MeterId;
use crate::domain::usage::DIMENSIONS_MAX;

/// Largest weight: a thousand times.
const FACTOR_MAX_MILLI: i64 = 1_000_000;
/// Most dimensions of one meter that carry weights. Their factors multiply, and with five of a thousand each
/// the largest quantity still fits 128 bits on the way.
const WEIGHTED_DIMENSIONS_MAX: usize = 5;
/// Longest event name that Stripe takes, in bytes.
const STRIPE_NAME_BYTES_MAX: usize = 100;

pub(super) fn read_meters(root: &Table<'_>, catalog: &mut Catalog) {
    let Some(table) = root.get("meters").and_then(|node| node.table()) else {
        return;
    };
    for (key, node) in table.entries(DECLARED_MAX, "meters") {
        if let Some(id) = values::key_id::<MeterId>(&node, key)
            && let Some(table) = node.table()
        {
            catalog
                .meters
                .insert(id.clone(), Arc::new(read_meter(&table, id)));
        }
    }
}

fn read_meter(table: &Table<'_>, id: MeterId) -> Meter {
    table.only(&[
        "name",
        "unit",
        "aggregation",
        "dimensions",
        "unique_by",
        "weights",
        "allow_negative",
        "stripe_event_name",
    ]);
    let aggregation = table.required("aggregation").and_then(|node| {
        node.choice(&[
            ("sum", Aggregation::Sum),
            ("count", Aggregation::Count),
            ("max", Aggregation::Max),
            ("latest", Aggregation::Latest),
            ("unique_count", Aggregation::UniqueCount),
        ])
    });
    let unique_by = table
        .get("unique_by")
        .and_then(|node| values::label(&node, "the name of a dimension"));
    match aggregation {
        Some(Aggregation::UniqueCount) if unique_by.is_none() => {
            table.fault("aggregation \"unique_count\" needs \"unique_by\", the dimension to count");
        }
        Some(Aggregation::Sum | Aggregation::Count | Aggregation::Max | Aggregation::Latest)
            if unique_by.is_some() =>
        {
            table.fault("\"unique_by\" is only for aggregation \"unique_count\"");
        }
        Some(_) | None => {}
    }
    Meter {
        name: values::name(table, id.as_str()),
        unit: table
            .get("unit")
            .and_then(|node| values::label(&node, "a text"))
            .unwrap_or_else(|| "unit".into()),
        aggregation: aggregation.unwrap_or(Aggregation::Sum),
        dimensions: read_dimensions(table),
        unique_by,
        weights: read_weights(table),
        allow_negative: table
            .get("allow_negative")
            .and_then(|node| node.boolean("true or false"))
            .unwrap_or(false),
        stripe_event_name: table
            .get("stripe_event_name")
            .and_then(|node| stripe_name(&node)),
        id,
    }
}

fn read_dimensions(table: &Table<'_>) -> Vec<Box<str>> {
    let Some(list) = table.get("dimensions") else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    let mut dimensions = Vec::new();
    for node in list.list(DIMENSIONS_MAX, "dimensions").unwrap_or_default() {
        let Some(dimension) = values::label(&node, "the name of a dimension") else {
            continue;
        };
        if seen.insert(dimension.clone()) {
            dimensions.push(dimension);
        } else {
            node.fault(format!("dimension {dimension:?} is listed twice"));
        }
    }
    dimensions
}

fn read_weights(table: &Table<'_>) -> Vec<Weight> {
    let Some(table) = table.get("weights").and_then(|node| node.table()) else {
        return Vec::new();
    };
    let mut weights = Vec::new();
    for (dimension, node) in table.entries(WEIGHTED_DIMENSIONS_MAX, "weighted dimensions") {
        let Some(values) = node.table_or("a table such as { research = \"3.0\" }") else {
            continue;
        };
        for (value, node) in values.entries(DECLARED_MAX, "values") {
            if values::is_label(&node, value)
                && let Some(factor_milli) = read_factor(&node)
            {
                weights.push(Weight {
                    dimension: dimension.into(),
                    value: value.into(),
                    factor_milli,
                });
            }
        }
    }
    weights.sort_by(|a, b| (&a.dimension, &a.value).cmp(&(&b.dimension, &b.value)));
    weights
}

fn read_factor(node: &Node<'_>) -> Option<i64> {
    const EXPECTED: &str =
        "a quoted decimal above 0, up to \"1000\", with at most three decimals, such as \"1.5\"";
    let text = node.text(EXPECTED)?;
    let factor = parse_decimal(text, 3)
        .ok()
        .filter(|factor| (1..=FACTOR_MAX_MILLI).contains(factor));
    if factor.is_none() {
        node.fault(format!("must be {EXPECTED}, not {text:?}"));
    }
    factor
}

fn stripe_name(node: &Node<'_>) -> Option<Box<str>> {
    let text = node.text("the event name of a Stripe meter")?;
    let is_sound = !text.is_empty()
        && text.len() <= STRIPE_NAME_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_sound {
        node.fault(format!(
            "must be printable ASCII of 1 to {STRIPE_NAME_BYTES_MAX} bytes without spaces"
        ));
    }
    is_sound.then(|| text.into())
}
