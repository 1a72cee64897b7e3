//! Several real servers on one database.

mod away;
mod cluster;
mod cuts;
mod fleet;
mod limits;
mod messages;
mod proxy;
mod published;
mod races;
mod rates;
mod rolling;
mod time;
mod together;
mod wallets;
