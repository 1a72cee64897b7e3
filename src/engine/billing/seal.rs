//! Sealing usage: what a period came to since the last chunk becomes the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::charged::{Charging, anchor_of};
use super::document::{chunk_key, chunk_row, read, tab_key, tab_row};
use crate::domain::account::Account;
use crate::domain::billing::{Chunk, ChunkState, PlanOf, Sealing, Tab};
use crate::domain::catalog::Meter;
use crate::domain::fingerprint::fingerprint;
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::window::{TimeRange, Window};
use crate::engine::Engine;
use crate::engine::cell::Cell;
use crate::engine::cost::Position;
use crate::engine::error::Error;
use crate::engine::mutation::{Applied, Mutation};
use crate::engine::side_by_side::side_by_side;
use crate::engine::step::Step;
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow};

/// Most customers whose usage is sealed at a time: what they wait for, they wait for together.
const CUSTOMERS_AT_A_TIME: usize = 64;
/// Tabs that are read together.
const PAGE: usize = 1_000;

impl Engine {
    /// Opens the tabs of a customer whose usage Stripe bills, of the meters that Stripe has; those that are open stay, and those
    /// that waited are looked at.
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

    /// Seals what is due, of at most so many customers and meters; returns of how many. One that cannot be sealed is put off
    /// and does not hold up the others.
    ///
    /// # Errors
    /// When the store cannot be read or written to.
    pub async fn seal_due(&self, limit: usize) -> Result<usize, Error> {
        let query = BillingQuery {
            due_by: Some(self.now()),
            ..BillingQuery::of(BillingKind::Tab, limit)
        };
        let rows = self.shared.store.billing(query).await?.items;
        let mut by_customer: BTreeMap<CustomerId, Vec<BillingRow>> = BTreeMap::new();
        for row in rows {
            if let Some(customer) = row.customer.clone() {
                by_customer.entry(customer).or_default().push(row);
            }
        }
        let done = side_by_side(CUSTOMERS_AT_A_TIME, by_customer, |(customer, rows)| {
            let engine = self.clone();
            async move {
                let sealed = engine.seal_of(&customer, &rows).await;
                sealed.inspect_err(|error| {
                    if !error.concerns_all() {
                        tracing::error!(customer.id = %customer, %error, "usage is sealed later");
                    }
                })
            }
        });
        let mut sealed = 0;
        for of_customer in done.await {
            match of_customer {
                Ok(count) => sealed += count,
                Err(error) if error.concerns_all() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(sealed)
    }

    /// Seals what a customer used so far, without waiting for the end of a window.
    ///
    /// # Errors
    /// When there is no such customer, it cannot be sealed, or the store fails.
    pub async fn seal_now(&self, customer: &CustomerId) -> Result<(), Error> {
        let mut query = BillingQuery {
            customer: Some(customer.clone()),
            ..BillingQuery::of(BillingKind::Tab, PAGE)
        };
        loop {
            let page = self.shared.store.billing(query.clone()).await?;
            self.seal_of(customer, &page.items).await?;
            query.after = page.next;
            if query.after.is_none() {
                return Ok(());
            }
        }
    }

    /// Seals tabs of one customer, which is looked at once for all of them; returns how many. What cannot be sealed is put
    /// off before the error is returned.
    async fn seal_of(&self, customer: &CustomerId, rows: &[BillingRow]) -> Result<usize, Error> {
        let cell = self.customer(customer).await?;
        let is_paid = |account: &Account| account.customer.payer.is_some();
        let pays = cell.lock().look(self.now(), is_paid);
        // Without somebody who pays nothing is read.
        let position = match pays {
            Some(false) => Ok(None),
            Some(true) | None => self.position(customer).await.map(Some),
        };
        let (mut answers, mut fault) = (Vec::new(), None);
        for row in rows {
            let found = match &position {
                Ok(Some(position)) => self.findings(position, customer, row).await,
                Ok(None) => Ok(Findings::Unpaid),
                Err(error) => Err(error.clone()),
            };
            let found = found.or_else(|error| {
                let is_own = !error.concerns_all();
                fault = Some(error.clone());
                if is_own {
                    Ok(Findings::Later)
                } else {
                    Err(error)
                }
            })?;
            let seal = Seal {
                cells: [Arc::clone(&cell)],
                key: row.key.clone(),
                seen: read::<Tab>(row)?.due_time,
                found,
                terms: self.billing_terms(),
            };
            answers.push(self.send(seal)?);
        }
        let sealed = answers.len();
        for answer in answers {
            answer.await.map_err(|_| Error::Draining)??;
        }
        fault.map_or(Ok(sealed), Err)
    }

    /// Reads what is to be sealed on a tab.
    async fn findings(
        &self,
        position: &Position,
        customer: &CustomerId,
        row: &BillingRow,
    ) -> Result<Findings, Error> {
        let mut tab: Tab = read(row)?;
        let Some(held) = &position.held else {
            return Ok(Findings::Unpaid);
        };
        let now = self.now();
        let running = Window::BillingPeriod.range(held.anchor, now);
        let meter = position.catalog.meters.get(&tab.meter);
        let Some(meter) = meter.filter(|meter| meter.stripe_event_name.is_some()) else {
            return Ok(Findings::Uncounted { running });
        };
        tab.open(running, now);
        tab.note_plan(running, &position.plan_of(), now);
        let mut amounts = Vec::new();
        for period in tab.due(now).collect::<Vec<_>>() {
            let of = Charging {
                customer: customer.clone(),
                meter: Arc::clone(meter),
                anchor: anchor_of(held.anchor, period),
                plans: tab.plans_of(period).to_vec(),
            };
            amounts.push((period, self.charged(position, &of, period).await?));
        }
        Ok(Findings::Charged {
            running,
            plan: position.plan_of(),
            amounts,
            meter: Arc::clone(meter),
        })
    }
}

/// Returns the name of a chunk at Stripe: alike each time it is sent, and unlike that of any other, also after a backup was
/// restored in which another chunk has its number.
pub(super) fn identifier(incarnation: &str, chunk: &BillingKey, generation: u32) -> Box<str> {
    let name = format!("{incarnation} {} {generation}", chunk.id);
    format!("bursar_{}", fingerprint(name, 24)).into()
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
            let is_new = row.is_none();
            let has_changed = tab.note_plan(self.plan.0, &self.plan.1, now) | tab.wake(now);
            if is_new || has_changed {
                let created = row.map_or(now, |row| row.create_time);
                step.put_document(tab_row(key, &self.cells[0].id, &tab, created)?);
            }
        }
        Ok(Applied::Done(()))
    }
}

