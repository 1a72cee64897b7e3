//! Small steps that every object is made with.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

/// Adds the keys, separated by spaces, that an object of this kind always has and this one says nothing in.
pub(super) fn with_nulls(mut object: Value, keys: &str) -> Value {
    if let Some(map) = object.as_object_mut() {
        for key in keys.split_ascii_whitespace() {
            map.entry(key).or_insert(Value::Null);
        }
    }
    object
}

/// Returns the text of a value, or an empty one.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns the whole number of a value, or zero.
pub(super) fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// Returns the elements of a list, or none.
pub(super) fn elements(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Returns a time as a day is written on invoices: `22 Nov 2026`.
pub(super) fn day(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| String::new(),
        |time| {
            time.to_zoned(TimeZone::UTC)
                .strftime("%-d %b %Y")
                .to_string()
        },
    )
}

/// Returns a time in RFC 3339, as newer objects write it.
pub(super) fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| String::new(),
        |time| {
            time.to_zoned(TimeZone::UTC)
                .strftime("%Y-%m-%dT%H:%M:%S.000Z")
                .to_string()
        },
    )
}
