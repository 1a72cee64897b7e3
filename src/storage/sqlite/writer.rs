//! The one thread that writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode, OptionalExtension};
use tokio::sync::oneshot;

use super::checkpoint::Checkpointer;
use super::error::end_on_failed_flush;
use super::insert::ForgetfulKeys;
use super::marks::{Chain, Link};
use super::names::{Names, Numbers, Reading};
use super::rollups::Combinations;
use super::segments::Segment;
use super::trim::TrimCursor;
use super::{billing, changes, counters, find, insert, marks, rollups, segments, trim, wallets};
use crate::domain::time::{Span, Timestamp};
use crate::failpoint;
use crate::storage::{
    Batch, Changes, Committed, CounterSet, CounterShift, CustomerNo, Denial, Found, StoreError,
};

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked for.
pub(super) enum Ask {
    Commit(Box<Batch>, Reply<Committed>),
    Enlist(Reply<i64>),
    Denials(Vec<Denial>, Reply<()>),
    Trim(Timestamp, Span, Reply<bool>),
    /// Runs statements on the writing connection.
    #[cfg(test)]
    Execute(String, Reply<()>),
}

/// Reaches the writer; dropping it waits until the writer has ended.
pub(super) struct WriterHandle {
    asks: Option<Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterHandle {
    pub(super) fn start(
        conn: Connection,
        names: Arc<Names>,
        checkpointer: Checkpointer,
    ) -> Result<Self, StoreError> {
        let last_hash: Option<Vec<u8>> = conn
            .query_row(
                "SELECT hash FROM batches ORDER BY seq DESC LIMIT 1",
                [],
                |row| row.get(0),
            )
            .optional()?;
        let mut writer = Writer {
            conn,
            names,
            checkpointer,
            numbers: Numbers::default(),
            combinations: Combinations::default(),
            segment: None,
            forgetful: ForgetfulKeys::default(),
            trimmed: TrimCursor::default(),
            last_hash: last_hash.unwrap_or_default(),
        };
        let (asks, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || writer.serve(&receiver))
            .map_err(|error| StoreError::Unavailable(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            asks: Some(asks),
            thread: Some(thread),
        })
    }

    /// Asks and waits for the answer.
    pub(super) async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, StoreError> {
        let ended = || StoreError::Unavailable("the writer has ended".to_owned());
        let (reply, answer) = oneshot::channel();
        let asks = self.asks.as_ref().ok_or_else(ended)?;
        asks.send(ask(reply)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            // It has said why if it panicked.
            let _ = thread.join();
        }
    }
}

/// The writing connection and what is known of the rows it wrote.
struct Writer {
    conn: Connection,
    names: Arc<Names>,
    checkpointer: Checkpointer,
    numbers: Numbers,
    combinations: Combinations,
    segment: Option<Segment>,
    forgetful: ForgetfulKeys,
    trimmed: TrimCursor,
    last_hash: Vec<u8>,
}

/// A batch whose rows are written and not yet committed.
struct Filled {
    created: Vec<(crate::domain::id::CustomerId, CustomerNo)>,
    hash: Vec<u8>,
    now: Timestamp,
    /// What the injected defect writes only after the commit.
    late: Option<(Vec<CounterSet>, Vec<CounterShift>)>,
}

impl Writer {
    fn serve(&mut self, asks: &Receiver<Ask>) {
        while let Ok(ask) = asks.recv() {
            // A caller that no longer waits does not matter: what was asked is done all the same.
            match ask {
                Ask::Commit(batch, reply) => drop(reply.send(self.commit(*batch))),
                Ask::Enlist(reply) => drop(reply.send(self.enlist())),
                Ask::Denials(denials, reply) => {
                    let done =
                        self.transaction(|writer| changes::log_denials(&writer.conn, &denials));
                    drop(reply.send(done));
                }
                Ask::Trim(now, keep, reply) => drop(reply.send(self.trim(now, keep))),
                #[cfg(test)]
                Ask::Execute(sql, reply) => {
                    drop(reply.send(self.conn.execute_batch(&sql).map_err(Into::into)));
                }
            }
            self.checkpointer.after_commit(&self.conn);
        }
    }

    fn enlist(&mut self) -> Result<i64, StoreError> {
        self.transaction(|writer| {
            let sql = "INSERT INTO store VALUES ('epoch', 1)
                       ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value";
            Ok(writer.conn.query_row(sql, [], |row| row.get(0))?)
        })
    }

    fn commit(&mut self, batch: Batch) -> Result<Committed, StoreError> {
        let filled = self.transaction(|writer| {
            let filled = writer.fill(batch)?;
            failpoint::hit("commit.before_commit");
            Ok(filled)
        })?;
        failpoint::hit("commit.after_commit");
        let Some(filled) = filled else {
            return Ok(Committed {
                created: Vec::new(),
                repeated: true,
            });
        };
        self.names.tell(filled.now);
        self.last_hash = filled.hash;
        if let Some((sets, shifts)) = filled.late {
            failpoint::hit("fault.between");
            self.transaction(|writer| {
                let (reading, numbers, _) = writer.parts();
                counters::set(reading, numbers, &sets)?;
                counters::shift(reading, numbers, &shifts)
            })?;
        }
        Ok(Committed {
            created: filled.created,
            repeated: false,
        })
    }

