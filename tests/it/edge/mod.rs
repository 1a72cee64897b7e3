//! The server from outside: calls, the stream, every kind of bad input, health, metrics and drain.

mod calls;
mod faults;
mod operation;
mod outage;
mod stream;
mod usage;
