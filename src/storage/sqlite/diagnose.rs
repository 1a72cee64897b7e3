//! Looking at a database file from outside, for people.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::open::{MIGRATIONS, beside};
use crate::storage::StoreError;

/// What there is to say about a database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// SQLite's `journal_mode`; `wal` is right.
    pub journal_mode: String,
    /// Version of SQLite, such as `3.51.3`.
    pub sqlite_version: String,
    /// Size of a page, in bytes.
    pub page_bytes: i64,
    /// Pages of the file, unused ones included.
    pub pages: i64,
    /// Pages that are unused.
    pub free_pages: i64,
    /// Size of the file, in bytes.
    pub file_bytes: u64,
    /// Size of the write-ahead log, in bytes; 0: there is none.
    pub wal_bytes: u64,
    /// The newest migration that ran; 0: none.
    pub schema_version: i64,
    /// The newest migration that this binary knows.
    pub schema_known: i64,
    /// How often the store was opened; 0: never.
    pub epoch: i64,
    /// What money it deals in, as its mark says; empty: in none so far.
    pub money: String,
    /// What `PRAGMA quick_check` found; empty: nothing wrong.
    pub faults: Vec<String>,
}

/// What money a database deals in: its mark, or the sandbox when that did something.
const MONEY: &str = "SELECT coalesce(
    (SELECT state FROM billing WHERE kind = 'account' AND id = 'mode'),
    (SELECT 'sandbox' FROM billing WHERE kind = 'sandbox' LIMIT 1),
    '')";

/// Looks at a database file without changing it; a server may have it open.
///
/// # Errors
/// When there is no such file or it is no database.
pub fn diagnose(path: impl AsRef<Path>) -> Result<Diagnosis, StoreError> {
    let path = path.as_ref();
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.execute_batch("PRAGMA busy_timeout = 5000")?;
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let text = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0));
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let mut check = conn.prepare("PRAGMA quick_check(20)")?;
    let mut faults: Vec<String> = check
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    faults.retain(|fault| fault != "ok");
    Ok(Diagnosis {
        journal_mode: text("PRAGMA journal_mode")?,
        sqlite_version: rusqlite::version().to_owned(),
        page_bytes: number("PRAGMA page_size")?,
        pages: number("PRAGMA page_count")?,
        free_pages: number("PRAGMA freelist_count")?,
        file_bytes: size(path),
        wal_bytes: size(&beside(path, "-wal")),
        // A file that was never opened as a store has none of these tables.
        schema_version: number("SELECT ifnull(max(version), 0) FROM schema_migrations")
            .unwrap_or(0),
        schema_known: MIGRATIONS.last().map_or(0, |migration| migration.0),
        epoch: number("SELECT value FROM store WHERE name = 'epoch'").unwrap_or(0),
        money: text(MONEY).unwrap_or_default(),
        faults,
    })
}
