//! A hold resolves once: what was captured of it is at most what it set aside, and once it has ended nothing moves on its
//! behalf.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Hold, Key, Posted};
use crate::checker::{Findings, Kind, State, Stored};
use crate::credits::Credits;
use crate::history::{Granted, History};
use crate::world::Meter;

/// Checks every hold, and what the reservations hold together.
pub fn check(history: &History, stored: &Stored, found: &mut Findings) {
    let (books, granted) = (&stored.books, history.granted());
    let mut about: BTreeMap<(Key, &str), Vec<&Posted>> = BTreeMap::new();
    for (key, rows) in &books.ledger {
        for row in rows {
            if let Some(id) = &row.body.about.hold {
                about.entry((*key, id)).or_default().push(row);
            }
        }
    }
    let told: BTreeSet<(u32, &str)> = history
        .wallet_calls()
        .filter(|(_, _, credits)| matches!(credits, Credits::Hold { .. }))
        .filter_map(|(_, call, _)| Some((call.customer, call.moved()?.id.as_str())))
        .collect();
    for ((key, id), hold) in &books.holds {
        let rows = about.remove(&(*key, id.as_str())).unwrap_or_default();
        if hold.body.is_pool {
            check_pool(&granted, stored, (*key, id), hold, found);
            continue;
        }
        if !told.contains(&(key.0, id.as_str())) {
            let text = format!("wallet {key:?}: hold {id} was told to nobody: {hold:?}");
            found.add(Kind::Unexpected, text);
        }
        for text in follow(hold, &rows) {
            let text = format!("wallet {key:?}, hold {id}: {text}; {hold:?}, {rows:?}");
            found.add(Kind::Ledger, text);
        }
    }
    for ((key, id), rows) in about {
        let text = format!("wallet {key:?}: hold {id} moved and is not there: {rows:?}");
        found.add(Kind::Ledger, text);
    }
}

/// Follows a hold through its ledger; says what is wrong.
fn follow(hold: &Hold, rows: &[&Posted]) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut left, mut captured, mut end) = (0_i128, 0_i128, 0);
    for (place, row) in rows.iter().enumerate() {
        if (place == 0) != (row.cause == "hold") {
            wrong.push(format!("transaction {} is out of place", row.number));
        }
        if end != 0 {
            wrong.push(format!("transaction {} comes after its end", row.number));
        }
        left += row.held();
        captured += row.revenue();
        let ends = match row.cause.as_str() {
            "release" => 2,
            "hold_expiry" => 3,
            "capture" if left == 0 => 1,
            "hold" | "capture" => 0,
            other => {
                wrong.push(format!("transaction {} is a {other}", row.number));
                0
            }
        };
        if ends != 0 {
            end = ends;
        }
        if left < 0 || (ends != 0 && left != 0) {
            wrong.push(format!("transaction {} leaves {left}", row.number));
        }
    }
    let amount = i128::from(hold.body.amount);
    if captured > amount || captured != i128::from(hold.body.captured) {
        wrong.push(format!("{captured} was captured"));
    }
    if rows.first().is_none_or(|first| first.held() != amount) {
        wrong.push("something else was set aside".to_owned());
    }
    if hold.state != end || i128::from(hold.left()) != left {
        wrong.push(format!("it should be in state {end} and hold {left}"));
    }
    wrong
}

/// What reservations hold together holds nothing once there are none.
fn check_pool(
    granted: &BTreeMap<String, Granted>,
    stored: &Stored,
    (key, id): (Key, &str),
    pool: &Hold,
    found: &mut Findings,
) {
    let is_open = |(id, (customer, state)): (&String, &(u32, State))| {
        let of = granted.get(id).and_then(|held| held.meter);
        *customer == key.0 && *state == State::Open && of == Some(Meter::Work)
    };
    // Reservations of ours are those of customers themselves.
    let is_needed = key.1 == 0 && stored.reservations.iter().any(is_open);
    if id != Meter::Work.id() || pool.left() < 0 || (pool.left() > 0 && !is_needed) {
        let text = format!("wallet {key:?}: nobody needs what {id} holds: {pool:?}");
        found.add(Kind::Ledger, text);
    }
}
