//! Recording a list of events in one call.

use super::BATCH_MAX;
use crate::domain::usage::UsageEvent;
use crate::engine::{Engine, Error, RecordOutcome};
use crate::grpc::convert::{at, count};
use crate::grpc::pb;

pub(super) async fn record_usage_batch(
    engine: &Engine,
    request: pb::RecordUsageBatchRequest,
) -> Result<pb::RecordUsageBatchResponse, Error> {
    count("events", request.events.len(), 1, BATCH_MAX)?;
    let read = Read::new(request.events);
    let prepared = engine.prepare(read.events).await?;
    let outcomes = engine.record(prepared).await?;
    let outcomes = merge(outcomes, read.unreadable);
    Ok(pb::RecordUsageBatchResponse {
        results: outcomes.iter().map(pb::UsageResult::from).collect(),
    })
}

/// Events as far as they can be read.
pub(super) struct Read {
    /// Those that are events.
    pub(super) events: Vec<UsageEvent>,
    /// What is wrong with the others, by position in the whole list.
    pub(super) unreadable: Vec<(usize, Error)>,
}

impl Read {
    pub(super) fn new(sent: Vec<pb::UsageEvent>) -> Self {
        let mut events = Vec::with_capacity(sent.len());
        let mut unreadable = Vec::new();
        for (index, event) in sent.into_iter().enumerate() {
            match UsageEvent::try_from(event) {
                Ok(event) => events.push(event),
                Err(wrong) => unreadable.push((index, wrong)),
            }
        }
        Self { events, unreadable }
    }
}

/// Puts outcomes and what could not be read into the order of the list, and the place in it before each wrong field.
pub(super) fn merge(
    outcomes: Vec<RecordOutcome>,
    unreadable: Vec<(usize, Error)>,
) -> Vec<RecordOutcome> {
    let total = outcomes.len() + unreadable.len();
    let mut outcomes = outcomes.into_iter();
    let mut unreadable = unreadable.into_iter().peekable();
    let mut merged = Vec::with_capacity(total);
    for index in 0..total {
        let outcome = match unreadable.next_if(|(place, _)| *place == index) {
            Some((_, wrong)) => RecordOutcome::Rejected(wrong),
            None => match outcomes.next() {
                Some(outcome) => outcome,
                None => break,
            },
        };
        merged.push(match outcome {
            RecordOutcome::Rejected(wrong) => RecordOutcome::Rejected(at("events", index, wrong)),
            kept @ (RecordOutcome::Recorded(_) | RecordOutcome::Duplicate(_)) => kept,
        });
    }
    merged
}
