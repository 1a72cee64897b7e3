//! bursar decides who may use what, counts what they used, and gets it paid.

pub mod domain;
pub mod failpoint;
pub mod storage;
