//! Taking usage back.

use crate::domain::id::EventId;
use crate::domain::usage::UsageEvent;
use crate::domain::window::TimeRange;
use crate::engine::{
    AmendAsk, Engine, Error, VOIDS_MAX, VoidAnswer, VoidAsk, VoidFilter, VoidResult, VoidStatus,
    VoidWhat,
};
use crate::grpc::convert::usage::{kept, stored};
use crate::grpc::convert::{
    count, dimensions, id, optional_id, request_id, required, text, timestamp, within,
};
use crate::grpc::{CALLER, pb};

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 512;

pub(super) async fn void_usage(
    engine: &Engine,
    request: pb::VoidUsageRequest,
) -> Result<pb::VoidUsageResponse, Error> {
    let key = request_id(request.request_id)?;
    let ask = VoidAsk {
        customer: id("customer_id", request.customer_id)?,
        what: what(request.event_ids, request.filter)?,
        reason: text("reason", request.reason, REASON_BYTES_MAX)?,
        dry_run: request.dry_run,
    };
    engine.void(CALLER, key, ask).await.map(voided)
}

fn what(ids: Vec<String>, filter: Option<pb::VoidFilter>) -> Result<VoidWhat, Error> {
    let Some(filter) = filter else {
        count("event_ids", ids.len(), 1, VOIDS_MAX)?;
        let ids = ids.into_iter().enumerate();
        let ids = ids.map(|(index, text)| id(&format!("event_ids[{index}]"), text));
        return Ok(VoidWhat::Ids(ids.collect::<Result<Vec<EventId>, _>>()?));
    };
    if !ids.is_empty() {
        let rule = "must not be given together with event_ids";
        return Err(Error::invalid("filter", rule));
    }
    let filter = read_filter(filter).map_err(|wrong| within("filter", wrong))?;
    Ok(VoidWhat::Like(filter))
}

fn read_filter(filter: pb::VoidFilter) -> Result<VoidFilter, Error> {
    let instant = |field, stamp| timestamp(field, required(field, stamp)?);
    Ok(VoidFilter {
        meter: id("meter_id", filter.meter_id)?,
        range: TimeRange {
            start: instant("start_time", filter.start_time)?,
            end: instant("end_time", filter.end_time)?,
        },
        subaccount: optional_id("subaccount_id", filter.subaccount_id)?,
        dimensions: dimensions("dimensions", filter.dimensions)?,
    })
}

fn voided(answer: VoidAnswer) -> pb::VoidUsageResponse {
    let (void_count, amount) = (answer.count(), answer.amount());
    let results = answer.results.into_iter();
    pb::VoidUsageResponse {
        results: results.map(pb::VoidResult::from).collect(),
        void_count: i64::try_from(void_count).unwrap_or(i64::MAX),
        voided_milli: amount.0,
        more: answer.more,
    }
}

impl From<VoidResult> for pb::VoidResult {
    fn from(result: VoidResult) -> Self {
        let status = match result.status {
            VoidStatus::Voided => pb::VoidStatus::Voided,
            VoidStatus::AlreadyVoided => pb::VoidStatus::AlreadyVoided,
            VoidStatus::NotFound => pb::VoidStatus::NotFound,
            VoidStatus::TooOld => pb::VoidStatus::TooOld,
        };
        Self {
            event_id: result.id.into(),
            status: status.into(),
            voided_milli: result.amount.0,
        }
    }
}

pub(super) async fn amend_usage(
    engine: &Engine,
    request: pb::AmendUsageRequest,
) -> Result<pb::AmendUsageResponse, Error> {
    let key = request_id(request.request_id)?;
    let replacement = required("replacement", request.replacement)?;
    let ask = AmendAsk {
        customer: id("customer_id", request.customer_id)?,
        event: id("event_id", request.event_id)?,
        replacement: UsageEvent::try_from(replacement)
            .map_err(|wrong| within("replacement", wrong))?,
        reason: text("reason", request.reason, REASON_BYTES_MAX)?,
    };
    let amended = engine.amend(CALLER, key, ask).await?;
    let status = if amended.duplicate {
        pb::RecordStatus::Duplicate
    } else {
        pb::RecordStatus::Recorded
    };
    Ok(pb::AmendUsageResponse {
        voided: Some(stored(amended.original, true)),
        result: Some(kept(status, &amended.recorded)),
    })
}
