//! The integration tests, in one binary.
#![expect(
    clippy::unwrap_used,
    clippy::assigning_clones,
    clippy::unnecessary_wraps,
    clippy::items_after_statements,
    clippy::needless_pass_by_value,
    clippy::duration_suboptimal_units,
    reason = "a test says what it expects where it reads best, and fails where that does not hold"
)]

mod admin;
mod docs;
mod edge;
mod harness;
mod laws;
mod operations;
mod payments;
#[expect(
    dead_code,
    reason = "the crash test does more to servers and their links"
)]
#[path = "../postgres/mod.rs"]
mod postgres;
#[expect(dead_code, reason = "the crash test does more to servers")]
#[path = "../process/mod.rs"]
mod process;
mod replay;
mod replicas;
mod sandbox;
mod shapes;
#[path = "../stripe/mod.rs"]
mod stripe;
mod stripe_commands;
mod subscriptions;
mod tidy;
mod usage_out;
mod wallet;
