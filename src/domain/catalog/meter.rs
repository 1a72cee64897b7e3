//! What is counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::id::MeterId;
use crate::domain::quantity::{Milli, Overflow};

/// How events become a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Adds quantities. May be limited on.
    Sum,
    /// Counts events, whatever their quantity. May be limited on.
    Count,
    /// The largest quantity. Reported, not limited on.
    Max,
    /// The quantity with the latest time. Reported, not limited on.
    Latest,
    /// The number of distinct values of [`Meter::unique_by`]. Reported, not limited on.
    UniqueCount,
}

impl Aggregation {
    /// Whether limits may be set on it.
    #[must_use]
    pub const fn is_additive(self) -> bool {
        match self {
            Self::Sum | Self::Count => true,
            Self::Max | Self::Latest | Self::UniqueCount => false,
        }
    }
}

/// Multiplies the quantity of events that carry a dimension value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// The declared dimension that is looked at.
    pub dimension: Box<str>,
    /// The value it must have.
    pub value: Box<str>,
    /// The factor in thousandths: 1500 counts one and a half times.
    pub factor_milli: i64,
}

/// What is counted, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// Its id.
    pub id: MeterId,
    /// Its name for people.
    pub name: Box<str>,
    /// The unit of its quantities, for people: `token`, `second`, `call`.
    pub unit: Box<str>,
    /// How events become a number.
    pub aggregation: Aggregation,
    /// Dimensions that events may carry and that reports group by.
    pub dimensions: Vec<Box<str>>,
    /// The dimension whose distinct values a unique count counts.
    pub unique_by: Option<Box<str>>,
    /// Factors by dimension value; all that match multiply.
    pub weights: Vec<Weight>,
    /// Whether events may carry a negative quantity.
    pub allow_negative: bool,
    /// The Stripe meter event name that this meter's usage is sent under.
    pub stripe_event_name: Option<Box<str>>,
}

impl Meter {
    /// Returns what an event adds to counters, in thousandths of the unit.
    ///
    /// Factors multiply one after the other, each product rounded half up in magnitude to whole thousandths.
    ///
    /// # Errors
    /// When the result leaves the range of 64 bits.
    pub fn weigh(
        &self,
        quantity: i64,
        dimensions: &BTreeMap<Box<str>, Box<str>>,
    ) -> Result<Milli, Overflow> {
        let base = match self.aggregation {
            Aggregation::Count => 1,
            Aggregation::Sum
            | Aggregation::Max
            | Aggregation::Latest
            | Aggregation::UniqueCount => quantity,
        };
        self.weigh_units(base, dimensions)
    }

    /// Returns what so many units would add to counters, in thousandths of the unit; on a meter that counts
    /// events, so many events.
    ///
    /// # Errors
    /// When the result leaves the range of 64 bits.
    pub fn weigh_units(
        &self,
        units: i64,
        dimensions: &BTreeMap<Box<str>, Box<str>>,
    ) -> Result<Milli, Overflow> {
        let mut milli = i128::from(units) * 1000;
        for weight in &self.weights {
            if dimensions.get(&weight.dimension) == Some(&weight.value) {
                let product = milli
                    .checked_mul(i128::from(weight.factor_milli))
                    .ok_or(Overflow)?;
                milli = (product.abs() + 500) / 1000 * product.signum();
            }
        }
        i64::try_from(milli).map(Milli).map_err(|_| Overflow)
    }
}

/// Narrows a meter to events whose dimensions have these values; empty keeps all.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(pub BTreeMap<Box<str>, Box<str>>);

impl Filter {
    /// Whether an event with these dimensions passes.
    #[must_use]
    pub fn accepts(&self, dimensions: &BTreeMap<Box<str>, Box<str>>) -> bool {
        self.0
            .iter()
            .all(|(key, value)| dimensions.get(key) == Some(value))
    }
}
