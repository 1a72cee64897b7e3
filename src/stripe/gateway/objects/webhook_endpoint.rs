//! Webhook endpoints.

use super::super::shape::Metadata;
use super::{Secret, object};

object! {
    /// Where Stripe tells what happened.
    WebhookEndpoint {
        /// Where.
        url: String,
        /// In which version of the API; it stays for good.
        api_version: Option<String>,
        /// Of what.
        enabled_events: Vec<String>,
        /// `enabled` or `disabled`.
        status: String,
        /// What it signs with. Only the answer to its creation has it.
        secret: Option<Secret>,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}
