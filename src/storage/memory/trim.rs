//! Forgetting, in short slices.

use super::state::{Books, CounterKey, EventName, State, Tallied};
use crate::domain::reservation::ReservationState;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;
use crate::storage::{
    ANSWERS_KEPT, DENIALS_KEPT, DENIALS_MAX, EVENT_KEYS_KEPT, EventRow, RESERVATIONS_KEPT,
    TRIM_SLICE, Use,
};

/// Forgets one slice; true when there is more to do.
pub(super) fn trim(state: &mut State, now: Timestamp, keep_events: Span) -> bool {
    state.latest = state.latest.max(now);
    let mut left = TRIM_SLICE;
    let received = now.minus(EVENT_KEYS_KEPT);
    let counted = now.minus(keep_events.max(EVENT_KEYS_KEPT));
    for books in state.books.values_mut() {
        left -= drop_events(books, counted, received, left);
        left -= drop_counters(books, counted, left);
        left -= drop_reservations(books, now.minus(RESERVATIONS_KEPT), left);
        left -= books.wallets.drop_holds(now.minus(RESERVATIONS_KEPT), left);
    }
    let answered = now.minus(ANSWERS_KEPT);
    let old: Vec<_> = state
        .answers
        .iter()
        .filter(|(_, (at, _))| *at < answered)
        .map(|(key, _)| key.clone())
        .take(left)
        .collect();
    left -= old.len();
    for key in old {
        state.answers.remove(&key);
    }
    let denied = now.minus(DENIALS_KEPT);
    for rows in state.denials.values_mut() {
        while left > 0
            && rows
                .first_key_value()
                .is_some_and(|(key, _)| key.0 < denied || rows.len() > DENIALS_MAX)
        {
            rows.pop_first();
            left -= 1;
        }
    }
    state.denials.retain(|_, rows| !rows.is_empty());
    left == 0
}

/// Drops events, and keeps what they added to counters that still exist.
fn drop_events(books: &mut Books, counted: Timestamp, received: Timestamp, most: usize) -> usize {
    let range = TimeRange {
        start: Timestamp::MIN,
        end: counted,
    };
    let old: Vec<EventName> = books
        .between(range)
        .filter(|row| row.record_time < received)
        .map(|row| (row.event.event_id.clone(), row.kind))
        .take(most)
        .collect();
    for name in &old {
        let Some(row) = books.remove_event(name) else {
            continue;
        };
        for (key, tallied) in &mut books.counters {
            if counts(key, tallied, &row) {
                // A part of a sum that fits; what saturates here was not within it.
                tallied.dropped = tallied.dropped.plus_saturating(row.weighted);
            }
        }
    }
    old.len()
}

fn counts(key: &CounterKey, tallied: &Tallied, row: &EventRow) -> bool {
    matches!(tallied.used, Use::Fixed(_))
        && key.spec.meter == row.event.meter_id
        && key.start <= row.count_time
        && row.count_time < tallied.end
        && (key.subaccount.is_none() || key.subaccount == row.event.subaccount_id)
        && key.spec.filter.accepts(&row.event.dimensions)
}

/// Drops counters of windows that are over and of which nothing is stored any more.
fn drop_counters(books: &mut Books, ended: Timestamp, most: usize) -> usize {
    let is_empty = |key: &CounterKey, tallied: &Tallied| {
        let range = TimeRange {
            start: key.start,
            end: tallied.end,
        };
        books.between(range).next().is_none()
    };
    let old: Vec<CounterKey> = books
        .counters
        .iter()
        .filter(|(key, tallied)| {
            tallied.end < ended && tallied.reserved.0 == 0 && is_empty(key, tallied)
        })
        .map(|(key, _)| key.clone())
        .take(most)
        .collect();
    for key in &old {
        books.counters.remove(key);
    }
    old.len()
}

fn drop_reservations(books: &mut Books, ended: Timestamp, most: usize) -> usize {
    let old: Vec<_> = books
        .reservations
        .values()
        .filter(|held| held.state != ReservationState::Open)
        .filter(|held| held.end_time.is_some_and(|end| end < ended))
        .map(|held| held.id.clone())
        .take(most)
        .collect();
    for id in &old {
        books.reservations.remove(id);
    }
    old.len()
}
