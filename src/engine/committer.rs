//! The committer: gathers mutations into batches and makes each batch one transaction.
//!
//! One batch is in flight at a time; what arrives meanwhile makes up the next, so a busy service commits large
//! batches and an idle one small ones, without waiting for either. Answers are sent after the commit.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::Shared;
use super::cell::Cell;
use super::error::Error;
use super::mutation::{Pending, Write};
use super::step::{Deciding, Place};
use super::track::Track;
use crate::clock::Stopwatch;
use crate::domain::quantity::Overflow;
use crate::failpoint;
use crate::storage::{Batch, BatchMark, Changes, Committed, Found, StoreError};

/// Most mutations in one batch.
const BATCH_WRITES_MAX: usize = 4096;
/// How often mutations are made ready and tried again.
const ROUNDS_MAX: usize = 16;

type Writes = Vec<Box<dyn Write>>;

/// What `decide` leaves for the committer.
#[derive(Default)]
struct Decided {
    touched: Vec<Arc<Cell>>,
    not_ready: bool,
    overflowed: bool,
}

/// The committer of one range of customers; SQLite has one for all.
pub(super) struct Committer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Box<dyn Write>>,
    /// A mutation that must have a batch to itself and came while another was gathered.
    held: Option<Box<dyn Write>>,
    epoch: i64,
    number: i64,
}

impl Committer {
    pub(super) fn new(
        shared: Arc<Shared>,
        queue: mpsc::Receiver<Box<dyn Write>>,
        epoch: i64,
    ) -> Self {
        Self {
            shared,
            queue,
            held: None,
            epoch,
            number: 0,
        }
    }

    /// Runs until every sender is gone.
    pub(super) async fn run(mut self) {
        while let Some(writes) = self.gather().await {
            self.commit(writes).await;
        }
        tracing::debug!("committer drained");
    }

    /// Gathers what waits, at least one mutation.
    async fn gather(&mut self) -> Option<Writes> {
        let first = match self.held.take() {
            Some(held) => held,
            None => self.queue.recv().await?,
        };
        let limits = &self.shared.limits;
        let mut events = first.plain().map_or(1, |chunk| chunk.len());
        let mut bytes = first.weight();
        let alone = first.is_alone();
        let mut writes = vec![first];
        while !alone
            && writes.len() < BATCH_WRITES_MAX
            && events < limits.batch_events
            && bytes < limits.batch_bytes
        {
            let Ok(next) = self.queue.try_recv() else {
                break;
            };
            if next.is_alone() {
                self.held = Some(next);
                break;
            }
            events += next.plain().map_or(1, |chunk| chunk.len());
            bytes += next.weight();
            writes.push(next);
        }
        Some(writes)
    }

    /// Commits mutations, and what of them must be tried again, until each has its answer.
    async fn commit(&mut self, mut writes: Writes) {
        for _ in 0..ROUNDS_MAX {
            writes = self.commit_once(writes).await;
            if writes.is_empty() {
                return;
            }
            let cells = writes
                .iter()
                .flat_map(|write| write.cells())
                .cloned()
                .collect();
            let failed = self.make_ready(cells).await;
            writes = finish_failed(writes, &failed);
        }
        tracing::error!(writes = writes.len(), "mutations cannot be made ready");
        finish(writes, &Err(Error::Internal));
    }

