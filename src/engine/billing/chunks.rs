//! Chunks on their way: claimed by whoever sends them, settled when their outcome is known.

use std::sync::Arc;

use super::document::{chunk_row, read, tab_key, tab_row};
use super::seal::identifier;
use crate::domain::billing::{Chunk, ChunkState, Evidence, Outcome, Tab};
use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::{Error, Thing};
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, Page};

/// A chunk as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkView {
    /// Its name.
    pub id: Box<str>,
    /// Whose usage it is.
    pub customer: CustomerId,
    /// What it says, and where it stands.
    pub chunk: Chunk,
}

/// A chunk that is to be sent now, by whoever has this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedChunk {
    /// Its name.
    pub id: Box<str>,
    /// Whose usage it is.
    pub customer: CustomerId,
    /// What is to be sent.
    pub chunk: Chunk,
}

/// Most chunks of one customer and state that are looked at together.
const UNSETTLED_MAX: usize = 1_000;

/// What is to be done with a chunk.
#[derive(Debug, Clone)]
enum Turn {
    Claim,
    Settle(Outcome),
    Resolve(Evidence),
    Requeue,
}

impl Engine {
    /// Returns chunks about which there is something to do, the longest overdue first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due_chunks(&self, limit: usize) -> Result<Vec<ChunkView>, Error> {
        let query = BillingQuery {
            due_by: Some(self.now()),
            ..BillingQuery::of(BillingKind::Chunk, limit)
        };
        Ok(self.chunks(query).await?.items)
    }

    /// Lists chunks, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_chunks(
        &self,
        customer: Option<CustomerId>,
        state: Option<ChunkState>,
        (after, limit): (Option<String>, usize),
    ) -> Result<Page<ChunkView>, Error> {
        let query = BillingQuery {
            customer,
            state: state.map(|state| state.word().into()),
            after,
            ..BillingQuery::of(BillingKind::Chunk, limit)
        };
        self.chunks(query).await
    }

    async fn chunks(&self, query: BillingQuery) -> Result<Page<ChunkView>, Error> {
        let page = self.shared.store.billing(query).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for row in page.items {
            let chunk = read(&row)?;
            if let Some(customer) = row.customer {
                let id = row.key.id;
                items.push(ChunkView {
                    id,
                    customer,
                    chunk,
                });
            }
        }
        let next = page.next;
        Ok(Page { items, next })
    }

    /// Returns the chunks of a customer of which something may still become by itself, in the order in which they are to be
    /// sent.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn unsettled_chunks(&self, customer: &CustomerId) -> Result<Vec<ChunkView>, Error> {
        let mut found = Vec::new();
        for state in [ChunkState::Sealed, ChunkState::Sending, ChunkState::InDoubt] {
            let range = (None, UNSETTLED_MAX);
            let of = Some(customer.clone());
            found.extend(self.list_chunks(of, Some(state), range).await?.items);
        }
        found.sort_by_key(|view| (view.chunk.period.start, view.chunk.number));
        Ok(found)
    }

    /// Returns what was delivered of the period of a chunk, in whole units.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn delivered_of(&self, of: &ChunkView) -> Result<i64, Error> {
        let delivered = Some(ChunkState::Delivered);
        let (mut sum, mut after) = (0_i64, None);
        loop {
            let page = self
                .list_chunks(Some(of.customer.clone()), delivered, (after, 1_000))
                .await?;
            let same = page.items.iter().map(|view| &view.chunk);
            for chunk in same.filter(|chunk| is_beside(chunk, &of.chunk)) {
                sum = sum.saturating_add(chunk.value);
            }
            after = page.next;
            if after.is_none() {
                return Ok(sum);
            }
        }
    }

    /// Takes a chunk for sending; `None`: it is not to be sent now. The attempt is durable when this returns.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_chunk(&self, view: &ChunkView) -> Result<Option<ClaimedChunk>, Error> {
        let (is_claimed, chunk) = self.turn(view, Turn::Claim).await?;
        let (id, customer) = (view.id.clone(), view.customer.clone());
        Ok(is_claimed.then_some(ClaimedChunk {
            id,
            customer,
            chunk,
        }))
    }

    /// Notes what came of sending a chunk.
    ///
    /// # Errors
    /// When the store fails; the chunk is claimed again later then.
    pub async fn settle_chunk(&self, of: &ClaimedChunk, outcome: Outcome) -> Result<Chunk, Error> {
        let view = ChunkView {
            id: of.id.clone(),
            customer: of.customer.clone(),
            chunk: of.chunk.clone(),
        };
        Ok(self.turn(&view, Turn::Settle(outcome)).await?.1)
    }

    /// Notes what is known of a chunk in doubt.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resolve_chunk(&self, of: &ChunkView, evidence: Evidence) -> Result<Chunk, Error> {
        Ok(self.turn(of, Turn::Resolve(evidence)).await?.1)
    }

    /// Sends a chunk once more that failed or is in doubt, because somebody knows that Stripe does not have it.
    ///
    /// # Errors
    /// When there is no such chunk, or it is not in such a state.
    pub async fn requeue_chunk(&self, id: &str) -> Result<ChunkView, Error> {
        let query = BillingQuery {
            id: Some(id.into()),
            ..BillingQuery::of(BillingKind::Chunk, 1)
        };
        let found = self.chunks(query).await?.items.into_iter().next();
        let view = found.ok_or_else(|| Error::not_found(Thing::Chunk, id))?;
        let (is_done, chunk) = self.turn(&view, Turn::Requeue).await?;
        if !is_done {
            let rule = "must be of a chunk that failed or is in doubt";
            return Err(Error::invalid("chunk_id", rule));
        }
        Ok(ChunkView { chunk, ..view })
    }

    async fn turn(&self, of: &ChunkView, turn: Turn) -> Result<(bool, Chunk), Error> {
        let key = BillingKey {
            kind: BillingKind::Chunk,
            id: of.id.clone(),
        };
        let tab = tab_key(&of.customer, &of.chunk.meter);
        let change = Change {
            cells: [self.customer(&of.customer).await?],
            keys: [key, tab],
            turn,
            incarnation: self.billing_terms().incarnation,
        };
        self.submit(change).await
    }
}

