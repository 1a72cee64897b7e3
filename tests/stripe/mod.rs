//! A double of Stripe for tests: the model of Stripe's behaviour behind real HTTP, on a virtual clock, with everything
//! that goes wrong between two machines.
//!
//! `double.rs` is what a test holds. A call comes in at `listener.rs` (connections) and `exchange.rs` (one message in
//! HTTP), is led through `account.rs` (key, faults, locks, the model) and noted in `recorded.rs` and `effects.rs`.
//! `faults.rs` says what goes wrong, `refusals.rs` how that reads, `webhooks/` sends events.

mod account;
mod authorization;
mod double;
mod effects;
mod exchange;
mod faults;
mod in_flight;
mod listener;
mod recorded;
mod refusals;
mod settings;
#[cfg(test)]
mod tests;
mod webhooks;

pub use bursar::stripe::model::Model;
pub use bursar::stripe::wire::{Method, Request, Response};

pub use double::Double;
pub use faults::{Calls, Fault};
pub use listener::Door;
pub use recorded::Recorded;
pub use settings::{Settings, WebhookTarget};
pub use webhooks::plan::DeliveryPlan;
pub use webhooks::signature::stripe_signature;