/// What was read for a tab.
enum Findings {
    /// Nobody pays.
    Unpaid,
    /// Nothing counts its meter at Stripe.
    Uncounted { running: TimeRange },
    /// It could not be read.
    Later,
    /// What is charged of periods.
    Charged {
        running: TimeRange,
        /// The plan in force.
        plan: PlanOf,
        amounts: Vec<(TimeRange, Milli)>,
        meter: Arc<Meter>,
    },
}

/// Seals what periods came to.
struct Seal {
    cells: [Arc<Cell>; 1],
    /// The tab's.
    key: BillingKey,
    /// When the tab was due as it was read: who finds another came too late.
    seen: Timestamp,
    found: Findings,
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
        match (&self.found, payer) {
            // Without somebody who pays, usage waits on the tab.
            (Findings::Unpaid | Findings::Charged { .. }, None) => tab.rest(now),
            // One who pays came meanwhile.
            (Findings::Unpaid, Some(_)) => tab.due_time = now,
            (Findings::Uncounted { running }, _) => {
                tab.open(*running, now);
                tab.rest(now);
            }
            (Findings::Later, _) => tab.put_off(self.terms.window, now),
            (Findings::Charged { running, plan, .. }, Some(payer)) => {
                tab.open(*running, now);
                tab.note_plan(*running, plan, now);
                rows = self.chunks(&mut tab, &payer, now)?;
                tab.put_off(self.terms.window, now);
            }
        }
        let tab = tab_row(&row.key, &self.cells[0].id, &tab, row.create_time)?;
        step.put_document(tab);
        for row in rows {
            step.put_document(row);
        }
        Ok(Applied::Done(()))
    }
}

impl Seal {
    /// Takes what is charged off the tab, into chunks.
    fn chunks(&self, tab: &mut Tab, payer: &str, now: Timestamp) -> Result<Vec<BillingRow>, Error> {
        let mut rows = Vec::new();
        let Findings::Charged { amounts, meter, .. } = &self.found else {
            return Ok(rows);
        };
        for (period, charged) in amounts {
            let mut sealed = tab.clone();
            let Some(sealing) = sealed.seal(*period, *charged, now) else {
                *tab = sealed;
                continue;
            };
            if let Err(error) = Chunk::check(sealing.value) {
                tracing::error!(tab = %self.key.id, %error, "usage cannot be sealed");
                continue;
            }
            *tab = sealed;
            rows.push(self.chunk(&sealing, (meter, payer), now)?);
        }
        Ok(rows)
    }

    fn chunk(
        &self,
        sealing: &Sealing,
        (meter, payer): (&Meter, &str),
        now: Timestamp,
    ) -> Result<BillingRow, Error> {
        let key = chunk_key(&self.key, sealing.range, sealing.number);
        let chunk = Chunk {
            meter: meter.id.clone(),
            event_name: meter.stripe_event_name.clone().unwrap_or_default(),
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
            suspicion: None,
            end_time: None,
        };
        chunk_row(&key, &self.cells[0].id, &chunk)
    }
}
