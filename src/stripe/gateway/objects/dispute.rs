//! Disputes.

use super::super::shape::Metadata;
use super::{Link, object};

object! {
    /// A payment that the one who paid says they never agreed to.
    Dispute {
        /// `warning_needs_response`, `needs_response`, `under_review`, `won`, `lost` and others.
        status: String,
        /// Cents.
        amount: i64,
        /// `usd`.
        currency: String,
        /// About which payment.
        payment_intent: Option<Link>,
        /// About which charge.
        charge: Option<Link>,
        /// What the bank says.
        reason: String,
        /// Whether the payment can still be refunded, which ends it.
        is_charge_refundable: bool,
        /// When it was created.
        created: i64,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}
