//! Usage that Stripe had received and did not count: told later, with a few examples and a number.

use std::collections::BTreeMap;

use super::chunks::{ChunkView, Turn};
use crate::domain::billing::{ChunkState, TOO_OLD};
use crate::domain::time::{Span, Timestamp};
use crate::engine::Engine;
use crate::engine::error::Error;
use crate::storage::{BillingKind, BillingQuery};

/// Chunks that are read together.
const PAGE: usize = 1_000;
/// How long before it was sent a chunk is sealed, at most, unless Stripe was away.
const MARGIN: Span = Span::from_days(2);

/// What Stripe found wrong with the events of a meter that it had received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LateRefusal {
    /// Why, by the identifiers that Stripe gave as examples.
    pub examples: BTreeMap<String, String>,
    /// Where there are more than the examples.
    pub others: Option<OtherRefusals>,
}

/// Events that are wrong and that Stripe does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRefusals {
    /// What the meter's events are called.
    pub event_name: String,
    /// Why.
    pub why: String,
    /// When the first of them may have come.
    pub start: Timestamp,
    /// When the last of them had come.
    pub end: Timestamp,
}

impl Engine {
    /// Notes that Stripe did not count usage. What it names has failed; where it does not name all, what may be meant is in
    /// doubt until Stripe's sums say which it was. Returns how many chunks were moved.
    ///
    /// # Errors
    /// When the store fails; the same may be noted again.
    pub async fn refuse_chunks(&self, refusal: &LateRefusal) -> Result<usize, Error> {
        let oldest = self.now().minus(TOO_OLD);
        let (mut moved, mut missing) = (0, refusal.examples.len());
        let mut query = BillingQuery::of(BillingKind::Chunk, PAGE);
        loop {
            // The newest first: what is told of is mostly of this hour.
            let page = self.chunks(query.clone()).await?;
            for view in &page.items {
                let example = refusal.examples.get(&*view.chunk.identifier);
                missing = missing.saturating_sub(usize::from(example.is_some()));
                let turn = match (example, &refusal.others) {
                    (Some(why), _) => Turn::Refuse(why.as_str().into()),
                    (None, Some(others)) if others.may_mean(view) => {
                        Turn::Question(others.why.as_str().into())
                    }
                    (None, Some(_) | None) => continue,
                };
                moved += usize::from(self.turn(view, turn).await?.0);
            }
            let last = page.items.last().map(|view| view.chunk.seal_time);
            let is_over = |last: Timestamp| match &refusal.others {
                // What was sealed long before was sent before.
                Some(others) => missing == 0 && last.plus(MARGIN) < others.start,
                None => missing == 0,
            };
            query.after = page.next;
            if query.after.is_none() || last.is_none_or(|last| is_over(last) || last < oldest) {
                return Ok(moved);
            }
        }
    }
}

impl OtherRefusals {
    fn may_mean(&self, view: &ChunkView) -> bool {
        let chunk = &view.chunk;
        let sent = chunk.last_attempt.zip(chunk.first_attempt);
        *chunk.event_name == *self.event_name
            && chunk.state == ChunkState::Delivered
            && sent.is_some_and(|(last, first)| first <= self.end && self.start <= last)
    }
}
