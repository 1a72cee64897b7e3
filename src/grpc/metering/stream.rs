//! `RecordUsage`: recording on one connection, with cumulative acknowledgements and credits.
//!
//! One task per stream takes batches, gives them to the engine in order, several at a time, and acknowledges what is
//! final as a prefix of the sequence. It holds at most what the credits allow, so a client that does not read its
//! acknowledgements stops itself and nobody else.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Status, Streaming};

use super::BATCH_MAX;
use super::batch::read;
use super::pipeline::{Part, Pipeline};
use crate::engine::{Engine, Error, RecordOutcome};
use crate::grpc::convert::count;
use crate::grpc::pb;
use crate::grpc::status::{StreamFault, explain, to_rpc_status};

/// Answers that wait for the connection; what comes beyond is merged into fewer.
const ANSWERS_WAITING: usize = 4;
/// Most rejects in one answer, so that it stays well below what clients take as one message.
const REJECTS_MAX: usize = 1000;
/// What an event holds in memory beside its labels, roughly, in bytes.
const EVENT_BYTES: usize = 512;

/// Serves one stream.
pub(super) fn record_usage(
    engine: Engine,
    draining: CancellationToken,
    credits: usize,
    batches: Streaming<pb::RecordUsageRequest>,
) -> BoxStream<pb::RecordUsageResponse> {
    let (answers, receiver) = mpsc::channel(ANSWERS_WAITING);
    let session = Session {
        engine,
        credits,
        batches,
        is_reading: true,
        next_seq: 1,
        acked: 0,
        pipeline: Pipeline::default(),
        settled: VecDeque::new(),
        is_announcing: true,
        is_draining: false,
        ending: None,
    };
    tokio::spawn(session.run(answers, draining));
    Box::pin(ReceiverStream::new(receiver))
}

type Batch = Result<pb::RecordUsageRequest, Status>;

/// A run of events with its final outcome.
struct Settled {
    through: i64,
    duplicates: i64,
    rejects: Vec<pb::UsageReject>,
}

struct Session {
    engine: Engine,
    credits: usize,
    batches: Streaming<pb::RecordUsageRequest>,
    /// Whether batches are still taken.
    is_reading: bool,
    /// The sequence number that the next batch must start with.
    next_seq: i64,
    /// What the client was told last.
    acked: i64,
    pipeline: Pipeline,
    /// What is final and not told yet.
    settled: VecDeque<Settled>,
    /// Whether there is something to say that is no acknowledgement.
    is_announcing: bool,
    is_draining: bool,
    /// Why the stream ends once all that was taken is told.
    ending: Option<Status>,
}

impl Session {
    async fn run(
        mut self,
        answers: mpsc::Sender<Result<pb::RecordUsageResponse, Status>>,
        draining: CancellationToken,
    ) {
        let mut drained = pin!(draining.cancelled());
        while !self.is_over() {
            let may_read = self.is_reading && self.pipeline.has_room();
            tokio::select! {
                biased;
                () = &mut drained, if !self.is_draining => self.drain(),
                known = self.pipeline.next(&self.engine), if !self.pipeline.is_empty() => {
                    if let Some((first_seq, outcomes)) = known {
                        self.settle(first_seq, outcomes);
                    }
                }
                room = answers.reserve(), if self.has_news() => match room {
                    Ok(room) => room.send(Ok(self.news())),
                    // Nobody listens any more.
                    Err(_) => return,
                },
                batch = self.batches.next(), if may_read => self.gather(batch).await,
            }
        }
        if let Some(status) = self.ending.take() {
            // Whoever hung up does not need to be told.
            let _ = answers.send(Err(status)).await;
        }
    }

    fn is_over(&self) -> bool {
        !self.is_reading && self.pipeline.is_empty() && !self.has_news()
    }

    fn has_news(&self) -> bool {
        self.is_announcing || !self.settled.is_empty()
    }

    /// Takes no more batches, says so, and ends when all that was taken is told.
    fn drain(&mut self) {
        self.is_draining = true;
        self.is_announcing = true;
        if self.is_reading {
            self.end(Error::Draining);
        }
    }

    fn end(&mut self, why: impl Into<Status>) {
        self.is_reading = false;
        self.ending.get_or_insert_with(|| why.into());
    }

