//! Forgetting, in short slices: each is one transaction, and locks only the customers of what it drops.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, PgPool, Row};

use super::columns::day_at;
use super::customers::Locked;
use super::days::Days;
use super::names::Names;
use super::{Shared, dropped, epochs};
use crate::domain::id::CustomerId;
use crate::domain::time::{Span, Timestamp};
use crate::storage::columns::corrupt;
use crate::storage::{
    ANSWERS_KEPT, BATCHES_KEPT, DENIALS_KEPT, DENIALS_MAX, EVENT_KEYS_KEPT, RESERVATIONS_KEPT,
    StoreError, TRIM_SLICE,
};

/// Most customers whose denials one slice counts.
const CUSTOMERS_A_SLICE: i64 = 200;
/// Most times that one slice reads on without dropping anything.
const READS_A_SLICE: usize = 20;

/// Where the next slice goes on. Lost at a restart and after an error: then it begins again.
#[derive(Debug, Default)]
pub(super) struct TrimCursor {
    phase: Phase,
    day: Option<Day>,
    /// The day that was looked at last.
    last: Option<i32>,
    /// The customer whose denials were looked at last.
    denied: String,
}

/// A partition that is looked through.
#[derive(Debug)]
struct Day {
    day: i32,
    /// The event that was looked at last: customer, count time, id, kind.
    place: (String, i64, String, i16),
    /// The earliest count time of what was kept.
    kept_from: Option<i64>,
}

/// What a slice works on.
#[derive(Debug, Default, Clone, Copy)]
enum Phase {
    #[default]
    Events,
    Counters,
    Rows,
    Denials,
}

/// Bounds of one call.
pub(super) struct Slice<'a> {
    pool: &'a PgPool,
    names: &'a Names,
    days: &'a Days,
    now: Timestamp,
    /// Events that count before this may go.
    counted: Timestamp,
    /// And were received before this.
    received: Timestamp,
}

/// An event as it lies in its partition.
struct Lying {
    place: (String, i64, String, i16),
    received: i64,
}

impl<'a> Slice<'a> {
    pub(super) fn new(shared: &'a Shared, now: Timestamp, keep_events: Span) -> Self {
        Self {
            pool: &shared.writers,
            names: &shared.names,
            days: &shared.days,
            now,
            counted: now.minus(keep_events.max(EVENT_KEYS_KEPT)),
            received: now.minus(EVENT_KEYS_KEPT),
        }
    }

