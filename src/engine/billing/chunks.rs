//! Chunks on their way: claimed by whoever sends them, settled when their outcome is known.

use std::sync::Arc;

use super::BillingTerms;
use super::document::{chunk_key, chunk_row, chunks_of, read, tab_key, tab_row};
use super::seal::identifier;
use crate::domain::billing::{
    Chunk, ChunkState, Evidence, Ledger, Outcome, Tab, TabPeriod, summed,
};
use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::{Error, Thing};
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, Page};

/// A chunk as it stands, or stood when it was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkView {
    /// Its name.
    pub id: Box<str>,
    /// Whose usage it is.
    pub customer: CustomerId,
    /// What it says, and where it stands.
    pub chunk: Chunk,
}

/// Chunks that are read together.
const PAGE: usize = 1_000;

/// What is to be done with a chunk.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// To be sent.
    Claim,
    /// It was sent, and this came of it.
    Settle(Outcome),
    /// This is known of it.
    Resolve(Evidence),
    /// To be sent once more.
    Requeue,
    /// Stripe did not count it, although it took it.
    Refuse(Box<str>),
    /// Stripe may not have counted it.
    Question(Box<str>),
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

    pub(super) async fn chunks(&self, query: BillingQuery) -> Result<Page<ChunkView>, Error> {
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

    /// Reads all of some chunks, page by page.
    pub(super) async fn all_chunks(
        &self,
        mut query: BillingQuery,
    ) -> Result<Vec<ChunkView>, Error> {
        let mut found = Vec::new();
        loop {
            let page = self.chunks(query.clone()).await?;
            found.extend(page.items);
            query.after = page.next;
            if query.after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Returns the chunks of a customer of which something may still become by itself, in the order in which they are to be
    /// sent.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn unsettled_chunks(&self, customer: &CustomerId) -> Result<Vec<ChunkView>, Error> {
        let mut found = Vec::new();
        for state in ChunkState::ALL
            .into_iter()
            .filter(|state| !state.is_final())
        {
            let query = BillingQuery {
                customer: Some(customer.clone()),
                state: Some(state.word().into()),
                ..BillingQuery::of(BillingKind::Chunk, PAGE)
            };
            found.extend(self.all_chunks(query).await?);
        }
        found.sort_by(|a, b| {
            let place = |view: &ChunkView| (view.chunk.period.start, view.chunk.number);
            (&a.chunk.meter, place(a)).cmp(&(&b.chunk.meter, place(b)))
        });
        Ok(found)
    }

    /// Returns what is known here of the period of a chunk whose outcome is not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn ledger_of(&self, of: &ChunkView) -> Result<Ledger, Error> {
        let tab = tab_key(&of.customer, &of.chunk.meter);
        let query = BillingQuery {
            begins: Some(chunks_of(&tab, of.chunk.period).into()),
            customer: Some(of.customer.clone()),
            ..BillingQuery::of(BillingKind::Chunk, PAGE)
        };
        let mut all = self.all_chunks(query).await?;
        all.sort_by_key(|view| view.chunk.number);
        let life = self.billing_terms().incarnation;
        let mut ledger = Ledger {
            delivered: self.beside(&tab, of.chunk.period).await?,
            perhaps: Vec::new(),
        };
        for chunk in all.iter().map(|view| &view.chunk) {
            match chunk.state {
                ChunkState::Delivered => {
                    let sum = ledger.delivered;
                    ledger.delivered = sum.and_then(|sum| sum.checked_add(chunk.value));
                }
                ChunkState::Sending | ChunkState::InDoubt => ledger.perhaps.push(chunk.value),
                // What was sealed in this life is sent after the one in doubt.
                ChunkState::Sealed if chunk.incarnation != life => ledger.perhaps.push(chunk.value),
                ChunkState::Sealed | ChunkState::Failed => {}
            }
        }
        Ok(ledger)
    }

    /// Returns what was delivered in other periods and stands in the minutes that Stripe sums up for this one; `None`: some of
    /// it is not known.
    pub(super) async fn beside(
        &self,
        tab: &BillingKey,
        period: TimeRange,
    ) -> Result<Option<i64>, Error> {
        let query = BillingQuery {
            id: Some(tab.id.clone()),
            ..BillingQuery::of(BillingKind::Tab, 1)
        };
        let page = self.shared.store.billing(query).await?;
        let held: Option<Tab> = page.items.first().map(read).transpose()?;
        let (span, mut sum) = (summed(period), Some(0_i64));
        let others = held.iter().flat_map(|tab| &tab.periods);
        let is_near = |other: &&TabPeriod| {
            other.range != period && other.range.start < span.end && span.start < other.range.end
        };
        for other in others.filter(is_near) {
            let query = BillingQuery {
                begins: Some(chunks_of(tab, other.range).into()),
                ..BillingQuery::of(BillingKind::Chunk, PAGE)
            };
            for view in self.all_chunks(query).await? {
                let chunk = view.chunk;
                if !span.contains(chunk.count_time) {
                    continue;
                }
                sum = match chunk.state {
                    ChunkState::Delivered => sum.and_then(|sum| sum.checked_add(chunk.value)),
                    ChunkState::Sending | ChunkState::InDoubt => None,
                    ChunkState::Sealed | ChunkState::Failed => sum,
                };
            }
        }
        Ok(sum)
    }

    /// Takes a chunk for sending; `None`: it is not to be sent now. The attempt is durable when this returns.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_chunk(&self, view: &ChunkView) -> Result<Option<ChunkView>, Error> {
        let (is_claimed, chunk) = self.turn(view, Turn::Claim).await?;
        Ok(is_claimed.then(|| ChunkView {
            chunk,
            ..view.clone()
        }))
    }

    /// Notes what came of sending a chunk.
    ///
    /// # Errors
    /// When the store fails; the chunk is claimed again later then.
    pub async fn settle_chunk(&self, of: &ChunkView, outcome: Outcome) -> Result<Chunk, Error> {
        Ok(self.turn(of, Turn::Settle(outcome)).await?.1)
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

    pub(super) async fn turn(&self, of: &ChunkView, turn: Turn) -> Result<(bool, Chunk), Error> {
        let key = BillingKey {
            kind: BillingKind::Chunk,
            id: of.id.clone(),
        };
        let tab = tab_key(&of.customer, &of.chunk.meter);
        // Each waits for the one before it, and is woken when that is done.
        let neighbour = match &turn {
            Turn::Claim => of.chunk.number.saturating_sub(1),
            Turn::Settle(_)
            | Turn::Resolve(_)
            | Turn::Requeue
            | Turn::Refuse(_)
            | Turn::Question(_) => of.chunk.number + 1,
        };
        let neighbour = chunk_key(&tab, of.chunk.period, neighbour);
        let change = Change {
            cells: [self.customer(&of.customer).await?],
            keys: [key, tab, neighbour],
            turn,
            terms: self.billing_terms(),
        };
        self.submit(change).await
    }
}

