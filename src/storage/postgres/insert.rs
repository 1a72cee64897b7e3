//! Storing events: each key once, duplicates found by the unique key.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sqlx::PgConnection;

use super::columns::{day_of, labels};
use super::copy::{CopyText, copy_in};
use super::scan::{Key, find};
use crate::domain::id::{ReservationId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::storage::columns::{STATED, corrupt, json};
use crate::storage::{Duplicate, EventRow, StoreError};

/// Rows that one statement of arrays takes.
const ROWS_A_STATEMENT: usize = 1_000;
/// From so many rows on they are copied: each takes about two thirds of the time then, but a copy takes more round trips.
const COPY_MIN: usize = 256;

/// Where a plain event of the batch stands.
type Place = (usize, usize);
/// A plain event's key, and where it stands.
type Entry<'a> = (Key<'a>, Place);

/// The plain events of a batch that were inserted, in key order.
pub(super) struct Inserted<'a> {
    plain: &'a [Arc<Vec<EventRow>>],
    fresh: Vec<Entry<'a>>,
    /// Those that were stored before, and those that repeat an earlier one of the batch.
    repeated: Vec<Entry<'a>>,
}

/// Inserts the plain events that are new.
pub(super) async fn insert_plain<'a>(
    conn: &mut PgConnection,
    plain: &'a [Arc<Vec<EventRow>>],
) -> Result<Inserted<'a>, sqlx::Error> {
    let mut entries = Vec::with_capacity(plain.iter().map(|chunk| chunk.len()).sum());
    for (chunk, rows) in plain.iter().enumerate() {
        let keys = rows.iter().enumerate();
        entries.extend(keys.map(|(index, row)| (Key::of(row), (chunk, index))));
    }
    // In key order, so that two writers which insert the same keys cannot wait for one another. Of equal keys the
    // first to arrive comes first.
    entries.sort_unstable();
    let mut repeated = Vec::new();
    let mut last = None;
    entries.retain(|entry| {
        let is_first = last != Some(entry.0);
        last = Some(entry.0);
        if !is_first {
            repeated.push(*entry);
        }
        is_first
    });
    let fresh = if entries.is_empty() {
        Vec::new()
    } else if entries.len() < COPY_MIN {
        insert_new(conn, plain, entries, &mut repeated).await?
    } else {
        copy_new(conn, plain, entries, &mut repeated).await?
    };
    let inserted = Inserted {
        plain,
        fresh,
        repeated,
    };
    insert_rows(conn, inserted.rows().collect()).await?;
    Ok(inserted)
}

/// Inserts the keys of few events. Returns those that were new, and adds the others to `repeated`.
async fn insert_new<'a>(
    conn: &mut PgConnection,
    plain: &'a [Arc<Vec<EventRow>>],
    entries: Vec<Entry<'a>>,
    repeated: &mut Vec<Entry<'a>>,
) -> Result<Vec<Entry<'a>>, sqlx::Error> {
    let row = |(_, place): &Entry<'a>| &plain[place.0][place.1];
    let rows: Vec<&EventRow> = entries.iter().map(row).collect();
    if insert_keys(conn, &rows).await? == rows.len() {
        return Ok(entries);
    }
    // Their keys are stored now, whoever stored them; only those of others lead to an event.
    let stored = stored(conn, &entries).await?;
    Ok(split(entries, stored, repeated))
}

/// As [`insert_new`], for many. Nobody can insert a key between the look for it and the copy: the customers are locked.
async fn copy_new<'a>(
    conn: &mut PgConnection,
    plain: &'a [Arc<Vec<EventRow>>],
    entries: Vec<Entry<'a>>,
    repeated: &mut Vec<Entry<'a>>,
) -> Result<Vec<Entry<'a>>, sqlx::Error> {
    let mut known = Vec::with_capacity(entries.len());
    for entries in entries.chunks(ROWS_A_STATEMENT) {
        known.extend(stored(conn, entries).await?);
    }
    let fresh = split(entries, known, repeated);
    if fresh.is_empty() {
        return Ok(fresh);
    }
    let mut keys = CopyText::default();
    for (key, place) in &fresh {
        let row = &plain[place.0][place.1];
        keys.text(key.event.as_str())
            .text(key.customer.as_str())
            .number(key.kind_column().into())
            .number(day_of(row).into())
            .number(row.count_time.as_micros())
            .end();
    }
    let into = "event_keys (event_id, customer_id, kind, day, count_time)";
    copy_in(conn, into, &keys).await?;
    Ok(fresh)
}

/// Takes out the entries that are stored.
fn split<'a>(
    entries: Vec<Entry<'a>>,
    stored: Vec<bool>,
    repeated: &mut Vec<Entry<'a>>,
) -> Vec<Entry<'a>> {
    let mut stored = stored.into_iter();
    let (old, fresh): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|_| stored.next().unwrap_or(false));
    repeated.extend(old);
    fresh
}

