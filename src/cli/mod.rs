//! The command line: one file per command.

pub mod catalog;
mod connect;
pub mod doctor;
mod failure;
mod print;
pub mod replay;
