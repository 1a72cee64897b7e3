//! Sealing usage: what a period came to since the last chunk becomes the next one.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::charged::Charging;
use super::document::{chunk_row, read, tab_key, tab_row};
use crate::domain::billing::{Chunk, ChunkState, PlanOf, Sealing, Tab};
use crate::domain::catalog::Meter;
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::window::{Anchor, TimeRange, Window};
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::error::Error;
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow};

impl Engine {
    /// Opens the tabs of a customer whose usage Stripe bills, of the meters that Stripe has; those that are open stay.
    ///
    /// # Errors
    /// When there is no such customer, or the store fails.
    pub async fn open_tabs(&self, customer: &CustomerId) -> Result<(), Error> {
        let position = self.position(customer).await?;
        let meters = position.catalog.meters.values();
        let meters = meters.filter(|meter| meter.stripe_event_name.is_some());
        let keys: Vec<_> = meters
            .map(|meter| (tab_key(customer, &meter.id), meter.id.clone()))
            .collect();
        let cells = [self.customer(customer).await?];
        let running = position.held.as_ref().map(|held| {
            let now = self.now();
            Window::BillingPeriod.range(held.anchor, now)
        });
        let plan = (running.unwrap_or(TimeRange::ALWAYS), position.plan_of());
        self.submit(Open { cells, keys, plan }).await
    }

    /// Seals what is due, of at most so many customers and meters; returns of how many. One that cannot be sealed now does
    /// not hold up the others.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn seal_due(&self, limit: usize) -> Result<usize, Error> {
        let query = BillingQuery {
            due_by: Some(self.now()),
            ..BillingQuery::of(BillingKind::Tab, limit)
        };
        let rows = self.shared.store.billing(query).await?.items;
        for row in &rows {
            if let Err(error) = self.seal_one(row).await {
                tracing::warn!(tab = %row.key.id, %error, "usage is sealed later");
            }
        }
        Ok(rows.len())
    }

    /// Seals what a customer used so far, without waiting for the end of a window.
    ///
    /// # Errors
    /// When there is no such customer, or the store fails.
    pub async fn seal_now(&self, customer: &CustomerId) -> Result<(), Error> {
        let query = BillingQuery {
            customer: Some(customer.clone()),
            ..BillingQuery::of(BillingKind::Tab, 1_000)
        };
        for row in self.shared.store.billing(query).await?.items {
            self.seal_one(&row).await?;
        }
        Ok(())
    }

    async fn seal_one(&self, row: &BillingRow) -> Result<(), Error> {
        let Some(customer) = &row.customer else {
            return Ok(());
        };
        let mut tab: Tab = read(row)?;
        let seen = tab.due_time;
        let position = self.position(customer).await?;
        let meter = position.catalog.meters.get(&tab.meter).cloned();
        let plan = position.plan_of();
        let (Some(meter), Some(held)) = (meter, position.held) else {
            return self.put_off(customer, row, seen).await;
        };
        let now = self.now();
        let running = Window::BillingPeriod.range(held.anchor, now);
        tab.open(running, now);
        let mut amounts = Vec::new();
        for period in tab.due(now).collect::<Vec<_>>() {
            let of = Charging {
                customer: customer.clone(),
                meter: Arc::clone(&meter),
                anchor: anchor_of(held.anchor, period),
                plan: tab.plan_then(period, now).cloned(),
            };
            amounts.push((period, self.charged(&of, period).await?));
        }
        let seal = Seal {
            cells: [self.customer(customer).await?],
            key: row.key.clone(),
            seen,
            running,
            plan: Some(plan),
            amounts,
            event_name: meter.stripe_event_name.clone(),
            meter: Some(meter),
            terms: self.billing_terms(),
        };
        self.submit(seal).await
    }

    /// Looks again later at a tab whose meter is gone.
    async fn put_off(
        &self,
        customer: &CustomerId,
        row: &BillingRow,
        seen: Timestamp,
    ) -> Result<(), Error> {
        let seal = Seal {
            cells: [self.customer(customer).await?],
            key: row.key.clone(),
            seen,
            running: TimeRange::ALWAYS,
            plan: None,
            amounts: Vec::new(),
            event_name: None,
            meter: None,
            terms: self.billing_terms(),
        };
        self.submit(seal).await
    }
}

/// Returns from where the windows of a period step: the customer's anchor, unless that was moved since.
fn anchor_of(anchor: Anchor, period: TimeRange) -> Anchor {
    if Window::BillingPeriod.range(anchor, period.start).start == period.start {
        return anchor;
    }
    Anchor {
        start: period.start,
        ..anchor
    }
}

/// Names a chunk: by tab, start of its period in seconds, and number.
fn chunk_key(tab: &BillingKey, period: TimeRange, number: u32) -> BillingKey {
    let start = period.start.as_micros().div_euclid(1_000_000);
    BillingKey {
        kind: BillingKind::Chunk,
        id: format!("{} {start} {number}", tab.id).into(),
    }
}

