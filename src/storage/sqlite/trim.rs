//! Forgetting, in short slices.

use rusqlite::{Connection, OptionalExtension};

use super::columns::{IdColumn, corrupt, kind_column};
use super::dropped::Drops;
use super::names::Reading;
use super::scan::{Lookup, visit};
use super::segments::{pack_key, unpack_key};
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;
use crate::storage::{
    ANSWERS_KEPT, CustomerNo, DENIALS_KEPT, DENIALS_MAX, EVENT_KEYS_KEPT, EventKind,
    RESERVATIONS_KEPT, StoreError, TRIM_SLICE,
};

/// Most customers that one slice looks at.
const CUSTOMERS_A_SLICE: i64 = 200;

/// Where the next slice goes on. Lost at a restart and after an error: then it begins again.
#[derive(Debug, Default)]
pub(super) struct TrimCursor {
    phase: Phase,
    /// Segment, customer and part that were looked at last.
    place: (i64, CustomerNo, i64),
    /// The earliest count time of what was kept of this segment.
    kept_from: Option<i64>,
    /// The customer that was looked at last.
    customer: CustomerNo,
    /// The customer whose denials were looked at last.
    denied: String,
}

/// What a slice works on.
#[derive(Debug, Default, Clone, Copy)]
enum Phase {
    #[default]
    Events,
    Customers,
    Holds,
    Answers,
    Denials,
}

/// Bounds of one call.
struct Slice<'a> {
    reading: Reading<'a>,
    now: Timestamp,
    /// Events that count before this may go.
    counted: Timestamp,
    /// And were received before this.
    received: Timestamp,
    left: usize,
}

/// Forgets one slice; true when there may be more to do.
pub(super) fn slice(
    reading: Reading<'_>,
    cursor: &mut TrimCursor,
    now: Timestamp,
    keep_events: Span,
) -> Result<bool, StoreError> {
    let mut slice = Slice {
        reading,
        now,
        counted: now.minus(keep_events.max(EVENT_KEYS_KEPT)),
        received: now.minus(EVENT_KEYS_KEPT),
        left: TRIM_SLICE,
    };
    reading
        .conn
        .prepare_cached(
            "INSERT INTO store VALUES ('trimmed', ?1) ON CONFLICT DO UPDATE SET value = max(value, ?1)",
        )?
        .execute([now.as_micros()])?;
    loop {
        let (done, next) = match cursor.phase {
            Phase::Events => (slice.events(cursor)?, Some(Phase::Customers)),
            Phase::Customers => (slice.customers(cursor)?, Some(Phase::Holds)),
            Phase::Holds => (slice.holds()?, Some(Phase::Answers)),
            Phase::Answers => (slice.answers()?, Some(Phase::Denials)),
            Phase::Denials => (slice.denials(cursor)?, None),
        };
        match next {
            _ if !done => return Ok(true),
            Some(next) => cursor.phase = next,
            None => {
                *cursor = TrimCursor::default();
                return Ok(false);
            }
        }
    }
}

