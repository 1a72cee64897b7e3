//! Usage on its way out: sealed when it is due, sent serially for each customer and meter and in parallel over customers,
//! and looked up at Stripe when nobody knows whether it arrived.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::gateway::{Fault, Gateway, Kind, NewMeterEvent};
use super::mirrored::seconds;
use super::rounds::rounds;
use super::sums::Sums;
use crate::domain::billing::{ChunkState, Evidence, Outcome};
use crate::domain::id::CustomerId;
use crate::domain::time::Span;
use crate::engine::{ChunkView, Engine, Error, side_by_side};
use crate::failpoint;

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
    sums: Sums,
}

impl UsageOut {
    /// Sends by a gateway.
    #[must_use]
    pub fn new(engine: Engine, gateway: Arc<Gateway>) -> Self {
        Self {
            engine,
            sums: Sums::new(Arc::clone(&gateway)),
            gateway,
        }
    }

    /// Seals and sends what is due until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let round = || {
            let this = self.clone();
            async move { this.once().await }
        };
        rounds("usage to Stripe", PAUSE, stop, round).await;
    }

    /// Seals and sends what is due now; returns how many tabs and chunks were moved on.
    ///
    /// # Errors
    /// When the store fails; what is due stays so.
    pub async fn once(&self) -> Result<usize, Error> {
        let sealed = self.engine.seal_due(SLICE).await?;
        let due = self.engine.due_chunks(SLICE).await?;
        Ok(sealed + self.turn(due).await?)
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
            self.turn(waiting).await?;
            tokio::time::sleep(FLUSH_PAUSE).await;
        }
        Ok(self.engine.unsettled_chunks(customer).await?.is_empty())
    }

    /// Moves chunks on, those of one customer and meter one after the other; returns how many.
    async fn turn(&self, chunks: Vec<ChunkView>) -> Result<usize, Error> {
        let mut tabs: BTreeMap<_, Vec<ChunkView>> = BTreeMap::new();
        for view in chunks {
            let tab = (view.customer.clone(), view.chunk.meter.clone());
            tabs.entry(tab).or_default().push(view);
        }
        let of_tabs = side_by_side(IN_FLIGHT, tabs.into_values(), |views| {
            let this = self.clone();
            async move { this.one_by_one(views).await }
        });
        let mut moved = 0;
        for of_tab in of_tabs.await {
            moved += of_tab?;
        }
        Ok(moved)
    }

    async fn one_by_one(&self, mut views: Vec<ChunkView>) -> Result<usize, Error> {
        views.sort_by_key(|view| (view.chunk.period.start, view.chunk.number));
        let mut moved = 0;
        for view in views {
            match self.one(&view).await {
                Ok(is_moved) => moved += usize::from(is_moved),
                Err(error) if error.concerns_all() => return Err(error),
                Err(error) => {
                    tracing::warn!(chunk.id = %view.id, %error, "a chunk is looked at later");
                }
            }
        }
        Ok(moved)
    }

    /// Moves one chunk on; false when there was nothing to do.
    async fn one(&self, view: &ChunkView) -> Result<bool, Error> {
        match view.chunk.state {
            ChunkState::InDoubt => self.look_up(view).await.map(|()| true),
            ChunkState::Sealed | ChunkState::Sending => self.send(view).await,
            ChunkState::Delivered | ChunkState::Failed => Ok(false),
        }
    }

    async fn send(&self, view: &ChunkView) -> Result<bool, Error> {
        let Some(claimed) = self.engine.claim_chunk(view).await? else {
            return Ok(false);
        };
        failpoint::hit("usage_out.claimed");
        let event = meter_event(&claimed);
        let outcome = match self.gateway.send_meter_event(&event).await {
            Ok(_) => Outcome::Delivered,
            Err(fault) => outcome_of(&fault),
        };
        failpoint::hit("usage_out.sent");
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
        let ledger = self.engine.ledger_of(view).await?;
        let asked = self
            .sums
            .of(&chunk.event_name, &chunk.payer, chunk.period)
            .await;
        Ok(asked.ok().map(|sum| ledger.judge(sum)))
    }
}

fn meter_event(of: &ChunkView) -> NewMeterEvent {
    let chunk = &of.chunk;
    let mut identifier = chunk.identifier.to_string();
    if failpoint::fault("usage_named_by_attempt") {
        identifier = format!("{identifier}_{}", chunk.attempts);
    }
    NewMeterEvent {
        event_name: chunk.event_name.to_string(),
        customer: chunk.payer.to_string(),
        value: chunk.value,
        identifier,
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
}
