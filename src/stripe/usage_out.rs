//! Usage on its way out: sealed when it is due, sent serially for each customer and meter and in parallel over customers,
//! and looked up at Stripe when nobody knows whether it arrived.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::gateway::{
    Cursor, Fault, Gateway, Kind, NewMeterEvent, Span as Seconds, SummaryFilter, SummaryWindow,
};
use super::mirrored::seconds;
use crate::domain::billing::{Chunk, ChunkState, Evidence, Outcome};
use crate::domain::id::CustomerId;
use crate::domain::time::Span;
use crate::engine::{ChunkView, ClaimedChunk, Engine, Error};

/// Most tabs and chunks that are looked at in one go.
const SLICE: usize = 256;
/// Most chunks that are on their way at a time.
const IN_FLIGHT: usize = 64;
/// Between looks when there was nothing to do.
const PAUSE: Duration = Duration::from_secs(1);
/// How often what a customer used is tried to be sent before something that depends on it.
const FLUSH_TRIES: usize = 4;
/// Between such attempts.
const FLUSH_PAUSE: Duration = Duration::from_millis(300);
/// How long Stripe's sums may take to show what was received.
const SUMS_LAG: Span = Span::from_minutes(10);
/// How long to wait when the key is refused: nobody mends that within seconds.
const REFUSED_PAUSE: Span = Span::from_minutes(1);

/// Sends usage to Stripe.
#[derive(Clone)]
pub struct UsageOut {
    engine: Engine,
    gateway: Arc<Gateway>,
    /// What Stripe calls meters, by the names of their events.
    meters: Arc<Mutex<BTreeMap<Box<str>, Box<str>>>>,
}

impl UsageOut {
    /// Sends by a gateway.
    #[must_use]
    pub fn new(engine: Engine, gateway: Arc<Gateway>) -> Self {
        Self {
            engine,
            gateway,
            meters: Arc::default(),
        }
    }

    /// Seals and sends what is due until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let done = self.once().await;
            let pause = if done == 0 { PAUSE } else { Duration::ZERO };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Seals and sends what is due now; returns how many tabs and chunks were moved on.
    pub async fn once(&self) -> usize {
        let sealed = match self.engine.seal_due(SLICE).await {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::warn!(%error, "no usage can be sealed");
                0
            }
        };
        let due = match self.engine.due_chunks(SLICE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "chunks cannot be read");
                Vec::new()
            }
        };
        sealed + self.turn(due).await
    }

    /// Seals what a customer used until now and sends it, so that it counts before what comes next; false when not all of it
    /// is at Stripe within some attempts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn flush(&self, customer: &CustomerId) -> Result<bool, Error> {
        self.engine.seal_now(customer).await?;
        for _ in 0..FLUSH_TRIES {
            let waiting = self.engine.unsettled_chunks(customer).await?;
            if waiting.is_empty() {
                return Ok(true);
            }
            // One after the other: they are of few meters, and each meter takes one at a time.
            for view in waiting {
                self.one(view).await;
            }
            tokio::time::sleep(FLUSH_PAUSE).await;
        }
        Ok(self.engine.unsettled_chunks(customer).await?.is_empty())
    }

    /// Moves chunks on, some at a time; returns how many.
    async fn turn(&self, due: Vec<ChunkView>) -> usize {
        let mut moved = 0;
        let mut running = JoinSet::new();
        for view in due {
            while running.len() >= IN_FLIGHT {
                moved += usize::from(matches!(running.join_next().await, Some(Ok(true))));
            }
            let this = self.clone();
            running.spawn(async move { this.one(view).await });
        }
        while let Some(done) = running.join_next().await {
            moved += usize::from(matches!(done, Ok(true)));
        }
        moved
    }

    /// Moves one chunk on; false when there was nothing to do, or it could not be done now.
    async fn one(&self, view: ChunkView) -> bool {
        let moved = match view.chunk.state {
            ChunkState::InDoubt => self.look_up(&view).await.map(|()| true),
            ChunkState::Sealed | ChunkState::Sending => self.send(&view).await,
            ChunkState::Delivered | ChunkState::Failed => Ok(false),
        };
        moved.unwrap_or_else(|error| {
            tracing::warn!(chunk.id = %view.id, %error, "a chunk is looked at later");
            false
        })
    }

    async fn send(&self, view: &ChunkView) -> Result<bool, Error> {
        let Some(claimed) = self.engine.claim_chunk(view).await? else {
            return Ok(false);
        };
        let event = meter_event(&claimed);
        let outcome = match self.gateway.send_meter_event(&event).await {
            Ok(_) => Outcome::Delivered,
            Err(fault) => outcome_of(&fault),
        };
        let settled = self.engine.settle_chunk(&claimed, outcome).await?;
        if settled.state == ChunkState::Failed {
            let why = settled.fault.as_deref().unwrap_or_default();
            tracing::error!(chunk.id = %view.id, %why, "Stripe refuses usage; it is not billed until it is sent again");
        }
        Ok(true)
    }

    /// Asks Stripe's sums whether they have a chunk.
    async fn look_up(&self, view: &ChunkView) -> Result<(), Error> {
        let evidence = match self.evidence(view).await? {
            Some(evidence) => evidence,
            None => Evidence::Unclear,
        };
        let chunk = self.engine.resolve_chunk(view, evidence).await?;
        tracing::info!(chunk.id = %view.id, state = chunk.state.word(), "a chunk was in doubt");
        Ok(())
    }

    /// Returns what Stripe's sums say; `None`: they cannot be asked now.
    async fn evidence(&self, view: &ChunkView) -> Result<Option<Evidence>, Error> {
        let chunk = &view.chunk;
        let now = self.engine.now();
        if chunk
            .last_attempt
            .is_some_and(|last| now.since(last) < SUMS_LAG)
        {
            return Ok(None);
        }
        let delivered = self.engine.delivered_of(view).await?;
        let Ok(Some(meter)) = self.meter(&chunk.event_name).await else {
            return Ok(None);
        };
        Ok(self
            .sum(chunk, &meter)
            .await
            .ok()
            .map(|sum| judge(sum, delivered, chunk.value)))
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

    /// Returns what Stripe counted in the period of a chunk; `None`: more than it can say exactly.
    async fn sum(&self, chunk: &Chunk, meter: &str) -> Result<Option<i64>, Fault> {
        const MINUTE: i64 = 60;
        let (start, end) = (seconds(chunk.period.start), seconds(chunk.period.end));
        let filter = SummaryFilter {
            meter: meter.to_owned(),
            customer: chunk.payer.to_string(),
            span: Seconds {
                start: start.div_euclid(MINUTE) * MINUTE,
                end: (end + MINUTE - 1).div_euclid(MINUTE) * MINUTE,
            },
            window: SummaryWindow::Whole,
        };
        let page = self
            .gateway
            .list_meter_event_summaries(&filter, Cursor::FIRST);
        let mut sum = Some(0_i64);
        for part in page.await?.data {
            sum = sum.and_then(|sum| sum.checked_add(part.aggregated_value.0?));
        }
        Ok(sum)
    }
}

