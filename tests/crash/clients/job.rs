//! Single calls: as they are drawn, logged, sent and answered.

use bursar::grpc::pb;
use bursar::grpc::pb::entitlement_service_client::EntitlementServiceClient;
use bursar::grpc::pb::metering_service_client::MeteringServiceClient;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;

use super::wallet_calls;
use super::wire::{self, Event, Refusal};
use crate::journal::{Answer, Ask, EventAnswer, Line};
use crate::world::{SECOND, customer_id};

/// How long reservations live that are to be ended by us, and those that are left to expire.
pub const LONG: i64 = 600 * SECOND;
pub const SHORT: i64 = 2 * SECOND;

/// One call.
#[derive(Debug, Clone)]
pub enum Job {
    Batch(Vec<Event>),
    Consume(Event),
    Call {
        customer: u32,
        request: String,
        ask: Ask,
        /// The last event of a commit.
        event: Option<Event>,
        /// Whether it was answered before, so that it must change nothing.
        is_repeat: bool,
    },
}

impl Job {
    pub fn call(customer: u32, request: String, ask: Ask) -> Self {
        Self::Call {
            customer,
            request,
            ask,
            event: None,
            is_repeat: false,
        }
    }
}

/// What it came to.
pub enum Outcome {
    Batch(Vec<Option<EventAnswer>>),
    Event(EventAnswer),
    Call(Answer),
}

impl Outcome {
    /// Whether a limit or a wallet stood against it.
    pub fn is_denial(&self) -> bool {
        match self {
            Self::Batch(_) => false,
            Self::Event(answer) => *answer == EventAnswer::Denied,
            Self::Call(answer) => matches!(answer, Answer::Denied | Answer::Refused(_)),
        }
    }
}

impl Outcome {
    /// Returns what it says when its word that nothing was done settles nothing, since another server was asked as well.
    pub fn without_nothing(self) -> Option<Self> {
        match self {
            Self::Batch(answers) => Some(Self::Batch(
                answers
                    .into_iter()
                    .map(|answer| answer.filter(|answer| *answer != EventAnswer::Nothing))
                    .collect(),
            )),
            Self::Event(EventAnswer::Nothing) | Self::Call(Answer::Nothing) => None,
            other => Some(other),
        }
    }
}

/// What became of a job.
#[derive(Default)]
pub struct Made {
    /// The answers, denials first: a server that denies has not seen what another granted at the same time.
    pub outcomes: Vec<Outcome>,
    /// Whether some server did not answer, and may still do it.
    pub is_lost: bool,
    /// Whether two were asked.
    pub is_double: bool,
}

/// Makes all calls of a group at once, each on the servers that it comes with.
pub async fn make(jobs: &[Job], places: Vec<Vec<Channel>>) -> Vec<Made> {
    let mut calls = JoinSet::new();
    let mut made: Vec<Made> = Vec::new();
    for (place, (job, channels)) in jobs.iter().zip(places).enumerate() {
        made.push(Made {
            is_double: channels.len() > 1,
            ..Made::default()
        });
        for channel in channels {
            let job = job.clone();
            calls.spawn(async move { (place, one(job, channel).await) });
        }
    }
    while let Some(ended) = calls.join_next().await {
        let (place, outcome) = ended.expect("a call does not panic");
        match outcome {
            None => made[place].is_lost = true,
            Some(outcome) if outcome.is_denial() => made[place].outcomes.insert(0, outcome),
            Some(outcome) => made[place].outcomes.push(outcome),
        }
    }
    made
}

async fn one(job: Job, channel: Channel) -> Option<Outcome> {
    match job {
        Job::Batch(events) => {
            let count = events.len();
            let events = events.iter().map(wire::event).collect();
            let request = pb::RecordUsageBatchRequest { events };
            let answer = MeteringServiceClient::new(channel)
                .record_usage_batch(request)
                .await;
            Some(Outcome::Batch(match answer {
                Ok(answer) => {
                    let results = &answer.into_inner().results;
                    results.iter().map(wire::result).collect()
                }
                Err(status) if wire::failure(&status) == Some(Refusal::Nothing) => {
                    vec![Some(EventAnswer::Nothing); count]
                }
                Err(_) => return None,
            }))
        }
        Job::Consume(event) => {
            let request = pb::ConsumeRequest {
                event: Some(wire::event(&event)),
                feature_id: event.content.meter.id().to_owned(),
                verbose: false,
            };
            let answer = EntitlementServiceClient::new(channel)
                .consume(request)
                .await;
            let answer = match answer {
                Ok(answer) => match answer.into_inner().result {
                    Some(result) => wire::result(&result)?,
                    None => EventAnswer::Denied,
                },
                Err(status) => wire::failure(&status)?.into(),
            };
            Some(Outcome::Event(answer))
        }
        Job::Call {
            customer,
            request,
            ask,
            event,
            ..
        } => {
            let asked = ask.clone();
            let answer = match call(channel, customer, request, ask, event).await {
                Ok(answer) => answer,
                Err(status) => wire::failure(&status)?.into(),
            };
            Some(Outcome::Call(match (asked, answer) {
                (Ask::Credits(credits), Answer::Failed(why)) if credits.may_refuse(&why) => {
                    Answer::Refused(why)
                }
                (_, answer) => answer,
            }))
        }
    }
}

