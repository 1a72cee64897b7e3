//! The inbox of webhooks: stored before they are acknowledged, worked on after, and forgotten when none like it can come.

use std::sync::Arc;

use super::document::{read, write};
use crate::domain::billing::{Inbound, InboundState};
use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::Error;
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow, Page};

/// A webhook and the id of its event.
pub type InboundView = (Box<str>, Inbound);

/// Most webhooks that one mutation changes, so that a batch stays short.
const TOGETHER: usize = 128;
/// Roughly what a webhook takes of memory while it waits to be stored, in bytes.
const BYTES_EACH: usize = 512;

impl Engine {
    /// Stores a webhook; false when it is there already. It is durable when this returns.
    ///
    /// # Errors
    /// When the store fails: it must not be acknowledged then.
    pub async fn receive_webhook(&self, id: &str, inbound: Inbound) -> Result<bool, Error> {
        let received = self.receive_webhooks(vec![(id.into(), inbound)], false);
        Ok(received.await? == 1)
    }

    /// Stores webhooks; returns of how many there is something to do now that was not before. Those that are there are left
    /// as they are, or, with `again`, worked on once more.
    ///
    /// # Errors
    /// When the store fails; some may be stored then.
    pub async fn receive_webhooks(
        &self,
        views: Vec<InboundView>,
        again: bool,
    ) -> Result<usize, Error> {
        let mut turns = Vec::with_capacity(views.len());
        for (id, inbound) in views {
            turns.push((key(&id), Turn::Receive(Box::new(inbound), again)));
        }
        self.change_webhooks(turns).await
    }

    /// Returns webhooks about which there is something to do, the longest waiting first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due_webhooks(&self, limit: usize) -> Result<Vec<InboundView>, Error> {
        let query = BillingQuery {
            due_by: Some(self.now()),
            ..BillingQuery::of(BillingKind::Webhook, limit)
        };
        Ok(self.webhooks(query).await?.items)
    }

    /// Lists webhooks, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_webhooks(
        &self,
        state: Option<InboundState>,
        (after, limit): (Option<String>, usize),
    ) -> Result<Page<InboundView>, Error> {
        let query = BillingQuery {
            state: state.map(|state| state.word().into()),
            after,
            ..BillingQuery::of(BillingKind::Webhook, limit)
        };
        self.webhooks(query).await
    }

    async fn webhooks(&self, query: BillingQuery) -> Result<Page<InboundView>, Error> {
        let page = self.shared.store.billing(query).await?;
        let rows = page.items.into_iter();
        let views = rows.map(|row| Ok((row.key.id.clone(), read(&row)?)));
        Ok(Page {
            items: views.collect::<Result<_, Error>>()?,
            next: page.next,
        })
    }

    /// Notes that webhooks are done with; returns how many. Those that somebody else has ended meanwhile stay as they are.
    ///
    /// # Errors
    /// When the store fails; they are worked on again then.
    pub async fn end_webhooks(
        &self,
        ids: &[Box<str>],
        state: InboundState,
    ) -> Result<usize, Error> {
        let turns = ids.iter().map(|id| (key(id), Turn::End(state)));
        self.change_webhooks(turns.collect()).await
    }

    /// Notes that webhooks could not be worked on, and tries again later; returns how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn fail_webhooks(&self, ids: &[Box<str>], why: &str) -> Result<usize, Error> {
        let why: Arc<str> = why.into();
        let turns = ids.iter().map(|id| (key(id), Turn::Fail(Arc::clone(&why))));
        self.change_webhooks(turns.collect()).await
    }

    /// Forgets webhooks that were remembered for long enough; those that wait, or are due later, stay. Returns how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_webhooks(&self, ids: &[Box<str>]) -> Result<usize, Error> {
        let turns = ids.iter().map(|id| (key(id), Turn::Forget));
        self.change_webhooks(turns.collect()).await
    }

    /// Changes webhooks, many in one commit; returns how many there were to change.
    async fn change_webhooks(&self, turns: Vec<(BillingKey, Turn)>) -> Result<usize, Error> {
        let mut changed = 0;
        let mut turns = turns.into_iter();
        while turns.len() > 0 {
            let (keys, turns) = turns.by_ref().take(TOGETHER).unzip();
            changed += self.submit(Change { keys, turns }).await?;
        }
        Ok(changed)
    }
}

fn key(id: &str) -> BillingKey {
    BillingKey {
        kind: BillingKind::Webhook,
        id: id.into(),
    }
}

/// What is to be done with a webhook.
enum Turn {
    /// To store it; if it is there and done with, to work on it once more where that is asked for.
    Receive(Box<Inbound>, bool),
    End(InboundState),
    Fail(Arc<str>),
    Forget,
}

/// What a turn comes to.
enum Left {
    /// The webhook stays as it is.
    Alone,
    Changed(Inbound),
    Gone,
}

impl Turn {
    fn of(&self, found: Option<Inbound>, now: Timestamp) -> Left {
        match (self, found) {
            (Self::Receive(inbound, _), None) => Left::Changed((**inbound).clone()),
            (Self::Receive(_, true), Some(mut inbound)) if inbound.is_ended() => {
                inbound.wait_again(now);
                Left::Changed(inbound)
            }
            (Self::End(state), Some(mut inbound)) if !inbound.is_ended() => {
                inbound.end(*state, now);
                Left::Changed(inbound)
            }
            (Self::Fail(why), Some(mut inbound)) if !inbound.is_ended() => {
                inbound.fail(why, now);
                Left::Changed(inbound)
            }
            (Self::Forget, Some(inbound)) if inbound.is_ended() && inbound.due_time <= now => {
                Left::Gone
            }
            (Self::Receive(..), Some(_))
            | (Self::End(_) | Self::Fail(_) | Self::Forget, Some(_) | None) => Left::Alone,
        }
    }
}

/// Changes documents of the inbox. It answers how many there were to change.
struct Change {
    keys: Vec<BillingKey>,
    turns: Vec<Turn>,
}

impl Mutation for Change {
    const METHOD: &'static str = "ChangeWebhooks";
    type Answer = usize;

    fn cells(&self) -> &[Arc<Cell>] {
        &[]
    }

    fn documents(&self) -> Vec<BillingKey> {
        self.keys.clone()
    }

    fn weight(&self) -> usize {
        self.keys.len() * BYTES_EACH
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<usize>, Error> {
        let now = step.now();
        let mut changed = 0;
        for (nth, (key, turn)) in self.keys.iter().zip(&self.turns).enumerate() {
            let row = step.document(nth, key);
            let found = row.as_ref().map(read::<Inbound>).transpose()?;
            match turn.of(found, now) {
                Left::Alone => continue,
                Left::Gone => step.drop_document(key.clone()),
                Left::Changed(inbound) => {
                    let created = row.map_or(inbound.receive_time, |row| row.create_time);
                    step.put_document(inbound_row(key, &inbound, created)?);
                }
            }
            changed += 1;
        }
        Ok(Applied::Done(changed))
    }
}

fn inbound_row(
    key: &BillingKey,
    inbound: &Inbound,
    create_time: Timestamp,
) -> Result<BillingRow, Error> {
    Ok(BillingRow {
        key: key.clone(),
        customer: None,
        state: inbound.state.word().into(),
        due_time: Some(inbound.due_time),
        create_time,
        body: write(inbound)?,
    })
}
