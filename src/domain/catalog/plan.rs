//! Bundles of prices and entitlements.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Limit, OnChange, Pricing};
use crate::domain::id::{AddOnId, FeatureId, PlanId};
use crate::domain::time::Span;

/// How often a plan is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Each month.
    Month,
    /// Each year.
    Year,
}

/// What a plan costs per interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPrice {
    /// How often it is paid.
    pub interval: Interval,
    /// Micro-units of the currency (1 USD = 1,000,000); `None`: by agreement.
    pub amount_micros: Option<i64>,
    /// ISO 4217 code, upper case.
    pub currency: Box<str>,
}

/// A promise to stay for some months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// Months that are paid.
    pub months_paid: u32,
    /// Months that are delivered; at least `months_paid`.
    pub months_delivered: u32,
}

/// A named, versioned bundle of prices and entitlements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// Its name for people.
    pub name: Box<str>,
    /// The plan whose entitlements it started from.
    pub extends: Option<PlanId>,
    /// Prices, at most one per interval; none: free.
    pub prices: Vec<PlanPrice>,
    /// Days that are free at the start; 0: none.
    pub trial_days: u32,
    /// What the customer commits to.
    pub commitment: Option<Commitment>,
    /// How its amounts count in windows that run when a customer comes to it.
    pub on_change: OnChange,
    /// Order for "the smallest plan that would allow it": lower is smaller.
    pub rank: i32,
    /// What it adds in percent to a customer's other charges, in the order of the file.
    #[serde(default)]
    pub add_ons: Vec<AddOnId>,
    /// What it grants, by feature.
    pub entitlements: BTreeMap<FeatureId, EntitlementSpec>,
}

/// What a plan or an override grants for one feature. Its variant always matches the feature's kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntitlementSpec {
    /// On or off.
    Boolean(bool),
    /// The value.
    Static(Box<str>),
    /// Limits on the feature's meter.
    Metered(MeteredSpec),
    /// How many may exist; `None`: unlimited.
    Allocation(Option<i64>),
    /// How many may be in flight; `None`: unlimited.
    Concurrency(Option<i64>),
    /// How many calls per span.
    Rate(RateSpec),
}

/// Limits on a meter, and where use beyond them goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeteredSpec {
    /// Limits of the customer as a whole; the tightest decides. None: unlimited and uncounted.
    pub limits: Vec<Limit>,
    /// Limits of each subaccount by itself, unless an override gives it others.
    pub subaccount_limits: Vec<Limit>,
    /// How many open reservations may hold the feature at once; `None`: any number.
    pub concurrency: Option<i64>,
    /// How many calls per span; `None`: any number.
    pub rate: Option<RateSpec>,
    /// Where use is charged; `None`: all of it is included.
    pub charge: Option<Charge>,
}

/// The one destination of use that is not included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// Use beyond the limit's amount is priced and billed after it.
    Overage(Pricing),
    /// Use draws on a wallet.
    Wallet {
        /// The credit unit of the wallet.
        credit_unit: Box<str>,
        /// Whether the first unit already draws, or only those beyond the limit's amount.
        from_first_unit: bool,
        /// What a unit costs.
        pricing: Pricing,
    },
}

/// How many calls per span, smoothed by GCRA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateSpec {
    /// Calls per `per`; at least 1.
    pub amount: u32,
    /// One second or one minute.
    pub per: Span,
    /// Calls that may come at once; at least 1.
    pub burst: u32,
}