/// Changes where a chunk stands. It answers whether that could be done, and the chunk.
struct Change {
    cells: [Arc<Cell>; 1],
    /// The chunk's and the tab's, and that of the chunk before it, or after it where it is to be woken.
    keys: [BillingKey; 3],
    turn: Turn,
    terms: BillingTerms,
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
        let [key, tab_key, _] = &self.keys;
        let row = step.document(0, key).ok_or_else(|| gone(key))?;
        let tab_row_before = step.document(1, tab_key).ok_or_else(|| gone(key))?;
        let mut chunk: Chunk = read(&row)?;
        let mut tab: Tab = read(&tab_row_before)?;
        // One at a time: what is on its way, or in doubt, holds up what comes after it.
        let is_claim = matches!(self.turn, Turn::Claim);
        let is_free = tab.in_flight.as_ref().is_none_or(|name| *name == key.id)
            && (!is_claim || self.may_follow(step)?);
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
        if chunk.state.is_final() && !is_claim {
            self.wake_next(step)?;
        }
        Ok(Applied::Done((is_done, chunk)))
    }
}

impl Change {
    /// Whether the chunk before it is done with, so that those of a period are sent in their order.
    fn may_follow(&self, step: &Step<'_, '_>) -> Result<bool, Error> {
        let before = step.document(2, &self.keys[2]);
        let before = before.map(|row| read::<Chunk>(&row)).transpose()?;
        Ok(before.is_none_or(|chunk| chunk.state.is_final()))
    }

    fn wake_next(&self, step: &mut Step<'_, '_>) -> Result<(), Error> {
        let key = &self.keys[2];
        if let Some(row) = step.document(2, key) {
            let mut chunk: Chunk = read(&row)?;
            if chunk.wake(step.now()) {
                step.put_document(chunk_row(key, &self.cells[0].id, &chunk)?);
            }
        }
        Ok(())
    }

    fn change(&self, chunk: &mut Chunk, is_free: bool, now: Timestamp) -> bool {
        let fresh = || identifier(&self.terms.incarnation, &self.keys[0], chunk.generation + 1);
        match &self.turn {
            Turn::Claim if !is_free => {
                chunk.wait_for_another(now);
                false
            }
            Turn::Claim => {
                let life = (&*self.terms.incarnation, self.terms.lease);
                chunk.claim(life, now).is_ok()
            }
            Turn::Settle(outcome) => {
                chunk.settle(outcome, now);
                true
            }
            Turn::Resolve(evidence) => {
                let name = fresh();
                chunk.resolve(*evidence, (&name, &self.terms.incarnation), now);
                true
            }
            Turn::Refuse(why) => chunk.refuse_late(why, now),
            Turn::Question(why) => chunk.question(why, now),
            Turn::Requeue => {
                let name = fresh();
                chunk.requeue((&name, &self.terms.incarnation), now).is_ok()
            }
        }
    }
}
