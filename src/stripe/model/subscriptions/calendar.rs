//! Where billing periods begin and end: calendar steps from an anchor.

use jiff::{Span, Timestamp, ToSpan, tz::TimeZone};
use serde_json::Value;

use super::super::shape::{int, text};

/// Returns the time a number of intervals after another, in UTC; a day that a month does not have becomes its last.
pub(in super::super) fn step(from: i64, interval: &str, count: i64) -> i64 {
    let count = count.clamp(-4_000, 4_000);
    let span: Span = match interval {
        "day" => count.days(),
        "week" => count.weeks(),
        "year" => count.years(),
        _ => count.months(),
    };
    Timestamp::from_second(from)
        .ok()
        .and_then(|time| time.to_zoned(TimeZone::UTC).checked_add(span).ok())
        .map_or(from, |time| time.timestamp().as_second())
}

/// Returns the billing period of a price that a time falls in: from a boundary on, before the next.
pub(super) fn period(anchor: i64, price: &Value, at: i64) -> (i64, i64) {
    let interval = text(&price["recurring"]["interval"]);
    let count = int(&price["recurring"]["interval_count"]).max(1);
    let length = count
        * match interval {
            "day" => 86_400,
            "week" => 7 * 86_400,
            "year" => 365 * 86_400,
            _ => 30 * 86_400,
        };
    let mut number = (at - anchor).div_euclid(length);
    let boundary = |number: i64| step(anchor, interval, number * count);
    while boundary(number) > at {
        number -= 1;
    }
    while boundary(number + 1) <= at {
        number += 1;
    }
    (boundary(number), boundary(number + 1))
}
