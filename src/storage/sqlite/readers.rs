//! Connections that read, handed out to blocking threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::names::{Names, Reading};
use super::{Options, open};
use crate::storage::StoreError;

/// A few connections that read.
pub(super) struct Readers {
    path: PathBuf,
    options: Options,
    names: Arc<Names>,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path, options: Options, names: Arc<Names>) -> Self {
        Self {
            path: path.to_owned(),
            permits: Arc::new(Semaphore::new(options.readers.clamp(1, 64))),
            options,
            names,
            idle: Mutex::default(),
        }
    }

    /// Reads in one transaction, so that everything is seen as of one commit.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(Reading<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Unavailable("the store is closed".to_owned()))?;
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let idle = readers.idle.lock().pop();
            let conn = match idle {
                Some(conn) => conn,
                None => open::reader(&readers.path, &readers.options)?,
            };
            conn.execute_batch("BEGIN")?;
            let result = read(readers.names.reading(&conn));
            // A connection whose transaction cannot be ended is not given to the next reader.
            if conn.execute_batch("ROLLBACK").is_ok() {
                readers.idle.lock().push(conn);
            }
            result
        })
        .await
        .map_err(|error| StoreError::Unavailable(format!("a read ended early: {error}")))?
    }
}
