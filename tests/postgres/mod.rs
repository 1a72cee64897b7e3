//! What tests and benchmarks of several replicas stand on: a PostgreSQL cluster of their own, links to it that fail on
//! command, and servers behind them.

pub mod cluster;
pub mod messages;
pub mod proxy;
pub mod replica;
