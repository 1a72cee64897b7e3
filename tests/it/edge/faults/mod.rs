//! Bad input: each with the code, the reason and the field path that a client sees. Nothing of it is applied.

mod beyond;
mod calls;
mod events;
mod over;

use std::collections::BTreeMap;

/// Codes by their numbers, as they are on the wire.
const INVALID: i32 = 3;
const NOT_FOUND: i32 = 5;
const EXISTS: i32 = 6;
const EXHAUSTED: i32 = 8;
const PRECONDITION: i32 = 9;
const OUT_OF_RANGE: i32 = 11;

const DAY: i64 = 86_400;
const UNITS_MAX: i64 = 1_000_000_000_000;

/// Code, reason and field path.
type Seen = (i32, String, String);

fn expected(code: i32, reason: &str, field: &str) -> Seen {
    (code, reason.to_owned(), field.to_owned())
}

fn labels(count: usize) -> BTreeMap<String, String> {
    let entries = (0..count).map(|n| (format!("k{n}"), String::new()));
    entries.collect()
}
