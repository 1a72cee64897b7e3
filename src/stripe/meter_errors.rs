//! Meter events that Stripe took and did not count: told later, in thin events, of which only the id is believed.
//!
//! Stripe names a few of the events that are wrong, never all, and says how many there are and when they came. Those that it
//! names have failed; of the others its sums tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp as Instant;

use super::gateway::{Cursor, Fault, Gateway, MeterErrors as Report, ThinEvent};
use super::subscriptions::NotFollowed;
use crate::domain::time::Timestamp;
use crate::engine::{Engine, LateRefusal, OtherRefusals};

/// The events that tell of such usage.
const KINDS: [&str; 2] = [
    "v1.billing.meter.error_report_triggered",
    "v1.billing.meter.no_meter_found",
];

/// Looks into what Stripe says is wrong with usage.
#[derive(Clone)]
pub struct MeterErrors {
    engine: Engine,
    gateway: Arc<Gateway>,
}

impl MeterErrors {
    /// Asks through a gateway.
    #[must_use]
    pub const fn new(engine: Engine, gateway: Arc<Gateway>) -> Self {
        Self { engine, gateway }
    }

    /// Whether events of a type are looked into here.
    pub(super) fn tells(kind: &str) -> bool {
        KINDS.contains(&kind)
    }

    /// Fetches an event and notes what it tells; false when nothing of ours is meant.
    ///
    /// # Errors
    /// When Stripe cannot be asked, or it cannot be stored.
    pub(super) async fn look_into(&self, event: &str) -> Result<bool, NotFollowed> {
        let event = self.gateway.retrieve_thin_event(event).await?;
        let Some(report) = &event.data else {
            return Ok(false);
        };
        let (examples, unnamed) = examples(report);
        let mut moved = 0;
        let names = if unnamed > 0 {
            self.event_names(&event).await?
        } else {
            Vec::new()
        };
        let mut others = names.into_iter().map(|name| self.others(report, name));
        let refusal = LateRefusal {
            examples,
            others: others.next(),
        };
        moved += self.engine.refuse_chunks(&refusal).await?;
        for other in others {
            let refusal = LateRefusal {
                others: Some(other),
                ..LateRefusal::default()
            };
            moved += self.engine.refuse_chunks(&refusal).await?;
        }
        tracing::error!(
            event.id = %event.id, moved, count = report.reason.error_count,
            why = %report.developer_message_summary,
            "Stripe took usage and did not count it; it is not billed until it is sent again"
        );
        Ok(moved > 0)
    }

    fn others(&self, report: &Report, event_name: String) -> OtherRefusals {
        let codes = report.reason.error_types.iter();
        let codes: Vec<&str> = codes.map(|kind| kind.code.as_str()).collect();
        OtherRefusals {
            event_name,
            why: codes.join(", "),
            start: instant(&report.validation_start).unwrap_or(Timestamp::MIN),
            end: instant(&report.validation_end).unwrap_or_else(|| self.engine.now()),
        }
    }

    /// Returns what the events that are meant are called: those of the meter, or those for which there is none.
    async fn event_names(&self, event: &ThinEvent) -> Result<Vec<String>, Fault> {
        let catalog = self.engine.catalog().catalog;
        let ours = catalog.meters.values();
        let mut ours: Vec<String> = ours
            .filter_map(|meter| meter.stripe_event_name.as_deref())
            .map(str::to_owned)
            .collect();
        let mut theirs = BTreeMap::new();
        let mut page = self.gateway.list_meters(Cursor::FIRST).await?;
        loop {
            theirs.extend(page.data.iter().map(|meter| {
                let name = meter.event_name.as_str().to_owned();
                (meter.id.as_str().to_owned(), name)
            }));
            let Some(next) = page.next() else {
                break;
            };
            page = self.gateway.list_meters(next).await?;
        }
        if let Some(meter) = &event.related_object {
            return Ok(theirs.remove(&meter.id).into_iter().collect());
        }
        ours.retain(|name| theirs.values().all(|known| known != name));
        Ok(ours)
    }
}

/// Returns why by identifier, and how many are not named.
fn examples(report: &Report) -> (BTreeMap<String, String>, i64) {
    let mut named = BTreeMap::new();
    for kind in &report.reason.error_types {
        for sample in &kind.sample_errors {
            let why = format!("{}: {}", kind.code, sample.error_message);
            named.insert(sample.request.identifier.clone(), why);
        }
    }
    let count = i64::try_from(named.len()).unwrap_or(i64::MAX);
    (named, report.reason.error_count.saturating_sub(count))
}

/// Reads a time in RFC 3339.
fn instant(text: &str) -> Option<Timestamp> {
    let read: Instant = text.parse().ok()?;
    Timestamp::from_micros(read.as_microsecond())
}
