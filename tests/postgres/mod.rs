//! What tests and benchmarks of several replicas stand on: a PostgreSQL cluster of their own.

pub mod cluster;
