//! Wallets: written together with all that a batch writes of them, read with the account or by those who ask for more.

mod read;
mod write;

pub(super) use self::read::{Parts, hold, ledger};
pub(super) use self::write::{Moved, Rows};