/// Says what Stripe's sum means for a chunk in doubt, given what was delivered of the period otherwise.
fn judge(sum: Option<i64>, delivered: i64, value: i64) -> Evidence {
    match sum {
        Some(sum) if Some(sum) == delivered.checked_add(value) => Evidence::Counted,
        Some(sum) if sum == delivered => Evidence::Missing,
        Some(_) | None => Evidence::Unclear,
    }
}

fn meter_event(of: &ClaimedChunk) -> NewMeterEvent {
    let chunk = &of.chunk;
    NewMeterEvent {
        event_name: chunk.event_name.to_string(),
        customer: chunk.payer.to_string(),
        value: chunk.value,
        identifier: chunk.identifier.to_string(),
        timestamp: seconds(chunk.count_time),
    }
}

/// Says what a failure to send usage means for it.
fn outcome_of(fault: &Fault) -> Outcome {
    let why: Box<str> = fault.to_string().into();
    let asked = fault.details.retry_after;
    let asked = asked.map(|seconds| Span::from_secs(u32::try_from(seconds).unwrap_or(u32::MAX)));
    match fault.kind {
        // It was counted before: that is what was wanted.
        Kind::AlreadyExists => Outcome::Delivered,
        Kind::NotSent | Kind::RateLimited | Kind::Conflict => {
            Outcome::Nothing { why, after: asked }
        }
        Kind::Authentication | Kind::Permission => Outcome::Nothing {
            why,
            after: Some(REFUSED_PAUSE),
        },
        Kind::OutcomeUnknown => Outcome::Unknown { why },
        Kind::InvalidRequest | Kind::NotFound | Kind::CardDeclined | Kind::IdempotencyMismatch => {
            Outcome::Refused { why }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_outcome() {
        let delivered = |kind| outcome_of(&Fault::of(kind, "x")) == Outcome::Delivered;
        assert!(delivered(Kind::AlreadyExists));
        for (kind, word) in [
            (Kind::NotSent, "Nothing"),
            (Kind::RateLimited, "Nothing"),
            (Kind::Conflict, "Nothing"),
            (Kind::Authentication, "Nothing"),
            (Kind::Permission, "Nothing"),
            (Kind::OutcomeUnknown, "Unknown"),
            (Kind::InvalidRequest, "Refused"),
            (Kind::NotFound, "Refused"),
            (Kind::CardDeclined, "Refused"),
            (Kind::IdempotencyMismatch, "Refused"),
        ] {
            let outcome = format!("{:?}", outcome_of(&Fault::of(kind, "x")));
            assert!(outcome.starts_with(word), "{kind:?}: {outcome}");
        }
    }

    #[test]
    fn sums_decide_only_where_they_are_exact() {
        assert_eq!(judge(Some(15), 10, 5), Evidence::Counted);
        assert_eq!(judge(Some(10), 10, 5), Evidence::Missing);
        assert_eq!(judge(Some(12), 10, 5), Evidence::Unclear);
        assert_eq!(judge(None, 10, 5), Evidence::Unclear);
        assert_eq!(judge(Some(7), 10, -3), Evidence::Counted);
    }
}