async fn call(
    channel: Channel,
    customer: u32,
    request_id: String,
    ask: Ask,
    event: Option<Event>,
) -> Result<Answer, Status> {
    let mut service = EntitlementServiceClient::new(channel.clone());
    let customer_id = customer_id(customer);
    let done = Ok(Answer::Done);
    match ask {
        Ask::Credits(credits) => wallet_calls::change(channel, customer, request_id, credits).await,
        Ask::Void { event } => wallet_calls::void(channel, customer, request_id, event).await,
        Ask::Reserve {
            meter,
            quantity,
            least,
            ttl,
        } => {
            let item = item(meter.id(), quantity, least);
            reserve(service, request_id, customer_id, item, ttl).await
        }
        Ask::Start { ttl } => {
            reserve(service, request_id, customer_id, item("jobs", 1, 1), ttl).await
        }
        Ask::Commit { reservation, .. } => {
            let request = pb::CommitReservationRequest {
                request_id,
                customer_id,
                reservation_id: reservation,
                events: event.iter().map(wire::event).collect(),
            };
            service.commit_reservation(request).await.and(done)
        }
        Ask::Release { reservation } => {
            let request = pb::ReleaseReservationRequest {
                request_id,
                customer_id,
                reservation_id: reservation,
            };
            service.release_reservation(request).await.and(done)
        }
        Ask::Extend { reservation } => {
            let request = pb::ExtendReservationRequest {
                request_id,
                customer_id,
                reservation_id: reservation,
                ttl: Some(seconds(LONG)),
            };
            service.extend_reservation(request).await.and(done)
        }
        Ask::Allocate { seat } => allocate(service, request_id, customer_id, seat).await,
        Ask::Deallocate { seat } => {
            let request = pb::DeallocateRequest {
                request_id,
                customer_id,
                feature_id: "seats".to_owned(),
                allocation_id: seat,
            };
            service.deallocate(request).await.and(done)
        }
    }
}

async fn allocate(
    mut service: EntitlementServiceClient<Channel>,
    request_id: String,
    customer_id: String,
    seat: String,
) -> Result<Answer, Status> {
    let request = pb::AllocateRequest {
        request_id,
        customer_id,
        feature_id: "seats".to_owned(),
        allocation_id: seat,
        ..pb::AllocateRequest::default()
    };
    let answer = service.allocate(request).await?.into_inner();
    let is_allowed = answer.decision.is_some_and(|decision| decision.allowed);
    Ok(if is_allowed {
        Answer::Done
    } else {
        Answer::Denied
    })
}

fn item(feature: &str, quantity: i64, least: i64) -> pb::ReserveItem {
    pb::ReserveItem {
        feature_id: feature.to_owned(),
        quantity: Some(quantity),
        min_quantity: Some(least),
        ..pb::ReserveItem::default()
    }
}

async fn reserve(
    mut service: EntitlementServiceClient<Channel>,
    request_id: String,
    customer_id: String,
    item: pb::ReserveItem,
    ttl: i64,
) -> Result<Answer, Status> {
    let request = pb::ReserveRequest {
        request_id,
        customer_id,
        items: vec![item],
        ttl: Some(seconds(ttl)),
        ..pb::ReserveRequest::default()
    };
    let answer = service.reserve(request).await?.into_inner();
    Ok(match answer.reservation {
        Some(held) => Answer::Reserved {
            granted: answer.items.iter().map(|item| item.granted_quantity).sum(),
            reserve_time: wire::micros(held.reserve_time.as_ref()),
            reservation: held.reservation_id,
        },
        None => Answer::Denied,
    })
}

pub fn seconds(micros: i64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: micros / SECOND,
        nanos: 0,
    }
}

impl Job {
    /// Returns the lines that say that it is about to be sent.
    pub fn sent_at(&self, at: i64) -> Vec<Line> {
        match self {
            Self::Batch(events) => events.iter().map(|event| event.sent_at(at)).collect(),
            Self::Consume(event) => vec![event.sent_at(at)],
            Self::Call {
                customer,
                request,
                ask,
                event,
                ..
            } => {
                let call = Line::Call {
                    at,
                    customer: *customer,
                    request: request.clone(),
                    ask: ask.clone(),
                };
                event
                    .iter()
                    .map(|event| event.sent_at(at))
                    .chain([call])
                    .collect()
            }
        }
    }
}
