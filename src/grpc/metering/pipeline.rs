//! The batches of one stream that are on their way through the engine, answered in the order in which they came.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::batch::merge;
use crate::engine::{Engine, Error, Prepared, RecordOutcome};

/// Most parts on their way.
const PARTS_MAX: usize = 64;
/// Most bytes on their way, roughly; what comes beyond waits in the client.
const BYTES_MAX: usize = 32 * 1024 * 1024;

type Outcomes = Result<Vec<RecordOutcome>, Error>;
type Recording = Pin<Box<dyn Future<Output = Outcomes> + Send>>;
type Preparing = Pin<Box<dyn Future<Output = Result<Prepared, Error>> + Send>>;

/// A run of events of the stream that goes through the engine as one.
pub(super) struct Part {
    /// The sequence number of its first event.
    pub(super) first_seq: i64,
    /// What is wrong with events that cannot be read, by position.
    pub(super) unreadable: Vec<(usize, Error)>,
    /// Roughly what it holds in memory.
    pub(super) bytes: usize,
}

struct Running {
    part: Part,
    recording: Recording,
    outcomes: Option<Outcomes>,
}

/// Parts on their way. Each is given to the engine before the one after it.
#[derive(Default)]
pub(super) struct Pipeline {
    preparing: Option<(Part, Preparing)>,
    running: VecDeque<Running>,
    bytes: usize,
}

impl Pipeline {
    /// Whether another part may be started.
    pub(super) fn has_room(&self) -> bool {
        self.preparing.is_none() && self.running.len() < PARTS_MAX && self.bytes < BYTES_MAX
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.preparing.is_none() && self.running.is_empty()
    }

    /// Starts a part; only when there is room.
    pub(super) fn start(
        &mut self,
        engine: &Engine,
        part: Part,
        events: Vec<crate::domain::usage::UsageEvent>,
    ) {
        let engine = engine.clone();
        let preparing = async move { engine.prepare_patiently(events).await };
        self.bytes += part.bytes;
        self.preparing = Some((part, Box::pin(preparing)));
    }

    /// Forgets everything: what the engine has of it is done all the same.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the outcome of the oldest part once it is known; where there was an error nothing can be said of that
    /// part. `None`: none is known yet, and there may be room for another part. Never ends while nothing is on its
    /// way. May be dropped and called again at any time.
    pub(super) async fn next(&mut self, engine: &Engine) -> Option<(i64, Outcomes)> {
        poll_fn(|context| self.poll(engine, context)).await
    }

    fn poll(
        &mut self,
        engine: &Engine,
        context: &mut Context<'_>,
    ) -> Poll<Option<(i64, Outcomes)>> {
        let mut is_prepared = false;
        if let Some((part, mut preparing)) = self.preparing.take() {
            match preparing.as_mut().poll(context) {
                Poll::Pending => self.preparing = Some((part, preparing)),
                Poll::Ready(prepared) => {
                    self.running.push_back(run(engine, part, prepared));
                    is_prepared = true;
                }
            }
        }
        // In order: the first look at a recording is what hands it to the engine.
        for running in &mut self.running {
            if running.outcomes.is_none()
                && let Poll::Ready(outcomes) = running.recording.as_mut().poll(context)
            {
                running.outcomes = Some(outcomes);
            }
        }
        let is_first_known = |first: &mut Running| first.outcomes.is_some();
        match self.running.pop_front_if(is_first_known) {
            Some(Running {
                part,
                outcomes: Some(outcomes),
                ..
            }) => {
                self.bytes = self.bytes.saturating_sub(part.bytes);
                let outcomes = outcomes.map(|outcomes| merge(outcomes, part.unreadable));
                Poll::Ready(Some((part.first_seq, outcomes)))
            }
            Some(_) | None if is_prepared => Poll::Ready(None),
            Some(_) | None => Poll::Pending,
        }
    }
}

fn run(engine: &Engine, part: Part, prepared: Result<Prepared, Error>) -> Running {
    let engine = engine.clone();
    Running {
        part,
        recording: Box::pin(async move { engine.record(prepared?).await }),
        outcomes: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{AnchoredClock, wall_clock};
    use crate::domain::catalog::parse_catalog;
    use crate::domain::id::{CustomerId, EventId, MeterId};
    use crate::domain::usage::{Labels, UsageEvent};
    use crate::engine::Limits;
    use crate::storage::StoredCatalog;
    use crate::storage::memory::MemoryStore;

    fn event(seq: i64) -> UsageEvent {
        UsageEvent {
            event_id: EventId::new(format!("e{seq}")).unwrap(),
            customer_id: CustomerId::new("acme").unwrap(),
            subaccount_id: None,
            meter_id: MeterId::new("tokens").unwrap(),
            quantity: 1,
            event_time: None,
            dimensions: Labels::new(),
            metadata: Labels::new(),
            reservation_id: None,
        }
    }

    /// Starts an engine with one customer.
    async fn engine(limits: Limits) -> Engine {
        let catalog = r#"
            default_plan = "free"
            auto_create_customers = { per_minute = 60 }
            meters.tokens = { aggregation = "sum", unit = "token" }
            plans.free = {}
        "#;
        let stored = StoredCatalog {
            catalog: Arc::new(parse_catalog(catalog).unwrap()),
            source: catalog.into(),
            apply_time: wall_clock(),
        };
        let store = Arc::new(MemoryStore::new(Arc::new(wall_clock)));
        let clock = Arc::new(AnchoredClock::new(wall_clock()));
        let (engine, _) = Engine::start(store, clock, stored, limits);
        engine.prepare(vec![event(0)]).await.unwrap();
        engine
    }

    fn part(first_seq: i64) -> Part {
        Part {
            first_seq,
            unreadable: Vec::new(),
            bytes: 100,
        }
    }

    #[tokio::test]
    async fn a_part_larger_than_the_queue_is_taken_when_that_is_empty() {
        let limits = Limits {
            queue_events: 2,
            ..Limits::default()
        };
        let engine = engine(limits).await;
        let mut pipeline = Pipeline::default();
        pipeline.start(&engine, part(1), (1..=5).map(event).collect());
        let known = loop {
            if let Some(known) = pipeline.next(&engine).await {
                break known;
            }
        };
        assert_eq!(known.1.unwrap().len(), 5);
    }

    #[tokio::test]
    async fn parts_are_taken_while_others_are_being_recorded() {
        let engine = engine(Limits::default()).await;
        let mut pipeline = Pipeline::default();
        for first_seq in 1..=5 {
            assert!(pipeline.has_room());
            pipeline.start(&engine, part(first_seq), vec![event(first_seq)]);
            // The committer, on this thread, has had no turn: none can be known.
            assert!(pipeline.next(&engine).await.is_none());
        }
        for first_seq in 1..=5 {
            let (seq, outcomes) = pipeline.next(&engine).await.expect("one is known");
            assert_eq!(seq, first_seq);
            assert!(matches!(
                outcomes.unwrap()[..],
                [RecordOutcome::Recorded(_)]
            ));
        }
        assert!(pipeline.is_empty());
    }
}
