//! Calls that change something at Stripe: noted before they are made, so that a repeat makes the same call under the same
//! key, and kept with their answer after.

use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::biller::Biller;
use super::document::{read, write};
use super::fault::BillingFault;
use crate::domain::billing::DOUBT_AFTER;
use crate::domain::fingerprint::fingerprint;
use crate::domain::id::RequestId;
use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::Error;
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{ANSWERS_KEPT, BillingKey, BillingKind, BillingQuery, BillingRow};

/// A call that is being made.
pub type Calling<'a, A> = Pin<Box<dyn Future<Output = Result<A, Error>> + Send + 'a>>;

/// A call that was noted.
struct NotedCall {
    key: BillingKey,
    /// What Stripe is called under.
    stripe_key: Box<str>,
    /// When it was first noted.
    first_time: Timestamp,
    /// How often it was made, with this time.
    attempts: u32,
    /// What it came to before; `None`: it is still to be made.
    answer: Option<Box<str>>,
}

/// What is kept of a call.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The key under which Stripe is called: the same whenever the call is made again, and another once it is known that
    /// nothing came of it, since Stripe would say the same again under the old one.
    stripe_key: Box<str>,
    /// A hash of what was asked for.
    content: Box<str>,
    /// How often it was made.
    #[serde(default)]
    attempts: u32,
    answer: Option<Box<str>>,
}

impl Engine {
    /// Makes a call to whoever bills, once for a request: a repeat gets the first answer, or makes the same call under the
    /// same key when nobody knows what became of it.
    ///
    /// # Errors
    /// When nobody bills, the request id was used for another, it is too late to repeat the call, or the call fails.
    pub async fn call_once<'a, C: Serialize, A: Serialize + DeserializeOwned>(
        &self,
        (caller, method): (&str, &'static str),
        request: &RequestId,
        content: &C,
        call: impl FnOnce(Arc<dyn Biller>, String) -> Calling<'a, A>,
    ) -> Result<A, Error> {
        let biller = self.biller()?;
        let noted = self.note_call((caller, method), request, content).await?;
        if let Some(answer) = &noted.answer {
            return serde_json::from_str(answer).map_err(|_| Error::Internal);
        }
        // Stripe knows keys for a day: later the same call would be another one.
        if self.now().since(noted.first_time) >= DOUBT_AFTER {
            let why = "it was first made too long ago; look at Stripe before it is made again";
            return Err(BillingFault::OutcomeUnknown(why.to_owned()).into());
        }
        let answer = match call(biller, noted.stripe_key.to_string()).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.give_up(noted, error).await),
        };
        let end = End {
            key: noted.key,
            answer: write(&answer)?,
        };
        self.submit(end).await?;
        Ok(answer)
    }

    /// Forgets a call of which it is certain that nothing came, so that the same request can be made again.
    async fn give_up(&self, noted: NotedCall, error: Error) -> Error {
        let key = noted.key;
        if came_to_nothing(&error, noted.attempts)
            && let Err(kept) = self.submit(Forget { key }).await
        {
            tracing::warn!(%kept, "a call that came to nothing is forgotten later");
        }
        error
    }

    /// Notes a call that is to be made once.
    async fn note_call<C: Serialize>(
        &self,
        (caller, method): (&str, &'static str),
        request: &RequestId,
        content: &C,
    ) -> Result<NotedCall, Error> {
        let name = format!("{method} {request} {caller}");
        let content = serde_json::to_vec(content).map_err(|_| Error::Internal)?;
        let begin = Begin {
            key: key(&name),
            fresh: format!("call_{}", Self::fresh_id()).into(),
            content: fingerprint(&content, 20).into(),
            request: request.clone(),
        };
        self.submit(begin).await
    }

    /// Forgets calls that are older than answers are kept, at most so many.
    pub(in crate::engine) async fn forget_calls(&self, limit: usize) -> Result<(), Error> {
        let query = BillingQuery {
            due_by: Some(self.now()),
            ..BillingQuery::of(BillingKind::Call, limit)
        };
        for row in self.shared.store.billing(query).await?.items {
            self.submit(Forget { key: row.key }).await?;
        }
        Ok(())
    }
}