/// Inserts keys. Returns how many were new.
async fn insert_keys(conn: &mut PgConnection, rows: &[&EventRow]) -> Result<usize, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO event_keys (event_id, customer_id, kind, day, count_time)
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::int2[], $4::int4[], $5::int8[])
         ON CONFLICT DO NOTHING",
    )
    .bind(texts(rows.iter().map(|row| row.event.event_id.as_str())))
    .bind(texts(rows.iter().map(|row| row.event.customer_id.as_str())))
    .bind(kinds(rows))
    .bind(rows.iter().map(|row| day_of(row)).collect::<Vec<_>>())
    .bind(count_times(rows))
    .execute(conn)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

/// Says of each entry whether its event is stored.
async fn stored(conn: &mut PgConnection, entries: &[Entry<'_>]) -> Result<Vec<bool>, sqlx::Error> {
    let rows: Vec<i64> = sqlx::query_scalar(
        "SELECT k.position
         FROM UNNEST($1::text[], $2::text[], $3::int2[]) WITH ORDINALITY
             AS k (event_id, customer_id, kind, position)
         CROSS JOIN LATERAL (SELECT p.day, p.count_time FROM event_keys p
             WHERE p.event_id = k.event_id AND p.customer_id = k.customer_id AND p.kind = k.kind LIMIT 1) p
         CROSS JOIN LATERAL (SELECT 1 FROM events e WHERE e.day = p.day AND e.customer_id = k.customer_id
             AND e.count_time = p.count_time AND e.event_id = k.event_id AND e.kind = k.kind LIMIT 1) e",
    )
    .bind(texts(entries.iter().map(|(key, _)| key.event.as_str())))
    .bind(texts(entries.iter().map(|(key, _)| key.customer.as_str())))
    .bind(entries.iter().map(|(key, _)| key.kind_column()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let mut stored = vec![false; entries.len()];
    for position in rows {
        let index = usize::try_from(position - 1).unwrap_or(usize::MAX);
        if let Some(stored) = stored.get_mut(index) {
            *stored = true;
        }
    }
    Ok(stored)
}

/// Inserts the rows of events whose keys are stored, by customer and time as their index has them.
async fn insert_rows(conn: &mut PgConnection, mut rows: Vec<&EventRow>) -> Result<(), sqlx::Error> {
    rows.sort_unstable_by_key(|row| (&row.event.customer_id, row.count_time, &row.event.event_id));
    if rows.len() >= COPY_MIN {
        return copy_rows(conn, &rows).await;
    }
    if rows.is_empty() {
        return Ok(());
    }
    let rows = &*rows;
    let parts = rows.iter().map(|row| row.event.subaccount_id.as_ref());
    let held = rows.iter().map(|row| row.event.reservation_id.as_ref());
    sqlx::query(
            "INSERT INTO events (day, customer_id, event_id, kind, meter, quantity, weighted, count_time,
                 event_time, record_time, flags, subaccount, dimensions, metadata, reservation, charge)
             SELECT * FROM UNNEST($1::int4[], $2::text[], $3::text[], $4::int2[], $5::text[], $6::int8[],
                 $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int2[], $12::text[], $13::text[],
                 $14::text[], $15::text[], $16::text[])",
        )
        .bind(rows.iter().map(|row| day_of(row)).collect::<Vec<_>>())
        .bind(texts(rows.iter().map(|row| row.event.customer_id.as_str())))
        .bind(texts(rows.iter().map(|row| row.event.event_id.as_str())))
        .bind(kinds(rows))
        .bind(texts(rows.iter().map(|row| row.event.meter_id.as_str())))
        .bind(rows.iter().map(|row| row.event.quantity).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.weighted.0).collect::<Vec<_>>())
        .bind(count_times(rows))
        .bind(rows.iter().map(|row| apart(row, row.event_time)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| apart(row, row.record_time)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| flags(row)).collect::<Vec<_>>())
        .bind(parts.map(|part| part.map(SubaccountId::as_str)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| labels(&row.event.dimensions)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| labels(&row.event.metadata)).collect::<Vec<_>>())
        .bind(held.map(|held| held.map(ReservationId::as_str)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| charge(row)).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

/// As [`insert_rows`], for many.
async fn copy_rows(conn: &mut PgConnection, rows: &[&EventRow]) -> Result<(), sqlx::Error> {
    let mut copied = CopyText::default();
    for row in rows {
        let event = &row.event;
        copied
            .number(day_of(row).into())
            .text(event.customer_id.as_str())
            .text(event.event_id.as_str())
            .number(Key::of(row).kind_column().into())
            .text(event.meter_id.as_str())
            .number(event.quantity)
            .number(row.weighted.0)
            .number(row.count_time.as_micros())
            .number_or_none(apart(row, row.event_time))
            .number_or_none(apart(row, row.record_time))
            .number(flags(row).into())
            .text_or_none(event.subaccount_id.as_ref().map(SubaccountId::as_str))
            .text_or_none(labels(&event.dimensions).as_deref())
            .text_or_none(labels(&event.metadata).as_deref())
            .text_or_none(event.reservation_id.as_ref().map(ReservationId::as_str))
            .text_or_none(charge(row).as_deref())
            .end();
    }
    let into = "events (day, customer_id, event_id, kind, meter, quantity, weighted, count_time, event_time,
        record_time, flags, subaccount, dimensions, metadata, reservation, charge)";
    copy_in(conn, into, &copied).await
}

/// Returns an instant in the column that is NULL where it repeats the count time.
fn apart(row: &EventRow, at: Timestamp) -> Option<i64> {
    (at != row.count_time).then_some(at.as_micros())
}

fn flags(row: &EventRow) -> i16 {
    let stated = if row.event.event_time.is_some() {
        STATED
    } else {
        0
    };
    i16::try_from(row.flags.bits() | stated).unwrap_or_default()
}

fn charge(row: &EventRow) -> Option<String> {
    row.charge.as_deref().map(json)
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    texts.collect()
}

fn kinds(rows: &[&EventRow]) -> Vec<i16> {
    rows.iter().map(|row| Key::of(row).kind_column()).collect()
}

fn count_times(rows: &[&EventRow]) -> Vec<i64> {
    rows.iter().map(|row| row.count_time.as_micros()).collect()
}

impl<'a> Inserted<'a> {
    /// Reads what is stored under the keys that were not new, in order of arrival.
    pub(super) async fn duplicates(
        &self,
        conn: &mut PgConnection,
    ) -> Result<Vec<Duplicate>, StoreError> {
        let mut repeated = self.repeated.clone();
        repeated.sort_unstable_by_key(|(_, place)| *place);
        let no = |place: Place| self.plain[place.0][place.1].customer;
        let keys: Vec<_> = repeated
            .iter()
            .map(|(key, place)| (*key, no(*place)))
            .collect();
        let found = find(conn, &keys).await?;
        let duplicates = repeated.into_iter().zip(found);
        duplicates
            .map(|((_, (chunk, index)), stored)| {
                Ok(Duplicate {
                    chunk,
                    index,
                    stored: stored
                        .ok_or_else(|| corrupt("event_keys", "a key that leads to no event"))?,
                })
            })
            .collect()
    }

    /// Takes out again what the decision refused.
    pub(super) async fn take_out(
        &mut self,
        conn: &mut PgConnection,
        refused: &[Place],
    ) -> Result<(), StoreError> {
        if refused.is_empty() {
            return Ok(());
        }
        let exists = |(chunk, index): &Place| {
            let rows = self.plain.get(*chunk);
            rows.is_some_and(|rows| *index < rows.len())
        };
        if !refused.iter().all(exists) {
            return Err(StoreError::Constraint(
                "a refused event is not in the batch".to_owned(),
            ));
        }
        let refused: HashSet<Place> = refused.iter().copied().collect();
        let (out, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.fresh)
            .into_iter()
            .partition(|(_, place)| refused.contains(place));
        self.fresh = kept;
        let out: Vec<&EventRow> = out
            .iter()
            .map(|(_, place)| &self.plain[place.0][place.1])
            .collect();
        delete(conn, &out).await
    }

    /// Returns the inserted events in key order.
    pub(super) fn rows(&self) -> impl Iterator<Item = &'a EventRow> + use<'a, '_> {
        self.fresh
            .iter()
            .map(|(_, place)| &self.plain[place.0][place.1])
    }
}

/// Deletes events with their keys.
async fn delete(conn: &mut PgConnection, rows: &[&EventRow]) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        sqlx::query(
            "WITH gone AS (
                 DELETE FROM event_keys k
                 USING UNNEST($1::text[], $2::text[], $3::int2[]) AS g (event_id, customer_id, kind)
                 WHERE k.event_id = g.event_id AND k.customer_id = g.customer_id AND k.kind = g.kind
                 RETURNING k.*
             )
             DELETE FROM events e USING gone
             WHERE e.day = gone.day AND e.customer_id = gone.customer_id AND e.count_time = gone.count_time
               AND e.event_id = gone.event_id AND e.kind = gone.kind",
        )
        .bind(texts(rows.iter().map(|row| row.event.event_id.as_str())))
        .bind(texts(rows.iter().map(|row| row.event.customer_id.as_str())))
        .bind(kinds(rows))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Inserts events that the decision knows to be new.
pub(super) async fn insert_decided(
    conn: &mut PgConnection,
    events: &[EventRow],
) -> Result<(), StoreError> {
    let sorted: BTreeMap<Key<'_>, &EventRow> =
        events.iter().map(|row| (Key::of(row), row)).collect();
    let rows: Vec<&EventRow> = sorted.into_values().collect();
    let mut new = rows.len() == events.len();
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        new = new && insert_keys(conn, rows).await? == rows.len();
    }
    if !new {
        return Err(StoreError::Constraint(
            "an event that must be new is already stored".to_owned(),
        ));
    }
    Ok(insert_rows(conn, rows).await?)
}
