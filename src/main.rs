//! The command line of bursar.

fn main() {}
