//! What units cost: one of five ways, told apart by the key that holds the money.

use super::node::{Node, Table};
use super::values::{self, AMOUNT_MAX};
use crate::domain::catalog::{PriceTier, Pricing};
use crate::domain::quantity::QUANTITY_MAX;

/// Every key of a price.
pub(in crate::domain::catalog) const PRICING_KEYS: [&str; 7] = [
    "flat",
    "per_unit",
    "per",
    "package",
    "size",
    "graduated",
    "volume",
];
const MODELS: [&str; 5] = ["flat", "per_unit", "package", "graduated", "volume"];
/// Most tiers of one price.
const TIERS_MAX: usize = 100;

/// Reads a price from a table that may hold other keys too.
pub(super) fn read_pricing(table: &Table<'_>) -> Option<Pricing> {
    let (model, node) = table.exactly_one(&MODELS)?;
    for (key, owner) in [("per", "per_unit"), ("size", "package")] {
        if owner != model
            && let Some(node) = table.get(key)
        {
            node.fault(format!("{key:?} stands only beside {owner:?}"));
        }
    }
    let units = |node: Node<'_>| node.integer(1..=QUANTITY_MAX);
    match model {
        "flat" => Some(Pricing::Flat {
            amount_micros: values::money(&node)?,
        }),
        "per_unit" => {
            let amount = values::money(&node);
            let per = table.get("per").map_or(Some(1), units);
            Some(Pricing::PerUnit {
                amount_micros: amount?,
                per: per?,
            })
        }
        "package" => {
            let amount = values::money(&node);
            let size = table.required("size").and_then(units);
            Some(Pricing::Package {
                amount_micros: amount?,
                size: size?,
            })
        }
        "graduated" => Some(Pricing::Graduated {
            tiers: read_tiers(&node)?,
        }),
        _ => Some(Pricing::Volume {
            tiers: read_tiers(&node)?,
        }),
    }
}

fn read_tiers(node: &Node<'_>) -> Option<Vec<PriceTier>> {
    let items = node.list(TIERS_MAX, "tiers such as { up_to = 1000, unit = \"0.10\" }")?;
    let last = items.len().checked_sub(1);
    if last.is_none() {
        node.fault("needs at least one tier");
    }
    let mut tiers = Vec::new();
    let mut floor = 0;
    for (index, item) in items.iter().enumerate() {
        let table = item.table_or("a tier such as { up_to = 1000, unit = \"0.10\" }")?;
        table.only(&["up_to", "unit"]);
        let unit = table.required("unit").and_then(|node| values::money(&node));
        let up_to = match table.get("up_to") {
            Some(node) if Some(index) == last => {
                node.fault("the last tier has no end: leave \"up_to\" out");
                None
            }
            Some(node) => {
                let up_to = node.integer(1..=AMOUNT_MAX);
                if let Some(up_to) = up_to {
                    if up_to <= floor {
                        node.fault(format!("tiers must rise: {up_to} is not above {floor}"));
                    }
                    floor = floor.max(up_to);
                }
                up_to
            }
            None => {
                if Some(index) != last {
                    table.fault("needs \"up_to\": only the last tier has no end");
                }
                None
            }
        };
        if let Some(unit_micros) = unit {
            tiers.push(PriceTier { up_to, unit_micros });
        }
    }
    Some(tiers)
}
