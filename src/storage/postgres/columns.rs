//! How values stand in columns that only PostgreSQL has.

use std::borrow::Cow;

use crate::domain::fingerprint::fingerprint;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::storage::EventRow;
use crate::storage::columns::json;

/// Longest text that stands in an index as it is, in bytes: an entry must fit into a third of a page.
const INDEXED_BYTES_MAX: usize = 1_000;
/// Microseconds of a day.
const DAY: i64 = Span::from_days(1).as_micros();

/// Returns how a text stands in an index, and the text where that is its hash. No JSON begins as the hash does.
pub(super) fn indexed(text: &str) -> (Cow<'_, str>, Option<&str>) {
    if text.len() <= INDEXED_BYTES_MAX {
        return (Cow::Borrowed(text), None);
    }
    let key = format!("#{}", fingerprint(text, 32));
    (Cow::Owned(key), Some(text))
}

/// Writes labels as JSON; nothing for none.
pub(super) fn labels(labels: &Labels) -> Option<String> {
    (!labels.is_empty()).then(|| json(labels))
}

/// Returns the day under which an event is stored: that of its receipt, or later, so that no event counts more than
/// a day after the end of its own.
pub(super) fn day_of(row: &EventRow) -> i32 {
    day_of_times(row.record_time.as_micros(), row.count_time.as_micros())
}

/// As [`day_of`], by the instants of receipt and counting.
pub(super) fn day_of_times(received: i64, counted: i64) -> i32 {
    day(received.max(counted - DAY))
}

/// Returns the first day that may hold events which count from an instant on.
pub(super) fn first_day(from: Timestamp) -> i32 {
    day(from.as_micros() - 2 * DAY)
}

/// Returns the day of an instant.
pub(super) fn day_at(at: Timestamp) -> i32 {
    day(at.as_micros())
}

fn day(micros: i64) -> i32 {
    i32::try_from(micros.max(0) / DAY).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::conformance::fixture::{day, event};

    #[test]
    fn only_what_is_too_long_is_hashed() {
        let long = "x".repeat(INDEXED_BYTES_MAX + 1);
        assert_eq!(indexed("{}"), (Cow::Borrowed("{}"), None));
        let (key, whole) = indexed(&long);
        assert_eq!((key.len(), whole), (65, Some(&*long)));
    }

    #[test]
    fn no_event_counts_later_than_its_day_tells() {
        for counted in 0..5 {
            for received in 0..5 {
                let row = event((1, "acme"), "e", 1, day(counted)).received(day(received));
                assert!(day_of(&row) >= day_at(row.record_time));
                assert!(first_day(row.count_time) <= day_of(&row));
            }
        }
    }
}
