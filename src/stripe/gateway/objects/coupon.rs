//! Coupons.

use serde::Deserialize;

use super::super::shape::Metadata;
use super::{object, part};

/// What a percentage is, of which Stripe keeps two decimals; as a float, for so it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Percent(pub f64);

impl Eq for Percent {}

object! {
    /// A discount.
    Coupon {
        /// What customers read.
        name: Option<String>,
        /// Cents off, or
        amount_off: Option<i64>,
        /// so many percent.
        percent_off: Option<Percent>,
        /// `forever`, `once` or `repeating`.
        duration: String,
        /// How many months, when it is repeating.
        duration_in_months: Option<i64>,
        /// What it reduces; only where the call asked for it. `None`: everything.
        applies_to: Option<AppliesTo>,
        /// Whether it can still be used.
        valid: bool,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}

part! {
    /// What a coupon reduces.
    AppliesTo {
        /// The ids of products.
        products: Vec<String>,
    }
}