    /// Loads what mutations need and memory does not hold, and sees to it that its counters are kept. Returns those
    /// that cannot be loaded.
    async fn make_ready(&mut self, cells: Vec<Arc<Cell>>) -> Vec<(Arc<Cell>, Error)> {
        let (mut untracked, mut failed) = (Vec::new(), Vec::new());
        for cell in cells {
            match self.shared.load(&cell.id).await {
                Ok(Some(cell)) => {
                    if !cell.is_ready() {
                        untracked.push(cell);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(customer.id = %cell.id, %error, "account cannot be loaded");
                    failed.push((cell, error));
                }
            }
        }
        for cell in untracked {
            let (track, _) = Pending::new(Track::new(cell));
            Box::pin(self.commit_once(vec![Box::new(track)])).await;
        }
        failed
    }

    /// Commits one batch; returns what must be tried again.
    async fn commit_once(&mut self, writes: Writes) -> Writes {
        let watch = Stopwatch::start();
        self.number += 1;
        let count = writes.len();
        let writes = Arc::new(Mutex::new(writes));
        let decided = Arc::new(Mutex::new(Decided::default()));
        let mut outcome = self
            .shared
            .store
            .commit(self.batch(&writes, &decided))
            .await;
        let mut before = Vec::new();
        for attempt in 0..UNKNOWN_ATTEMPTS {
            let Err(StoreError::Unknown(detail)) = &outcome else {
                break;
            };
            tracing::warn!(attempt, %detail, "the outcome of a commit is unknown, asking again");
            // The same mark: if the first one was committed, it is found and nothing is done twice.
            let first = std::mem::take(&mut *decided.lock());
            forget(&first.touched);
            before.extend(first.touched);
            outcome = self
                .shared
                .store
                .commit(self.batch(&writes, &decided))
                .await;
        }
        let mut decided = std::mem::take(&mut *decided.lock());
        decided.touched.append(&mut before);
        let writes = std::mem::take(&mut *writes.lock());
        self.shared.note_batch(count, &outcome, watch.elapsed());
        self.conclude(writes, decided, outcome).await
    }

    async fn conclude(
        &mut self,
        writes: Writes,
        decided: Decided,
        outcome: Result<Committed, StoreError>,
    ) -> Writes {
        match outcome {
            Ok(_) => {
                failpoint::hit("engine.committed");
                let mut writes = writes;
                for write in &mut writes {
                    write.committed(&self.shared);
                }
                finish(writes, &Ok(()));
                failpoint::hit("engine.answered");
                let catalog = self.shared.loader.current().version();
                self.shared.watchers.committed(&decided.touched, catalog);
                Vec::new()
            }
            Err(StoreError::Constraint(_)) if decided.not_ready => {
                forget(&decided.touched);
                writes
            }
            Err(StoreError::Constraint(detail)) if writes.len() > 1 => {
                tracing::warn!(%detail, writes = writes.len(), "a batch broke a constraint, trying one by one");
                forget(&decided.touched);
                for write in writes {
                    let again = Box::pin(self.commit_once(vec![write])).await;
                    if !again.is_empty() {
                        Box::pin(self.commit(again)).await;
                    }
                }
                Vec::new()
            }
            Err(error) => {
                forget(&decided.touched);
                let error = match error {
                    StoreError::Constraint(_) => Error::Overflow(Overflow),
                    other => Error::Store(other),
                };
                finish(writes, &Err(error));
                Vec::new()
            }
        }
    }

    /// Returns a batch of these mutations.
    fn batch(&self, writes: &Arc<Mutex<Writes>>, decided: &Arc<Mutex<Decided>>) -> Batch {
        let now = self.shared.clock.now();
        let mut batch = Batch {
            mark: BatchMark {
                epoch: self.epoch,
                number: self.number,
            },
            now,
            plain: Vec::new(),
            probe_events: Vec::new(),
            probe_requests: Vec::new(),
            load: Vec::new(),
            folds: Vec::new(),
            decide: Box::new(|_| Changes::default()),
        };
        let mut places = Vec::new();
        for write in writes.lock().iter_mut() {
            let mut place = Place::default();
            if let Some(chunk) = write.plain() {
                place.chunk = Some(batch.plain.len());
                batch.plain.push(Arc::clone(chunk));
            }
            let start = batch.probe_events.len();
            batch.probe_events.extend(write.probes());
            place.probes = start..batch.probe_events.len();
            let start = batch.folds.len();
            batch.folds.extend(write.folds(&self.shared.loader, now));
            place.folds = start..batch.folds.len();
            if let Some(request) = write.request() {
                place.request = Some(batch.probe_requests.len());
                batch.probe_requests.push(request.key.clone());
            }
            places.push(place);
        }
        let (writes, decided, shared) = (
            Arc::clone(writes),
            Arc::clone(decided),
            Arc::clone(&self.shared),
        );
        batch.decide = Box::new(move |found| {
            decide(
                &shared,
                now,
                found,
                &mut writes.lock(),
                places,
                &mut decided.lock(),
            )
        });
        batch
    }
}

/// How often a commit of unknown outcome is asked about again before its callers are told.
const UNKNOWN_ATTEMPTS: usize = 5;

/// Decides a batch: every mutation in order of arrival, on the accounts as they stand.
fn decide(
    shared: &Shared,
    now: crate::domain::time::Timestamp,
    found: &Found<'_>,
    writes: &mut Writes,
    places: Vec<Place>,
    decided: &mut Decided,
) -> Changes {
    let mut batch = Deciding::new(now, &shared.loader, found);
    decided.not_ready = !batch.enter_all(writes);
    if decided.not_ready {
        decided.touched = batch.touched_cells();
        return abort("accounts are not in memory");
    }
    for (write, place) in writes.iter_mut().zip(places) {
        batch.run(write.as_mut(), place);
        decided.overflowed |= write.overflowed();
        if failpoint::fault("ack_before_commit") {
            write.finish(Ok(()));
        }
    }
    decided.touched = batch.touched_cells();
    match batch.collect() {
        Ok(changes) if !decided.overflowed => changes,
        Ok(_) | Err(Overflow) => {
            decided.overflowed = true;
            abort("a sum would leave the range of 64 bits")
        }
    }
}

fn abort(why: &str) -> Changes {
    Changes {
        abort: Some(why.to_owned()),
        ..Changes::default()
    }
}

fn forget(touched: &[Arc<Cell>]) {
    for cell in touched {
        cell.lock().forget();
    }
}

/// Answers those that need what cannot be loaded, and returns the others.
fn finish_failed(writes: Writes, failed: &[(Arc<Cell>, Error)]) -> Writes {
    let mut others = Writes::new();
    for mut write in writes {
        let lost = failed.iter().find(|(cell, _)| {
            let mut needed = write.cells().iter();
            needed.any(|other| Arc::ptr_eq(cell, other))
        });
        match lost {
            Some((_, error)) => write.finish(Err(error.clone())),
            None => others.push(write),
        }
    }
    others
}

fn finish(writes: Writes, outcome: &Result<(), Error>) {
    for mut write in writes {
        write.finish(outcome.clone());
    }
}
