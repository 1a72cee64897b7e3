//! What tests and benchmarks of several replicas stand on: a PostgreSQL cluster of their own, and links to it that fail
//! on command.

pub mod cluster;
pub mod messages;
pub mod proxy;
