//! The integration tests, in one binary.

mod edge;
mod harness;
mod laws;
mod tidy;
