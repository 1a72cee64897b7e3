//! Payment links.

use super::super::shape::Metadata;
use super::object;

object! {
    /// A page on which whoever has its address pays.
    PaymentLink {
        /// Where it is.
        url: String,
        /// Whether it can be used.
        active: bool,
        /// `usd`.
        currency: String,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}
