//! Wallets: their rows, their ledgers, and what usage drew on them.

mod ledger;
mod places;
mod read;
mod write;

pub(super) use self::ledger::page;
pub(super) use self::places::{Appending, Ledgers, places};
pub(super) use self::read::{draws, hold, wallets};
pub(super) use self::write::{draw_id, write};
