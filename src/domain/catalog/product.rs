//! Things with a price that are not plans, and the prices themselves.

use serde::{Deserialize, Serialize};

use crate::domain::id::{MeterId, ProductId};

/// A unit in which wallets hold credits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditUnit {
    /// Its name for people.
    pub name: Box<str>,
    /// How many of it are one US dollar: 1 for USD, 100 for LUC.
    pub per_dollar: i64,
    /// How much a wallet may owe, in micro-units of this unit, before nothing more is set aside for it; `None`: any amount.
    #[serde(default = "no_debt")]
    pub receivable_limit_micros: Option<i64>,
}

/// What a wallet may owe by units that were stored before they said so.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands for the value of the field, which may be absent"
)]
fn no_debt() -> Option<i64> {
    Some(0)
}

impl CreditUnit {
    /// Returns how much a wallet may owe before it spends no more, in micro-units.
    #[must_use]
    pub fn owed_max(&self) -> i64 {
        self.receivable_limit_micros.unwrap_or(i64::MAX)
    }
}

/// What units cost. Amounts are micro-units of US dollars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pricing {
    /// A fixed amount, whatever the use.
    Flat {
        /// The amount.
        amount_micros: i64,
    },
    /// An amount per `per` units, in proportion.
    PerUnit {
        /// The amount.
        amount_micros: i64,
        /// How many units it pays; at least 1.
        per: i64,
    },
    /// An amount per started package of `size` units.
    Package {
        /// The amount.
        amount_micros: i64,
        /// Units in a package; at least 1.
        size: i64,
    },
    /// Each unit costs what its tier says.
    Graduated {
        /// Tiers in rising order.
        tiers: Vec<PriceTier>,
    },
    /// All units cost what the tier of the total says.
    Volume {
        /// Tiers in rising order.
        tiers: Vec<PriceTier>,
    },
}

/// One step of a tiered price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceTier {
    /// The last unit of the tier, inclusive; `None` on the last tier.
    pub up_to: Option<i64>,
    /// What a unit costs.
    pub unit_micros: i64,
}

/// A thing with a price that is not a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// Priced by what a meter counts.
    Usage {
        /// Its id.
        id: ProductId,
        /// Its name for people.
        name: Box<str>,
        /// The meter.
        meter: MeterId,
        /// What units cost.
        pricing: Pricing,
        /// The least that a billing period with any use costs, after discounts, in micro-units of US dollars; 0: nothing.
        #[serde(default)]
        minimum_micros: i64,
    },
    /// Charged once for each deliverable.
    Outcome {
        /// Its id.
        id: ProductId,
        /// Its name for people.
        name: Box<str>,
        /// What one costs, in micro-units of US dollars.
        amount_micros: i64,
    },
    /// Credits for money.
    CreditPack(CreditPack),
}

impl Product {
    /// Returns its id.
    #[must_use]
    pub const fn id(&self) -> &ProductId {
        match self {
            Self::Usage { id, .. } | Self::Outcome { id, .. } => id,
            Self::CreditPack(pack) => &pack.id,
        }
    }

    /// Returns its name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Usage { name, .. } | Self::Outcome { name, .. } => name,
            Self::CreditPack(pack) => &pack.name,
        }
    }
}

/// Credits for money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditPack {
    /// Its id.
    pub id: ProductId,
    /// Its name for people.
    pub name: Box<str>,
    /// The credit unit.
    pub credit_unit: Box<str>,
    /// Micro-units of credit that one pack grants.
    pub credits_micros: i64,
    /// What one pack costs, in micro-units of US dollars.
    pub amount_micros: i64,
}
