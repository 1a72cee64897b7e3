//! Following what other processes do to a shared database, so that memory is behind by little.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::background::every;
use super::error::Error;
use super::{Engine, Shared};
use crate::domain::id::CustomerId;
use crate::storage::{AccountRows, Feed, FeedCursor, StoreError};

/// Most customers that are read anew in one question.
const READ_MAX: usize = 256;
/// Most customers that are read anew after one look: together they cost far less than when each is asked for by itself.
const RENEWED_MAX: usize = 2_048;
/// So often a customer is read anew without being used meanwhile.
const RENEWALS_MAX: u8 = 40;
/// A look that takes longer than so many intervals is given up, and counts as a failure of the database.
const LATE_AFTER: u32 = 8;
/// It has at least this long.
const LATE_MIN: Duration = Duration::from_secs(1);

impl Engine {
    /// Follows until `stop` is cancelled; does nothing where only this process writes. Looks twice in each
    /// [`Limits::refresh`](super::Limits::refresh), so that what was just missed is not seen too late.
    pub async fn follow_others(self, stop: CancellationToken) {
        if !self.shared.store.is_shared() {
            return;
        }
        let interval = self.shared.limits.refresh / 2;
        let mut ticks = every(interval);
        let late = (interval * LATE_AFTER).max(LATE_MIN);
        let mut cursor = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let before = cursor.clone();
            match timeout(late, self.shared.look(before)).await {
                Ok(Ok(next)) => {
                    cursor = Some(next);
                    self.shared.outage.follows();
                }
                Ok(Err(Error::Store(error))) => self.shared.outage.lost(self.now(), &error),
                Ok(Err(error)) => tracing::error!(%error, "what others did cannot be taken in"),
                Err(_) => {
                    let silent = StoreError::Unavailable("it does not answer in time".to_owned());
                    self.shared.outage.lost(self.now(), &silent);
                }
            }
        }
        tracing::debug!("following ended");
    }
}

impl Shared {
    /// Takes in what others did since the cursor.
    async fn look(&self, since: Option<FeedCursor>) -> Result<FeedCursor, Error> {
        let is_first = since.is_none();
        let feed = self.store.follow(since).await?;
        let catalog = self.loader.current().version();
        if feed.catalog > catalog {
            self.renew_catalog().await?;
            tracing::info!(version = feed.catalog, "another process applied a catalog");
        }
        // What was loaded before the first look may be older than where that begins.
        if is_first || feed.everything {
            self.accounts.forget_all();
            self.watchers.wake_all();
        } else {
            self.renew(&feed).await?;
        }
        let newest = self.loader.current().version();
        self.watchers.committed(feed.changed.iter(), newest);
        Ok(feed.cursor)
    }

    /// Reads customers anew that others changed, if somebody used them here not long ago; of many, those that were used
    /// last. The others that memory holds are read when somebody asks for them.
    async fn renew(&self, feed: &Feed) -> Result<(), Error> {
        let held = feed.changed.iter();
        let held = held.filter_map(|id| self.accounts.get(id.as_str()));
        let (mut used, mut idle): (Vec<_>, Vec<_>) = held
            .map(|cell| (cell.renewals(), cell))
            .partition(|(renewals, cell)| *renewals < RENEWALS_MAX && cell.is_loaded());
        used.sort_unstable_by_key(|(renewals, _)| *renewals);
        idle.extend(used.split_off(used.len().min(RENEWED_MAX)));
        for (_, cell) in idle {
            let mut inner = cell.lock();
            // What is being read just now may be older, too. A running batch has read what is newest.
            if inner.in_batch.is_none() {
                inner.distrust();
            }
        }
        let changed: Vec<CustomerId> = used
            .into_iter()
            .map(|(_, cell)| {
                cell.note_renewal();
                cell.id.clone()
            })
            .collect();
        for ids in changed.chunks(READ_MAX) {
            let now = self.clock.now();
            let read = self.store.accounts(ids, now).await?;
            for (id, rows) in ids.iter().zip(read) {
                let Some(rows) = rows else { continue };
                self.take_newer(id, rows).await?;
            }
        }
        Ok(())
    }

    /// Takes an account that was read in place of an older one. One that a batch has changed, or is changing, is newer or
    /// will be: it is left alone.
    async fn take_newer(&self, id: &CustomerId, rows: AccountRows) -> Result<(), Error> {
        self.loader.catalogs_for(&rows, &*self.store).await?;
        let Some(cell) = self.accounts.get(id.as_str()) else {
            return Ok(());
        };
        let now = self.clock.now();
        let mut inner = cell.lock();
        if inner.in_batch.is_some() {
            return Ok(());
        }
        if inner.account.is_none() {
            inner.distrust();
        } else if inner.version < rows.version {
            self.take_rows(&cell, &mut inner, rows, now);
        }
        Ok(())
    }
}
