//! What changes something: a mutation decides on accounts under lock, within a batch, and gets one answer.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::Shared;
use super::cell::Cell;
use super::error::Error;
use super::load::Loader;
use super::step::Step;
use crate::domain::id::RequestId;
use crate::domain::time::Timestamp;
use crate::storage::{BillingKey, EventKey, EventRow, Fold, RequestKey};

/// What a mutation came to.
pub(super) enum Applied<A> {
    /// It changed something, or found that it need not. The answer is kept under its request id.
    Done(A),
    /// It was refused and changed nothing. Nothing is kept.
    Refused(A),
}

/// What changes something.
///
/// `apply` must be all or nothing: it checks before it changes. An [`Error::Overflow`] out of `apply` takes the
/// whole batch back, and the mutations of the batch are tried one by one.
pub(super) trait Mutation: Send + 'static {
    /// Names it among the mutations that carry request ids.
    const METHOD: &'static str;
    /// What it answers.
    type Answer: Send + 'static;

    /// The accounts it looks at or changes.
    fn cells(&self) -> &[Arc<Cell>];

    /// The accounts whose newest state it must be decided on: all that it looks at, entered into the batch or not.
    fn named(&self) -> &[Arc<Cell>] {
        self.cells()
    }

    /// Whether it must have a batch to itself, because it changes what is counted.
    fn is_alone(&self) -> bool {
        false
    }

    /// Whether it may apply a catalog.
    fn changes_catalog(&self) -> bool {
        false
    }

    /// Events that are stored if they are new, whatever is decided.
    fn plain(&self) -> Option<&Arc<Vec<EventRow>>> {
        None
    }

    /// Events whose presence it depends on.
    fn probes(&self) -> Vec<EventKey> {
        Vec::new()
    }

    /// Dealings with Stripe that it depends on, or replaces.
    fn documents(&self) -> Vec<BillingKey> {
        Vec::new()
    }

    /// Counters to be built from events.
    fn folds(&mut self, _loader: &Loader, _now: Timestamp) -> Vec<Fold> {
        Vec::new()
    }

    /// Roughly how many bytes it holds while it waits.
    fn weight(&self) -> usize {
        256
    }

    /// Decides and changes.
    ///
    /// # Errors
    /// When it cannot be done; nothing is changed then.
    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Self::Answer>, Error>;

    /// Makes known what it changed beyond accounts: its batch is durable and the answer is not sent yet.
    fn committed(&mut self, _shared: &Shared) {}
}

/// How answers are stored for repeats: as JSON.
struct Codec<A> {
    write: fn(&A) -> serde_json::Result<String>,
    read: fn(&str) -> serde_json::Result<A>,
}

/// Under which key a mutation is done once.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) key: RequestKey,
    pub(super) content: [u8; 16],
}

impl Request {
    /// Names a mutation attempt by its caller, method and request id, with a hash of what it asks for.
    pub(super) fn new<C: Serialize>(
        caller: &str,
        method: &'static str,
        request: RequestId,
        content: &C,
    ) -> Result<Self, Error> {
        let content = serde_json::to_vec(content).map_err(|_| Error::Internal)?;
        let digest = Sha256::digest(content);
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        let key = RequestKey {
            caller: caller.into(),
            method,
            request,
        };
        Ok(Self { key, content: hash })
    }
}

/// A mutation on its way, with whom to answer.
pub(super) struct Pending<M: Mutation> {
    mutation: M,
    request: Option<(Request, Codec<M::Answer>)>,
    outcome: Option<Result<M::Answer, Error>>,
    reply: Option<oneshot::Sender<Result<M::Answer, Error>>>,
}

/// A mutation on its way, of whatever type.
pub(super) trait Write: Send {
    fn cells(&self) -> &[Arc<Cell>];
    fn named(&self) -> &[Arc<Cell>];
    fn is_alone(&self) -> bool;
    fn changes_catalog(&self) -> bool;
    fn plain(&self) -> Option<&Arc<Vec<EventRow>>>;
    fn probes(&self) -> Vec<EventKey>;
    fn documents(&self) -> Vec<BillingKey>;
    fn folds(&mut self, loader: &Loader, now: Timestamp) -> Vec<Fold>;
    fn weight(&self) -> usize;
    fn request(&self) -> Option<&Request>;
    /// Decides; what it comes to is kept until [`Write::finish`].
    fn run(&mut self, step: &mut Step<'_, '_>);
    /// Whether the batch must be taken back because of it.
    fn overflowed(&self) -> bool;
    /// Makes known what it changed beyond accounts, once its batch is durable.
    fn committed(&mut self, shared: &Shared);
    /// Answers: what was decided, or why it could not be made durable.
    fn finish(&mut self, committed: Result<(), Error>);
}

