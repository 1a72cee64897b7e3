//! What bursar decides, as pure values and functions.
//!
//! Nothing here is async, reads a clock, draws a random number, touches a file or knows a wire format:
//! `now` is always an argument. Every store and every edge uses these same functions, so a decision made
//! from memory and the one repeated under a database lock cannot differ in kind, only in the state they saw.

pub mod account;
pub mod billing;
pub mod catalog;
pub mod counter;
pub mod customer;
pub mod decision;
pub mod fingerprint;
pub mod id;
pub mod quantity;
pub mod rate_share;
pub mod rating;
pub mod reservation;
pub mod rights;
pub mod rollup;
pub(crate) mod sparse;
pub mod subscription;
pub mod time;
pub mod usage;
pub mod wallet;
pub mod window;
