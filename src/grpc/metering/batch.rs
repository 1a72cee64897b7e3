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
    let mut events = Vec::with_capacity(request.events.len());
    let mut unreadable = Vec::new();
    for (index, event) in request.events.into_iter().enumerate() {
        read(event, index, &mut events, &mut unreadable);
    }
    let prepared = engine.prepare(events).await?;
    let outcomes = merge(engine.record(prepared).await?, unreadable);
    let results = outcomes.into_iter().enumerate();
    Ok(pb::RecordUsageBatchResponse {
        results: results
            .map(|(index, outcome)| result(index, outcome))
            .collect(),
    })
}

/// Writes a result; a field that is wrong gets its path from the request's root.
fn result(index: usize, outcome: RecordOutcome) -> pb::UsageResult {
    pb::UsageResult::from(&match outcome {
        RecordOutcome::Rejected(wrong) => RecordOutcome::Rejected(at("events", index, wrong)),
        kept @ (RecordOutcome::Recorded(_) | RecordOutcome::Duplicate(_)) => kept,
    })
}

/// Reads one event, or notes what is wrong with it and where it stood.
pub(super) fn read(
    event: pb::UsageEvent,
    index: usize,
    events: &mut Vec<UsageEvent>,
    unreadable: &mut Vec<(usize, Error)>,
) {
    match UsageEvent::try_from(event) {
        Ok(event) => events.push(event),
        Err(wrong) => unreadable.push((index, wrong)),
    }
}

/// Puts outcomes and what could not be read into the order of the list.
pub(super) fn merge(
    outcomes: Vec<RecordOutcome>,
    unreadable: Vec<(usize, Error)>,
) -> Vec<RecordOutcome> {
    if unreadable.is_empty() {
        return outcomes;
    }
    let total = outcomes.len() + unreadable.len();
    let mut outcomes = outcomes.into_iter();
    let mut unreadable = unreadable.into_iter().peekable();
    let mut merged = Vec::with_capacity(total);
    for index in 0..total {
        match unreadable.next_if(|(place, _)| *place == index) {
            Some((_, wrong)) => merged.push(RecordOutcome::Rejected(wrong)),
            None => merged.extend(outcomes.next()),
        }
    }
    merged
}
