//! What must hold between the parts of a catalog.
//!
//! Faults are reported at a path of keys; the reader of the file knows the lines.

use std::collections::BTreeMap;

use super::path::with_suggestion;
use super::{
    Aggregation, Catalog, Charge, EntitlementSpec, FeatureKind, Filter, Meter, Plan, Product,
};
use crate::domain::id::{FeatureId, MeterId, PlanId};

/// Takes a fault: the keys that lead to it, and the message, which is only made if it will be shown.
pub(super) type Report<'r> = &'r mut dyn FnMut(&[&str], &dyn Fn() -> String);

/// Checks everything that can be said without inheritance, of plans as they are declared.
///
/// Returns whether every plan extends a known plan, without cycles, so that plans can be folded.
pub(super) fn check_declared(
    catalog: &Catalog,
    plans: &BTreeMap<PlanId, Plan>,
    report: Report<'_>,
) -> bool {
    if let Some(id) = catalog
        .default_plan
        .as_ref()
        .filter(|id| !plans.contains_key(*id))
    {
        let known = || plans.keys().map(PlanId::as_str);
        report(&["default_plan"], &|| unknown("plan", id.as_str(), known()));
    }
    check_meters(catalog, report);
    check_features(catalog, report);
    check_products(catalog, report);
    for plan in plans.values() {
        if let Some(credits) = &plan.credits {
            let path = ["plans", plan.id.as_str(), "credits", "credit_unit"];
            check_credit_unit(catalog, &credits.unit, &path, report);
        }
        check_entitlements(catalog, plan, report);
    }
    check_ancestry(plans, report)
}

fn unknown<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str>) -> String {
    with_suggestion(format!("unknown {what} {word:?}"), word, known)
}

fn check_meters(catalog: &Catalog, report: Report<'_>) {
    let mut by_stripe_name: BTreeMap<&str, &MeterId> = BTreeMap::new();
    for meter in catalog.meters.values() {
        let id = meter.id.as_str();
        let known = || meter.dimensions.iter().map(AsRef::as_ref);
        if let Some(dimension) = meter
            .unique_by
            .as_ref()
            .filter(|it| !meter.dimensions.contains(it))
        {
            report(&["meters", id, "unique_by"], &|| {
                unknown("dimension", dimension, known())
            });
        }
        let mut weighted: Vec<&str> = meter
            .weights
            .iter()
            .map(|it| it.dimension.as_ref())
            .collect();
        weighted.dedup();
        for dimension in weighted {
            if !meter.dimensions.iter().any(|it| it.as_ref() == dimension) {
                let path = ["meters", id, "weights", dimension];
                report(&path, &|| unknown("dimension", dimension, known()));
            }
        }
        let Some(name) = meter.stripe_event_name.as_deref() else {
            continue;
        };
        let path = ["meters", id, "stripe_event_name"];
        if !meter.aggregation.is_additive() {
            report(&path, &|| {
                "only meters that sum or count can be sent to Stripe".to_owned()
            });
        }
        if let Some(other) = by_stripe_name.insert(name, &meter.id) {
            report(&path, &|| {
                format!("meter {other:?} has this name already: their usage would be added")
            });
        }
    }
}

fn check_features(catalog: &Catalog, report: Report<'_>) {
    for feature in catalog.features.values() {
        let FeatureKind::Metered {
            meter: meter_id,
            filter,
        } = &feature.kind
        else {
            continue;
        };
        let id = feature.id.as_str();
        let Some(meter) = catalog.meters.get(meter_id) else {
            let known = || catalog.meters.keys().map(MeterId::as_str);
            report(&["features", id, "metered", "meter"], &|| {
                unknown("meter", meter_id.as_str(), known())
            });
            continue;
        };
        for dimension in filter.0.keys().filter(|it| !meter.dimensions.contains(it)) {
            let known = || meter.dimensions.iter().map(AsRef::as_ref);
            let path = ["features", id, "metered", "filter", dimension];
            report(&path, &|| unknown("dimension", dimension, known()));
        }
    }
}

