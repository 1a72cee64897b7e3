//! The row of a batch, and that of the committer which made it: the mark that makes a batch repeatable, a chain over
//! what was stored, and the fence that an ended epoch does not pass.

use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::locks;
use super::scan::Key;
use super::wallets::Moved;
use crate::domain::id::CustomerId;
use crate::domain::time::{Span, Timestamp};
use crate::failpoint;
use crate::storage::columns::corrupt;
use crate::storage::{BatchMark, EventRow, StoreError};

/// Most customers that the row of a batch lists; of more, others forget all that they know.
const LISTED_MAX: usize = 10_000;

/// The committer's row, locked: its batches commit one after the other.
pub(super) struct Turn {
    committer: i16,
    /// The hash of the batch before.
    previous: Vec<u8>,
}

/// Takes the committer's turn; `None`: the batch is already stored. A connection that may still commit a batch of the
/// same epoch is waited for.
///
/// Until the batch has ended, others apply no catalog. One that applies a catalog waits for the others from here on:
/// two that turned a shared lock into their own later would wait for one another.
pub(super) async fn begin(
    conn: &mut PgConnection,
    mark: BatchMark,
    changes_catalog: bool,
) -> Result<Option<Turn>, StoreError> {
    let sql = if changes_catalog {
        "SELECT committer, number, hash, fenced, pg_advisory_xact_lock($2) IS NULL
         FROM committers WHERE epoch = $1 FOR UPDATE"
    } else {
        "SELECT committer, number, hash, fenced, pg_advisory_xact_lock_shared($2) IS NULL
         FROM committers WHERE epoch = $1 FOR UPDATE"
    };
    let row: Option<(i16, i64, Vec<u8>, bool, bool)> = sqlx::query_as(sql)
        .bind(mark.epoch)
        .bind(locks::CATALOG)
        .fetch_optional(&mut *conn)
        .await?;
    // One that ended so long ago that it is forgotten is ended all the same.
    let (committer, number, previous, fenced, _) = row.ok_or(StoreError::Fenced)?;
    if number >= mark.number {
        return is_stored(conn, mark).await.map(|()| None);
    }
    if fenced && !failpoint::fault("stale_epoch_writes") {
        return Err(StoreError::Fenced);
    }
    Ok(Some(Turn {
        committer,
        previous,
    }))
}

/// Sees that a batch with a number that was reached is indeed stored.
async fn is_stored(conn: &mut PgConnection, mark: BatchMark) -> Result<(), StoreError> {
    let found: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM batches WHERE epoch = $1 AND number = $2)")
            .bind(mark.epoch)
            .bind(mark.number)
            .fetch_one(conn)
            .await?;
    if found {
        return Ok(());
    }
    Err(StoreError::Constraint(
        "a batch has a lower number than one of its epoch that is stored".to_owned(),
    ))
}

/// Writes the row of a batch: whom it named and how much was stored, and a hash of it after the hash of the one before.
pub(super) async fn link(
    conn: &mut PgConnection,
    (turn, lease): (&Turn, Span),
    (mark, now): (BatchMark, Timestamp),
    named: &[&CustomerId],
    (stored, moved): (&[&EventRow], &[Moved<'_>]),
) -> Result<(), StoreError> {
    let hash = chain(&turn.previous, mark, now, (stored, moved));
    let listed: Option<Vec<&str>> =
        (named.len() <= LISTED_MAX).then(|| named.iter().map(|id| id.as_str()).collect());
    let done = sqlx::query(
        "WITH moved AS (
             UPDATE committers SET number = $2, hash = $7,
                 alive_till = (extract(epoch FROM clock_timestamp()) * 1000000)::int8 + $10
             WHERE epoch = $1 AND NOT fenced RETURNING 1
         )
         INSERT INTO batches (epoch, number, committer, time, events, customers, prev_hash, hash)
         SELECT $1, $2, $3, $4, $5, $6, $9, $7 WHERE $8 OR EXISTS (SELECT FROM moved)",
    )
    .bind(mark.epoch)
    .bind(mark.number)
    .bind(turn.committer)
    .bind(now.as_micros())
    .bind(i64::try_from(stored.len()).unwrap_or(i64::MAX))
    .bind(listed)
    .bind(&hash)
    .bind(failpoint::fault("stale_epoch_writes"))
    .bind(&turn.previous)
    .bind(lease.as_micros())
    .execute(conn)
    .await?;
    if done.rows_affected() != 1 {
        return Err(corrupt(
            "committers",
            format!("epoch {} is gone", mark.epoch),
        ));
    }
    Ok(())
}

/// Returns the hash of a batch over the one before it, its mark and time, each stored event's key and amounts, and all
/// that was appended to ledgers.
fn chain(
    previous: &[u8],
    mark: BatchMark,
    now: Timestamp,
    (stored, moved): (&[&EventRow], &[Moved<'_>]),
) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(previous);
    for number in [mark.epoch, mark.number, now.as_micros()] {
        hash.update(number.to_be_bytes());
    }
    for row in stored {
        hash.update(row.event.event_id.as_str());
        // No id holds a space.
        hash.update(b" ");
        hash.update(row.event.customer_id.as_str());
        let mut tail = [b' '; 10];
        tail[1..9].copy_from_slice(&row.weighted.0.to_be_bytes());
        tail[9] = u8::from(Key::of(row).kind_column() != 0);
        hash.update(tail);
        if let Some(charge) = &row.charge {
            hash.update(charge.amount.to_be_bytes());
        }
    }
    for row in moved {
        row.hash(&mut hash);
    }
    hash.finalize().to_vec()
}
