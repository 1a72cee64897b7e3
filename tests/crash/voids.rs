//! Compares what takes events back with what the clients know, and with the events.

use std::collections::BTreeSet;

use crate::checker::{Findings, Kind, Stored, StoredEvent, StoredVoid};
use crate::history::History;

/// Compares all voids.
pub fn check(history: &History, stored: &Stored, found: &mut Findings) {
    let told = history.voided();
    let keys: BTreeSet<_> = told.keys().chain(stored.voids.keys()).collect();
    for key in keys {
        let rows = stored.voids.get(key).map_or(&[][..], Vec::as_slice);
        let told = told.get(key).copied().unwrap_or_default();
        if told > 1 || rows.len() > 1 {
            found.add(
                Kind::Duplicated,
                format!("{key:?} was taken back {told} times, stored: {rows:?}"),
            );
        } else if told > rows.len() {
            found.add(
                Kind::Lost,
                format!("{key:?} was taken back, and that is not stored"),
            );
        } else if told < rows.len() {
            found.add(
                Kind::Unexpected,
                format!("{key:?} is taken back, and nobody was told so: {rows:?}"),
            );
        }
        let noted = stored.noted_voids.get(key).copied().unwrap_or_default();
        if noted != rows.len() {
            found.add(
                Kind::Counter,
                format!(
                    "the void of {key:?} is noted {noted} times, stored {}",
                    rows.len()
                ),
            );
        }
        let event = stored.events.get(key).and_then(|rows| rows.first());
        for void in rows {
            if event.is_none_or(|event| !undoes(void, event)) {
                found.add(
                    Kind::Counter,
                    format!("{key:?} is {event:?}, and taken back by {void:?}"),
                );
            }
        }
    }
}

/// Whether a void takes back just what its event brought; what it drew is compared with the ledger.
fn undoes(void: &StoredVoid, event: &StoredEvent) -> bool {
    void.quantity == -event.content.quantity
        && void.weighted == -event.weighted
        && void.count_time == event.count_time
}
