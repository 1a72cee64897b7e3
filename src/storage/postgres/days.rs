//! Partitions of events, one per day: made when first needed.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::columns::{day_at, day_of};
use super::locks;
use crate::domain::time::{Span, Timestamp};
use crate::storage::{EVENT_KEYS_KEPT, EventRow, StoreError};

/// First count times are noted in whole steps of this length, so that few events lower one.
pub(super) const STEP: i64 = Span::from_days(1).as_micros();

/// The partitions that are known to be there, with the earliest count time that is noted of each.
#[derive(Default)]
pub(super) struct Days(Mutex<BTreeMap<i32, i64>>);

impl Days {
    /// Makes the partitions that events need and that are missing, in transactions of its own. Nobody waits for it:
    /// a partition is made as a table of its own and attached, which locks out neither readers nor writers.
    pub(super) async fn make(
        &self,
        pool: &PgPool,
        needed: impl Iterator<Item = i32>,
    ) -> Result<(), sqlx::Error> {
        let mut missing: Vec<i32> = {
            let known = self.0.lock();
            needed.filter(|day| !known.contains_key(day)).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        missing.dedup();
        let mut conn = pool.acquire().await?;
        for day in missing {
            let first_count = make(&mut conn, day).await?;
            self.0.lock().insert(day, first_count);
        }
        Ok(())
    }

    /// Notes in a batch's transaction from when on its events count, where that is earlier than is noted.
    pub(super) async fn note<'a>(
        &self,
        conn: &mut PgConnection,
        now: Timestamp,
        rows: impl Iterator<Item = &'a EventRow>,
    ) -> Result<(), StoreError> {
        let mut earliest: BTreeMap<i32, i64> = BTreeMap::new();
        for row in rows {
            let counted = row.count_time.as_micros() / STEP * STEP;
            let first = earliest.entry(day_of(row)).or_insert(counted);
            *first = counted.min(*first);
        }
        // Of days that retention works on, memory may know less than the row says.
        let settled = day_at(now.minus(EVENT_KEYS_KEPT));
        {
            let known = self.0.lock();
            earliest.retain(|day, first| {
                *day <= settled || known.get(day).is_none_or(|noted| *noted > *first)
            });
        }
        for (day, first) in earliest {
            sqlx::query(
                "UPDATE event_days SET first_count = least(first_count, $2) WHERE day = $1",
            )
            .bind(day)
            .bind(first)
            .execute(&mut *conn)
            .await?;
        }
        Ok(())
    }

    /// Takes what a committed batch noted as known.
    pub(super) fn noted<'a>(&self, rows: impl Iterator<Item = &'a EventRow>) {
        let mut known = self.0.lock();
        for row in rows {
            if let Some(first) = known.get_mut(&day_of(row)) {
                *first = (*first).min(row.count_time.as_micros() / STEP * STEP);
            }
        }
    }

    /// Notes what is left of a partition that was looked through, or drops it when that is nothing.
    pub(super) async fn settle(
        &self,
        pool: &PgPool,
        day: i32,
        kept_from: Option<i64>,
    ) -> Result<(), StoreError> {
        if let Some(first) = kept_from {
            sqlx::query("UPDATE event_days SET first_count = $2 WHERE day = $1")
                .bind(day)
                .bind(first)
                .execute(pool)
                .await?;
            return Ok(());
        }
        self.0.lock().remove(&day);
        if let Err(error) = drop_partition(pool, day).await {
            // Somebody reads for long: the next round finds it again.
            tracing::debug!(%error, day, "an empty partition stays for now");
        }
        Ok(())
    }

    /// Forgets all that is known, since some of it was wrong.
    pub(super) fn forget(&self) {
        self.0.lock().clear();
    }
}

/// Makes a partition unless it is there. Returns the earliest count time that is noted of it.
pub(super) async fn make(conn: &mut PgConnection, day: i32) -> Result<i64, sqlx::Error> {
    let mut transaction = sqlx::Connection::begin(conn).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(locks::MAKING_DAYS)
        .execute(&mut *transaction)
        .await?;
    let noted: Option<i64> =
        sqlx::query_scalar("SELECT first_count FROM event_days WHERE day = $1")
            .bind(day)
            .fetch_optional(&mut *transaction)
            .await?;
    if let Some(noted) = noted {
        return Ok(noted);
    }
    let next = i64::from(day) + 1;
    let sql = format!(
        "CREATE TABLE events_{day} (LIKE events INCLUDING ALL);
         ALTER TABLE events ATTACH PARTITION events_{day} FOR VALUES FROM ({day}) TO ({next});"
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO event_days VALUES ($1, $2)")
        .bind(day)
        .bind(i64::MAX)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(i64::MAX)
}

/// Drops a partition if it is empty. Everybody who reads or writes events waits meanwhile, so it gives up soon.
async fn drop_partition(pool: &PgPool, day: i32) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let lock = "SET LOCAL lock_timeout = '100ms'; LOCK TABLE events IN ACCESS EXCLUSIVE MODE;";
    sqlx::raw_sql(lock).execute(&mut *transaction).await?;
    let is_empty: bool = sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT 1 FROM events WHERE day = $1)
             AND EXISTS (SELECT 1 FROM event_days WHERE day = $1)",
    )
    .bind(day)
    .fetch_one(&mut *transaction)
    .await?;
    if !is_empty {
        return Ok(());
    }
    let sql = format!("DROP TABLE events_{day}; DELETE FROM event_days WHERE day = {day};");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}
