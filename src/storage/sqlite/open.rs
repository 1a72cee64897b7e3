//! Opening a database file: lock, settings, schema.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use sha2::{Digest, Sha256};

use super::Options;
use super::columns::corrupt;
use crate::domain::fingerprint::fingerprint;
use crate::domain::time::Timestamp;
use crate::storage::StoreError;

/// Migrations in order: version, name, text.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "init",
        include_str!("../../../migrations/sqlite/0001_init.sql"),
    ),
    (
        2,
        "credits",
        include_str!("../../../migrations/sqlite/0002_credits.sql"),
    ),
    (
        3,
        "billing",
        include_str!("../../../migrations/sqlite/0003_billing.sql"),
    ),
];

/// How many prepared statements a connection keeps.
const STATEMENTS_KEPT: usize = 128;
/// How long a connection waits for another process that holds a lock (a backup, a shell), in milliseconds.
const BUSY_TIMEOUT_MS: u32 = 5_000;

/// What was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Names this life of the database; a restored backup is to get another.
    pub incarnation: String,
}

/// The file that says that a process owns the database; the lock on it ends with the process.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let lock_path = beside(path, ".lock");
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(|error| {
            StoreError::Unavailable(format!("cannot open {}: {error}", lock_path.display()))
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "{} is already open in another process, which holds {}",
            path.display(),
            lock_path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(StoreError::Unavailable(format!(
            "cannot lock {}: {error}",
            lock_path.display()
        ))),
    }
}

/// Returns the path of a file whose name is the database's with something after it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Returns a database in memory with nothing but the schema.
#[cfg(test)]
pub(super) fn empty() -> Connection {
    let conn = Connection::open_in_memory().expect("memory holds a database");
    for (_, _, text) in MIGRATIONS {
        conn.execute_batch(text).expect("the schema has no faults");
    }
    conn
}

/// Opens the connection that writes and checks that what it acknowledges is durable.
pub(super) fn writer(path: &Path, options: &Options) -> Result<Connection, StoreError> {
    let conn = Connection::open(path)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.execute_batch(&format!(
        "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS};
         PRAGMA page_size = {page};
         PRAGMA journal_mode = {journal};
         PRAGMA synchronous = {synchronous};
         PRAGMA foreign_keys = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA cache_size = -{cache};",
        page = super::PAGE_BYTES,
        journal = options.journal_mode,
        synchronous = options.synchronous,
        cache = options.writer_cache_kib,
    ))?;
    let journal: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let synchronous: i64 = conn.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    if (journal != "wal" || synchronous != 2) && !options.allow_weak_durability {
        return Err(StoreError::Unavailable(format!(
            "the database runs with journal_mode={journal} synchronous={synchronous}; journal_mode=wal \
             synchronous=2 is needed so that what is acknowledged is durable, unless weak durability is allowed"
        )));
    }
    Ok(conn)
}

/// Opens a connection that moves pages from the log into the file, and flushes both as the writer does.
pub(super) fn checkpointer(path: &Path) -> Result<Connection, StoreError> {
    let conn = Connection::open(path)?;
    conn.execute_batch(&format!(
        "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
    ))?;
    Ok(conn)
}

/// Opens a connection that only reads.
pub(super) fn reader(path: &Path, options: &Options) -> Result<Connection, StoreError> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.execute_batch(&format!(
        "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA query_only = ON; PRAGMA cache_size = -{};",
        options.reader_cache_kib
    ))?;
    Ok(conn)
}

/// Returns the database's own time; SQLite counts whole milliseconds.
pub(super) fn time(conn: &Connection) -> Result<Timestamp, StoreError> {
    let millis: i64 = conn
        .prepare_cached("SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER)")?
        .query_row([], |row| row.get(0))?;
    super::columns::read_time("clock", millis.saturating_mul(1000))
}

/// Returns the latest instant that the store was told before it was opened.
pub(super) fn latest(conn: &Connection) -> Result<Timestamp, StoreError> {
    let micros: i64 = conn.query_row(
        "SELECT max(ifnull((SELECT time FROM batches ORDER BY seq DESC LIMIT 1), 0),
                    ifnull((SELECT value FROM store WHERE name = 'trimmed'), 0))",
        [],
        |row| row.get(0),
    )?;
    super::columns::read_time("batches", micros)
}

/// Runs the migrations that the file lacks.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), StoreError> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL, apply_time INTEGER NOT NULL)",
    )?;
    let newest: Option<i64> =
        conn.query_row("SELECT max(version) FROM schema_migrations", [], |row| {
            row.get(0)
        })?;
    let known = MIGRATIONS.last().map_or(0, |migration| migration.0);
    if newest.is_some_and(|newest| newest > known) {
        return Err(corrupt(
            "schema_migrations",
            format!(
                "the file has schema {} and this binary knows {known}: it was written by a newer one",
                newest.unwrap_or(0)
            ),
        ));
    }
    for (version, name, text) in MIGRATIONS {
        let checksum: [u8; 32] = Sha256::digest(text).into();
        let recorded: Option<Vec<u8>> = conn
            .query_row(
                "SELECT checksum FROM schema_migrations WHERE version = ?1",
                [version],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(recorded) = recorded {
            if recorded != checksum {
                return Err(corrupt(
                    "schema_migrations",
                    format!("migration {version} was changed after it ran"),
                ));
            }
            continue;
        }
        let now = time(conn)?.as_micros();
        let transaction = conn.transaction()?;
        transaction.execute_batch(text)?;
        transaction.execute(
            "INSERT INTO schema_migrations VALUES (?1, ?2, ?3, ?4)",
            (version, name, checksum, now),
        )?;
        transaction.commit()?;
    }
    Ok(())
}

/// Names this life of the database, unless it has a name.
pub(super) fn begin(conn: &mut Connection, path: &Path) -> Result<Opened, StoreError> {
    let now = time(conn)?;
    let transaction = conn.transaction()?;
    let seed = format!(
        "{} {} {}",
        now.as_micros(),
        std::process::id(),
        path.display()
    );
    let fresh = fingerprint(seed, 8);
    transaction.execute(
        "INSERT INTO store VALUES ('incarnation', ?1) ON CONFLICT DO NOTHING",
        [fresh],
    )?;
    let incarnation = transaction.query_row(
        "SELECT value FROM store WHERE name = 'incarnation'",
        [],
        |row| row.get(0),
    )?;
    transaction.commit()?;
    Ok(Opened { incarnation })
}
