//! What was used and what became of it on its way to Stripe, customer by customer and meter by meter.

use std::sync::Arc;

use super::charged::{Charging, anchor_of};
use super::document::{chunks_of, read, tab_key};
use crate::domain::billing::{ChunkState, Tab};
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::window::{TimeRange, Window};
use crate::engine::Engine;
use crate::engine::error::Error;
use crate::storage::{BillingKind, BillingQuery, BillingRow, Page};

/// Chunks that are read together.
const PAGE: usize = 1_000;

/// What was used of a meter in a billing period, and where it stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterBill {
    /// Whose.
    pub customer: CustomerId,
    /// Who that is at Stripe; `None`: nobody, and usage waits.
    pub payer: Option<Box<str>>,
    /// Of what.
    pub meter: MeterId,
    /// What Stripe calls the meter's events; `None`: it bills them no more.
    pub event_name: Option<Box<str>>,
    /// When.
    pub period: TimeRange,
    /// What is stored.
    pub stored: Milli,
    /// What of it Stripe is to bill.
    pub charged: Milli,
    /// The sum of its chunks, in whole units.
    pub sealed: i64,
    /// What Stripe took of them.
    pub delivered: i64,
    /// What is on its way.
    pub pending: i64,
    /// What Stripe may have or not.
    pub in_doubt: i64,
    /// What Stripe refused.
    pub failed: i64,
    /// What was delivered of other periods and stands in the minutes that Stripe sums up for this one; `None`: not all of it
    /// is known.
    pub beside: Option<i64>,
}

/// What Stripe has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// What is here.
    pub bill: MeterBill,
    /// What Stripe counted; `None`: it cannot say exactly.
    pub stripe_sum: Option<i64>,
    /// What the period's invoice has; `None`: there is none yet.
    pub invoiced: Option<i64>,
}

impl Reconciled {
    /// Returns what was delivered and not counted, or below zero what was counted beyond that; `None`: nobody knows.
    #[must_use]
    pub fn difference(&self) -> Option<i64> {
        let delivered = self.bill.delivered.checked_add(self.bill.beside?)?;
        delivered.checked_sub(self.stripe_sum?)
    }
}

impl Engine {
    /// Compares what was used with what was sealed and sent, in the billing periods that hold an instant.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn meter_bills(
        &self,
        customer: Option<CustomerId>,
        at: Option<Timestamp>,
        (after, limit): (Option<String>, usize),
    ) -> Result<Page<MeterBill>, Error> {
        let query = BillingQuery {
            customer,
            after,
            ..BillingQuery::of(BillingKind::Tab, limit)
        };
        let page = self.shared.store.billing(query).await?;
        let at = at.unwrap_or_else(|| self.now());
        let mut items = Vec::with_capacity(page.items.len());
        for row in &page.items {
            items.extend(self.meter_bill(row, at).await?);
        }
        let next = page.next;
        Ok(Page { items, next })
    }

    async fn meter_bill(
        &self,
        row: &BillingRow,
        at: Timestamp,
    ) -> Result<Option<MeterBill>, Error> {
        let Some(customer) = &row.customer else {
            return Ok(None);
        };
        let tab: Tab = read(row)?;
        let (known, _) = self.get_customer(customer).await?;
        let position = self.position(customer).await?;
        let meter = position.catalog.meters.get(&tab.meter).cloned();
        let (Some(meter), Some(held)) = (meter, &position.held) else {
            return Ok(None);
        };
        // What was sealed says where a period began and ended; without that it is where it would be by now.
        let sealed = tab.periods.iter().find(|period| period.range.contains(at));
        let period = sealed.map_or_else(
            || Window::BillingPeriod.range(held.anchor, at),
            |period| period.range,
        );
        let of = Charging {
            customer: customer.clone(),
            meter: Arc::clone(&meter),
            anchor: anchor_of(held.anchor, period),
            plans: tab.plans_of(period).to_vec(),
        };
        let charged = self.charged(&position, &of, period).await?;
        let mut bill = MeterBill {
            customer: customer.clone(),
            payer: known.payer,
            event_name: meter.stripe_event_name.clone(),
            stored: self.used(customer, &meter, period).await?,
            meter: tab.meter,
            period,
            charged,
            sealed: sealed.map_or(0, |period| period.sealed),
            delivered: 0,
            pending: 0,
            in_doubt: 0,
            failed: 0,
            beside: Some(0),
        };
        self.add_chunks(&mut bill).await?;
        Ok(Some(bill))
    }

    async fn add_chunks(&self, bill: &mut MeterBill) -> Result<(), Error> {
        let tab = tab_key(&bill.customer, &bill.meter);
        let query = BillingQuery {
            begins: Some(chunks_of(&tab, bill.period).into()),
            ..BillingQuery::of(BillingKind::Chunk, PAGE)
        };
        for view in self.all_chunks(query).await? {
            let chunk = view.chunk;
            let sum = match chunk.state {
                ChunkState::Sealed | ChunkState::Sending => &mut bill.pending,
                ChunkState::Delivered => &mut bill.delivered,
                ChunkState::InDoubt => &mut bill.in_doubt,
                ChunkState::Failed => &mut bill.failed,
            };
            *sum = sum.saturating_add(chunk.value);
        }
        bill.beside = self.beside(&tab, bill.period).await?;
        Ok(())
    }
}