    /// Runs a transaction: all of it is durable when this returns, or nothing of it is stored.
    fn transaction<T>(
        &mut self,
        fill: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let segment = self.segment.clone();
        self.conn
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])
            .map_err(StoreError::from)?;
        let result = fill(self).and_then(|done| self.end().map(|()| done));
        if let Err(error) = &result {
            tracing::debug!(%error, "a transaction was rolled back");
            self.roll_back();
            self.segment = segment;
        }
        result
    }

    /// Commits, and says what a failure of it means.
    fn end(&self) -> Result<(), StoreError> {
        let Err(error) = self
            .conn
            .prepare_cached("COMMIT")
            .and_then(|mut commit| commit.execute([]))
        else {
            return Ok(());
        };
        end_on_failed_flush(&error);
        if self.conn.is_autocommit() && error.sqlite_error_code() != Some(ErrorCode::DiskFull) {
            // SQLite ended the transaction by itself: frames of it may be in the log.
            return Err(StoreError::Unknown(error.to_string()));
        }
        Err(error.into())
    }

    /// Takes back what the transaction did, here and in the file.
    fn roll_back(&mut self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            end_on_failed_flush(&error);
            tracing::error!(%error, "a rollback failed");
        }
        self.names.forget();
        self.numbers.clear();
        self.combinations.clear();
        self.trimmed = TrimCursor::default();
    }

    fn parts(&mut self) -> (Reading<'_>, &mut Numbers, &mut Combinations) {
        let reading = self.names.reading(&self.conn);
        (reading, &mut self.numbers, &mut self.combinations)
    }

    /// Finds out, decides and writes; `None`: the batch is already stored.
    fn fill(&mut self, batch: Batch) -> Result<Option<Filled>, StoreError> {
        let Self {
            conn,
            names,
            numbers,
            combinations,
            segment,
            forgetful,
            last_hash,
            ..
        } = self;
        let reading = names.reading(conn);
        if marks::is_marked(conn, batch.mark)? {
            return Ok(None);
        }
        failpoint::hit("commit.begun");
        marks::check_catalog(conn, batch.catalog)?;
        let plain = &batch.plain;
        marks::check_customers(conn, plain.iter().flat_map(|rows| rows.iter()))?;
        let mut inserted = insert::insert_plain(conn, numbers, forgetful, plain)?;
        failpoint::hit("commit.events_inserted");
        let found = Found {
            plain,
            duplicates: inserted.duplicates(reading)?,
            events: find::events(reading, &batch.probe_events)?,
            requests: find::answers(reading, batch.probe_requests)?,
            billing: billing::find(reading, &batch.probe_billing)?,
            accounts: find::accounts(reading, &batch.customers, batch.now)?,
            folds: find::folds(reading, &inserted, &batch.folds)?,
        };
        // A decision that panics must not take the writer with it.
        let mut changes = catch_unwind(AssertUnwindSafe(|| (batch.decide)(&found)))
            .map_err(|_| StoreError::Constraint("the decision panicked".to_owned()))?;
        drop(found);
        if let Some(why) = changes.abort.take() {
            return Err(StoreError::Constraint(why));
        }
        failpoint::hit("commit.decided");

        inserted.take_out(conn, &changes.refused)?;
        marks::check_customers(conn, changes.events.iter())?;
        insert::insert_decided(conn, numbers, &changes.events)?;
        let mut chain = Chain::begin(last_hash, batch.mark, batch.now);
        chain.events(&inserted, &changes.events);
        let mut noted = insert::noted(&inserted, &changes.events);
        let customers = segments::note(conn, segment, batch.now, &mut noted)?;
        let stored = i64::try_from(noted.len()).unwrap_or(i64::MAX);
        let created = changes::write(reading, numbers, batch.now, &changes)?;
        wallets::write(reading, numbers, &mut chain, &changes.books)?;
        let late = take_late(&mut changes);
        counters::clear(reading, numbers, &changes.cleared)?;
        counters::set(reading, numbers, &changes.counters)?;
        counters::shift(reading, numbers, &changes.shifts)?;
        marks::check_numbers(conn, changes.rollups.iter().map(|shift| shift.customer))?;
        rollups::write(reading, numbers, combinations, &changes.rollups)?;
        let link = Link {
            mark: batch.mark,
            now: batch.now,
            events: stored,
            customers,
        };
        let hash = link.write(conn, last_hash, chain)?;
        failpoint::hit("commit.rows_written");
        Ok(Some(Filled {
            created,
            hash,
            now: batch.now,
            late,
        }))
    }

    fn trim(&mut self, now: Timestamp, keep: Span) -> Result<bool, StoreError> {
        // The segment that takes events may be trimmed too; the next commit opens another.
        self.segment = None;
        let more = self.transaction(|writer| {
            let reading = writer.names.reading(&writer.conn);
            trim::slice(reading, &mut writer.trimmed, now, keep)
        })?;
        self.names.tell(now);
        Ok(more)
    }
}

/// Takes the counters out of the changes where the injected defect wants them late.
fn take_late(changes: &mut Changes) -> Option<(Vec<CounterSet>, Vec<CounterShift>)> {
    failpoint::fault("counter_outside_transaction").then(|| {
        (
            std::mem::take(&mut changes.counters),
            std::mem::take(&mut changes.shifts),
        )
    })
}
