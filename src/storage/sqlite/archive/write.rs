//! Writing a copy into a new file, which gets its name only when it is complete.

use std::fs::File;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::Connection;

use super::super::columns::IdColumn;
use super::super::names::{Names, Numbers};
use super::super::open;
use super::super::segments::{self, Noted, Segment};
use super::insert::Inserts;
use super::{UNFINISHED, header, read};
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;
use crate::storage::archive::{
    ArchiveError, CustomerTotals, Header, Record, Scope, Sink, Source, Target,
};
use crate::storage::{CustomerNo, EventKind, StoreError};

/// Events that are noted together, as a segment of their own.
const SEGMENT_EVENTS: usize = 16_384;
/// Memory for pages, in KiB: keys of events may come in any order.
const CACHE_KIB: u32 = 262_144;

/// A file that a copy is written to.
pub struct SqliteTarget {
    // Declared before the lock, so that it is closed before that is given up.
    conn: Connection,
    names: Names,
    numbers: Numbers,
    segment: Option<Segment>,
    /// Events that are stored and not yet noted.
    unnoted: Vec<(EventId, CustomerNo, EventKind, Timestamp)>,
    header: Header,
    path: PathBuf,
    unfinished: PathBuf,
    _lock: File,
}

impl SqliteTarget {
    /// Begins a copy at a path where there is nothing, and keeps servers away from it. What an interrupted copy left
    /// there is thrown away.
    ///
    /// # Errors
    /// When there is a database, a server is about to make one, or the folder cannot be written.
    pub fn create(path: &Path) -> Result<Self, ArchiveError> {
        let lock = open::lock(path)?;
        let unfinished = open::beside(path, UNFINISHED);
        for there in [path.to_owned(), open::beside(path, "-wal")] {
            if there.exists() {
                return Err(ArchiveError::NotEmpty(format!(
                    "{} is there already: name a file that is not, or move it away first",
                    there.display()
                )));
            }
        }
        remove(&unfinished)?;
        let mut conn = Connection::open(&unfinished).map_err(StoreError::from)?;
        // Nobody sees the file before all of it is flushed, so nothing is flushed or undone on the way.
        conn.execute_batch(&format!(
            "PRAGMA page_size = {page};
             PRAGMA journal_mode = OFF;
             PRAGMA synchronous = OFF;
             PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA foreign_keys = OFF;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -{CACHE_KIB};",
            page = super::super::PAGE_BYTES,
        ))
        .map_err(StoreError::from)?;
        conn.set_prepared_statement_cache_capacity(64);
        open::migrate(&mut conn)?;
        let header = header(&conn)?;
        conn.execute_batch("BEGIN").map_err(StoreError::from)?;
        Ok(Self {
            conn,
            names: Names::default(),
            numbers: Numbers::default(),
            segment: None,
            unnoted: Vec::with_capacity(SEGMENT_EVENTS),
            header,
            path: path.to_owned(),
            unfinished,
            _lock: lock,
        })
    }

