//! Payments and billing through Stripe. Until a key is configured, a sandbox answers in its place.

mod sandbox;

pub use self::sandbox::Sandbox;
