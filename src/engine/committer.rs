//! The committer: gathers mutations into batches and makes each batch one transaction.
//!
//! One batch is in flight at a time; what arrives meanwhile makes up the next, so a busy service commits large
//! batches and an idle one small ones, without waiting for either. Answers are sent after the commit.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::Shared;
use super::backoff::Backoff;
use super::cell::Cell;
use super::decide::{self, Decided, Touch, Writes};
use super::error::Error;
use super::mutation::{Pending, Write};
use super::track::Track;
use crate::clock::Stopwatch;
use crate::failpoint;
use crate::storage::{BatchMark, Committed, StoreError};

/// Most mutations in one batch.
const BATCH_WRITES_MAX: usize = 4096;
/// How often mutations are made ready and tried again.
const ROUNDS_MAX: usize = 16;
/// How often a commit of unknown outcome is asked about again before its callers are told.
const UNKNOWN_ATTEMPTS: usize = 6;
/// The longest pause between two such questions, and between two batches while the store fails.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The committer of one range of customers; SQLite has one for all.
pub(super) struct Committer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Box<dyn Write>>,
    /// A mutation that must have a batch to itself and came while another was gathered.
    held: Option<Box<dyn Write>>,
    /// Which of the process's committers it is.
    place: u16,
    /// The mark of the last batch that was committed; `None`: a life is to be begun.
    last: Option<BatchMark>,
    backoff: Backoff,
}

