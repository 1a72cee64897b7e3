//! What is for sale: meters, features, plans and products, declared together and checked as a whole.

mod feature;
mod limit;
mod meter;
mod plan;
mod product;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use feature::{Feature, FeatureKind, OnOutage};
pub use limit::{Limit, Mode, OnChange, OnLimit, WarningLevels};
pub use meter::{Aggregation, Filter, Meter, Weight};
pub use plan::{
    Charge, Commitment, EntitlementSpec, Interval, MeteredSpec, Plan, PlanPrice, RateSpec,
};
pub use product::{CreditPack, CreditUnit, PriceTier, Pricing, Product};

use crate::domain::id::{FeatureId, MeterId, PlanId, ProductId};

/// Number of an applied catalog; rises by one with each change.
pub type CatalogVersion = i64;

/// One version of everything that is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Plans by id, with what they extend already folded in.
    pub plans: BTreeMap<PlanId, Arc<Plan>>,
}
