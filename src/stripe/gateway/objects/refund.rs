//! Refunds.

use super::super::shape::Metadata;
use super::{Link, object};

object! {
    /// Money that goes back.
    Refund {
        /// `pending`, `requires_action`, `succeeded`, `failed` or `canceled`.
        status: Option<String>,
        /// Cents.
        amount: i64,
        /// `usd`.
        currency: String,
        /// Of which payment.
        payment_intent: Option<Link>,
        /// Of which charge.
        charge: Option<Link>,
        /// `duplicate`, `fraudulent` or `requested_by_customer`.
        reason: Option<String>,
        /// Why it failed.
        failure_reason: Option<String>,
        /// When it was created.
        created: i64,
        /// Ours.
        metadata: Metadata,
    }
}
