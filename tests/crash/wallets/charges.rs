//! What events drew must be what ledgers took for usage: both were to be written in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Charge, Key};
use crate::checker::{Findings, Kind, Stored, StoredEvent};
use crate::history;
use crate::world::{Meter, WORK_PRICE};

/// What the charge of an event may differ from its price: the fraction that was carried to it, the one that it carries
/// on, and a micro-unit that a wallet lacked.
const CARRIED: i128 = 4;

/// Compares the charges of events with one another, with the ledgers and with what was noted of the period.
pub fn check(stored: &Stored, found: &mut Findings) {
    let charged = charged(stored);
    let mut taken: BTreeMap<Key, i128> = BTreeMap::new();
    for (key, rows) in &stored.books.ledger {
        let usage = rows
            .iter()
            .filter(|row| matches!(row.cause.as_str(), "usage" | "refund"));
        taken.insert(*key, usage.map(super::rows::Posted::revenue).sum());
    }
    let keys: BTreeSet<_> = charged.keys().chain(taken.keys()).collect();
    for key in keys {
        let of = |sums: &BTreeMap<Key, i128>| sums.get(key).copied().unwrap_or_default();
        let (due, is) = (of(&charged), of(&taken));
        if due != is {
            let kind = if is < due {
                Kind::CreditsMade
            } else {
                Kind::CreditsLost
            };
            let text = format!("wallet {key:?}: events drew {due}, its ledger gave {is} for usage");
            found.add(kind, text);
        }
    }
    let mut drawn: BTreeMap<u32, i128> = BTreeMap::new();
    for ((customer, _), sum) in &charged {
        *drawn.entry(*customer).or_default() += sum;
    }
    let customers: BTreeSet<_> = drawn.keys().chain(stored.books.draws.keys()).collect();
    for customer in customers {
        let due = drawn.get(customer).copied().unwrap_or_default();
        let is = stored
            .books
            .draws
            .get(customer)
            .copied()
            .unwrap_or_default();
        if due != i128::from(is) {
            let text = format!("customer {customer}: events drew {due}, {is} is noted");
            found.add(Kind::Ledger, text);
        }
    }
    for (key, rows) in &stored.events {
        for event in rows {
            check_one(key, event, found);
        }
    }
    check_voids(stored, found);
}

/// Returns what events and voids drew on each wallet.
pub fn charged(stored: &Stored) -> BTreeMap<Key, i128> {
    let mut sums: BTreeMap<Key, i128> = BTreeMap::new();
    let mut add = |customer: u32, charge: Option<&Charge>| {
        if let Some(charge) = charge {
            *sums.entry((customer, charge.part)).or_default() += i128::from(charge.amount);
        }
    };
    for ((customer, _), rows) in &stored.events {
        for row in rows {
            add(*customer, row.charge.as_ref());
        }
    }
    for ((customer, _), rows) in &stored.voids {
        for row in rows {
            add(*customer, row.charge.as_ref());
        }
    }
    sums
}

/// Work is charged for from the first unit, at its price, to whoever worked or to the customer.
fn check_one(key: &history::Key, event: &StoredEvent, found: &mut Findings) {
    let content = &event.content;
    let is_charged = content.meter == Meter::Work && content.quantity > 0;
    let is_right = match &event.charge {
        None => !is_charged,
        Some(charge) => {
            let (price, per) = (i128::from(WORK_PRICE.0), i128::from(WORK_PRICE.1));
            let exact = i128::from(content.quantity) * price;
            let off = (i128::from(charge.amount) * per - exact).abs();
            is_charged
                && charge.quantity == content.quantity * 1000
                && (charge.part == content.part || charge.part == 0)
                && off <= CARRIED * per
        }
    };
    if !is_right {
        found.add(
            Kind::Ledger,
            format!("{key:?} is charged otherwise than it should: {event:?}"),
        );
    }
}

/// A void gives back what its event drew.
fn check_voids(stored: &Stored, found: &mut Findings) {
    for (key, voids) in &stored.voids {
        let event = stored.events.get(key).and_then(|rows| rows.first());
        let due = event
            .and_then(|event| event.charge.clone())
            .map(|charge| Charge {
                part: charge.part,
                quantity: -charge.quantity,
                amount: -charge.amount,
            });
        if let Some(void) = voids.iter().find(|void| void.charge != due) {
            let text = format!("{key:?} is to give back {due:?}, its void is {void:?}");
            found.add(Kind::Ledger, text);
        }
    }
}
