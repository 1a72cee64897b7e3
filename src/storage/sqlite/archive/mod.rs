//! Copying a file of SQLite out, and into a new one.

mod insert;
mod read;
mod rows;
mod write;

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};

pub use self::write::SqliteTarget;

use super::Options;
use super::names::Names;
use super::open::{self, MIGRATIONS};
use crate::storage::StoreError;
use crate::storage::archive::{
    ArchiveError, CustomerTotals, FORMAT, Header, Scope, Sink, Source, check_schema,
};

/// What follows the name of a database for the file that a copy is written to before it is complete. While it is there
/// no server opens the database.
pub(super) const UNFINISHED: &str = ".restoring";

/// Refuses to open a database of which only a part was copied so far.
pub(super) fn refuse_unfinished(path: &Path) -> Result<(), StoreError> {
    let unfinished = open::beside(path, UNFINISHED);
    if !unfinished.exists() {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "a copy into {} was begun and did not come to its end: run the same `bursar restore` or `bursar move` again, \
         or remove {} to do without it",
        path.display(),
        unfinished.display()
    )))
}

/// The rows of one instant, while a server may go on writing.
pub struct SqliteSnapshot {
    conn: Connection,
    names: Names,
    header: Header,
}

impl SqliteSnapshot {
    /// Opens a file for reading and holds on to what it holds now.
    ///
    /// # Errors
    /// When there is none, or it has another schema than this binary knows.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        if !path.exists() {
            let text = format!("there is no database {}", path.display());
            return Err(ArchiveError::Foreign(text));
        }
        let conn = open::reader(path, &Options::default())?;
        // The transaction sees what was committed when it first reads.
        conn.execute_batch("BEGIN").map_err(StoreError::from)?;
        let header = header(&conn)?;
        Ok(Self {
            conn,
            names: Names::default(),
            header,
        })
    }
}

/// Returns the version of a file's schema; 0: it has none.
fn schema(conn: &Connection) -> Result<i64, StoreError> {
    let has_schema: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations')",
        [],
        |row| row.get(0),
    )?;
    if !has_schema {
        return Ok(0);
    }
    let newest = "SELECT ifnull(max(version), 0) FROM schema_migrations";
    Ok(conn.query_row(newest, [], |row| row.get(0))?)
}

/// Says what a file holds, of which the schema must be the one that this binary knows.
fn header(conn: &Connection) -> Result<Header, ArchiveError> {
    let schema = schema(conn)?;
    check_schema(schema, MIGRATIONS.last().map_or(0, |migration| migration.0))?;

    let incarnation: Option<String> = conn
        .query_row(
            "SELECT value FROM store WHERE name = 'incarnation'",
            [],
            |row| row.get(0),
        )
        .optional()
        .map_err(StoreError::from)?;
    Ok(Header {
        bursar_archive: FORMAT,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        made: open::time(conn)?.to_string(),
        from: "sqlite".to_owned(),
        schema,
        incarnation: incarnation.unwrap_or_default(),
        latest: open::latest(conn)?.as_micros(),
    })
}

#[async_trait(?Send)]
impl Source for SqliteSnapshot {
    fn header(&self) -> &Header {
        &self.header
    }

    async fn send(&mut self, scope: &Scope, sink: &mut dyn Sink) -> Result<(), ArchiveError> {
        let reading = self.names.reading(&self.conn);
        read::send(reading, scope, sink).await
    }

    async fn totals(&mut self, after: &str) -> Result<Option<Vec<CustomerTotals>>, ArchiveError> {
        Ok(Some(read::totals(&self.conn, after)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::SqliteStore;

    #[tokio::test]
    async fn a_schema_that_is_not_known_is_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bursar.db");
        drop(SqliteStore::open(&path, Options::default()).unwrap());
        let conn = Connection::open(&path).unwrap();
        let newer = "INSERT INTO schema_migrations VALUES (999, 'x', 'x', 0)";
        conn.execute(newer, []).unwrap();
        let refused = SqliteSnapshot::open(&path).err().unwrap();
        assert!(refused.to_string().contains("has schema 999"), "{refused}");
    }
}
