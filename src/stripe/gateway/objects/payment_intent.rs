//! Payments.

use super::super::shape::Metadata;
use super::{Link, Secret, object, part};

object! {
    /// A payment, from its first attempt to its end.
    PaymentIntent {
        /// `requires_payment_method`, `requires_confirmation`, `requires_action`, `processing`,
        /// `requires_capture`, `canceled` or `succeeded`.
        status: String,
        /// Cents asked for.
        amount: i64,
        /// Cents that came.
        amount_received: i64,
        /// `usd`.
        currency: String,
        /// Who.
        customer: Option<Link>,
        /// What customers read.
        description: Option<String>,
        /// What is charged.
        payment_method: Option<Link>,
        /// What lets a page of the customer's finish the payment.
        client_secret: Option<Secret>,
        /// Why the last attempt failed.
        last_payment_error: Option<PaymentProblem>,
        /// The charge that the last attempt made.
        latest_charge: Option<Link>,
        /// When it was created.
        created: i64,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}

part! {
    /// Why a payment failed.
    PaymentProblem {
        /// Stripe's code.
        code: Option<String>,
        /// The bank's code.
        decline_code: Option<String>,
        /// What the customer may read.
        message: Option<String>,
    }
}
