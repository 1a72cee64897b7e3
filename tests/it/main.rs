//! The integration tests, in one binary.

mod admin;
mod edge;
mod harness;
mod laws;
mod replay;
mod tidy;
