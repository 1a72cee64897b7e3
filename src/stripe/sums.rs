//! What Stripe counted of a customer's use of a meter.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::gateway::{Cursor, Fault, Gateway, Span, SummaryFilter, SummaryWindow};
use super::mirrored::seconds;
use crate::domain::billing::summed;
use crate::domain::window::TimeRange;

/// Asks Stripe for its sums.
#[derive(Clone)]
pub(super) struct Sums {
    gateway: Arc<Gateway>,
    /// What Stripe calls meters, by the names of their events.
    meters: Arc<Mutex<BTreeMap<Box<str>, Box<str>>>>,
}

impl Sums {
    /// Asks through a gateway.
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        let meters = Arc::default();
        Self { gateway, meters }
    }

    /// Returns what Stripe counted of a payer in a billing period; `None`: it has no meter for these events, or cannot say it
    /// exactly.
    ///
    /// # Errors
    /// When Stripe cannot be asked.
    pub(super) async fn of(
        &self,
        event_name: &str,
        payer: &str,
        period: TimeRange,
    ) -> Result<Option<i64>, Fault> {
        let Some(meter) = self.meter(event_name).await? else {
            return Ok(None);
        };
        let span = summed(period);
        let filter = SummaryFilter {
            meter: meter.to_string(),
            customer: payer.to_owned(),
            span: Span {
                start: seconds(span.start),
                end: seconds(span.end),
            },
            window: SummaryWindow::Whole,
        };
        let gateway = &self.gateway;
        let page = gateway.list_meter_event_summaries(&filter, Cursor::FIRST);
        let mut sum = Some(0_i64);
        for part in page.await?.data {
            sum = sum.and_then(|sum| sum.checked_add(part.aggregated_value.0?));
        }
        Ok(sum)
    }

    /// Returns what Stripe calls a meter; `None`: it has none for these events.
    async fn meter(&self, event_name: &str) -> Result<Option<Box<str>>, Fault> {
        if let Some(known) = self.meters.lock().get(event_name) {
            return Ok(Some(known.clone()));
        }
        let mut page = self.gateway.list_meters(Cursor::FIRST).await?;
        loop {
            {
                let mut known = self.meters.lock();
                for meter in &page.data {
                    known.insert(meter.event_name.as_str().into(), meter.id.as_str().into());
                }
            }
            let Some(next) = page.next() else {
                break;
            };
            page = self.gateway.list_meters(next).await?;
        }
        Ok(self.meters.lock().get(event_name).cloned())
    }
}
