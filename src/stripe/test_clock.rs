//! The sandbox's test clock: the time of the whole server moves on, with all that becomes due on the way, in the order in
//! which it would have come.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::sandbox::Sandbox;
use super::usage_out::UsageOut;
use super::webhooks_in::WebhooksIn;
use crate::domain::billing::{ChunkState, InboundState, SETTLING};
use crate::domain::time::{Span, Timestamp};
use crate::engine::{BillingFault, Engine, Error, InboundView};

/// The longest way in one go: usage is sealed while Stripe takes it, also of those to whom nothing happens.
const STRIDE: Span = Span::from_days(7);
/// How long after something happened there is a stop, at which what was used before is complete and sent. Invoices of a
/// period stay drafts for an hour.
const AFTER: Span = Span::from_micros_clamped(SETTLING.as_micros() + 60_000_000);
/// How often it is looked at what is still on its way, at each stop, while nothing moves.
const LOOKS: u32 = 150;
/// Webhooks that are looked at each time.
const LOOKED_AT: usize = 100;
/// Between such looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Moves time.
pub(super) struct TestClock {
    engine: Engine,
    sandbox: Arc<Sandbox>,
    usage: UsageOut,
    inbox: WebhooksIn,
    /// One at a time moves it.
    turn: Mutex<()>,
}

impl TestClock {
    pub(super) fn new(
        engine: &Engine,
        sandbox: Arc<Sandbox>,
        usage: UsageOut,
        inbox: WebhooksIn,
    ) -> Self {
        Self {
            engine: engine.clone(),
            sandbox,
            usage,
            inbox,
            turn: Mutex::default(),
        }
    }

    /// Moves time forward; returns what time it is then.
    ///
    /// # Errors
    /// When other servers share the database, the store fails, or what became due cannot be worked off: time stands where it
    /// came to then, and the rest is worked off later.
    pub(super) async fn advance(&self, span: Span) -> Result<Timestamp, Error> {
        if self.engine.store().is_shared() {
            // They would have to agree on the time at each instant.
            return Err(BillingFault::ClockShared.into());
        }
        let _turn = self.turn.lock().await;
        let target = self.engine.now().plus(span);
        self.sandbox.catch_up().await?;
        let mut is_quiet = self.settle().await?;
        let mut after = None;
        loop {
            let now = self.engine.now();
            if now >= target {
                break;
            }
            let due = self.sandbox.next_due().await?;
            let stops = [due, after, Some(now.plus(STRIDE)), Some(target)];
            let next = stops.into_iter().flatten().min().unwrap_or(target);
            self.move_to(next).await?;
            after = due.filter(|due| *due <= next).map(|due| due.plus(AFTER));
            is_quiet = self.settle().await?;
        }
        self.engine.time_moved();
        if is_quiet {
            return Ok(self.engine.now());
        }
        let why = format!("not all that became due by {target} is worked off yet");
        Err(BillingFault::Unavailable(why).into())
    }

    /// Moves time to an instant, and lets happen what is due by then.
    async fn move_to(&self, stop: Timestamp) -> Result<(), Error> {
        let clock = self.sandbox.clock();
        let way = stop.since(self.engine.now());
        let ahead = clock.ahead().as_micros().saturating_add(way.as_micros());
        let ahead = Span::from_micros_clamped(ahead);
        // Kept first: who starts anew at this moment must not be told an earlier time than anybody was.
        self.engine.keep_moved_ahead(ahead).await?;
        clock.move_ahead(ahead);
        self.sandbox.catch_up().await
    }

    /// Sends usage and works on webhooks until nothing is on its way; false when something does not get there.
    async fn settle(&self) -> Result<bool, Error> {
        let mut looks = 0;
        loop {
            let moved = self.usage.once().await? + self.inbox.at_once().await?;
            if moved > 0 {
                continue;
            }
            if self.is_quiet().await? {
                return Ok(true);
            }
            looks += 1;
            if looks >= LOOKS {
                return Ok(false);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether no usage is on its way, and no webhook is due.
    async fn is_quiet(&self) -> Result<bool, Error> {
        let one = || (None, 1);
        for state in [ChunkState::Sealed, ChunkState::Sending] {
            let found = self.engine.list_chunks(None, Some(state), one()).await?;
            if !found.items.is_empty() {
                return Ok(false);
            }
        }
        // One that could not be worked on is tried again when its pause is over.
        let due = self.engine.due_webhooks(LOOKED_AT).await?;
        let waits = |(_, one): &InboundView| one.state == InboundState::Waiting;
        Ok(!due.iter().any(waits))
    }
}
