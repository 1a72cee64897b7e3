//! Prices.

use super::super::shape::Metadata;
use super::{Link, object, part};

object! {
    /// What a product costs, and how often.
    Price {
        /// Whether it can be sold.
        active: bool,
        /// The name that stays when another price takes its place.
        lookup_key: Option<String>,
        /// What it is the price of.
        product: Option<Link>,
        /// `usd`.
        currency: String,
        /// Cents per unit, unless they are not whole or there are tiers.
        unit_amount: Option<i64>,
        /// Cents per unit as a decimal.
        unit_amount_decimal: Option<String>,
        /// `per_unit` or `tiered`.
        billing_scheme: String,
        /// How often; `None`: once.
        recurring: Option<Recurring>,
        /// `graduated` or `volume`.
        tiers_mode: Option<String>,
        /// Only where the call asked for them.
        tiers: Vec<Tier>,
        /// How many units make one that is charged.
        transform_quantity: Option<TransformQuantity>,
        /// What people who work with prices read.
        nickname: Option<String>,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}

part! {
    /// How often a price is charged.
    Recurring {
        /// `day`, `week`, `month` or `year`.
        interval: String,
        /// How many of them make a period.
        interval_count: u64,
        /// What counts the quantity of a metered price.
        meter: Option<String>,
        /// `licensed` or `metered`.
        usage_type: String,
    }
}

part! {
    /// A step of a tiered price.
    Tier {
        /// The last unit of it; `None`: it has no end.
        up_to: Option<i64>,
        /// Cents per unit, unless they are not whole.
        unit_amount: Option<i64>,
        /// Cents per unit as a decimal.
        unit_amount_decimal: Option<String>,
        /// Cents for reaching it, unless they are not whole.
        flat_amount: Option<i64>,
        /// Cents for reaching it as a decimal.
        flat_amount_decimal: Option<String>,
    }
}

part! {
    /// How many units make one that is charged.
    TransformQuantity {
        /// So many.
        divide_by: i64,
        /// `up` or `down`.
        round: String,
    }
}