impl Committer {
    pub(super) fn new(
        shared: Arc<Shared>,
        queue: mpsc::Receiver<Box<dyn Write>>,
        place: u16,
    ) -> Self {
        Self {
            shared,
            queue,
            held: None,
            place,
            last: None,
            backoff: Backoff::new(PAUSE_MAX),
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
                .flat_map(|write| write.named())
                .cloned()
                .collect();
            let failed = self.make_ready(cells).await;
            writes = finish_failed(writes, &failed);
        }
        tracing::error!(
            writes = writes.len(),
            "mutations cannot be decided on what others leave"
        );
        let lost = StoreError::Conflict("too many rounds".to_owned());
        finish(writes, &Err(Error::Store(lost)));
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

    /// Returns the mark of the next batch, of a new life if there is none.
    async fn next_mark(&mut self) -> Result<BatchMark, StoreError> {
        let last = match self.last {
            Some(last) => last,
            None => BatchMark {
                epoch: self.shared.store.enlist(self.place).await?,
                number: 0,
            },
        };
        self.last = Some(last);
        Ok(BatchMark {
            number: last.number + 1,
            ..last
        })
    }

    /// Commits one batch; returns what must be tried again.
    async fn commit_once(&mut self, writes: Writes) -> Writes {
        let watch = Stopwatch::start();
        let count = writes.len();
        let mark = match self.next_mark().await {
            Ok(mark) => mark,
            Err(StoreError::Conflict(detail)) => {
                tracing::debug!(%detail, "another process was faster, beginning again");
                self.backoff.pause().await;
                return writes;
            }
            Err(error) => {
                self.shared
                    .note_batch(count, &Err(error.clone()), watch.elapsed());
                finish(writes, &Err(Error::Store(error)));
                self.backoff.pause().await;
                return Vec::new();
            }
        };
        let writes = Arc::new(Mutex::new(writes));
        let (outcome, decided) = self.decide_and_commit(mark, &writes).await;
        let writes = std::mem::take(&mut *writes.lock());
        self.shared.note_batch(count, &outcome, watch.elapsed());
        self.conclude(mark, writes, decided, outcome).await
    }

    /// Hands a batch to the store; when the outcome is not known, again, until it is.
    async fn decide_and_commit(
        &mut self,
        mark: BatchMark,
        writes: &Arc<Mutex<Writes>>,
    ) -> (Result<Committed, StoreError>, Decided) {
        let decided = Arc::new(Mutex::new(Decided::default()));
        let mut before = Vec::new();
        let mut is_doubtful = false;
        let mut questions = Backoff::new(PAUSE_MAX);
        let mut attempt = 0;
        let mut outcome = loop {
            let batch = decide::batch(&self.shared, mark, writes, &decided);
            let outcome = self.shared.store.commit(batch).await;
            is_doubtful |= matches!(outcome, Err(StoreError::Unknown(_)));
            let is_open = match &outcome {
                Err(StoreError::Unknown(_)) => true,
                // This attempt came to nothing; what became of those before it is still not known.
                Err(StoreError::Unavailable(_) | StoreError::Full(_)) => is_doubtful,
                _ => false,
            };
            attempt += 1;
            let gives_up =
                attempt > UNKNOWN_ATTEMPTS || failpoint::fault("unknown_commit_is_failure");
            if !is_open || gives_up {
                break outcome;
            }
            tracing::warn!(attempt, "the outcome of a commit is unknown, asking again");
            // The same mark: if the first one was committed, it is found and nothing is done twice.
            let first = std::mem::take(&mut *decided.lock());
            forget(&first.touched);
            before.extend(first.touched);
            questions.pause().await;
        };
        if is_doubtful
            && let Err(StoreError::Unavailable(detail) | StoreError::Full(detail)) = outcome
        {
            outcome = Err(StoreError::Unknown(detail));
        }
        let mut decided = std::mem::take(&mut *decided.lock());
        decided.touched.append(&mut before);
        (outcome, decided)
    }

    async fn conclude(
        &mut self,
        mark: BatchMark,
        writes: Writes,
        decided: Decided,
        outcome: Result<Committed, StoreError>,
    ) -> Writes {
        let Err(error) = outcome else {
            self.last = Some(mark);
            self.backoff.reset();
            self.announce(writes, &decided.touched);
            return Vec::new();
        };
        forget(&decided.touched);
        match error {
            StoreError::Constraint(_) if decided.not_ready => writes,
            StoreError::Conflict(detail) => {
                tracing::debug!(%detail, "another process was faster, deciding again");
                writes
            }
            StoreError::Fenced => {
                tracing::warn!(
                    epoch = mark.epoch,
                    "this process was silent too long, beginning anew"
                );
                self.last = None;
                writes
            }
            StoreError::Outdated => match self.shared.renew_catalog().await {
                Ok(()) => writes,
                Err(error) => {
                    finish(writes, &Err(error));
                    Vec::new()
                }
            },
            StoreError::Constraint(detail) if writes.len() > 1 => {
                tracing::warn!(%detail, writes = writes.len(), "a batch broke a constraint, trying one by one");
                for write in writes {
                    let again = Box::pin(self.commit_once(vec![write])).await;
                    if !again.is_empty() {
                        Box::pin(self.commit(again)).await;
                    }
                }
                Vec::new()
            }
            error => {
                self.fail(writes, error).await;
                Vec::new()
            }
        }
    }

    /// Answers what could not be committed, and waits a little before the next batch while the store fails.
    async fn fail(&mut self, writes: Writes, error: StoreError) {
        let is_unknown = matches!(error, StoreError::Unknown(_));
        if is_unknown && failpoint::fault("unknown_commit_is_failure") {
            let refused = StoreError::Conflict("taken for a failure".to_owned());
            return finish(writes, &Err(Error::Store(refused)));
        }
        if is_unknown {
            // Its number may be taken: the next batch gets one of a new life, which this one cannot commit beside.
            self.last = None;
        }
        let is_corrupt = matches!(error, StoreError::Corrupt { .. });
        let error = match error {
            StoreError::Constraint(_) => Error::Overflow(None),
            other => Error::Store(other),
        };
        let waits = !is_corrupt && !matches!(error, Error::Overflow(_));
        finish(writes, &Err(error));
        if waits {
            self.backoff.pause().await;
        }
    }

    /// Makes known what was committed, and answers.
    fn announce(&self, mut writes: Writes, touched: &[Touch]) {
        failpoint::hit("engine.committed");
        for touch in touched {
            let mut inner = touch.cell.lock();
            if inner.generation == touch.generation {
                inner.version += 1;
            }
        }
        for write in &mut writes {
            write.committed(&self.shared);
        }
        finish(writes, &Ok(()));
        failpoint::hit("engine.answered");
        let catalog = self.shared.loader.current().version();
        let cells = touched.iter().map(|touch| &touch.cell.id);
        self.shared.watchers.committed(cells, catalog);
    }
}

fn forget(touched: &[Touch]) {
    for touch in touched {
        touch.cell.lock().distrust();
    }
}

/// Answers those that need what cannot be loaded, and returns the others.
fn finish_failed(writes: Writes, failed: &[(Arc<Cell>, Error)]) -> Writes {
    let mut others = Writes::new();
    for mut write in writes {
        let lost = failed.iter().find(|(cell, _)| {
            let mut needed = write.named().iter();
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
