//! bursar decides who may use what and counts what they used, exactly.

pub mod clock;
pub mod domain;
pub mod failpoint;
pub mod storage;

pub mod engine;

pub mod config;
pub mod grpc;
pub mod http;
pub mod stripe;

pub mod server;

pub mod cli;
