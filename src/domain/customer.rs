//! Who is billed and entitled, and the parts below.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::catalog::EntitlementSpec;
use super::counter::CounterSpec;
use super::id::{AllocationId, CustomerId, FeatureId, SubaccountId};
use super::quantity::Milli;
use super::rating::Percent;
use super::time::Timestamp;
use super::usage::Labels;

/// Most subaccounts of one customer.
pub const SUBACCOUNTS_MAX: usize = 10_000;
/// Most subaccounts of one customer, deleted ones included, since their ids are not used again.
pub const SUBACCOUNTS_EVER_MAX: usize = 100_000;
/// Most overrides of one customer and its subaccounts.
pub const OVERRIDES_MAX: usize = 10_000;
/// Most allocations of one customer and feature.
pub const ALLOCATIONS_MAX: usize = 100_000;
/// Most open reservations of one customer.
pub const RESERVATIONS_MAX: usize = 100_000;

/// Who is billed and entitled. Personal data stands only here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// Its name for people; at most 256 bytes.
    pub display_name: Box<str>,
    /// Where it is reached; at most 256 bytes.
    pub email: Box<str>,
    /// Free text to find it by.
    pub metadata: Labels,
    /// From where its windows step while it has no subscription.
    pub anchor: Timestamp,
    /// What its volume takes off the price of its usage; it belongs to the books, so that it outlives personal data.
    #[serde(default)]
    pub discount: Percent,
    /// Who it is at Stripe, once billing needs it; it belongs to the books as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<Box<str>>,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it was last changed.
    pub update_time: Timestamp,
    /// When its personal data was erased; it is no longer entitled then.
    pub delete_time: Option<Timestamp>,
}

/// An agent, user or workspace below a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subaccount {
    /// Its id, unique within the customer.
    pub id: SubaccountId,
    /// Its name for people; at most 256 bytes.
    pub display_name: Box<str>,
    /// Free text.
    pub metadata: Labels,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it was last changed.
    pub update_time: Timestamp,
    /// When it was deleted; it is no longer entitled then, and its usage stays.
    pub delete_time: Option<Timestamp>,
}

/// A change to what the plan grants, for a customer or one of its subaccounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The feature.
    pub feature: FeatureId,
    /// The subaccount it is for; `None`: the customer as a whole.
    pub subaccount: Option<SubaccountId>,
    /// What is granted instead.
    pub spec: EntitlementSpec,
    /// The first instant at which it no longer holds.
    pub expire_time: Option<Timestamp>,
    /// Why, for people; at most 256 bytes.
    pub note: Box<str>,
    /// When it was set.
    pub create_time: Timestamp,
}

/// A thing that exists and takes up an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// The feature.
    pub feature: FeatureId,
    /// Its id, unique within customer and feature.
    pub id: AllocationId,
    /// The subaccount it belongs to.
    pub subaccount: Option<SubaccountId>,
    /// Free text.
    pub metadata: Labels,
    /// When it was allocated.
    pub create_time: Timestamp,
}

/// How one window counts that ran when the plan changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// The feature.
    pub feature: FeatureId,
    /// The counter it concerns.
    pub spec: Arc<CounterSpec>,
    /// The start of the window it holds for; gone with it.
    pub start: Timestamp,
    /// From when on use counts; `None`: that of the whole window does.
    pub since: Option<Timestamp>,
    /// Use before that, which does not count; usage of that time which comes late, or is taken back, changes it.
    pub baseline: Milli,
    /// The amount that holds in this window instead of the plan's; `None`: the plan's.
    pub amount: Option<Milli>,
}