pub(super) type Receiver<M> = oneshot::Receiver<Result<<M as Mutation>::Answer, Error>>;

impl<M: Mutation> Pending<M> {
    /// A mutation without a request id: it is safe to repeat by itself.
    pub(super) fn new(mutation: M) -> (Self, Receiver<M>) {
        let (reply, answer) = oneshot::channel();
        let pending = Self {
            mutation,
            request: None,
            outcome: None,
            reply: Some(reply),
        };
        (pending, answer)
    }

    /// A mutation that is done once per request; a repeat gets the first answer.
    pub(super) fn once(mutation: M, request: Request) -> (Self, Receiver<M>)
    where
        M::Answer: Serialize + DeserializeOwned,
    {
        let (mut pending, answer) = Self::new(mutation);
        let codec = Codec {
            write: |answer| serde_json::to_string(answer),
            read: |text| serde_json::from_str(text),
        };
        pending.request = Some((request, codec));
        (pending, answer)
    }

    /// Applies it, or finds the answer it got before.
    fn decide(&mut self, step: &mut Step<'_, '_>) -> Result<M::Answer, Error> {
        if let Some((request, codec)) = &self.request
            && let Some(stored) = step.answered(request)
        {
            if stored.content != request.content {
                let id = request.key.request.to_string();
                return Err(Error::RequestIdReused { id });
            }
            return (codec.read)(&stored.answer).map_err(|error| {
                tracing::error!(method = M::METHOD, %error, "stored answer cannot be read");
                Error::Internal
            });
        }
        let answer = match self.mutation.apply(step)? {
            Applied::Refused(answer) => return Ok(answer),
            Applied::Done(answer) => answer,
        };
        if let Some((request, codec)) = &self.request {
            let text = (codec.write)(&answer).map_err(|error| {
                tracing::error!(method = M::METHOD, %error, "answer cannot be written");
                Error::Internal
            })?;
            step.keep_answer(request, text.into());
        }
        Ok(answer)
    }
}

impl<M: Mutation> Write for Pending<M> {
    fn cells(&self) -> &[Arc<Cell>] {
        self.mutation.cells()
    }

    fn named(&self) -> &[Arc<Cell>] {
        self.mutation.named()
    }

    fn is_alone(&self) -> bool {
        self.mutation.is_alone()
    }

    fn changes_catalog(&self) -> bool {
        self.mutation.changes_catalog()
    }

    fn plain(&self) -> Option<&Arc<Vec<EventRow>>> {
        self.mutation.plain()
    }

    fn probes(&self) -> Vec<EventKey> {
        self.mutation.probes()
    }

    fn documents(&self) -> Vec<BillingKey> {
        self.mutation.documents()
    }

    fn folds(&mut self, loader: &Loader, now: Timestamp) -> Vec<Fold> {
        self.mutation.folds(loader, now)
    }

    fn weight(&self) -> usize {
        self.mutation.weight()
    }

    fn request(&self) -> Option<&Request> {
        self.request.as_ref().map(|request| &request.0)
    }

    fn run(&mut self, step: &mut Step<'_, '_>) {
        self.outcome = Some(self.decide(step));
    }

    fn overflowed(&self) -> bool {
        matches!(self.outcome, Some(Err(Error::Overflow(_))))
    }

    fn committed(&mut self, shared: &Shared) {
        self.mutation.committed(shared);
    }

    fn finish(&mut self, committed: Result<(), Error>) {
        let Some(reply) = self.reply.take() else {
            return;
        };
        let answer = match (committed, self.outcome.take()) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(Error::Internal),
            // What was refused for its own sake stays refused, whatever became of the batch.
            (Err(_), Some(Err(error @ (Error::Overflow(_) | Error::RequestIdReused { .. })))) => {
                Err(error)
            }
            (Err(error), _) => Err(error),
        };
        // Nobody waits any more when the caller hung up: what was done stays done.
        let _ = reply.send(answer);
    }
}
