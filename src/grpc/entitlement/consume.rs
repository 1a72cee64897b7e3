//! Checking and recording in one call.

use super::check::known;
use crate::domain::usage::UsageEvent;
use crate::engine::{ConsumeAsk, Engine, Error};
use crate::grpc::convert::decision::decision;
use crate::grpc::convert::{id, required, within};
use crate::grpc::pb;

pub(super) async fn consume(
    engine: &Engine,
    request: pb::ConsumeRequest,
) -> Result<pb::ConsumeResponse, Error> {
    let event = required("event", request.event)?;
    let event = UsageEvent::try_from(event).map_err(of_event)?;
    if event.reservation_id.is_some() {
        return Err(Error::invalid("event.reservation_id", "must be empty"));
    }
    let subaccount = event.subaccount_id.clone();
    let ask = ConsumeAsk {
        event,
        feature: id("feature_id", request.feature_id)?,
        verbose: request.verbose,
    };
    let feature = ask.feature.clone();
    let consumed = engine.consume(ask).await.map_err(of_event)?;
    known(engine, &feature, subaccount.as_ref(), &consumed.decision)?;
    Ok(pb::ConsumeResponse {
        decision: Some(decision(consumed.decision, subaccount.as_ref())),
        result: consumed.outcome.as_ref().map(pb::UsageResult::from),
    })
}

/// Puts the event in front of a field that is named as the event names it.
fn of_event(error: Error) -> Error {
    match error.field() {
        Some(field) if !field.starts_with("event.") => within("event", error),
        _ => error,
    }
}