fn check_products(catalog: &Catalog, report: Report<'_>) {
    let mut by_meter: BTreeMap<&MeterId, &str> = BTreeMap::new();
    for (id, product) in &catalog.products {
        let id = id.as_str();
        match product {
            Product::Outcome { .. } => {}
            Product::CreditPack(pack) => {
                let path = ["products", id, "credit_pack", "credit_unit"];
                check_credit_unit(catalog, &pack.credit_unit, &path, report);
            }
            Product::Usage {
                meter: meter_id, ..
            } => {
                let path = ["products", id, "usage", "meter"];
                match catalog.meters.get(meter_id) {
                    None => {
                        let known = || catalog.meters.keys().map(MeterId::as_str);
                        report(&path, &|| unknown("meter", meter_id.as_str(), known()));
                    }
                    Some(meter) if !meter.aggregation.is_additive() => {
                        report(&path, &|| not_additive(meter, "priced"));
                    }
                    Some(_) => {}
                }
                if let Some(other) = by_meter.insert(meter_id, id) {
                    report(&path, &|| {
                        two_destinations(meter_id, &format!("product {other:?}"))
                    });
                }
            }
        }
    }
}

fn check_credit_unit(catalog: &Catalog, unit: &str, path: &[&str], report: Report<'_>) {
    if !catalog.credit_units.contains_key(unit) {
        let known = || catalog.credit_units.keys().map(AsRef::as_ref);
        report(path, &|| unknown("credit unit", unit, known()));
    }
}