    /// Forgets one slice; true when there may be more to do.
    pub(super) async fn run(&self, cursor: &mut TrimCursor) -> Result<bool, StoreError> {
        sqlx::query("UPDATE store SET trimmed = greatest(trimmed, $1)")
            .bind(self.now.as_micros())
            .execute(self.pool)
            .await?;
        loop {
            let (done, next) = match cursor.phase {
                Phase::Events => (self.events(cursor).await?, Some(Phase::Counters)),
                Phase::Counters => (self.counters().await?, Some(Phase::Rows)),
                Phase::Rows => (self.rows().await?, Some(Phase::Denials)),
                Phase::Denials => (self.denials(cursor).await?, None),
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

    /// Drops events, one partition after the other; true when all were looked at.
    async fn events(&self, cursor: &mut TrimCursor) -> Result<bool, StoreError> {
        for _ in 0..READS_A_SLICE {
            let day = match &mut cursor.day {
                Some(day) => day,
                None => match self.enter(cursor.last).await? {
                    Some(day) => cursor.day.insert(day),
                    None => return Ok(true),
                },
            };
            let (read, dropped) = self.look_through(day).await?;
            if read < TRIM_SLICE {
                cursor.last = Some(day.day);
                self.days.settle(self.pool, day.day, day.kept_from).await?;
                cursor.day = None;
            }
            if dropped > 0 {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Finds the next partition that may hold events to be dropped.
    async fn enter(&self, last: Option<i32>) -> Result<Option<Day>, StoreError> {
        let next: Option<i32> = sqlx::query_scalar(
            "SELECT day FROM event_days WHERE day > $1 AND day <= $2 AND first_count < $3 ORDER BY day LIMIT 1",
        )
        .bind(last.unwrap_or(-1))
        .bind(day_at(self.received))
        .bind(self.counted.as_micros())
        .fetch_optional(self.pool)
        .await?;
        Ok(next.map(|day| Day {
            day,
            place: (String::new(), 0, String::new(), 0),
            kept_from: None,
        }))
    }

    /// Reads on in a partition and drops what may go. Returns how many events were read and dropped.
    async fn look_through(&self, day: &mut Day) -> Result<(usize, usize), StoreError> {
        let (customer, at, id, kind) = &day.place;
        let rows = sqlx::query(
            "SELECT customer_id, count_time, event_id, kind, coalesce(record_time, count_time) FROM events
             WHERE day = $1 AND (customer_id, count_time, event_id, kind) > ($2, $3, $4, $5)
             ORDER BY customer_id, count_time, event_id, kind LIMIT $6",
        )
        .bind(day.day)
        .bind(customer)
        .bind(at)
        .bind(id)
        .bind(kind)
        .bind(i64::try_from(TRIM_SLICE).unwrap_or(i64::MAX))
        .fetch_all(self.pool)
        .await?;
        let read = |row: &sqlx::postgres::PgRow| -> Result<Lying, sqlx::Error> {
            Ok(Lying {
                place: (
                    row.try_get(0)?,
                    row.try_get(1)?,
                    row.try_get(2)?,
                    row.try_get(3)?,
                ),
                received: row.try_get(4)?,
            })
        };
        let rows: Vec<Lying> = rows.iter().map(read).collect::<Result<_, _>>()?;
        let (count, last) = (rows.len(), rows.last().map(|row| row.place.clone()));
        let (going, kept): (Vec<Lying>, Vec<Lying>) = rows.into_iter().partition(|row| {
            row.place.1 < self.counted.as_micros() && row.received < self.received.as_micros()
        });
        let dropped = self.drop_events(day.day, &going).await?;
        let earliest = kept.iter().map(|row| row.place.1).min();
        day.kept_from = day.kept_from.into_iter().chain(earliest).min();
        if let Some(last) = last {
            day.place = last;
        }
        Ok((count, dropped))
    }

    /// Drops events with their keys, and keeps what they added to counters that still exist.
    async fn drop_events(&self, day: i32, going: &[Lying]) -> Result<usize, StoreError> {
        if going.is_empty() {
            return Ok(0);
        }
        let mut customers = BTreeSet::new();
        for row in going {
            let id = CustomerId::new(row.place.0.as_str());
            customers.insert(id.map_err(|error| corrupt("events", error))?);
        }
        let mut transaction = self.pool.begin().await?;
        let conn = &mut *transaction;
        Locked::default().lock(conn, customers.iter()).await?;
        let sql = format!(
            "WITH gone AS (
                 DELETE FROM events e USING UNNEST($2::text[], $3::int8[], $4::text[], $5::int2[])
                     AS g (customer_id, count_time, event_id, kind)
                 WHERE e.day = $1 AND e.customer_id = g.customer_id AND e.count_time = g.count_time
                   AND e.event_id = g.event_id AND e.kind = g.kind
                 RETURNING e.*
             ), keys AS (
                 DELETE FROM event_keys k USING gone WHERE k.event_id = gone.event_id
                   AND k.customer_id = gone.customer_id AND k.kind = gone.kind
             )
             SELECT {} FROM gone",
            dropped::COLUMNS
        );
        let gone = sqlx::query(AssertSqlSafe(sql))
            .bind(day)
            .bind(
                going
                    .iter()
                    .map(|row| row.place.0.as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(going.iter().map(|row| row.place.1).collect::<Vec<_>>())
            .bind(
                going
                    .iter()
                    .map(|row| row.place.2.as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(going.iter().map(|row| row.place.3).collect::<Vec<_>>())
            .fetch_all(&mut *conn)
            .await?;
        dropped::keep(conn, self.names, &customers, &gone).await?;
        transaction.commit().await?;
        Ok(gone.len())
    }

    /// Drops counters of windows that are over and of which no event is stored any more.
    async fn counters(&self) -> Result<bool, StoreError> {
        // Asked for each counter by itself: a join might read all events.
        const IS_OVER: &str = "c.end_time < $1 AND c.reserved = 0 AND (SELECT e.kind FROM events e
            WHERE e.customer_id = c.customer_id AND e.day >= (c.start_time / 86400000000 - 2)::int4
              AND e.count_time >= c.start_time AND e.count_time < c.end_time LIMIT 1) IS NULL";
        let over = format!(
            "SELECT customer_id, subaccount, spec, start_time FROM counters c WHERE {IS_OVER} ORDER BY end_time LIMIT $2"
        );
        let rows: Vec<(String, String, String, i64)> = sqlx::query_as(AssertSqlSafe(over))
            .bind(self.counted.as_micros())
            .bind(i64::try_from(TRIM_SLICE).unwrap_or(i64::MAX))
            .fetch_all(self.pool)
            .await?;
        if rows.is_empty() {
            return Ok(true);
        }
        let mut customers = BTreeSet::new();
        for row in &rows {
            let id = CustomerId::new(row.0.as_str());
            customers.insert(id.map_err(|error| corrupt("counters", error))?);
        }
        let mut transaction = self.pool.begin().await?;
        let conn = &mut *transaction;
        Locked::default().lock(conn, customers.iter()).await?;
        let delete = format!(
            "DELETE FROM counters c USING UNNEST($2::text[], $3::text[], $4::text[], $5::int8[])
                 AS g (customer_id, subaccount, spec, start_time)
             WHERE c.customer_id = g.customer_id AND c.subaccount = g.subaccount AND c.spec = g.spec
               AND c.start_time = g.start_time AND {IS_OVER}"
        );
        sqlx::query(AssertSqlSafe(delete))
            .bind(self.counted.as_micros())
            .bind(rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.1.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.2.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.3).collect::<Vec<_>>())
            .execute(conn)
            .await?;
        transaction.commit().await?;
        Ok(false)
    }

    /// Drops reservations and holds that ended, answers, denials and batches that are old; true when all are gone.
    async fn rows(&self) -> Result<bool, StoreError> {
        let mut left = TRIM_SLICE;
        for (sql, kept) in [
            (
                "DELETE FROM reservations WHERE (customer_id, id) IN (SELECT customer_id, id FROM reservations
                 WHERE state <> 0 AND end_time < $1 ORDER BY end_time LIMIT $2)",
                RESERVATIONS_KEPT,
            ),
            // One that is named by a feature may be open again meanwhile.
            (
                "DELETE FROM holds h USING (SELECT customer_id, id, subaccount, unit FROM holds
                     WHERE state <> 0 AND end_time < $1 ORDER BY end_time LIMIT $2) g
                 WHERE h.customer_id = g.customer_id AND h.id = g.id AND h.subaccount = g.subaccount
                   AND h.unit = g.unit AND h.state <> 0 AND h.end_time < $1",
                RESERVATIONS_KEPT,
            ),
            (
                "DELETE FROM answers WHERE (caller, method, request) IN (SELECT caller, method, request
                 FROM answers WHERE time < $1 ORDER BY time LIMIT $2)",
                ANSWERS_KEPT,
            ),
            (
                "DELETE FROM denials WHERE (customer_id, minute, feature, reason) IN
                 (SELECT customer_id, minute, feature, reason FROM denials WHERE minute < $1
                  ORDER BY minute LIMIT $2)",
                DENIALS_KEPT,
            ),
            (
                "DELETE FROM batches WHERE (epoch, number) IN (SELECT epoch, number FROM batches
                 WHERE time < $1 ORDER BY time LIMIT $2)",
                BATCHES_KEPT,
            ),
        ] {
            let done = sqlx::query(sql)
                .bind(self.now.minus(kept).as_micros())
                .bind(i64::try_from(left).unwrap_or(i64::MAX))
                .execute(self.pool)
                .await?;
            left = left.saturating_sub(usize::try_from(done.rows_affected()).unwrap_or(left));
            if left == 0 {
                return Ok(false);
            }
        }
        epochs::trim(&mut *self.pool.acquire().await?, self.now).await?;
        Ok(true)
    }

    /// Drops denials that are too many of one customer; true when all were looked at.
    async fn denials(&self, cursor: &mut TrimCursor) -> Result<bool, StoreError> {
        let counts: Vec<(String, i64)> = sqlx::query_as(
            "SELECT customer_id, count(*) FROM denials WHERE customer_id > $1
             GROUP BY customer_id ORDER BY customer_id LIMIT $2",
        )
        .bind(&cursor.denied)
        .bind(CUSTOMERS_A_SLICE)
        .fetch_all(self.pool)
        .await?;
        let is_last = i64::try_from(counts.len()).is_ok_and(|count| count < CUSTOMERS_A_SLICE);
        let slice = i64::try_from(TRIM_SLICE).unwrap_or(i64::MAX);
        for (customer, count) in counts {
            let excess = count - i64::try_from(DENIALS_MAX).unwrap_or(i64::MAX);
            if excess > 0 {
                sqlx::query(
                    "DELETE FROM denials WHERE (customer_id, minute, feature, reason) IN
                     (SELECT customer_id, minute, feature, reason FROM denials WHERE customer_id = $1
                      ORDER BY minute, feature, reason LIMIT $2)",
                )
                .bind(&customer)
                .bind(excess.min(slice))
                .execute(self.pool)
                .await?;
                // The others wait for the next slice.
                return Ok(false);
            }
            cursor.denied = customer;
        }
        Ok(is_last)
    }
}
