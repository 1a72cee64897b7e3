//! Several real servers on one database.

mod cluster;
