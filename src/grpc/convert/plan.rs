//! Plans and what changes between catalogs.

use crate::domain::catalog::{
    AddOn, AddOnBase, Catalog, CatalogChange, ChangeKind, EntitlementSpec, FeatureKind, Interval,
    OnChange, Plan, PlanPrice,
};
use crate::domain::id::FeatureId;
use crate::engine::Error;
use crate::grpc::pb;

/// Reads how often a plan is paid; `None`: not said.
pub(in crate::grpc) fn interval(field: &str, number: i32) -> Result<Option<Interval>, Error> {
    Ok(match super::known(field, number)? {
        pb::BillingInterval::Unspecified => None,
        pb::BillingInterval::Month => Some(Interval::Month),
        pb::BillingInterval::Year => Some(Interval::Year),
    })
}

/// Writes a plan of a catalog.
pub(in crate::grpc) fn plan(plan: &Plan, catalog: &Catalog) -> pb::Plan {
    let months = |months: u32| i32::try_from(months).unwrap_or(i32::MAX);
    pb::Plan {
        plan_id: plan.id.to_string(),
        display_name: plan.name.to_string(),
        extends_plan_id: super::or_empty(plan.extends.clone()),
        prices: plan.prices.iter().map(pb::PlanPrice::from).collect(),
        trial_days: i32::try_from(plan.trial_days).unwrap_or(i32::MAX),
        commitment: plan.commitment.map(|promise| pb::PlanCommitment {
            months_paid: months(promise.months_paid),
            months_delivered: months(promise.months_delivered),
        }),
        on_change: pb::OnChange::from(plan.on_change).into(),
        rank: plan.rank,
        entitlements: entitlements(plan, catalog),
        is_default: catalog.default_plan.as_ref() == Some(&plan.id),
        add_ons: add_ons(plan, catalog),
    }
}

fn add_ons(plan: &Plan, catalog: &Catalog) -> Vec<pb::PlanAddOn> {
    let known = plan.add_ons.iter().filter_map(|id| catalog.add_ons.get(id));
    let write = |add_on: &AddOn| {
        let base = match add_on.of {
            AddOnBase::Usage => pb::AddOnBase::Usage,
            AddOnBase::All => pb::AddOnBase::All,
        };
        pb::PlanAddOn {
            add_on_id: add_on.id.to_string(),
            display_name: add_on.name.to_string(),
            percent: add_on.percent.to_string(),
            base: base.into(),
        }
    };
    known.map(write).collect()
}

fn entitlements(plan: &Plan, catalog: &Catalog) -> Vec<pb::PlanEntitlement> {
    let granted = plan.entitlements.iter();
    let write = |(id, spec): (&FeatureId, &EntitlementSpec)| {
        let feature = catalog.features.get(id)?;
        let meter_id = match &feature.kind {
            FeatureKind::Metered { meter, .. } => meter.to_string(),
            FeatureKind::Boolean
            | FeatureKind::Static
            | FeatureKind::Allocation
            | FeatureKind::Concurrency
            | FeatureKind::Rate => String::new(),
        };
        Some(pb::PlanEntitlement {
            feature_id: feature.id.to_string(),
            display_name: feature.name.to_string(),
            kind: pb::FeatureKind::from(&feature.kind).into(),
            meter_id,
            value: Some(spec.into()),
        })
    };
    granted.filter_map(write).collect()
}

impl From<&PlanPrice> for pb::PlanPrice {
    fn from(price: &PlanPrice) -> Self {
        Self {
            interval: pb::BillingInterval::from(price.interval).into(),
            amount_micros: price.amount_micros,
            currency: price.currency.to_string(),
        }
    }
}

impl From<Interval> for pb::BillingInterval {
    fn from(interval: Interval) -> Self {
        match interval {
            Interval::Month => Self::Month,
            Interval::Year => Self::Year,
        }
    }
}

impl From<OnChange> for pb::OnChange {
    fn from(on_change: OnChange) -> Self {
        match on_change {
            OnChange::Carry => Self::Carry,
            OnChange::Reset => Self::Reset,
            OnChange::Prorate => Self::Prorate,
        }
    }
}

impl From<CatalogChange> for pb::CatalogChange {
    fn from(change: CatalogChange) -> Self {
        let kind = match change.kind {
            ChangeKind::Added => pb::CatalogChangeKind::Added,
            ChangeKind::Changed => pb::CatalogChangeKind::Changed,
            ChangeKind::Removed => pb::CatalogChangeKind::Removed,
        };
        Self {
            path: change.path,
            kind: kind.into(),
            before: change.before.unwrap_or_default(),
            after: change.after.unwrap_or_default(),
        }
    }
}