    /// Takes a batch and those that wait behind it, as one part.
    async fn gather(&mut self, first: Option<Batch>) {
        let first_seq = self.next_seq;
        let mut events = Vec::new();
        let mut unreadable = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(batch) = next {
            let Some(sent) = self.accept(batch) else {
                break;
            };
            for event in sent {
                bytes += weight(&event);
                let index = events.len() + unreadable.len();
                read(event, index, &mut events, &mut unreadable);
            }
            if events.len() + unreadable.len() >= BATCH_MAX {
                break;
            }
            next = self.waiting().await;
        }
        if self.next_seq > first_seq {
            let part = Part {
                first_seq,
                unreadable,
                bytes,
            };
            self.pipeline.start(&self.engine, part, events);
        }
    }

    /// Returns what was received already; `None`: nothing.
    async fn waiting(&mut self) -> Option<Option<Batch>> {
        poll_fn(
            |context| match Pin::new(&mut self.batches).poll_next(context) {
                Poll::Ready(batch) => Poll::Ready(Some(batch)),
                Poll::Pending => Poll::Ready(None),
            },
        )
        .await
    }

    /// Checks a batch against the protocol; what breaks it ends the stream.
    fn accept(&mut self, batch: Option<Batch>) -> Option<Vec<pb::UsageEvent>> {
        let batch = match batch {
            Some(Ok(batch)) => batch,
            Some(Err(status)) => {
                self.end(explain(status));
                return None;
            }
            None => {
                self.is_reading = false;
                return None;
            }
        };
        match check(&batch, self.next_seq, self.acked, self.credits) {
            Ok(next_seq) => {
                self.next_seq = next_seq;
                Some(batch.events)
            }
            Err(status) => {
                self.end(status);
                None
            }
        }
    }

    /// Notes what became of a part.
    fn settle(&mut self, first_seq: i64, outcomes: Result<Vec<RecordOutcome>, Error>) {
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // Nothing can be said of these events, so nothing may be said of those after them.
                self.pipeline.clear();
                self.end(error);
                return;
            }
        };
        let mut settled = Settled {
            through: first_seq - 1,
            duplicates: 0,
            rejects: Vec::new(),
        };
        for outcome in &outcomes {
            settled.through += 1;
            match outcome {
                RecordOutcome::Recorded(_) => {}
                RecordOutcome::Duplicate(_) => settled.duplicates += 1,
                RecordOutcome::Rejected(error) => settled.rejects.push(pb::UsageReject {
                    seq: settled.through,
                    status: Some(to_rpc_status(error)),
                }),
            }
        }
        self.settled.push_back(settled);
    }

    /// Returns what there is to say, merged as far as it fits one answer.
    fn news(&mut self) -> pb::RecordUsageResponse {
        self.is_announcing = false;
        let mut answer = pb::RecordUsageResponse {
            credits: i32::try_from(self.credits).unwrap_or(i32::MAX),
            drain: self.is_draining,
            ..pb::RecordUsageResponse::default()
        };
        while let Some(mut settled) = self.settled.pop_front() {
            if !answer.rejects.is_empty()
                && answer.rejects.len() + settled.rejects.len() > REJECTS_MAX
            {
                self.settled.push_front(settled);
                break;
            }
            self.acked = settled.through;
            answer.duplicate_count += settled.duplicates;
            answer.rejects.append(&mut settled.rejects);
        }
        answer.acked_through = self.acked;
        answer
    }
}

/// Checks a batch and returns the sequence number after it.
fn check(
    batch: &pb::RecordUsageRequest,
    expected: i64,
    acked: i64,
    credits: usize,
) -> Result<i64, Status> {
    let size = batch.events.len();
    if batch.first_seq != expected {
        let actual = batch.first_seq;
        return Err(StreamFault::SequenceBroken { expected, actual }.into());
    }
    count("events", size, 1, BATCH_MAX)?;
    let next = expected.saturating_add(i64::try_from(size).unwrap_or(i64::MAX));
    let unacked = usize::try_from(next - 1 - acked).unwrap_or(usize::MAX);
    if unacked > credits {
        return Err(StreamFault::CreditsExceeded { credits, unacked }.into());
    }
    Ok(next)
}

/// Returns roughly what an event holds in memory, in bytes.
fn weight(event: &pb::UsageEvent) -> usize {
    let labels = event.dimensions.iter().chain(&event.metadata);
    EVENT_BYTES
        + labels
            .map(|(key, value)| 64 + key.len() + value.len())
            .sum::<usize>()
}
