//! Events that no webhook brought: Stripe keeps them for 30 days, and what is not in the inbox is put there.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::concern::Concern;
use super::gateway::{Cursor, Event, EventFilter, Gateway, Page, Span as Seconds};
use super::inbound::listed;
use super::mirrored::{at, seconds};
use super::subscriptions::NotFollowed;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;
use crate::engine::Engine;

/// How long Stripe keeps events.
const KEPT: Span = Span::from_days(30);
/// How far back what was seen is read again: an event may show in the list later than one that was made after it.
const OVERLAP: Span = Span::from_minutes(10);
/// How far ahead of ours Stripe's clock may be.
const AHEAD: Span = Span::from_minutes(5);
/// Between looks whether it is time to read.
const PAUSE: Duration = Duration::from_secs(5);

/// Reads Stripe's list of events.
#[derive(Clone)]
pub struct EventList {
    engine: Engine,
    gateway: Arc<Gateway>,
}

/// What a page of the list came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    /// How many events it had.
    pub(super) seen: usize,
    /// How many of them are worked on now that were not before.
    pub(super) queued: usize,
    /// When the newest of them was made.
    newest: Option<Timestamp>,
    /// The event behind which the next page begins; `None`: it was the last.
    pub(super) next: Option<String>,
}

impl EventList {
    /// Reads by a gateway.
    #[must_use]
    pub const fn new(engine: Engine, gateway: Arc<Gateway>) -> Self {
        Self { engine, gateway }
    }

    /// Reads what is new at the start and from time to time, until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut at_once = true;
        loop {
            match self.once(at_once).await {
                Ok(queued) if queued > 0 => {
                    tracing::info!(events = queued, "events came that no webhook brought");
                }
                Ok(_) => {}
                Err(why) => tracing::warn!(%why, "the list of events is read later"),
            }
            at_once = false;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Reads what is new, if it is our turn; returns how many events no webhook had brought.
    ///
    /// # Errors
    /// When Stripe cannot be asked, or the store fails; the same is read again then.
    pub async fn once(&self, at_once: bool) -> Result<usize, NotFollowed> {
        let Some(through) = self.engine.begin_listing(at_once).await? else {
            return Ok(0);
        };
        let now = self.engine.now();
        let oldest = now.minus(KEPT);
        if through < oldest {
            tracing::error!(
                "nothing was heard of Stripe for longer than it keeps events; what happened before is seen customer by customer"
            );
        }
        let range = TimeRange {
            start: through.minus(OVERLAP).max(oldest),
            end: now.plus(AHEAD),
        };
        let (mut queued, mut newest, mut after) = (0, through, None);
        loop {
            let taken = self.page(range, after, false).await?;
            queued += taken.queued;
            newest = taken.newest.map_or(newest, |at| at.max(newest));
            after = taken.next;
            if after.is_none() {
                break;
            }
        }
        self.engine.end_listing(newest).await?;
        Ok(queued)
    }

    /// Puts a page of the events of a range into the inbox, the newest first; with `again` those that were worked on are worked
    /// on once more.
    ///
    /// # Errors
    /// When Stripe cannot be asked, or the store fails.
    pub(super) async fn page(
        &self,
        range: TimeRange,
        after: Option<String>,
        again: bool,
    ) -> Result<Taken, NotFollowed> {
        let filter = EventFilter {
            created: Some(Seconds {
                start: seconds(range.start),
                end: seconds(range.end),
            }),
            types: Vec::new(),
        };
        let cursor = after.as_deref().map_or(Cursor::FIRST, Cursor::after);
        let page = self.gateway.list_events(&filter, cursor).await?;
        self.take(&page, again).await
    }

    async fn take(&self, page: &Page<Event>, again: bool) -> Result<Taken, NotFollowed> {
        let now = self.engine.now();
        let of_concern = |event: &&Event| match Concern::of(&event.class) {
            Concern::Customer => true,
            Concern::Catalog | Concern::Nothing => false,
        };
        let events = page.data.iter().filter(of_concern);
        let views = events.map(|event| listed(event, now)).collect();
        Ok(Taken {
            seen: page.data.len(),
            queued: self.engine.receive_webhooks(views, again).await?,
            newest: page.data.iter().map(|event| at(event.created)).max(),
            next: page.next().and_then(|next| next.after).map(str::to_owned),
        })
    }
}
