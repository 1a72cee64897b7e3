//! Billing through Stripe: calls out, usage out, webhooks in. Until a key is configured, a sandbox answers in its place.

mod biller;
pub mod gateway;
mod inbound;
mod invoices;
mod mirrored;
pub mod model;
mod payers;
mod payments;
mod plan_changes;
mod purchases;
mod purpose;
mod reconciliation;
mod sandbox;
mod setup;
mod subscriptions;
mod sums;
mod test_cards;
mod usage_out;
mod webhooks_in;
pub mod wire;

pub use self::biller::StripeBiller;
pub use self::payments::Payments;
pub use self::reconciliation::Reconciliation;
pub use self::sandbox::Sandbox;
pub use self::setup::{Difference, Setup};
pub use self::subscriptions::{Follower, NotFollowed};
pub use self::test_cards::TestCards;
pub use self::usage_out::UsageOut;
pub use self::webhooks_in::{NotTaken, WebhookDoor, WebhooksIn};
