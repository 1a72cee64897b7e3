//! Between our words and the messages of the API.

use bursar::grpc::pb;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::journal::{Answer, Content, EventAnswer};
use crate::world::{PARTS, SECOND, customer_id};

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
        subaccount_id: PARTS[content.part].to_owned(),
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
            refusal(details.map(|info| info.reason)).map(EventAnswer::from)
        }
        pb::RecordStatus::Unspecified => Some(EventAnswer::Rejected("no status".to_owned())),
    }
}

/// Returns the reason of a reject of the stream, `None`: send it again.
pub fn reject(reject: &pb::UsageReject) -> Option<String> {
    let status = reject.status.as_ref();
    let details = status.and_then(tonic_types::RpcStatusExt::get_details_error_info);
    match refusal(details.map(|info| info.reason)) {
        Some(Refusal::ForGood(reason)) => Some(reason),
        Some(Refusal::Nothing) | None => None,
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// For this reason, and never will be.
    ForGood(String),
    /// It says that nothing was applied, and that the reason passes.
    Nothing,
}

/// Returns why a call was refused; `None`: it is not known whether it was done.
pub fn failure(status: &Status) -> Option<Refusal> {
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
        code => Some(Refusal::ForGood(format!("{code:?}: {}", status.message()))),
    }
}

fn refusal(reason: Option<String>) -> Option<Refusal> {
    let reason = reason.unwrap_or_else(|| "no reason".to_owned());
    match reason.as_str() {
        "STORAGE_UNAVAILABLE" | "DRAINING" => None,
        "STORAGE_FULL" | "OVERLOADED" | "CONTENDED" => Some(Refusal::Nothing),
        _ => Some(Refusal::ForGood(reason)),
    }
}

impl From<Refusal> for EventAnswer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ForGood(reason) => Self::Rejected(reason),
            Refusal::Nothing => Self::Nothing,
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ForGood(reason) => Self::Failed(reason),
            Refusal::Nothing => Self::Nothing,
        }
    }
}
