//! The command line: one file per command.

pub mod catalog;
mod connect;
mod failure;
mod print;
pub mod replay;
