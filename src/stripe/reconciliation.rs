//! What was used compared with what Stripe counted and invoiced, on demand and once a day.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::gateway::{Cursor, Fault, Gateway, Invoice, InvoiceFilter};
use super::mirrored::seconds;
use super::setup::Setup;
use super::subscriptions::NotFollowed;
use super::sums::Sums;
use crate::domain::billing::price_list;
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::time::Timestamp;
use crate::engine::{Engine, MeterBill, Reconciled};
use crate::storage::Page;

/// Between two comparisons of everything.
const DAY: Duration = Duration::from_hours(24);
/// Most customers and meters that are compared in one go.
const SLICE: usize = 100;

/// Compares.
#[derive(Clone)]
pub struct Reconciliation {
    engine: Engine,
    gateway: Arc<Gateway>,
    setup: Setup,
    sums: Sums,
}

impl Reconciliation {
    /// Asks through a gateway.
    #[must_use]
    pub fn new(engine: Engine, gateway: Arc<Gateway>) -> Self {
        Self {
            engine,
            setup: Setup::new(Arc::clone(&gateway)),
            sums: Sums::new(Arc::clone(&gateway)),
            gateway,
        }
    }

    /// Compares everything once a day until `stop` is cancelled, and reports what differs.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(DAY) => {}
            }
            if let Err(error) = self.report().await {
                tracing::warn!(%error, "usage is compared with Stripe another day");
            }
        }
    }

    /// Compares everything and reports what differs; returns of how many customers and meters something does.
    ///
    /// # Errors
    /// When the store or Stripe cannot be read.
    pub async fn report(&self) -> Result<usize, NotFollowed> {
        let (mut differ, mut after) = (0, None);
        loop {
            let page = self.compare(None, None, (after, SLICE)).await?;
            for row in &page.items {
                let of = &row.bill;
                match row.difference() {
                    Some(0) | None => {}
                    Some(difference) => {
                        differ += 1;
                        tracing::error!(
                            customer.id = %of.customer, meter.id = %of.meter, difference,
                            "Stripe counted another amount than was delivered"
                        );
                    }
                }
                if of.failed != 0 {
                    tracing::error!(
                        customer.id = %of.customer, meter.id = %of.meter, failed = of.failed,
                        "usage was refused by Stripe and is not billed"
                    );
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        metrics::gauge!("bursar_reconciliation_differences")
            .set(f64::from(u32::try_from(differ).unwrap_or(u32::MAX)));
        Ok(differ)
    }

    /// Compares the billing periods that hold an instant, of a customer or of all.
    ///
    /// # Errors
    /// When the store or Stripe cannot be read.
    pub async fn compare(
        &self,
        customer: Option<CustomerId>,
        at: Option<Timestamp>,
        range: (Option<String>, usize),
    ) -> Result<Page<Reconciled>, NotFollowed> {
        let page = self.engine.meter_bills(customer, at, range).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for bill in page.items {
            items.push(self.ask(bill).await?);
        }
        let next = page.next;
        Ok(Page { items, next })
    }

    async fn ask(&self, bill: MeterBill) -> Result<Reconciled, Fault> {
        let (mut stripe_sum, mut invoiced) = (None, None);
        if let (Some(payer), Some(name)) = (&bill.payer, &bill.event_name) {
            stripe_sum = self.sums.of(name, payer, bill.period).await?;
            invoiced = self.invoiced(payer, &bill).await?;
        }
        Ok(Reconciled {
            bill,
            stripe_sum,
            invoiced,
        })
    }

    /// Returns what invoices have of a meter's use in a period; `None`: none has any of it yet.
    async fn invoiced(&self, payer: &str, bill: &MeterBill) -> Result<Option<i64>, Fault> {
        let prices = self.prices(&bill.meter).await?;
        let filter = InvoiceFilter {
            customer: Some(payer),
            subscription: None,
        };
        let page = self.gateway.list_invoices(filter, Cursor::FIRST).await?;
        let mut sum = None;
        for invoice in page.data.iter().filter(|invoice| bills_use(invoice)) {
            for line in &invoice.lines.data {
                let is_its = line.price().is_some_and(|price| prices.contains(price))
                    && line.period.start >= seconds(bill.period.start)
                    && line.period.start < seconds(bill.period.end);
                if is_its {
                    let quantity = line.quantity.unwrap_or_default();
                    sum = Some(sum.unwrap_or(0_i64).saturating_add(quantity));
                }
            }
        }
        Ok(sum)
    }

    /// Returns the ids of the prices by which use of a meter is billed.
    async fn prices(&self, meter: &MeterId) -> Result<BTreeSet<String>, Fault> {
        let list = price_list(&self.engine.catalog().catalog);
        let listed = list.prices.into_iter();
        let keys: Vec<Box<str>> = listed
            .filter(|price| price.meter.as_ref() == Some(meter))
            .map(|price| price.lookup_key)
            .collect();
        let found = self.setup.prices(&keys).await?;
        Ok(found.into_values().map(|price| price.id).collect())
    }
}

/// Whether an invoice is final and can have use on it: the first of a subscription has lines of use, of nothing.
fn bills_use(invoice: &Invoice) -> bool {
    let is_first = invoice.billing_reason.as_deref() == Some("subscription_create");
    let is_final = !matches!(invoice.status.as_deref(), Some("draft" | "void") | None);
    is_final && !is_first
}
