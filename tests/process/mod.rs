//! Real servers, each a process of its own.

pub mod server;
