//! `[features]`: what is sold.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::{Node, Table};
use super::{DECLARED_MAX, values};
use crate::domain::catalog::{Catalog, Feature, FeatureKind, Filter, OnOutage};
use crate::domain::id::{FeatureId, MeterId};
use crate::domain::usage::DIMENSIONS_MAX;

/// Kinds that are named by a word alone.
const PLAIN_KINDS: [(&str, Plain); 5] = [
    ("boolean", Plain::Boolean),
    ("static", Plain::Static),
    ("allocation", Plain::Allocation),
    ("concurrency", Plain::Concurrency),
    ("rate", Plain::Rate),
];

#[derive(Clone, Copy)]
enum Plain {
    Boolean,
    Static,
    Allocation,
    Concurrency,
    Rate,
}

/// The kind of every feature in the file; `None` where it could not be read, so that plans are not blamed for it.
pub(super) type Kinds = BTreeMap<String, Option<FeatureKind>>;

pub(super) fn read_features(root: &Table<'_>, catalog: &mut Catalog) -> Kinds {
    let mut kinds = Kinds::new();
    let Some(table) = root.get("features").and_then(|node| node.table()) else {
        return kinds;
    };
    for (key, node) in table.entries(DECLARED_MAX, "features") {
        let id = values::key_id::<FeatureId>(&node, key);
        let feature = id.and_then(|id| read_feature(&node, id));
        kinds.insert(
            key.to_owned(),
            feature.as_ref().map(|feature| feature.kind.clone()),
        );
        if let Some(feature) = feature {
            catalog
                .features
                .insert(feature.id.clone(), Arc::new(feature));
        }
    }
    kinds
}

/// Reads a kind alone (`sso = "boolean"`) or a table.
fn read_feature(node: &Node<'_>, id: FeatureId) -> Option<Feature> {
    if !node.is_table() {
        let kind = read_plain(node)?;
        let name = id.as_str().into();
        return Some(Feature {
            id,
            name,
            kind,
            on_outage: OnOutage::Deny,
        });
    }
    let table = node.table()?;
    table.only(&["name", "kind", "metered", "on_outage"]);
    let name = values::name(&table, id.as_str());
    let on_outage = table
        .get("on_outage")
        .and_then(|node| values::on_outage(&node));
    let (key, node) = table.exactly_one(&["kind", "metered"])?;
    let kind = if key == "metered" {
        read_metered(&node)?
    } else {
        read_plain(&node)?
    };
    Some(Feature {
        id,
        name,
        kind,
        on_outage: on_outage.unwrap_or(OnOutage::Deny),
    })
}

fn read_plain(node: &Node<'_>) -> Option<FeatureKind> {
    if node.as_str() == Some("metered") {
        node.fault("a metered feature names its meter: { metered = { meter = \"tokens\" } }");
        return None;
    }
    Some(match node.choice(&PLAIN_KINDS)? {
        Plain::Boolean => FeatureKind::Boolean,
        Plain::Static => FeatureKind::Static,
        Plain::Allocation => FeatureKind::Allocation,
        Plain::Concurrency => FeatureKind::Concurrency,
        Plain::Rate => FeatureKind::Rate,
    })
}

fn read_metered(node: &Node<'_>) -> Option<FeatureKind> {
    let table = node.table_or("a table such as { meter = \"tokens\" }")?;
    table.only(&["meter", "filter"]);
    let mut filter = Filter::default();
    if let Some(dimensions) = table.get("filter").and_then(|node| node.table()) {
        for (dimension, node) in dimensions.entries(DIMENSIONS_MAX, "dimensions") {
            if let Some(value) = values::label(&node, "the value of the dimension, a text") {
                filter.0.insert(dimension.into(), value);
            }
        }
    }
    let meter = values::id::<MeterId>(&table.required("meter")?, "the id of a meter")?;
    Some(FeatureKind::Metered { meter, filter })
}
