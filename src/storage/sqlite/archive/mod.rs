//! Copying a file of SQLite out, and into a new one.

mod insert;
mod read;
mod rows;
mod write;

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};

pub use self::write::SqliteTarget;

use super::names::Names;
use super::open::{self, MIGRATIONS};
use super::{Options, columns};
use crate::storage::StoreError;
use crate::storage::archive::{ArchiveError, CustomerTotals, FORMAT, Header, Scope, Sink, Source};

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
            return Err(StoreError::Unavailable(text).into());
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

/// Says what a file holds, of which the schema must be the one that this binary knows.
fn header(conn: &Connection) -> Result<Header, StoreError> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.0);
    let has_schema: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations')",
        [],
        |row| row.get(0),
    )?;
    let schema: i64 = if has_schema {
        conn.query_row(
            "SELECT ifnull(max(version), 0) FROM schema_migrations",
            [],
            |row| row.get(0),
        )?
    } else {
        0
    };
    if schema != known {
        return Err(columns::corrupt(
            "schema_migrations",
            format!(
                "the file has schema {schema} and this binary copies {known}: use the binary whose server has it, or \
                 start a server of this one once"
            ),
        ));
    }
    let incarnation: Option<String> = conn
        .query_row(
            "SELECT value FROM store WHERE name = 'incarnation'",
            [],
            |row| row.get(0),
        )
        .optional()?;
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