/// Whether two chunks are of one meter and period.
fn is_beside(one: &Chunk, other: &Chunk) -> bool {
    one.meter == other.meter && one.period == other.period
}

/// Changes where a chunk stands. It answers whether that could be done, and the chunk.
struct Change {
    cells: [Arc<Cell>; 1],
    /// The chunk's and the tab's.
    keys: [BillingKey; 2],
    turn: Turn,
    incarnation: Box<str>,
}

impl Mutation for Change {
    const METHOD: &'static str = "ChangeChunk";
    type Answer = (bool, Chunk);

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn documents(&self) -> Vec<BillingKey> {
        self.keys.to_vec()
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<(bool, Chunk)>, Error> {
        let now = step.now();
        let gone = |key: &BillingKey| Error::not_found(Thing::Chunk, &key.id);
        let [key, tab_key] = &self.keys;
        let row = step.document(0, key).ok_or_else(|| gone(key))?;
        let tab_row_before = step.document(1, tab_key).ok_or_else(|| gone(key))?;
        let mut chunk: Chunk = read(&row)?;
        let mut tab: Tab = read(&tab_row_before)?;
        // One at a time: what is on its way, or in doubt, holds up what comes after it.
        let is_free = tab.in_flight.as_ref().is_none_or(|name| *name == key.id);
        let before = chunk.clone();
        let is_done = self.change(&mut chunk, is_free, now);
        let in_flight = match chunk.state {
            ChunkState::Sending | ChunkState::InDoubt => Some(key.id.clone()),
            ChunkState::Sealed | ChunkState::Delivered | ChunkState::Failed => None,
        };
        if is_free && tab.in_flight != in_flight {
            tab.in_flight = in_flight;
            let created = tab_row_before.create_time;
            step.put_document(tab_row(tab_key, &self.cells[0].id, &tab, created)?);
        }
        if chunk != before {
            step.put_document(chunk_row(key, &self.cells[0].id, &chunk)?);
        }
        Ok(Applied::Done((is_done, chunk)))
    }
}

impl Change {
    fn change(&self, chunk: &mut Chunk, is_free: bool, now: Timestamp) -> bool {
        let fresh = || identifier(&self.incarnation, &self.keys[0], chunk.generation + 1);
        match &self.turn {
            Turn::Claim if !is_free => {
                chunk.wait_for_another(now);
                false
            }
            Turn::Claim => chunk.claim(&self.incarnation, now).is_ok(),
            Turn::Settle(outcome) => {
                chunk.settle(outcome, now);
                true
            }
            Turn::Resolve(evidence) => {
                let name = fresh();
                chunk.resolve(*evidence, (&name, &self.incarnation), now);
                true
            }
            Turn::Requeue => {
                let name = fresh();
                chunk.requeue((&name, &self.incarnation), now).is_ok()
            }
        }
    }
}
