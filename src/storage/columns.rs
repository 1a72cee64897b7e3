//! How values stand in columns, and back: what the databases do alike.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{EventKind, StoreError};
use crate::domain::counter::Ring;
use crate::domain::id::SubaccountId;
use crate::domain::quantity::Milli;
use crate::domain::reservation::ReservationState;
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;

/// Bit of an event's column `flags`: the sender stated the event time.
pub(super) const STATED: i64 = 4;
/// What stands for the dimensions of the rollup that takes combinations beyond the cap.
pub(super) const OVERFLOW: &str = "*";

/// Returns the error for a value that makes no sense.
pub(super) fn corrupt(table: &'static str, detail: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt {
        table,
        detail: detail.to_string(),
    }
}

/// Returns the column of an event's kind.
pub(super) const fn kind_column(kind: EventKind) -> i64 {
    match kind {
        EventKind::Usage => 0,
        EventKind::Void => 1,
    }
}

pub(super) fn read_kind(column: i64) -> Result<EventKind, StoreError> {
    match column {
        0 => Ok(EventKind::Usage),
        1 => Ok(EventKind::Void),
        other => Err(corrupt("events", format!("kind {other}"))),
    }
}

/// Returns the column of a reservation's state.
pub(super) const fn state_column(state: ReservationState) -> i64 {
    match state {
        ReservationState::Open => 0,
        ReservationState::Committed => 1,
        ReservationState::Released => 2,
        ReservationState::Expired => 3,
    }
}

pub(super) fn read_state(column: i64) -> Result<ReservationState, StoreError> {
    match column {
        0 => Ok(ReservationState::Open),
        1 => Ok(ReservationState::Committed),
        2 => Ok(ReservationState::Released),
        3 => Ok(ReservationState::Expired),
        other => Err(corrupt("reservations", format!("state {other}"))),
    }
}

pub(super) fn read_time(table: &'static str, micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_micros(micros).ok_or_else(|| corrupt(table, format!("time {micros}")))
}

/// Returns the column of a part of a customer, where it must not be NULL.
pub(super) fn part_column(subaccount: Option<&SubaccountId>) -> &str {
    subaccount.map_or("", SubaccountId::as_str)
}

pub(super) fn read_part(
    table: &'static str,
    column: &str,
) -> Result<Option<SubaccountId>, StoreError> {
    if column.is_empty() {
        return Ok(None);
    }
    SubaccountId::new(column)
        .map(Some)
        .map_err(|error| corrupt(table, error))
}

/// Writes a value as JSON.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value)
        .expect("domain values have text keys and nothing that fails to serialize")
}

pub(super) fn read_json<T: DeserializeOwned>(
    table: &'static str,
    column: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(column).map_err(|error| corrupt(table, error))
}

/// Writes labels as JSON into a buffer that is used again; nothing for none. By hand, because this runs for every
/// event: labels rarely hold what must be escaped.
pub(super) fn labels_column<'a>(labels: &Labels, buffer: &'a mut Vec<u8>) -> Option<&'a str> {
    if labels.is_empty() {
        return None;
    }
    buffer.clear();
    let mut before = b'{';
    for (key, value) in labels {
        buffer.push(before);
        push_text(buffer, key);
        buffer.push(b':');
        push_text(buffer, value);
        before = b',';
    }
    buffer.push(b'}');
    Some(std::str::from_utf8(buffer).expect("JSON is UTF-8"))
}

fn push_text(buffer: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        buffer.push(b'"');
        buffer.extend_from_slice(text.as_bytes());
        buffer.push(b'"');
    } else {
        serde_json::to_writer(buffer, text).expect("text always serializes");
    }
}

pub(super) fn read_labels(table: &'static str, column: Option<&str>) -> Result<Labels, StoreError> {
    column.map_or_else(|| Ok(Labels::new()), |text| read_json(table, text))
}

/// Packs a ring: steps between buckets and amounts, seven bits to a byte.
pub(super) fn pack_ring(ring: &Ring) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ring.0.len() * 5);
    let mut last = 0;
    for (bucket, amount) in &ring.0 {
        push_number(&mut bytes, bucket.wrapping_sub(last));
        push_number(&mut bytes, amount.0);
        last = *bucket;
    }
    bytes
}

pub(super) fn unpack_ring(mut bytes: &[u8]) -> Result<Ring, StoreError> {
    let mut ring = Ring::default();
    let mut last = 0_i64;
    while !bytes.is_empty() {
        let broken = || corrupt("counters", "a ring that ends early");
        let step = take_number(&mut bytes).ok_or_else(broken)?;
        let amount = take_number(&mut bytes).ok_or_else(broken)?;
        last = last.wrapping_add(step);
        ring.0.push((last, Milli(amount)));
    }
    Ok(ring)
}

/// Writes a number so that small ones of either sign are short.
fn push_number(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push((rest & 0x7f) as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let half = (number >> 1).cast_signed();
            return Some(half ^ -((number & 1).cast_signed()));
        }
    }
    None
}

/// Writes a page token: the key of the last item.
pub(super) fn token<T: Serialize>(key: &T) -> String {
    json(key)
}

pub(super) fn read_token<T: DeserializeOwned>(token: &str) -> Result<T, StoreError> {
    serde_json::from_str(token)
        .map_err(|_| StoreError::Constraint("a page token that this store did not make".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn labels_are_written_as_serde_would(labels in proptest::collection::btree_map(proptest::string::string_regex("[a-z\"\\\\\n\u{1}\u{7f}\u{e9} ]{0,6}").unwrap(), ".{0,6}", 0..4)) {
            let labels: Labels = labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            let mut buffer = Vec::new();
            let column = labels_column(&labels, &mut buffer);
            let expected = json(&labels);
            proptest::prop_assert_eq!(column.unwrap_or("{}"), expected);
            proptest::prop_assert_eq!(read_labels("events", column).unwrap(), labels);
        }

        #[test]
        fn rings_are_packed_and_unpacked(entries in proptest::collection::btree_map(proptest::num::i64::ANY, proptest::num::i64::ANY, 0..70)) {
            let ring = Ring(entries.into_iter().map(|(bucket, amount)| (bucket, Milli(amount))).collect());
            proptest::prop_assert_eq!(unpack_ring(&pack_ring(&ring)).unwrap(), ring);
        }
    }
}
