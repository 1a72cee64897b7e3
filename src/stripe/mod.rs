//! Billing through Stripe: calls out, usage out, webhooks in. Until a key is configured, a sandbox answers in its place.

mod biller;
mod commitments;
mod concern;
mod event_list;
pub mod gateway;
mod inbound;
mod mirrored;
pub mod model;
mod payers;
mod periodic_sync;
mod plan_changes;
mod portal;
mod sandbox;
mod setup;
mod subscriptions;
mod test_cards;
mod usage_out;
mod webhook_door;
mod webhooks_in;
pub mod wire;

pub use self::biller::StripeBiller;
pub use self::event_list::EventList;
pub use self::periodic_sync::PeriodicSync;
pub use self::sandbox::Sandbox;
pub use self::setup::{Difference, Setup};
pub use self::subscriptions::{Follower, NotFollowed};
pub use self::test_cards::TestCards;
pub use self::usage_out::UsageOut;
pub use self::webhook_door::{NotTaken, WebhookDoor};
pub use self::webhooks_in::WebhooksIn;
