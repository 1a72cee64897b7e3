//! Several real servers on one database.

mod cluster;
mod messages;
mod proxy;
