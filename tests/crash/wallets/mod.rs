//! Compares wallets with what clients were told, with the events that drew on them, and with themselves.
//!
//! Nothing is taken from one row that another could contradict: grants must be the fold of the ledger, the ledger must
//! say what callers were told, and over all wallets of a customer what came in must be what is left and what was spent.

mod asked;
mod charges;
mod holds;
mod ledger;
pub mod rows;
mod sums;

use crate::checker::{Findings, Stored};
use crate::history::History;

/// Compares everything.
pub fn check(history: &History, stored: &Stored, found: &mut Findings) {
    ledger::check(&stored.books, found);
    asked::check(history, stored, found);
    charges::check(stored, found);
    holds::check(history, stored, found);
    sums::check(history, stored, found);
}

/// How many calls moved credits, and how many wallets refused.
pub fn tally(history: &History) -> (usize, usize) {
    let moved = history
        .wallet_calls()
        .filter(|(_, call, _)| call.moved().is_some());
    let refused = history
        .wallet_calls()
        .filter(|(_, call, _)| call.refused().is_some());
    (moved.count(), refused.count())
}
