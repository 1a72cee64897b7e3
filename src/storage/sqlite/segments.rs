//! Segments: where a customer's events are noted by time.
//!
//! A segment takes the events of consecutive commits until it is large or old enough. Its span of count times is
//! known, so a read looks only into segments that its range touches, and there only at its customer.

use rusqlite::Connection;

use super::columns::{IdColumn, corrupt, kind_column, read_kind};
use crate::domain::time::{Span, Timestamp};
use crate::storage::{CustomerNo, EventKind, StoreError};

/// Events from which on a segment takes no further commit.
const EVENTS_MAX: i64 = 16_384;
/// How long a segment takes commits.
const OPEN_MAX: Span = Span::from_secs(60);

/// The segment that takes events now.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    no: i64,
    opened: Timestamp,
    first: Timestamp,
    last: Timestamp,
    events: i64,
    part: i64,
}

/// One event to be noted.
pub(super) struct Noted<'a> {
    pub(super) customer: CustomerNo,
    pub(super) id: IdColumn<'a>,
    pub(super) kind: EventKind,
    pub(super) count_time: Timestamp,
}

/// Notes the events of one commit. Returns how many customers they are of.
pub(super) fn note(
    conn: &Connection,
    current: &mut Option<Segment>,
    now: Timestamp,
    events: &mut [Noted<'_>],
) -> Result<i64, StoreError> {
    let (Some(first), Some(last)) = (
        events.iter().map(|event| event.count_time).min(),
        events.iter().map(|event| event.count_time).max(),
    ) else {
        return Ok(0);
    };
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let segment = match current.take() {
        Some(open) if open.events < EVENTS_MAX && now.since(open.opened) < OPEN_MAX => current
            .insert(Segment {
                first: open.first.min(first),
                last: open.last.max(last),
                events: open.events + count,
                part: open.part + 1,
                ..open
            }),
        Some(_) | None => {
            let no: i64 = conn
                .prepare_cached("SELECT ifnull(max(no), 0) + 1 FROM segments")?
                .query_row([], |row| row.get(0))?;
            current.insert(Segment {
                no,
                opened: now,
                first,
                last,
                events: count,
                part: 0,
            })
        }
    };
    conn.prepare_cached(
        "INSERT INTO segments VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET
         first_count = excluded.first_count, last_count = excluded.last_count, events = excluded.events",
    )?
    .execute((
        segment.no,
        segment.first.as_micros(),
        segment.last.as_micros(),
        segment.events,
    ))?;
    events.sort_unstable_by_key(|event| event.customer);
    let mut insert = conn.prepare_cached("INSERT INTO segment_events VALUES (?1, ?2, ?3, ?4)")?;
    let mut customers = 0;
    let mut keys = Vec::with_capacity(64);
    for group in events.chunk_by(|a, b| a.customer == b.customer) {
        keys.clear();
        for event in group {
            pack_key(&mut keys, event.id, event.kind);
        }
        insert.raw_bind_parameter(1, segment.no)?;
        insert.raw_bind_parameter(2, group[0].customer)?;
        insert.raw_bind_parameter(3, segment.part)?;
        insert.raw_bind_parameter(4, &keys[..])?;
        insert.raw_execute()?;
        customers += 1;
    }
    Ok(customers)
}

/// Packs an event key: a head of kind and length (0: a UUID), then the bytes.
pub(super) fn pack_key(keys: &mut Vec<u8>, id: IdColumn<'_>, kind: EventKind) {
    let length = match id {
        IdColumn::Text(text) => u8::try_from(text.len()).expect("ids have at most 128 bytes"),
        IdColumn::Uuid(_) => 0,
    };
    keys.push(u8::from(kind_column(kind) != 0));
    keys.push(length);
    keys.extend_from_slice(id.as_bytes());
}

/// Unpacks one event key and moves on; `None` at the end.
pub(super) fn unpack_key<'a>(
    keys: &mut &'a [u8],
) -> Result<Option<(IdColumn<'a>, EventKind)>, StoreError> {
    let Some((&[kind, length], rest)) = keys.split_first_chunk::<2>() else {
        return Ok(None);
    };
    let broken = || corrupt("segment_events", "keys that end early");
    let kind = read_kind(i64::from(kind))?;
    if length == 0 {
        let (uuid, rest) = rest.split_first_chunk::<16>().ok_or_else(broken)?;
        *keys = rest;
        return Ok(Some((IdColumn::Uuid(*uuid), kind)));
    }
    let (text, rest) = rest
        .split_at_checked(usize::from(length))
        .ok_or_else(broken)?;
    *keys = rest;
    let text = std::str::from_utf8(text).map_err(|error| corrupt("segment_events", error))?;
    Ok(Some((IdColumn::Text(text), kind)))
}