/// Returns the name of a chunk at Stripe: alike each time it is sent, and unlike that of any other, also after a backup was
/// restored in which another chunk has its number.
pub(super) fn identifier(incarnation: &str, chunk: &BillingKey, generation: u32) -> Box<str> {
    let digest = Sha256::digest(format!("{incarnation} {} {generation}", chunk.id));
    let mut name = String::from("bursar_");
    for byte in &digest[..24] {
        // Writing to a text does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.into()
}

/// Opens tabs.
struct Open {
    cells: [Arc<Cell>; 1],
    keys: Vec<(BillingKey, MeterId)>,
    /// The running period and the plan in force, which may be another than it was.
    plan: (TimeRange, PlanOf),
}

impl Mutation for Open {
    const METHOD: &'static str = "OpenTabs";
    type Answer = ();

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn documents(&self) -> Vec<BillingKey> {
        self.keys.iter().map(|(key, _)| key.clone()).collect()
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        let now = step.now();
        for (nth, (key, meter)) in self.keys.iter().enumerate() {
            let row = step.document(nth, key);
            let mut tab = match &row {
                Some(row) => read(row)?,
                None => Tab::new(meter.clone(), now),
            };
            if tab.note_plan(self.plan.0, &self.plan.1) || row.is_none() {
                let created = row.map_or(now, |row| row.create_time);
                step.put_document(tab_row(key, &self.cells[0].id, &tab, created)?);
            }
        }
        Ok(Applied::Done(()))
    }
}

/// Seals what periods came to.
struct Seal {
    cells: [Arc<Cell>; 1],
    /// The tab's.
    key: BillingKey,
    /// When the tab was due as it was read: who finds another came too late.
    seen: Timestamp,
    running: TimeRange,
    /// The plan in force.
    plan: Option<PlanOf>,
    amounts: Vec<(TimeRange, Milli)>,
    event_name: Option<Box<str>>,
    meter: Option<Arc<Meter>>,
    terms: super::BillingTerms,
}

impl Mutation for Seal {
    const METHOD: &'static str = "SealUsage";
    type Answer = ();

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn documents(&self) -> Vec<BillingKey> {
        vec![self.key.clone()]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        let now = step.now();
        let Some(row) = step.document(0, &self.key) else {
            return Ok(Applied::Done(()));
        };
        let mut tab: Tab = read(&row)?;
        if tab.due_time != self.seen {
            return Ok(Applied::Done(()));
        }
        let payer = step.with(&self.cells[0], |account, _| account.customer.payer.clone())?;
        let mut rows = Vec::new();
        // Without somebody who pays, usage waits on the tab.
        if let (Some(payer), Some(_), Some(name)) = (payer, &self.meter, &self.event_name) {
            tab.open(self.running, now);
            if let Some(plan) = &self.plan {
                tab.note_plan(self.running, plan);
            }
            for (period, charged) in &self.amounts {
                let mut sealed = tab.clone();
                let Some(sealing) = sealed.seal(*period, *charged, now) else {
                    tab = sealed;
                    continue;
                };
                if let Err(error) = Chunk::check(sealing.value) {
                    tracing::error!(tab = %row.key.id, %error, "usage cannot be sealed");
                    continue;
                }
                tab = sealed;
                rows.push(self.chunk(&row.key, &sealing, (name, &payer), now)?);
            }
        }
        tab.put_off(self.terms.window, now);
        let tab = tab_row(&row.key, &self.cells[0].id, &tab, row.create_time)?;
        step.put_document(tab);
        for row in rows {
            step.put_document(row);
        }
        Ok(Applied::Done(()))
    }
}

impl Seal {
    fn chunk(
        &self,
        tab: &BillingKey,
        sealing: &Sealing,
        (name, payer): (&str, &str),
        now: Timestamp,
    ) -> Result<BillingRow, Error> {
        let key = chunk_key(tab, sealing.range, sealing.number);
        let meter = self.meter.as_ref().ok_or(Error::Internal)?;
        let chunk = Chunk {
            meter: meter.id.clone(),
            event_name: name.into(),
            payer: payer.into(),
            period: sealing.range,
            number: sealing.number,
            value: sealing.value,
            seal_time: now,
            count_time: sealing.count_time,
            identifier: identifier(&self.terms.incarnation, &key, 0),
            incarnation: self.terms.incarnation.clone(),
            state: ChunkState::Sealed,
            generation: 0,
            attempts: 0,
            first_attempt: None,
            last_attempt: None,
            due_time: Some(now),
            fault: None,
            end_time: None,
        };
        chunk_row(&key, &self.cells[0].id, &chunk)
    }
}