    fn write(&mut self, record: &Record) -> Result<(), StoreError> {
        let Self {
            conn,
            names,
            numbers,
            unnoted,
            ..
        } = self;
        let mut rows = Inserts {
            reading: names.reading(conn),
            numbers,
        };
        match record {
            Record::Catalog(row) => rows.insert(
                "INSERT INTO catalogs VALUES (?1, ?2, ?3, ?4)",
                (row.version, row.catalog.get(), &row.source, row.apply_time),
            ),
            Record::Customer(row) => rows.customer_row(row),
            Record::Subaccount(row) => rows.subaccount(row),
            Record::Override(row) => {
                let no = rows.customer(&row.customer)?;
                rows.insert(
                    "INSERT INTO overrides VALUES (?1, ?2, ?3, ?4)",
                    (no, &row.feature, &row.subaccount, row.body.get()),
                )
            }
            Record::Adjustment(row) => {
                let no = rows.customer(&row.customer)?;
                rows.insert(
                    "INSERT INTO adjustments VALUES (?1, ?2)",
                    (no, row.body.get()),
                )
            }
            Record::Allocation(row) => {
                let no = rows.customer(&row.customer)?;
                rows.insert(
                    "INSERT INTO allocations VALUES (?1, ?2, ?3, ?4)",
                    (no, &row.feature, &row.id, row.body.get()),
                )
            }
            Record::Reservation(row) => rows.reservation(row),
            Record::Wallet(row) => rows.wallet(row),
            Record::Grant(row) => rows.grant(row),
            Record::Hold(row) => rows.hold(row),
            Record::Posted(row) => rows.posted(row),
            Record::Draw(row) => rows.draw(row),
            Record::Counter(row) => rows.counter(row),
            Record::Rollup(row) => rows.rollup(row),
            Record::Event(row) => rows.event(row).map(|noted| unnoted.push(noted)),
            Record::Denial(row) => rows.insert(
                "INSERT INTO denials VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    &row.customer,
                    row.minute,
                    &row.feature,
                    &row.reason,
                    row.count,
                    &row.sample,
                ),
            ),
            Record::Answer(row) => rows.answer(row),
            Record::Billing(row) => rows.billing(row),
        }
    }

    /// Notes events by time, as commits do.
    fn note(&mut self) -> Result<(), StoreError> {
        let noted = self
            .unnoted
            .iter()
            .map(|(id, customer, kind, count_time)| Noted {
                customer: *customer,
                id: IdColumn::of(id),
                kind: *kind,
                count_time: *count_time,
            });
        let mut events: Vec<Noted<'_>> = noted.collect();
        self.segment = None;
        segments::note(&self.conn, &mut self.segment, Timestamp::MIN, &mut events)?;
        self.unnoted.clear();
        Ok(())
    }

    /// Makes the copy the database.
    fn publish(self, from: &Header) -> Result<(), ArchiveError> {
        let Self {
            conn,
            path,
            unfinished,
            _lock,
            ..
        } = self;
        let finish = || -> Result<(), StoreError> {
            conn.execute(
                "INSERT INTO store VALUES ('incarnation', lower(hex(randomblob(8)))), ('trimmed', ?1)",
                [from.latest],
            )?;
            conn.execute_batch("COMMIT; PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL;")?;
            conn.close().map_err(|(_, error)| error)?;
            Ok(())
        };
        finish()?;
        let failed = |source| ArchiveError::File {
            path: path.clone(),
            source,
        };
        File::open(&unfinished)
            .and_then(|file| file.sync_all())
            .map_err(failed)?;
        std::fs::rename(&unfinished, &path).map_err(failed)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }
}

/// Removes a file that may not be there.
fn remove(path: &Path) -> Result<(), ArchiveError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ArchiveError::File {
            path: path.to_owned(),
            source: error,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[async_trait(?Send)]
impl Sink for SqliteTarget {
    async fn take(&mut self, records: &[Record]) -> Result<(), ArchiveError> {
        for record in records {
            self.write(record)?;
            if self.unnoted.len() == SEGMENT_EVENTS {
                self.note()?;
            }
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Source for SqliteTarget {
    fn header(&self) -> &Header {
        &self.header
    }

    async fn send(&mut self, scope: &Scope, sink: &mut dyn Sink) -> Result<(), ArchiveError> {
        // What the writing side learned of names is read anew.
        let names = Names::default();
        read::send(names.reading(&self.conn), scope, sink).await
    }

    async fn totals(&mut self, after: &str) -> Result<Option<Vec<CustomerTotals>>, ArchiveError> {
        Ok(Some(read::totals(&self.conn, after)?))
    }
}

#[async_trait(?Send)]
impl Target for SqliteTarget {
    async fn settle(&mut self) -> Result<(), ArchiveError> {
        Ok(self.note()?)
    }

    async fn finish(self: Box<Self>, from: &Header) -> Result<(), ArchiveError> {
        self.publish(from)
    }

    async fn abandon(self: Box<Self>) {
        let Self {
            conn,
            unfinished,
            _lock,
            ..
        } = *self;
        drop(conn);
        if let Err(error) = remove(&unfinished) {
            tracing::warn!(%error, "what was written of the copy stays, and keeps servers away");
        }
    }
}
