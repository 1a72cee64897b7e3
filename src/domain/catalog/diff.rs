//! What changes from one catalog to the next, value by value.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::decimal::Millionths;
use super::path::{join, join_all};
use super::{
    AddOnBase, Aggregation, Catalog, Charge, EntitlementSpec, Feature, FeatureKind, Interval,
    Limit, Meter, MeteredSpec, Mode, OnChange, OnLimit, OnOutage, Plan, PriceTier, Pricing,
    Product, RateSpec,
};
use crate::domain::id::AddOnId;
use crate::domain::quantity::Milli;
use crate::domain::time::Span;

/// One value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogChange {
    /// Where, as in `plans.pro.prices.month`; limits are named by window: `limits[month].amount`.
    pub path: String,
    /// Whether it came, changed or went.
    pub kind: ChangeKind,
    /// What it was; `None` when it came.
    pub before: Option<String>,
    /// What it is; `None` when it went.
    pub after: Option<String>,
}

/// What happened to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is another.
    Changed,
    /// It is no longer there.
    Removed,
}

/// Returns the values that differ, ordered by path. Versions are not compared.
///
/// Plans are compared as they are in force, so a change of an inherited entitlement shows in every plan it reaches.
#[must_use]
pub fn diff(old: &Catalog, new: &Catalog) -> Vec<CatalogChange> {
    let mut before = Values::of(old);
    let mut changes = Vec::new();
    for (path, after) in Values::of(new).0 {
        let before = before.0.remove(&path);
        if before.as_ref() == Some(&after) {
            continue;
        }
        let kind = if before.is_some() {
            ChangeKind::Changed
        } else {
            ChangeKind::Added
        };
        changes.push(CatalogChange {
            path,
            kind,
            before,
            after: Some(after),
        });
    }
    for (path, before) in before.0 {
        let kind = ChangeKind::Removed;
        changes.push(CatalogChange {
            path,
            kind,
            before: Some(before),
            after: None,
        });
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

/// Every value of a catalog by its path, as the file writes it.
struct Values(BTreeMap<String, String>);

impl Values {
    fn of(catalog: &Catalog) -> Self {
        let mut values = Self(BTreeMap::new());
        if let Some(plan) = &catalog.default_plan {
            values.put("", "default_plan", plan);
        }
        if let Some(quota) = catalog.auto_create_per_minute {
            values.put("auto_create_customers", "per_minute", quota);
        }
        values.put(
            "warnings",
            "notice_percent",
            catalog.warnings.notice_percent,
        );
        values.put(
            "warnings",
            "critical_percent",
            catalog.warnings.critical_percent,
        );
        for (id, unit) in &catalog.credit_units {
            let path = join_all(&["credit_units", id]);
            values.put(&path, "name", &unit.name);
            values.put(&path, "per_dollar", unit.per_dollar);
            match unit.receivable_limit_micros {
                Some(micros) => values.put_money(&path, "receivable_limit", micros),
                None => values.put(&path, "receivable_limit", "unlimited"),
            }
        }
        catalog
            .meters
            .values()
            .for_each(|meter| values.put_meter(meter));
        catalog
            .features
            .values()
            .for_each(|feature| values.put_feature(feature));
        for (id, product) in &catalog.products {
            values.put_product(&join_all(&["products", id.as_str()]), product);
        }
        for (id, add_on) in &catalog.add_ons {
            let path = join_all(&["add_ons", id.as_str()]);
            values.put(&path, "name", &add_on.name);
            values.put(&path, "percent", add_on.percent);
            let of = match add_on.of {
                AddOnBase::Usage => "usage",
                AddOnBase::All => "all",
            };
            values.put(&path, "of", of);
        }
        catalog
            .plans
            .values()
            .for_each(|plan| values.put_plan(plan));
        values
    }

    fn put(&mut self, path: &str, key: &str, value: impl Display) {
        self.0.insert(join(path, key), value.to_string());
    }

    fn put_money(&mut self, path: &str, key: &str, micros: i64) {
        self.put(path, key, Millionths(micros));
    }

    fn put_meter(&mut self, meter: &Meter) {
        let path = join_all(&["meters", meter.id.as_str()]);
        self.put(&path, "name", &meter.name);
        self.put(&path, "unit", &meter.unit);
        let aggregation = match meter.aggregation {
            Aggregation::Sum => "sum",
            Aggregation::Count => "count",
            Aggregation::Max => "max",
            Aggregation::Latest => "latest",
            Aggregation::UniqueCount => "unique_count",
        };
        self.put(&path, "aggregation", aggregation);
        self.put(&path, "allow_negative", meter.allow_negative);
        if !meter.dimensions.is_empty() {
            self.put(&path, "dimensions", meter.dimensions.join(", "));
        }
        if let Some(dimension) = &meter.unique_by {
            self.put(&path, "unique_by", dimension);
        }
        if let Some(name) = &meter.stripe_event_name {
            self.put(&path, "stripe_event_name", name);
        }
        for weight in &meter.weights {
            let path = join(&join(&path, "weights"), &weight.dimension);
            self.put(&path, &weight.value, Milli(weight.factor_milli));
        }
    }

    fn put_feature(&mut self, feature: &Feature) {
        let path = join_all(&["features", feature.id.as_str()]);
        self.put(&path, "name", &feature.name);
        match feature.on_outage {
            OnOutage::Deny => self.put(&path, "on_outage", "deny"),
            OnOutage::AllowFor(span) => {
                let seconds = span.as_micros() / 1_000_000;
                self.put(&path, "on_outage", format!("allow for {seconds}s"));
            }
        }
        let kind = match &feature.kind {
            FeatureKind::Boolean => "boolean",
            FeatureKind::Static => "static",
            FeatureKind::Metered { .. } => "metered",
            FeatureKind::Allocation => "allocation",
            FeatureKind::Concurrency => "concurrency",
            FeatureKind::Rate => "rate",
        };
        self.put(&path, "kind", kind);
        if let FeatureKind::Metered { meter, filter } = &feature.kind {
            let path = join(&path, "metered");
            self.put(&path, "meter", meter);
            for (dimension, value) in &filter.0 {
                self.put(&join(&path, "filter"), dimension, value);
            }
        }
    }

    fn put_product(&mut self, path: &str, product: &Product) {
        match product {
            Product::Usage {
                id: _,
                name,
                meter,
                pricing,
                minimum_micros,
            } => {
                self.put(path, "name", name);
                let path = join(path, "usage");
                self.put(&path, "meter", meter);
                self.put_pricing(&path, pricing);
                if *minimum_micros > 0 {
                    self.put_money(&path, "minimum", *minimum_micros);
                }
            }
            Product::Outcome {
                id: _,
                name,
                amount_micros,
            } => {
                self.put(path, "name", name);
                self.put_money(path, "outcome", *amount_micros);
            }
            Product::CreditPack(pack) => {
                self.put(path, "name", &pack.name);
                let path = join(path, "credit_pack");
                self.put(&path, "credit_unit", &pack.credit_unit);
                self.put_money(&path, "credits", pack.credits_micros);
                self.put_money(&path, "price", pack.amount_micros);
            }
        }
    }

    fn put_plan(&mut self, plan: &Plan) {
        let path = join_all(&["plans", plan.id.as_str()]);
        self.put(&path, "name", &plan.name);
        self.put(&path, "rank", plan.rank);
        if let Some(parent) = &plan.extends {
            self.put(&path, "extends", parent);
        }
        for price in &plan.prices {
            let key = match price.interval {
                Interval::Month => "month",
                Interval::Year => "year",
            };
            let path = join(&path, "prices");
            match price.amount_micros {
                Some(micros) => self.put_money(&path, key, micros),
                None => self.put(&path, key, "custom"),
            }
        }
        if plan.trial_days > 0 {
            self.put(&path, "trial_days", plan.trial_days);
        }
        if let Some(commitment) = plan.commitment {
            let path = join(&path, "commitment");
            self.put(&path, "paid", commitment.months_paid);
            self.put(&path, "delivered", commitment.months_delivered);
        }
        let on_change = match plan.on_change {
            OnChange::Carry => "carry",
            OnChange::Reset => "reset",
            OnChange::Prorate => "prorate",
        };
        self.put(&path, "on_change", on_change);
        if !plan.add_ons.is_empty() {
            let ids: Vec<&str> = plan.add_ons.iter().map(AddOnId::as_str).collect();
            self.put(&path, "add_ons", ids.join(", "));
        }
        let path = join(&path, "entitlements");
        for (feature, spec) in &plan.entitlements {
            self.put_entitlement(&path, feature.as_str(), spec);
        }
    }

    fn put_entitlement(&mut self, path: &str, feature: &str, spec: &EntitlementSpec) {
        match spec {
            EntitlementSpec::Boolean(granted) => self.put(path, feature, granted),
            EntitlementSpec::Static(value) => self.put(path, feature, value),
            EntitlementSpec::Allocation(amount) | EntitlementSpec::Concurrency(amount) => {
                self.put(path, feature, amount_text(*amount));
            }
            EntitlementSpec::Rate(rate) => self.put_rate(&join(path, feature), rate),
            EntitlementSpec::Metered(spec) => {
                // Stands for the entitlement itself, which may hold no value at all.
                self.put(path, feature, "metered");
                self.put_metered(&join(path, feature), spec);
            }
        }
    }

    fn put_rate(&mut self, path: &str, rate: &RateSpec) {
        let per = if rate.per == Span::from_secs(1) {
            "second"
        } else {
            "minute"
        };
        self.put(path, "rate", rate.amount);
        self.put(path, "per", per);
        self.put(path, "burst", rate.burst);
    }

    fn put_metered(&mut self, path: &str, spec: &MeteredSpec) {
        for (key, limits) in [
            ("limits", &spec.limits),
            ("subaccount_limits", &spec.subaccount_limits),
        ] {
            for limit in limits {
                self.put_limit(&format!("{}[{}]", join(path, key), limit.window), limit);
            }
        }
        if let Some(amount) = spec.concurrency {
            self.put(path, "concurrency", amount);
        }
        if let Some(rate) = &spec.rate {
            self.put_rate(&join(path, "rate"), rate);
        }
        match &spec.charge {
            None => {}
            Some(Charge::Overage(pricing)) => self.put_pricing(&join(path, "overage"), pricing),
            Some(Charge::Wallet {
                credit_unit,
                from_first_unit,
                pricing,
            }) => {
                let path = join(path, "wallet");
                self.put(&path, "credit_unit", credit_unit);
                self.put(&path, "from_first_unit", from_first_unit);
                self.put_pricing(&path, pricing);
            }
        }
    }

    fn put_limit(&mut self, path: &str, limit: &Limit) {
        self.put(path, "amount", amount_text(limit.amount));
        let on_limit = match limit.on_limit {
            OnLimit::Block => "block".to_owned(),
            OnLimit::Allow => "allow".to_owned(),
            OnLimit::AllowUpTo(buffer) => format!("allow up to {buffer}"),
        };
        self.put(path, "on_limit", on_limit);
        let mode = match limit.mode {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        };
        self.put(path, "mode", mode);
    }

    fn put_pricing(&mut self, path: &str, pricing: &Pricing) {
        match pricing {
            Pricing::Flat { amount_micros } => self.put_money(path, "flat", *amount_micros),
            Pricing::PerUnit { amount_micros, per } => {
                self.put_money(path, "per_unit", *amount_micros);
                self.put(path, "per", per);
            }
            Pricing::Package {
                amount_micros,
                size,
            } => {
                self.put_money(path, "package", *amount_micros);
                self.put(path, "size", size);
            }
            Pricing::Graduated { tiers } => self.put_tiers(&join(path, "graduated"), tiers),
            Pricing::Volume { tiers } => self.put_tiers(&join(path, "volume"), tiers),
        }
    }

    fn put_tiers(&mut self, path: &str, tiers: &[PriceTier]) {
        for (index, tier) in tiers.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let Some(up_to) = tier.up_to {
                self.put(&path, "up_to", up_to);
            }
            self.put(&path, "unit", Millionths(tier.unit_micros));
        }
    }
}

fn amount_text(amount: Option<i64>) -> String {
    amount.map_or_else(|| "unlimited".to_owned(), |amount| amount.to_string())
}
