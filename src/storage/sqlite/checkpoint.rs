//! Moving pages from the write-ahead log into the database file, beside the writer.
//!
//! The log starts over only when a commit finds all of it moved. Under a load that never pauses that would never be,
//! so the writer itself moves the rest, which is little, when the log has grown long.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::Options;
use super::error::end_on_failed_flush;
use super::open;
use crate::storage::StoreError;

/// How many times the pages at which moving begins the log may hold before the writer helps.
const LOG_LENGTHS_MAX: i64 = 16;

/// Pages of the log.
struct Log {
    pages: i64,
    /// Those that are in the file already.
    moved: i64,
}

/// Reaches the thread that moves pages; dropping it waits until that has ended.
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Held by who moves pages: SQLite lets one at a time.
    moving: Arc<Mutex<()>>,
    /// Pages that wait in the log from which on they are moved.
    pages: i64,
}

impl Checkpointer {
    pub(super) fn start(path: &Path, options: &Options) -> Result<Self, StoreError> {
        let conn = open::checkpointer(path)?;
        let moving = Arc::new(Mutex::new(()));
        let guard = Arc::clone(&moving);
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("sqlite-log".to_owned())
            .spawn(move || {
                while let Ok(()) = woken.recv() {
                    let _moving = guard.lock();
                    note(move_pages(&conn));
                }
            })
            .map_err(|error| StoreError::Unavailable(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            wake: Some(wake),
            thread: Some(thread),
            moving,
            pages: options.checkpoint_pages,
        })
    }

    /// Sees to it that the log stays short. Called by the writer between commits.
    pub(super) fn after_commit(&self, conn: &Connection) {
        let log = match checkpoint(conn, "NOOP") {
            Ok(log) => log,
            Err(error) => return note(Err(error)),
        };
        if log.pages - log.moved < self.pages {
            return;
        }
        if log.pages >= self.pages.saturating_mul(LOG_LENGTHS_MAX) {
            let _moving = self.moving.lock();
            note(move_pages(conn));
        } else if let Some(wake) = &self.wake {
            // When it is at it, or woken already, it need not be told.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // It has said why if it panicked.
            let _ = thread.join();
        }
    }
}

fn move_pages(conn: &Connection) -> rusqlite::Result<()> {
    checkpoint(conn, "PASSIVE").map(drop)
}

/// Runs a checkpoint: NOOP only looks, PASSIVE moves what it can without waiting for anybody.
fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<Log> {
    conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| {
            Ok(Log {
                pages: row.get(1)?,
                moved: row.get(2)?,
            })
        })
}

fn note(done: rusqlite::Result<()>) {
    if let Err(error) = done {
        end_on_failed_flush(&error);
        tracing::warn!(%error, "a checkpoint failed and is tried again after the next commit");
    }
}
