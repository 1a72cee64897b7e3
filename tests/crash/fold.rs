//! Folds the clients' events into the windows they fall in, and compares with counters and totals.

use std::collections::{BTreeMap, BTreeSet};

use crate::checker::{Findings, Kind, State, Stored, StoredCounter, Times};
use crate::history::History;
use crate::journal::Content;
use crate::world::{COUNTERS, Meter, Window};

/// Returns what the clients know to be stored and to count: customer, content and count time.
fn known<'a>(
    history: &'a History,
    stored: &'a Stored,
) -> impl Iterator<Item = (u32, &'a Content, i64)> {
    let (granted, voided) = (history.granted(), history.voided());
    history.events.iter().filter_map(move |(key, sent)| {
        let content = sent.acked_content()?;
        if voided.contains_key(key) {
            return None;
        }
        let row = stored.events.get(key).and_then(|rows| rows.first());
        let reserved = content.reservation.as_ref().and_then(|id| granted.get(id));
        // Only where the sender leaves the time to the server it is taken from the row.
        let count_time = reserved
            .map(|held| held.reserve_time)
            .or(content.event_time)
            .or_else(|| row.map(|row| row.count_time))?;
        Some((key.0, content, count_time))
    })
}

/// Returns what the clients' events add up to, by customer and meter.
pub fn totals_of(history: &History, stored: &Stored) -> BTreeMap<(u32, Meter), (i64, i64)> {
    let mut totals: BTreeMap<_, (i64, i64)> = BTreeMap::new();
    for (customer, content, _) in known(history, stored) {
        let (events, sum) = totals.entry((customer, content.meter)).or_default();
        *events += 1;
        *sum += content.meter.weigh(content.quantity, content.large);
    }
    totals
}

/// Compares totals by customer and meter, wherever they come from.
pub fn compare_totals(
    what: &str,
    expected: &BTreeMap<(u32, Meter), (i64, i64)>,
    actual: &BTreeMap<(u32, Meter), (i64, i64)>,
    found: &mut Findings,
) {
    let keys: BTreeSet<_> = expected.keys().chain(actual.keys()).collect();
    for key in keys {
        let due = expected.get(key).copied().unwrap_or_default();
        let is = actual.get(key).copied().unwrap_or_default();
        if is == due {
            continue;
        }
        let kind = if is.0 > due.0 {
            Kind::Duplicated
        } else {
            Kind::Counter
        };
        found.add(
            kind,
            format!("total {what} of {key:?}: {is:?}, events say {due:?}"),
        );
    }
}

/// Folds the clients' events into every window they fall in and compares with the rows.
pub fn check_counters(history: &History, stored: &Stored, times: Times, found: &mut Findings) {
    let mut due: BTreeMap<(u32, usize, i64), StoredCounter> = BTreeMap::new();
    for (customer, content, at) in known(history, stored) {
        let weighted = content.meter.weigh(content.quantity, content.large);
        for (place, counter) in COUNTERS.iter().enumerate() {
            if counter.meter != content.meter || counter.large_only && !content.large {
                continue;
            }
            let start = counter.window.start(times.anchor, at);
            let row = due
                .entry((customer, place, start.unwrap_or(0)))
                .or_default();
            match counter.window.bucket_width() {
                None => row.used += weighted,
                Some(width) => *row.ring.entry(at / width).or_default() += weighted,
            }
        }
    }
    fold_reserved(history, stored, times, &mut due);
    let keys: BTreeSet<_> = due.keys().chain(stored.counters.keys()).collect();
    for key in keys {
        let (mut due, mut is) = (
            due.get(key).cloned().unwrap_or_default(),
            stored.counters.get(key).cloned().unwrap_or_default(),
        );
        // Buckets that no longer count may or may not be forgotten.
        if let Window::Rolling(length) = COUNTERS[key.1].window {
            let width = (length + 59) / 60;
            let oldest = (times.read - length) / width + 2;
            due.ring
                .retain(|bucket, amount| *bucket >= oldest && *amount != 0);
            is.ring
                .retain(|bucket, amount| *bucket >= oldest && *amount != 0);
        }
        if due != is {
            let counter = COUNTERS[key.1];
            let name = format!("{} in {}", counter.meter.id(), counter.window_name);
            found.add(
                Kind::Counter,
                format!("{key:?} ({name}) holds {is:?}, events say {due:?}"),
            );
        }
    }
}

/// Adds what open reservations set aside.
fn fold_reserved(
    history: &History,
    stored: &Stored,
    times: Times,
    due: &mut BTreeMap<(u32, usize, i64), StoredCounter>,
) {
    for (id, held) in history.granted() {
        let is_open = matches!(stored.reservations.get(&id), Some((_, State::Open)));
        let Some(meter) = held.meter.filter(|_| !held.is_ended && is_open) else {
            continue;
        };
        for (place, counter) in COUNTERS.iter().enumerate() {
            if counter.meter == meter {
                let start = counter.window.start(times.anchor, held.reserve_time);
                let row = due
                    .entry((held.customer, place, start.unwrap_or(0)))
                    .or_default();
                row.reserved += held.amount * 1000;
            }
        }
    }
}
