//! Checkout sessions.

use super::super::shape::Metadata;
use super::{Link, object};

object! {
    /// A page on which a customer pays or subscribes.
    CheckoutSession {
        /// Where it is; `None`: it is over.
        url: Option<String>,
        /// `open`, `complete` or `expired`.
        status: Option<String>,
        /// `paid`, `unpaid` or `no_payment_required`.
        payment_status: String,
        /// `payment` or `subscription`.
        mode: String,
        /// Who pays.
        customer: Option<Link>,
        /// What we called it.
        client_reference_id: Option<String>,
        /// The subscription that came of it.
        subscription: Option<Link>,
        /// The payment that came of it.
        payment_intent: Option<Link>,
        /// The invoice that came of it.
        invoice: Option<Link>,
        /// Cents before discounts and taxes.
        amount_subtotal: Option<i64>,
        /// Cents to be paid.
        amount_total: Option<i64>,
        /// `usd`.
        currency: Option<String>,
        /// When it was created.
        created: i64,
        /// Until when it is open.
        expires_at: i64,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}
