//! bursar decides who may use what, counts what they used, and gets it paid.

pub mod clock;
pub mod domain;
pub mod failpoint;
pub mod storage;

pub mod engine;

pub mod config;
pub mod grpc;
pub mod http;

pub mod server;

pub mod cli;
