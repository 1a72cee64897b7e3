//! `[add_ons.*]`: what is charged in percent of other charges, and the lists of plans that charge it.

use std::collections::BTreeSet;

use super::node::{Node, Table};
use super::{DECLARED_MAX, values};
use crate::domain::catalog::{AddOn, AddOnBase, Catalog};
use crate::domain::id::AddOnId;
use crate::domain::rating::Percent;

/// Most add-ons of one plan.
const OF_PLAN_MAX: usize = 16;

/// Every add-on that the file names, readable or not, so that plans are not blamed for one that is not.
pub(super) type Named = BTreeSet<String>;

pub(super) fn read_add_ons(root: &Table<'_>, catalog: &mut Catalog) -> Named {
    let mut named = Named::new();
    let Some(table) = root.get("add_ons").and_then(|node| node.table()) else {
        return named;
    };
    for (key, node) in table.entries(DECLARED_MAX, "add-ons") {
        named.insert(key.to_owned());
        if let Some(id) = values::key_id::<AddOnId>(&node, key)
            && let Some(table) = node.table_or("a table such as { percent = \"8.5\" }")
            && let Some(add_on) = read_add_on(&table, id)
        {
            catalog.add_ons.insert(add_on.id.clone(), add_on);
        }
    }
    named
}

fn read_add_on(table: &Table<'_>, id: AddOnId) -> Option<AddOn> {
    table.only(&["name", "percent", "of"]);
    let percent = table
        .required("percent")
        .and_then(|node| read_percent(&node));
    let of = table.get("of").map_or(Some(AddOnBase::default()), |node| {
        node.choice(&[("usage", AddOnBase::Usage), ("all", AddOnBase::All)])
    });
    Some(AddOn {
        name: values::name(table, id.as_str()),
        percent: percent?,
        of: of?,
        id,
    })
}

fn read_percent(node: &Node<'_>) -> Option<Percent> {
    const EXPECTED: &str =
        "a quoted decimal above \"0\", up to \"100\", with at most three decimals, such as \"8.5\"";
    let text = node.text(EXPECTED)?;
    let percent = text.parse().ok();
    let percent = percent.filter(|percent| *percent > Percent::ZERO);
    if percent.is_none() {
        node.fault(format!("must be {EXPECTED}, not {text:?}"));
    }
    percent
}

/// Reads the add-ons of a plan.
pub(super) fn read_granted(table: &Table<'_>, named: &Named) -> Vec<AddOnId> {
    let Some(list) = table.get("add_ons") else {
        return Vec::new();
    };
    let mut granted = Vec::new();
    for node in list.list(OF_PLAN_MAX, "add-ons").unwrap_or_default() {
        let Some(id) = values::id::<AddOnId>(&node, "the id of an add-on") else {
            continue;
        };
        if !named.contains(id.as_str()) {
            let known = named.iter().map(String::as_str);
            node.unknown(
                format!("unknown add-on {:?}", id.as_str()),
                id.as_str(),
                known,
            );
        } else if granted.contains(&id) {
            node.fault(format!("add-on {:?} is listed twice", id.as_str()));
        } else {
            granted.push(id);
        }
    }
    granted
}
