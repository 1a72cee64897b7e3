//! The row of a batch: the mark that makes it repeatable, and a chain over what was stored.

use std::collections::HashSet;

use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::scan::Key;
use crate::domain::time::Timestamp;
use crate::storage::{BatchMark, EventRow, StoreError};

/// The newest link of the chain of an epoch.
pub(super) struct Link {
    epoch: i64,
    hash: Vec<u8>,
}

/// Makes the row of a batch; false when there is one. A batch that another connection may still commit is waited for.
pub(super) async fn mark(
    conn: &mut PgConnection,
    mark: BatchMark,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO batches (epoch, number, time) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(mark.epoch)
    .bind(mark.number)
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Writes what the row says of the batch: how much was stored, and a hash of it after the hash of the one before.
pub(super) async fn link(
    conn: &mut PgConnection,
    last: Option<&Link>,
    (mark, now): (BatchMark, Timestamp),
    stored: &[&EventRow],
) -> Result<Link, StoreError> {
    let previous = match last.filter(|last| last.epoch == mark.epoch) {
        Some(last) => last.hash.clone(),
        None => newest(conn, mark.epoch).await?,
    };
    let hash = chain(&previous, mark, now, stored);
    let customers: HashSet<_> = stored.iter().map(|row| row.customer).collect();
    sqlx::query(
        "UPDATE batches SET events = $3, customers = $4, prev_hash = $5, hash = $6
         WHERE epoch = $1 AND number = $2",
    )
    .bind(mark.epoch)
    .bind(mark.number)
    .bind(i64::try_from(stored.len()).unwrap_or(i64::MAX))
    .bind(i64::try_from(customers.len()).unwrap_or(i64::MAX))
    .bind(previous)
    .bind(&hash)
    .execute(conn)
    .await?;
    let epoch = mark.epoch;
    Ok(Link { epoch, hash })
}

/// Returns the hash of the newest batch of an epoch; nothing when there is none.
async fn newest(conn: &mut PgConnection, epoch: i64) -> Result<Vec<u8>, StoreError> {
    let hash: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT hash FROM batches WHERE epoch = $1 AND hash IS NOT NULL ORDER BY number DESC LIMIT 1",
    )
    .bind(epoch)
    .fetch_optional(conn)
    .await?;
    Ok(hash.unwrap_or_default())
}

/// Returns the hash of a batch over the one before it, its mark and time, and each stored event's key and amount.
fn chain(previous: &[u8], mark: BatchMark, now: Timestamp, stored: &[&EventRow]) -> Vec<u8> {
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
    }
    hash.finalize().to_vec()
}
