//! The lives of committers, and what those of other processes did.

use std::collections::BTreeMap;

use sqlx::{Connection as _, PgConnection};

use crate::domain::id::CustomerId;
use crate::domain::time::{Span, Timestamp};
use crate::failpoint;
use crate::storage::columns::corrupt;
use crate::storage::{BATCHES_KEPT, Feed, FeedCursor, StoreError};

/// Most customers that one look tells of; of more, all is to be forgotten.
const CHANGED_MAX: usize = 10_000;

/// Ends the committer's life before, once nothing of it is under way, and begins another.
pub(super) async fn enlist(
    conn: &mut PgConnection,
    (process, committer): (&str, u16),
    lease: Span,
) -> Result<i64, StoreError> {
    let committer = i16::try_from(committer)
        .map_err(|_| StoreError::Constraint("there are too many committers".to_owned()))?;
    let mut transaction = conn.begin().await?;
    sqlx::query(
        "UPDATE committers SET fenced = true WHERE process = $1 AND committer = $2 AND NOT fenced",
    )
    .bind(process)
    .bind(committer)
    .execute(&mut *transaction)
    .await?;
    let epoch = sqlx::query_scalar(
        "WITH next AS (UPDATE store SET epoch = epoch + 1 RETURNING epoch)
         INSERT INTO committers (epoch, process, committer, number, hash, alive_till, fenced)
         SELECT epoch, $1, $2, 0, '', $3, false FROM next RETURNING epoch",
    )
    .bind(process)
    .bind(committer)
    .bind(super::now(&mut transaction).await?.plus(lease).as_micros())
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(epoch)
}

/// Ends all lives of a process that stops, so that nobody waits for it.
pub(super) async fn resign(conn: &mut PgConnection, process: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE committers SET fenced = true WHERE process = $1 AND NOT fenced")
        .bind(process)
        .execute(conn)
        .await?;
    Ok(())
}

/// Says that a process is alive, and ends the epochs of those that are not. A row that is locked is that of a batch under
/// way: it is looked at next time.
pub(super) async fn renew(
    conn: &mut PgConnection,
    process: &str,
    lease: Span,
) -> Result<(), StoreError> {
    let now = super::now(conn).await?;
    sqlx::query(
        "WITH looked AS (
             SELECT epoch, process = $1 AS own FROM committers
             WHERE NOT fenced AND (process = $1 OR alive_till < $2) FOR UPDATE SKIP LOCKED
         )
         UPDATE committers c SET alive_till = CASE WHEN own THEN $3 ELSE alive_till END, fenced = NOT own
         FROM looked WHERE c.epoch = looked.epoch",
    )
    .bind(process)
    .bind(now.as_micros())
    .bind(now.plus(lease).as_micros())
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns what others committed since the cursor.
pub(super) async fn follow(
    conn: &mut PgConnection,
    process: &str,
    since: Option<FeedCursor>,
) -> Result<Feed, StoreError> {
    if failpoint::fault("feed_skips_late_commit") {
        return follow_by_time(conn, process, since).await;
    }
    let heads = heads(conn, process).await?;
    let catalog = newest_catalog(conn).await?;
    let mut feed = Feed {
        catalog,
        ..Feed::default()
    };
    let Some(since) = since else {
        feed.cursor = FeedCursor(heads);
        return Ok(feed);
    };
    let (mut epochs, mut seen, mut reached, mut missed) = (vec![], vec![], vec![], 0);
    for (epoch, head) in &heads {
        let before = since.0.get(epoch).copied().unwrap_or(0);
        if *head > before {
            epochs.push(*epoch);
            seen.push(before);
            reached.push(*head);
            missed += head - before;
        }
    }
    feed.cursor = FeedCursor(heads);
    if epochs.is_empty() {
        return Ok(feed);
    }
    let (found, listed): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(b.customers)
         FROM UNNEST($1::int8[], $2::int8[], $3::int8[]) AS w (epoch, seen, reached)
         JOIN batches b ON b.epoch = w.epoch AND b.number > w.seen AND b.number <= w.reached",
    )
    .bind(&epochs)
    .bind(&seen)
    .bind(&reached)
    .fetch_one(&mut *conn)
    .await?;
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT c.id
         FROM UNNEST($1::int8[], $2::int8[], $3::int8[]) AS w (epoch, seen, reached)
         JOIN batches b ON b.epoch = w.epoch AND b.number > w.seen AND b.number <= w.reached
         CROSS JOIN UNNEST(b.customers) AS c (id) LIMIT $4",
    )
    .bind(&epochs)
    .bind(&seen)
    .bind(&reached)
    .bind(i64::try_from(CHANGED_MAX + 1).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await?;
    // Rows of numbers in between are gone, or list nothing.
    feed.everything = found < missed || listed < found || names.len() > CHANGED_MAX;
    feed.changed = read_ids(names)?;
    Ok(feed)
}

/// Returns the newest batch of each committer of other processes that may still commit, or did lately.
async fn heads(conn: &mut PgConnection, process: &str) -> Result<BTreeMap<i64, i64>, StoreError> {
    let rows: Vec<(i64, i64)> =
        sqlx::query_as("SELECT epoch, number FROM committers WHERE process <> $1 AND number > 0")
            .bind(process)
            .fetch_all(conn)
            .await?;
    Ok(rows.into_iter().collect())
}

pub(super) async fn newest_catalog(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM catalogs")
            .fetch_one(conn)
            .await?,
    )
}

fn read_ids(names: Vec<String>) -> Result<Vec<CustomerId>, StoreError> {
    let read = |name| CustomerId::new(name).map_err(|error| corrupt("batches", error));
    names.into_iter().map(read).collect()
}

/// The defect that the crash test must notice: a cursor that goes by time skips what began earlier and commits later.
async fn follow_by_time(
    conn: &mut PgConnection,
    process: &str,
    since: Option<FeedCursor>,
) -> Result<Feed, StoreError> {
    let rows: Vec<(i64, Option<Vec<String>>)> = sqlx::query_as(
        "SELECT b.time, b.customers FROM batches b JOIN committers c USING (epoch)
         WHERE c.process <> $1 AND b.time > $2",
    )
    .bind(process)
    .bind(
        since
            .as_ref()
            .and_then(|since| since.0.get(&0))
            .copied()
            .unwrap_or(0),
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut feed = Feed {
        catalog: newest_catalog(conn).await?,
        cursor: since.clone().unwrap_or_default(),
        ..Feed::default()
    };
    for (time, customers) in rows {
        let newest = feed.cursor.0.entry(0).or_default();
        *newest = time.max(*newest);
        if since.is_some() {
            feed.changed
                .extend(read_ids(customers.unwrap_or_default())?);
        }
    }
    Ok(feed)
}

/// Forgets committers that ended and whose batches are forgotten.
pub(super) async fn trim(conn: &mut PgConnection, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM committers c WHERE fenced AND alive_till < $1
         AND NOT EXISTS (SELECT FROM batches b WHERE b.epoch = c.epoch)",
    )
    .bind(now.minus(BATCHES_KEPT).as_micros())
    .execute(conn)
    .await?;
    Ok(())
}
