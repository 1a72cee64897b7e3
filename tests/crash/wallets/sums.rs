//! Over all wallets of a customer: what came in is what is left, what was spent, what expired and what was taken back.
//!
//! Each side comes from where the other does not: what was granted, spent and taken back from the clients' logs and the
//! events, what is left from grants and wallets. Only what expired has no witness but the ledger.

use std::collections::BTreeMap;

use super::charges;
use super::rows::Account;
use crate::checker::{Findings, Kind, Stored};
use crate::credits::Credits;
use crate::history::History;

/// What became of the credits of a customer.
#[derive(Debug, Default)]
struct Sums {
    granted: i128,
    taken_back: i128,
    spent: i128,
    drawn: i128,
    available: i128,
    held: i128,
    owed: i128,
    expired: i128,
}

/// Compares both sides for every customer.
pub fn check(history: &History, stored: &Stored, found: &mut Findings) {
    let mut sums: BTreeMap<u32, Sums> = BTreeMap::new();
    for (_, call, credits) in history.wallet_calls() {
        if call.moved().is_none() {
            continue;
        }
        let sum = sums.entry(call.customer).or_default();
        match credits {
            Credits::Grant { amount, .. } => sum.granted += i128::from(*amount),
            Credits::ClawBack { amount, .. } => sum.taken_back += i128::from(*amount),
            Credits::Debit { amount, .. } | Credits::Capture { amount, .. } => {
                sum.spent += i128::from(*amount);
            }
            Credits::Hold { .. }
            | Credits::Release { .. }
            | Credits::Transfer { .. }
            | Credits::Expire { .. } => {}
        }
    }
    for ((customer, _), amount) in charges::charged(stored) {
        sums.entry(customer).or_default().drawn += amount;
    }
    for ((customer, _), grant) in &stored.books.grants {
        let sum = sums.entry(*customer).or_default();
        sum.available += i128::from(grant.available());
        sum.held += i128::from(grant.held);
    }
    for ((customer, _), head) in &stored.books.heads {
        sums.entry(*customer).or_default().owed += i128::from(head.owed);
    }
    for ((customer, _), rows) in &stored.books.ledger {
        let expired = rows
            .iter()
            .map(|row| row.sum(|account| *account == Account::Expired));
        sums.entry(*customer).or_default().expired += expired.sum::<i128>();
    }
    for (customer, sum) in sums {
        let came = sum.granted - sum.taken_back + sum.owed;
        let went = sum.available + sum.held + sum.spent + sum.drawn + sum.expired;
        let (kind, by) = match came - went {
            0 => continue,
            lost @ 1.. => (Kind::CreditsLost, lost),
            made => (Kind::CreditsMade, -made),
        };
        found.add(
            kind,
            format!("customer {customer}: {by} micro-units, of {sum:?}"),
        );
    }
}
