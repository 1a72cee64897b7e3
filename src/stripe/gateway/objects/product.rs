//! Products.

use super::super::shape::Metadata;
use super::object;

object! {
    /// What is sold, at one or several prices.
    Product {
        /// What customers read.
        name: String,
        /// What customers read below the name.
        description: Option<String>,
        /// Whether it can be sold.
        active: bool,
        /// What a unit is called on receipts.
        unit_label: Option<String>,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}
