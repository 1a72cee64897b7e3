//! Between our words and the messages of the API.

use bursar::grpc::pb;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::journal::{Content, EventAnswer};
use crate::world::{SECOND, customer_id};

/// An event with one of its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub customer: u32,
    pub id: String,
    pub variant: u8,
    pub content: Content,
}

/// Returns an event as a message.
pub fn event(event: &Event) -> pb::UsageEvent {
    let content = &event.content;
    let model = content
        .large
        .then(|| ("model".to_owned(), "large".to_owned()));
    pb::UsageEvent {
        event_id: event.id.clone(),
        customer_id: customer_id(event.customer),
        meter_id: content.meter.id().to_owned(),
        quantity: content.quantity,
        event_time: content.event_time.map(timestamp),
        dimensions: model.into_iter().collect(),
        reservation_id: content.reservation.clone().unwrap_or_default(),
        ..pb::UsageEvent::default()
    }
}

pub fn timestamp(micros: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: micros.div_euclid(SECOND),
        nanos: i32::try_from(micros.rem_euclid(SECOND) * 1000).expect("below a second"),
    }
}

pub fn micros(time: Option<&prost_types::Timestamp>) -> i64 {
    time.map_or(0, |time| {
        time.seconds * SECOND + i64::from(time.nanos) / 1000
    })
}

/// Returns what a result says, `None`: send it again.
pub fn result(result: &pb::UsageResult) -> Option<EventAnswer> {
    match result.status() {
        pb::RecordStatus::Recorded => Some(EventAnswer::Recorded),
        pb::RecordStatus::Duplicate => Some(EventAnswer::Duplicate),
        pb::RecordStatus::Rejected => {
            let status = result.error.as_ref();
            let details = status.and_then(tonic_types::RpcStatusExt::get_details_error_info);
            refusal(details.map(|info| info.reason)).map(EventAnswer::Rejected)
        }
        pb::RecordStatus::Unspecified => Some(EventAnswer::Rejected("no status".to_owned())),
    }
}

/// Returns the reason of a reject of the stream, `None`: send it again.
pub fn reject(reject: &pb::UsageReject) -> Option<String> {
    let status = reject.status.as_ref();
    let details = status.and_then(tonic_types::RpcStatusExt::get_details_error_info);
    refusal(details.map(|info| info.reason))
}

/// Returns why a call was refused for good; `None`: it is not known whether it was done, or it was not done for a
/// reason that passes.
pub fn failure(status: &Status) -> Option<String> {
    if let Some(info) = status.get_details_error_info() {
        return refusal(Some(info.reason));
    }
    match status.code() {
        // What a connection that breaks looks like.
        Code::Unavailable
        | Code::Cancelled
        | Code::Unknown
        | Code::Internal
        | Code::DeadlineExceeded => None,
        code => Some(format!("{code:?}: {}", status.message())),
    }
}

fn refusal(reason: Option<String>) -> Option<String> {
    const PASSING: [&str; 5] = [
        "STORAGE_UNAVAILABLE",
        "STORAGE_FULL",
        "OVERLOADED",
        "DRAINING",
        "CONTENDED",
    ];
    let reason = reason.unwrap_or_else(|| "no reason".to_owned());
    (!PASSING.contains(&reason.as_str())).then_some(reason)
}