/// Whether it is certain that nothing came of any attempt: the only one was turned away, or Stripe says so of the key itself.
fn came_to_nothing(error: &Error, attempts: u32) -> bool {
    match error {
        Error::Billing(fault) => match fault {
            BillingFault::Declined { .. } => true,
            BillingFault::Refused(_)
            | BillingFault::NotSetUp(_)
            | BillingFault::Committed { .. }
            | BillingFault::SandboxOnly
            | BillingFault::ClockShared
            | BillingFault::OtherMoney(_)
            | BillingFault::Absent => attempts == 1,
            BillingFault::Unavailable(_) | BillingFault::OutcomeUnknown(_) => false,
        },
        Error::Invalid { .. } | Error::NotFound { .. } | Error::Exists { .. } => attempts == 1,
        _ => false,
    }
}

fn key(name: &str) -> BillingKey {
    BillingKey {
        kind: BillingKind::Call,
        id: name.into(),
    }
}

/// Notes a call.
struct Begin {
    key: BillingKey,
    /// The key for Stripe, if it is noted now.
    fresh: Box<str>,
    content: Box<str>,
    request: RequestId,
}

impl Mutation for Begin {
    const METHOD: &'static str = "NoteCall";
    type Answer = NotedCall;

    fn cells(&self) -> &[Arc<Cell>] {
        &[]
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<NotedCall>, Error> {
        let now = step.now();
        let found = step.document(0, &self.key);
        let kept = found.as_ref().map(read::<Kept>).transpose()?;
        if let Some(kept) = &kept
            && kept.content != self.content
        {
            let id = self.request.to_string();
            return Err(Error::RequestIdReused { id });
        }
        let first_time = found.as_ref().map_or(now, |row| row.create_time);
        let mut kept = kept.unwrap_or_else(|| Kept {
            stripe_key: self.fresh.clone(),
            content: self.content.clone(),
            attempts: 0,
            answer: None,
        });
        if kept.answer.is_none() {
            kept.attempts += 1;
            step.put_document(row(&self.key, &kept, first_time)?);
        }
        Ok(Applied::Done(NotedCall {
            key: self.key.clone(),
            stripe_key: kept.stripe_key,
            first_time,
            attempts: kept.attempts,
            answer: kept.answer,
        }))
    }
}

/// Keeps the answer of a call.
struct End {
    key: BillingKey,
    answer: Box<str>,
}

impl Mutation for End {
    const METHOD: &'static str = "KeepCall";
    type Answer = ();

    fn cells(&self) -> &[Arc<Cell>] {
        &[]
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        if let Some(found) = step.document(0, &self.key) {
            let mut kept: Kept = read(&found)?;
            kept.answer = Some(self.answer.clone());
            step.put_document(row(&self.key, &kept, found.create_time)?);
        }
        Ok(Applied::Done(()))
    }
}

/// Forgets a call.
struct Forget {
    key: BillingKey,
}

impl Mutation for Forget {
    const METHOD: &'static str = "ForgetCall";
    type Answer = ();

    fn cells(&self) -> &[Arc<Cell>] {
        &[]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        step.drop_document(self.key.clone());
        Ok(Applied::Done(()))
    }
}

fn row(key: &BillingKey, kept: &Kept, create_time: Timestamp) -> Result<BillingRow, Error> {
    let state = if kept.answer.is_some() {
        "done"
    } else {
        "begun"
    };
    Ok(BillingRow {
        key: key.clone(),
        customer: None,
        state: state.into(),
        // From then on it may be forgotten.
        due_time: Some(create_time.plus(ANSWERS_KEPT)),
        create_time,
        body: write(kept)?,
    })
}
