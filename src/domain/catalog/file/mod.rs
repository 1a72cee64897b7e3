//! The catalog as a TOML file: reading it, with every fault at its place.
//!
//! The document is walked by hand rather than deserialised, because a reader that stops at the first fault, or
//! cannot say where it is, is no use to whoever edits prices. What was read wrong is replaced by something
//! harmless and reading goes on; a catalog is returned only when there was no fault at all.

mod add_on;
mod entitlement;
mod feature;
mod meter;
mod node;
mod plan;
mod pricing;
mod product;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use toml::de::DeTable;

use self::node::{Faults, Table};
pub(super) use self::pricing::PRICING_KEYS;
use super::check::{check_declared, check_destinations};
use super::fold::{FOLDED_ENTITLEMENTS_MAX, fold};
use super::{Catalog, Plan, WarningLevels};
use crate::domain::id::PlanId;

/// Largest file, in bytes.
pub const CATALOG_BYTES_MAX: usize = 1024 * 1024;
/// Most plans, features, meters, products, add-ons and credit units, each.
const DECLARED_MAX: usize = 1000;

/// What is wrong at one place of a catalog file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogFault {
    /// Where, as in `plans.pro.entitlements.tokens.limits[1].amount`; empty for the file as a whole.
    pub path: String,
    /// The line in the file, from 1, where it can be told.
    pub line: Option<usize>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for CatalogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for CatalogFault {}

/// Reads a catalog from TOML and checks it as a whole.
///
/// The result has version 0 and its plans have what they extend folded in.
///
/// # Errors
/// When anything is wrong: all faults in the order of the file, of which the first 200 are listed.
pub fn parse_catalog(toml: &str) -> Result<Catalog, Vec<CatalogFault>> {
    let faults = Faults::new(toml);
    if toml.len() > CATALOG_BYTES_MAX {
        faults.add(
            "",
            None,
            format!(
                "must be at most {CATALOG_BYTES_MAX} bytes, not {}",
                toml.len()
            ),
        );
        return Err(faults.into_sorted());
    }
    let (document, errors) = DeTable::parse_recoverable(toml);
    let mut is_readable = true;
    for error in &errors {
        // After a repeated key the rest still means what it says; after other errors it may not.
        is_readable &= error.message().contains("duplicate key");
        let at = error.span().map(|span| span.start);
        let path = at
            .filter(|_| !faults.is_full())
            .map(|at| key_path(toml, at));
        faults.add(&path.unwrap_or_default(), at, error.message());
    }
    let mut catalog = Catalog::default();
    if is_readable {
        let root = Table::root(document.get_ref(), &faults);
        catalog = read_catalog(&root, &faults);
    }
    if faults.is_empty() {
        Ok(catalog)
    } else {
        Err(faults.into_sorted())
    }
}

/// Tells, from the text alone, which key stands at a byte that the TOML parser complains about.
fn key_path(toml: &str, at: usize) -> String {
    let Some(before) = toml.get(..at) else {
        return String::new();
    };
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = toml[start..].lines().next().unwrap_or_default().trim();
    let header = |line: &str| {
        let name = line.trim().strip_prefix('[')?.split(']').next()?;
        Some(name.trim_matches(['[', ' ']).to_owned())
    };
    if let Some(path) = header(line) {
        return path;
    }
    let Some((key, _)) = line.split_once('=') else {
        return String::new();
    };
    match toml[..start].lines().rev().find_map(header) {
        Some(table) => format!("{table}.{}", key.trim()),
        None => key.trim().to_owned(),
    }
}

fn read_catalog(root: &Table<'_>, faults: &Faults<'_>) -> Catalog {
    root.only(&[
        "currency",
        "default_plan",
        "auto_create_customers",
        "warnings",
        "credit_units",
        "meters",
        "features",
        "products",
        "add_ons",
        "plans",
    ]);
    if let Some(node) = root.get("currency") {
        node.choice(&[("USD", ())]);
    }
    let mut catalog = Catalog {
        default_plan: root
            .get("default_plan")
            .and_then(|node| values::id::<PlanId>(&node, "the id of a plan")),
        auto_create_per_minute: root.get("auto_create_customers").and_then(|node| {
            let table = node.table_or("a table such as { per_minute = 60 }")?;
            table.only(&["per_minute"]);
            let quota = table.required("per_minute")?.integer(1..=1_000_000)?;
            u32::try_from(quota).ok()
        }),
        warnings: root
            .get("warnings")
            .map_or_else(WarningLevels::default, |node| values::warnings(&node)),
        ..Catalog::default()
    };
    product::read_credit_units(root, &mut catalog);
    meter::read_meters(root, &mut catalog);
    let kinds = feature::read_features(root, &mut catalog);
    product::read_products(root, &mut catalog);
    let add_ons = add_on::read_add_ons(root, &mut catalog);
    let plans = plan::read_plans(root, &kinds, &add_ons);

    let mut report = |keys: &[&str], message: &dyn Fn() -> String| root.fault_at(keys, message);
    let has_sound_ancestry = check_declared(&catalog, &plans, &mut report);
    catalog.plans = if has_sound_ancestry {
        fold(&plans).unwrap_or_else(|_| {
            let most = FOLDED_ENTITLEMENTS_MAX;
            faults.add(
                "plans",
                None,
                format!(
                    "plans and what they extend must grant at most {most} entitlements together"
                ),
            );
            BTreeMap::new()
        })
    } else {
        shared(&plans)
    };
    check_destinations(&catalog, &plans, &mut report);
    catalog
}

fn shared(plans: &BTreeMap<PlanId, Plan>) -> BTreeMap<PlanId, Arc<Plan>> {
    plans
        .iter()
        .map(|(id, plan)| (id.clone(), Arc::new(plan.clone())))
        .collect()
}
