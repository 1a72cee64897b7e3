//! What is for sale: meters, features, plans and products, declared together and checked as a whole.

mod add_on;
mod check;
pub(in crate::domain) mod decimal;
mod diff;
mod edit;
mod feature;
mod file;
mod fold;
mod grant;
mod limit;
mod meter;
mod path;
mod plan;
mod product;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use add_on::{AddOn, AddOnBase};
pub use diff::{CatalogChange, ChangeKind, diff};
pub use edit::{CatalogEdit, EditFault, ProductPrice};
pub use feature::{Feature, FeatureKind, OnOutage};
pub use file::{CATALOG_BYTES_MAX, CatalogFault, parse_catalog};
pub use grant::{GrantFault, Grantee};
pub use limit::{Limit, Mode, OnChange, OnLimit, WarningLevels};
pub use meter::{Aggregation, Filter, Meter, Weight};
pub use plan::{
    Charge, Commitment, EntitlementSpec, Interval, MeteredSpec, Plan, PlanPrice, RateSpec,
};
pub use product::{CreditPack, CreditUnit, PriceTier, Pricing, Product};

use crate::domain::id::{AddOnId, FeatureId, MeterId, PlanId, ProductId};

/// Number of an applied catalog; rises by one with each change.
pub type CatalogVersion = i64;

/// One version of everything that is declared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Which version this is; 0 for one that was never applied.
    pub version: CatalogVersion,
    /// What a customer without a subscription has.
    pub default_plan: Option<PlanId>,
    /// How many unknown customers may be created per minute by their first usage or reservation; `None`: never.
    pub auto_create_per_minute: Option<u32>,
    /// When a decision starts to warn.
    pub warnings: WarningLevels,
    /// Units in which wallets may hold credits.
    pub credit_units: BTreeMap<Box<str>, CreditUnit>,
    /// Meters by id.
    pub meters: BTreeMap<MeterId, Arc<Meter>>,
    /// Features by id.
    pub features: BTreeMap<FeatureId, Arc<Feature>>,
    /// Products by id.
    pub products: BTreeMap<ProductId, Product>,
    /// Percentage add-ons by id; catalogs that were stored before there were any have none.
    #[serde(default)]
    pub add_ons: BTreeMap<AddOnId, AddOn>,
    /// Plans by id, with what they extend already folded in.
    pub plans: BTreeMap<PlanId, Arc<Plan>>,
}

impl Catalog {
    /// Returns the plan with this id.
    #[must_use]
    pub fn plan(&self, id: &str) -> Option<&Arc<Plan>> {
        self.plans.get(id)
    }

    /// Returns the feature with this id.
    #[must_use]
    pub fn feature(&self, id: &str) -> Option<&Arc<Feature>> {
        self.features.get(id)
    }

    /// Returns the meter with this id.
    #[must_use]
    pub fn meter(&self, id: &str) -> Option<&Arc<Meter>> {
        self.meters.get(id)
    }

    /// Returns the meters of which some plan charges usage to a wallet.
    #[must_use]
    pub fn drawing_meters(&self) -> BTreeSet<MeterId> {
        let entitlements = self.plans.values().flat_map(|plan| &plan.entitlements);
        let drawing = entitlements.filter(|(_, spec)| match spec {
            EntitlementSpec::Metered(metered) => {
                matches!(metered.charge, Some(Charge::Wallet { .. }))
            }
            EntitlementSpec::Boolean(_)
            | EntitlementSpec::Static(_)
            | EntitlementSpec::Allocation(_)
            | EntitlementSpec::Concurrency(_)
            | EntitlementSpec::Rate(_) => false,
        });
        let meters = drawing.filter_map(|(feature, _)| match &self.features.get(feature)?.kind {
            FeatureKind::Metered { meter, .. } => Some(meter.clone()),
            FeatureKind::Boolean
            | FeatureKind::Static
            | FeatureKind::Allocation
            | FeatureKind::Concurrency
            | FeatureKind::Rate => None,
        });
        meters.collect()
    }

    /// Returns the product with this id.
    #[must_use]
    pub fn product(&self, id: &str) -> Option<&Product> {
        self.products.get(id)
    }
}