impl Slice<'_> {
    const fn conn(&self) -> &Connection {
        self.reading.conn
    }

    /// Drops events, one noted row after the other; true when all were looked at.
    fn events(&mut self, cursor: &mut TrimCursor) -> Result<bool, StoreError> {
        loop {
            let (segment, customer, part) = cursor.place;
            let row: Option<(CustomerNo, i64, Vec<u8>)> = self
                .conn()
                .prepare_cached(
                    "SELECT customer_no, part, keys FROM segment_events
                     WHERE segment = ?1 AND (customer_no, part) > (?2, ?3)
                     ORDER BY customer_no, part LIMIT 1",
                )?
                .query_row((segment, customer, part), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()?;
            let Some((customer, part, keys)) = row else {
                self.leave_segment(cursor)?;
                if !self.enter_segment(cursor)? {
                    return Ok(true);
                }
                continue;
            };
            let place = (segment, customer, part);
            if !self.noted(cursor, place, &keys)? {
                return Ok(false);
            }
            cursor.place = place;
        }
    }

    /// Moves on to the next segment that may hold events to be dropped; false when there is none.
    fn enter_segment(&self, cursor: &mut TrimCursor) -> Result<bool, StoreError> {
        let next: Option<i64> = self
            .conn()
            .prepare_cached(
                "SELECT no FROM segments WHERE no > ?1 AND first_count < ?2 ORDER BY no LIMIT 1",
            )?
            .query_row((cursor.place.0, self.counted.as_micros()), |row| row.get(0))
            .optional()?;
        let Some(next) = next else { return Ok(false) };
        cursor.place = (next, 0, -1);
        cursor.kept_from = None;
        Ok(true)
    }

    /// Notes what is left of a segment.
    fn leave_segment(&self, cursor: &TrimCursor) -> Result<(), StoreError> {
        let segment = cursor.place.0;
        match cursor.kept_from {
            Some(first) => self
                .conn()
                .prepare_cached("UPDATE segments SET first_count = ?2 WHERE no = ?1")?
                .execute((segment, first))?,
            None => self
                .conn()
                .prepare_cached("DELETE FROM segments WHERE no = ?1")?
                .execute([segment])?,
        };
        Ok(())
    }

    /// Drops what may go of one noted row; false when the slice was too short for all of it.
    fn noted(
        &mut self,
        cursor: &mut TrimCursor,
        place: (i64, CustomerNo, i64),
        keys: &[u8],
    ) -> Result<bool, StoreError> {
        let (segment, customer, part) = place;
        let mut lookup = Lookup::new(self.reading)?;
        let mut drops = Drops::of(self.reading, customer)?;
        let mut kept = Vec::new();
        let mut rest = keys;
        let mut finished = true;
        let mut kept_from = cursor.kept_from;
        while let Some((id, kind)) = unpack_key(&mut rest)? {
            let (counted, received) = (self.counted, self.received);
            let gone = lookup.event(customer, id, kind, |seen| {
                let at = seen.count_time()?;
                let gone = at < counted && seen.record_time()? < received;
                if gone {
                    drops.add(seen)?;
                } else {
                    kept_from =
                        Some(kept_from.map_or(at.as_micros(), |from| from.min(at.as_micros())));
                }
                Ok(gone)
            })?;
            if gone.ok_or_else(|| corrupt("segment_events", format!("no event {id:?}")))? {
                delete_event(self.conn(), customer, id, kind)?;
                self.left -= 1;
            } else {
                pack_key(&mut kept, id, kind);
            }
            if self.left == 0 && !rest.is_empty() {
                kept.extend_from_slice(rest);
                finished = false;
                break;
            }
        }
        drops.write(self.conn())?;
        if kept.is_empty() {
            self.conn()
                .prepare_cached(
                    "DELETE FROM segment_events WHERE segment = ?1 AND customer_no = ?2 AND part = ?3",
                )?
                .execute(place)?;
        } else if kept.len() < keys.len() {
            self.conn()
                .prepare_cached(
                    "UPDATE segment_events SET keys = ?4 WHERE segment = ?1 AND customer_no = ?2 AND part = ?3",
                )?
                .execute((segment, customer, part, kept))?;
        }
        cursor.kept_from = kept_from;
        Ok(finished && self.left > 0)
    }

    /// Drops counters and reservations of some customers; true when all were looked at.
    fn customers(&mut self, cursor: &mut TrimCursor) -> Result<bool, StoreError> {
        let customers: Vec<CustomerNo> = self
            .conn()
            .prepare_cached("SELECT no FROM customers WHERE no > ?1 ORDER BY no LIMIT ?2")?
            .query_map((cursor.customer, CUSTOMERS_A_SLICE), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let is_last = i64::try_from(customers.len()).is_ok_and(|count| count < CUSTOMERS_A_SLICE);
        for customer in customers {
            self.counters(customer)?;
            self.reservations(customer)?;
            if self.left == 0 {
                return Ok(false);
            }
            cursor.customer = customer;
        }
        Ok(is_last)
    }

    /// Drops counters of windows that are over and of which no event is stored any more.
    fn counters(&mut self, customer: CustomerNo) -> Result<(), StoreError> {
        let ended: Vec<(String, i64, i64, i64)> = self
            .conn()
            .prepare_cached(
                "SELECT subaccount, spec_no, start, end FROM counters
                 WHERE customer_no = ?1 AND end < ?2 AND reserved = 0",
            )?
            .query_map((customer, self.counted.as_micros()), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?
            .collect::<Result<_, _>>()?;
        for (part, spec, start, end) in ended {
            if self.left == 0 {
                break;
            }
            let range = TimeRange {
                start: Timestamp::from_micros_clamped(start),
                end: Timestamp::from_micros_clamped(end),
            };
            let mut is_empty = true;
            visit(self.reading, customer, range, &mut |_| {
                is_empty = false;
                Ok(())
            })?;
            if !is_empty {
                continue;
            }
            for table in ["counters", "counters_dropped"] {
                self.conn()
                    .prepare_cached(&format!(
                        "DELETE FROM {table} WHERE customer_no = ?1 AND subaccount = ?2 AND spec_no = ?3 AND start = ?4"
                    ))?
                    .execute((customer, &part, spec, start))?;
            }
            self.left -= 1;
        }
        Ok(())
    }

    fn reservations(&mut self, customer: CustomerNo) -> Result<(), StoreError> {
        let ended = self.now.minus(RESERVATIONS_KEPT).as_micros();
        // None ends before it is made, so the index by reserve time bounds the search.
        self.take(
            "DELETE FROM reservations WHERE customer_no = ?1 AND id IN (SELECT id FROM reservations
             WHERE customer_no = ?1 AND reserve_time < ?2 AND state <> 0 AND end_time < ?2 LIMIT ?3)",
            |left| (customer, ended, left),
        )
    }

    fn holds(&mut self) -> Result<bool, StoreError> {
        let ended = self.now.minus(RESERVATIONS_KEPT).as_micros();
        self.take(
            "DELETE FROM books WHERE (customer_no, subaccount, unit, kind, id) IN
             (SELECT customer_no, subaccount, unit, kind, id FROM books INDEXED BY holds_ended
              WHERE kind = 2 AND state <> 0 AND end_time < ?1 LIMIT ?2)",
            |left| (ended, left),
        )?;
        Ok(self.left > 0)
    }

    fn answers(&mut self) -> Result<bool, StoreError> {
        let before = self.now.minus(ANSWERS_KEPT).as_micros();
        // They stand as they came, so the first are the oldest.
        self.take(
            "DELETE FROM answers WHERE time < ?1
             AND place IN (SELECT place FROM answers ORDER BY place LIMIT ?2)",
            |left| (before, left),
        )?;
        Ok(self.left > 0)
    }

    /// Drops denials that are old or too many of one customer; true when all were looked at.
    fn denials(&mut self, cursor: &mut TrimCursor) -> Result<bool, StoreError> {
        let before = self.now.minus(DENIALS_KEPT).as_micros();
        for _ in 0..CUSTOMERS_A_SLICE {
            let next: Option<String> = self
                .conn()
                .prepare_cached(
                    "SELECT customer FROM denials WHERE customer > ?1 ORDER BY customer LIMIT 1",
                )?
                .query_row([&cursor.denied], |row| row.get(0))
                .optional()?;
            let Some(customer) = next else {
                return Ok(self.left > 0);
            };
            self.take(
                "DELETE FROM denials WHERE (customer, minute, feature, reason) IN
                 (SELECT customer, minute, feature, reason FROM denials
                  WHERE customer = ?1 AND minute < ?2 LIMIT ?3)",
                |left| (&*customer, before, left),
            )?;
            self.take(
                "DELETE FROM denials WHERE (customer, minute, feature, reason) IN
                 (SELECT customer, minute, feature, reason FROM denials WHERE customer = ?1
                  ORDER BY minute DESC, feature DESC, reason DESC LIMIT ?3 OFFSET ?2)",
                |left| {
                    let most = i64::try_from(DENIALS_MAX).unwrap_or(i64::MAX);
                    (&*customer, most, left)
                },
            )?;
            if self.left == 0 {
                return Ok(false);
            }
            cursor.denied = customer;
        }
        Ok(false)
    }

    /// Deletes at most what the slice has left.
    fn take<P: rusqlite::Params>(
        &mut self,
        sql: &str,
        values: impl FnOnce(i64) -> P,
    ) -> Result<(), StoreError> {
        if self.left > 0 {
            let left = i64::try_from(self.left).unwrap_or(i64::MAX);
            let gone = self.conn().prepare_cached(sql)?.execute(values(left))?;
            self.left = self.left.saturating_sub(gone);
        }
        Ok(())
    }
}

fn delete_event(
    conn: &Connection,
    customer: CustomerNo,
    id: IdColumn<'_>,
    kind: EventKind,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "DELETE FROM events WHERE event_id = ?1 AND customer_no = ?2 AND kind = ?3",
    )?
    .execute((id, customer, kind_column(kind)))?;
    Ok(())
}
