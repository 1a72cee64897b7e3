//! The integration tests, in one binary.

mod admin;
mod docs;
mod edge;
mod harness;
mod laws;
mod replay;
mod tidy;