fn check_entitlements(catalog: &Catalog, plan: &Plan, report: Report<'_>) {
    for (feature, spec) in &plan.entitlements {
        let EntitlementSpec::Metered(spec) = spec else {
            continue;
        };
        let place = ["plans", plan.id.as_str(), "entitlements", feature.as_str()];
        let below = |keys: &[&'static str]| [&place[..], keys].concat();
        if let Some(Charge::Wallet { credit_unit, .. }) = &spec.charge {
            let path = below(&["wallet", "credit_unit"]);
            check_credit_unit(catalog, credit_unit, &path, report);
        }
        let Some(meter) = metered(catalog, feature).and_then(|(id, _)| catalog.meters.get(id))
        else {
            continue;
        };
        if meter.aggregation.is_additive() {
            continue;
        }
        for (key, limits) in [
            ("limits", &spec.limits),
            ("subaccount_limits", &spec.subaccount_limits),
        ] {
            if !limits.is_empty() {
                report(&below(&[key]), &|| not_additive(meter, "limited"));
            }
        }
        if let Some(charge) = &spec.charge {
            report(&below(&[charge_key(charge)]), &|| {
                not_additive(meter, "charged")
            });
        }
    }
}

fn not_additive(meter: &Meter, what: &str) -> String {
    let word = match meter.aggregation {
        Aggregation::Sum => "sum",
        Aggregation::Count => "count",
        Aggregation::Max => "max",
        Aggregation::Latest => "latest",
        Aggregation::UniqueCount => "unique_count",
    };
    format!(
        "meter {:?} is a {word}, which is reported and not {what}: use sum or count",
        meter.id
    )
}

/// Checks that `extends` leads to a plan without a parent, from every plan.
fn check_ancestry(plans: &BTreeMap<PlanId, Plan>, report: Report<'_>) -> bool {
    let mut is_sound = true;
    for plan in plans.values() {
        let Some(parent) = &plan.extends else {
            continue;
        };
        let path = ["plans", plan.id.as_str(), "extends"];
        if !plans.contains_key(parent) {
            is_sound = false;
            let known = || plans.keys().map(PlanId::as_str);
            report(&path, &|| unknown("plan", parent.as_str(), known()));
            continue;
        }
        if let Some(cycle) = cycle_through(plans, plan) {
            is_sound = false;
            // Each cycle is reported once, at its first plan.
            if cycle.iter().min() == Some(&plan.id.as_str()) {
                report(&path, &|| {
                    format!("extends itself: {} -> {}", cycle.join(" -> "), plan.id)
                });
            }
        }
    }
    is_sound
}

/// Returns the plans from this one round to itself, if `extends` leads there.
fn cycle_through<'a>(plans: &'a BTreeMap<PlanId, Plan>, plan: &'a Plan) -> Option<Vec<&'a str>> {
    let mut steps = vec![plan.id.as_str()];
    let mut next = plan.extends.as_ref();
    while let Some(id) = next {
        if *id == plan.id {
            return Some(steps);
        }
        // Led into a cycle that does not hold this plan.
        if steps.len() > plans.len() {
            return None;
        }
        steps.push(id.as_str());
        next = plans.get(id)?.extends.as_ref();
    }
    None
}

/// Checks that no usage would be charged twice: by two features of a plan, or by a plan and a product.
///
/// `declared` tells a plan's own entitlements from those it inherits, whose faults are reported where they stand.
pub(super) fn check_destinations(
    catalog: &Catalog,
    declared: &BTreeMap<PlanId, Plan>,
    report: Report<'_>,
) {
    let sold: BTreeMap<&MeterId, &str> = catalog
        .products
        .iter()
        .filter_map(|(id, product)| match product {
            Product::Usage { meter, .. } => Some((meter, id.as_str())),
            Product::Outcome { .. } | Product::CreditPack(_) => None,
        })
        .collect();
    for plan in catalog.plans.values() {
        let Some(own) = declared.get(&plan.id).map(|plan| &plan.entitlements) else {
            continue;
        };
        let mut charged: BTreeMap<&MeterId, Vec<(&FeatureId, &Filter)>> = BTreeMap::new();
        for (feature, spec) in &plan.entitlements {
            let (Some(charge), Some((meter, filter))) =
                (charge_of(spec), metered(catalog, feature))
            else {
                continue;
            };
            let keys = [
                "plans",
                plan.id.as_str(),
                "entitlements",
                feature.as_str(),
                charge_key(charge),
            ];
            if let Some(product) = sold.get(meter).filter(|_| own.contains_key(feature)) {
                report(&keys, &|| {
                    two_destinations(meter, &format!("product {product:?}"))
                });
            }
            let others = charged.entry(meter).or_default();
            for (other, other_filter) in others.iter() {
                let is_own = own.contains_key(feature) || own.contains_key(*other);
                if is_own && overlap(filter, other_filter) {
                    report(&keys, &|| {
                        two_destinations(meter, &format!("feature {other:?}"))
                    });
                }
            }
            others.push((feature, filter));
        }
    }
}

fn two_destinations(meter: &MeterId, other: &str) -> String {
    format!("usage of meter {meter:?} has two destinations: {other} charges it too")
}

fn metered<'a>(catalog: &'a Catalog, feature: &FeatureId) -> Option<(&'a MeterId, &'a Filter)> {
    match &catalog.features.get(feature)?.kind {
        FeatureKind::Metered { meter, filter } => Some((meter, filter)),
        FeatureKind::Boolean
        | FeatureKind::Static
        | FeatureKind::Allocation
        | FeatureKind::Concurrency
        | FeatureKind::Rate => None,
    }
}

fn charge_of(spec: &EntitlementSpec) -> Option<&Charge> {
    match spec {
        EntitlementSpec::Metered(spec) => spec.charge.as_ref(),
        EntitlementSpec::Boolean(_)
        | EntitlementSpec::Static(_)
        | EntitlementSpec::Allocation(_)
        | EntitlementSpec::Concurrency(_)
        | EntitlementSpec::Rate(_) => None,
    }
}

fn charge_key(charge: &Charge) -> &'static str {
    match charge {
        Charge::Overage(_) => "overage",
        Charge::Wallet { .. } => "wallet",
    }
}

/// Whether one event can pass both filters: unless they ask different values of one dimension.
fn overlap(a: &Filter, b: &Filter) -> bool {
    a.0.iter()
        .all(|(dimension, value)| b.0.get(dimension).is_none_or(|other| other == value))
}
