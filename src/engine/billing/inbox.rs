//! The inbox of webhooks: stored before they are acknowledged, worked on after, and forgotten when none like it can come.

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

impl Engine {
    /// Stores a webhook; false when it is there already. It is durable when this returns.
    ///
    /// # Errors
    /// When the store fails: it must not be acknowledged then.
    pub async fn receive_webhook(&self, id: &str, inbound: Inbound) -> Result<bool, Error> {
        let turn = Turn::Receive(inbound);
        let key = key(id);
        self.submit(Change { key, turn }).await
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

    /// Notes that a webhook is done with; one that was remembered for long enough is forgotten.
    ///
    /// # Errors
    /// When the store fails; it is worked on again then.
    pub async fn end_webhook(&self, id: &str, state: InboundState) -> Result<(), Error> {
        let (key, turn) = (key(id), Turn::End(state));
        self.submit(Change { key, turn }).await.map(drop)
    }

    /// Notes that a webhook could not be worked on, and tries again later.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn fail_webhook(&self, id: &str, why: &str) -> Result<(), Error> {
        let (key, turn) = (key(id), Turn::Fail(why.into()));
        self.submit(Change { key, turn }).await.map(drop)
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
    Receive(Inbound),
    End(InboundState),
    Fail(Box<str>),
}

/// Changes a document of the inbox. It answers whether there was anything to change.
struct Change {
    key: BillingKey,
    turn: Turn,
}

impl Mutation for Change {
    const METHOD: &'static str = "ChangeWebhook";
    type Answer = bool;

    fn cells(&self) -> &[std::sync::Arc<Cell>] {
        &[]
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<bool>, Error> {
        let now = step.now();
        let row = step.document(0, &self.key);
        let (inbound, created) = match (&self.turn, row) {
            (Turn::Receive(_), Some(_)) | (Turn::End(_) | Turn::Fail(_), None) => {
                return Ok(Applied::Done(false));
            }
            (Turn::Receive(inbound), None) => (inbound.clone(), inbound.receive_time),
            (Turn::End(state), Some(row)) => {
                let mut inbound: Inbound = read(&row)?;
                if inbound.state != InboundState::Waiting {
                    step.drop_document(self.key.clone());
                    return Ok(Applied::Done(true));
                }
                inbound.end(*state, now);
                (inbound, row.create_time)
            }
            (Turn::Fail(why), Some(row)) => {
                let mut inbound: Inbound = read(&row)?;
                inbound.fail(why, now);
                (inbound, row.create_time)
            }
        };
        step.put_document(inbound_row(&self.key, &inbound, created)?);
        Ok(Applied::Done(true))
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
