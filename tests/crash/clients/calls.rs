//! A client that calls: groups of calls that race each other for the hot customers' limits, and batches of events.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bursar::grpc::pb;
use bursar::grpc::pb::entitlement_service_client::EntitlementServiceClient;
use bursar::grpc::pb::metering_service_client::MeteringServiceClient;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;

use super::Client;
use super::draw::other;
use super::wire::{self, Event};
use crate::journal::{Answer, Ask, Content, EventAnswer, Line};
use crate::world::{Meter, SECOND, customer_id};

/// Calls of one group, all on their way at once.
const GROUP: usize = 16;
/// Events in a batch.
const BATCH: usize = 100;
/// How long reservations live that are to be ended by us, and those that are left to expire.
const LONG: i64 = 600 * SECOND;
const SHORT: i64 = 2 * SECOND;
/// Pause before calls without an answer are made again.
const PAUSE: Duration = Duration::from_millis(10);
/// What a client holds at most before it ends the oldest.
const HELD_MAX: usize = 12;

/// One call.
#[derive(Debug, Clone)]
enum Job {
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
    fn call(customer: u32, request: String, ask: Ask) -> Self {
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
enum Outcome {
    Batch(Vec<Option<EventAnswer>>),
    Event(EventAnswer),
    Call(Answer),
}

/// What this client has and must end some time.
#[derive(Default)]
struct Holdings {
    /// Customer, reservation, units granted.
    held: VecDeque<(u32, String, i64)>,
    seats: VecDeque<(u32, String)>,
    /// Calls that were answered, to be made again.
    done: VecDeque<Job>,
}

pub async fn run(mut client: Client) -> io::Result<()> {
    let mut holdings = Holdings::default();
    let mut jobs: Vec<Job> = Vec::new();
    while let Some(channel) = client.connect().await {
        loop {
            if jobs.is_empty() {
                if client.ground.is_ending() {
                    return Ok(());
                }
                jobs = draw(&mut client, &mut holdings);
                let at = client.ground.now();
                let lines: Vec<Line> = jobs.iter().flat_map(|job| job.sent_at(at)).collect();
                client.journal.append(&lines)?;
            }
            client.waits_for(jobs.len());
            let outcomes = make(&jobs, &channel).await;
            client.waits_for(0);
            jobs = settle(&mut client, &mut holdings, jobs, outcomes)?;
            if !jobs.is_empty() {
                client.waits_for(jobs.len());
                tokio::time::sleep(PAUSE).await;
                break;
            }
        }
    }
    client.waits_for(0);
    Ok(())
}

/// Draws the next group.
fn draw(client: &mut Client, holdings: &mut Holdings) -> Vec<Job> {
    let mut jobs = Vec::with_capacity(GROUP + 1);
    if client.draw.chance(50) {
        jobs.push(Job::Batch(client.draw.facts(BATCH)));
    }
    // Half of the groups ask one customer only, so that many are after the same last units.
    let crowd = client.draw.chance(50).then(|| client.draw.hot());
    while jobs.len() < GROUP {
        let customer = crowd.unwrap_or_else(|| client.draw.hot());
        let request = client.draw.id();
        let quantity = client.draw.between(1, 40);
        let call = |ask| Job::call(customer, request.clone(), ask);
        let job = match client.draw.between(0, 99) {
            0..35 => Job::Consume(units(request, customer, quantity, None)),
            35..60 => {
                let ttl = if client.draw.chance(10) { SHORT } else { LONG };
                let least = if client.draw.chance(50) { 1 } else { quantity };
                call(Ask::Reserve {
                    quantity,
                    least,
                    ttl,
                })
            }
            60..70 => call(Ask::Start { ttl: LONG }),
            70..76 => call(Ask::Allocate {
                seat: request.clone(),
            }),
            76..80 => match holdings.seats.pop_front() {
                Some((customer, seat)) => Job::call(customer, request, Ask::Deallocate { seat }),
                None => continue,
            },
            80..84 => match holdings.held.back().cloned() {
                Some((customer, reservation, _)) => {
                    Job::call(customer, request, Ask::Extend { reservation })
                }
                None => continue,
            },
            84..88 => match holdings.done.pop_front() {
                Some(job) => job,
                None => continue,
            },
            _ if holdings.held.len() < HELD_MAX => continue,
            _ => match holdings.held.pop_front() {
                Some(held) => end(client, request, held),
                None => continue,
            },
        };
        jobs.push(job);
    }
    jobs
}

/// Ends a reservation in one of its ways.
fn end(
    client: &mut Client,
    request: String,
    (customer, reservation, granted): (u32, String, i64),
) -> Job {
    if client.draw.chance(30) {
        return Job::call(customer, request, Ask::Release { reservation });
    }
    // A job in flight is granted no units and uses none.
    let event = (granted > 0).then(|| {
        let quantity = client.draw.between(0, granted);
        units(
            client.draw.id(),
            customer,
            quantity,
            Some(reservation.clone()),
        )
    });
    Job::Call {
        customer,
        request,
        ask: Ask::Commit {
            reservation,
            event: event.as_ref().map(|event| event.id.clone()),
        },
        event,
        is_repeat: false,
    }
}

fn units(id: String, customer: u32, quantity: i64, reservation: Option<String>) -> Event {
    Event {
        customer,
        id,
        variant: 0,
        content: Content {
            meter: Meter::Units,
            quantity,
            large: false,
            event_time: None,
            reservation,
        },
    }
}

/// Makes all calls of a group at once; `None`: no answer.
async fn make(jobs: &[Job], channel: &Channel) -> Vec<Option<Outcome>> {
    let mut calls = JoinSet::new();
    for (place, job) in jobs.iter().cloned().enumerate() {
        let channel = channel.clone();
        calls.spawn(async move { (place, one(job, channel).await) });
    }
    let mut outcomes: Vec<Option<Outcome>> = Vec::new();
    outcomes.resize_with(jobs.len(), || None);
    while let Some(made) = calls.join_next().await {
        let (place, outcome) = made.expect("a call does not panic");
        outcomes[place] = outcome;
    }
    outcomes
}

async fn one(job: Job, channel: Channel) -> Option<Outcome> {
    match job {
        Job::Batch(events) => {
            let events = events.iter().map(wire::event).collect();
            let request = pb::RecordUsageBatchRequest { events };
            let answer = MeteringServiceClient::new(channel)
                .record_usage_batch(request)
                .await;
            let results = answer.ok()?.into_inner().results;
            Some(Outcome::Batch(results.iter().map(wire::result).collect()))
        }
        Job::Consume(event) => {
            let request = pb::ConsumeRequest {
                event: Some(wire::event(&event)),
                feature_id: "units".to_owned(),
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
                Err(status) => EventAnswer::Rejected(wire::failure(&status)?),
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
            let service = EntitlementServiceClient::new(channel);
            match call(service, customer, request, ask, event).await {
                Ok(answer) => Some(Outcome::Call(answer)),
                Err(status) => {
                    wire::failure(&status).map(|reason| Outcome::Call(Answer::Failed(reason)))
                }
            }
        }
    }
}

async fn call(
    mut service: EntitlementServiceClient<Channel>,
    customer: u32,
    request_id: String,
    ask: Ask,
    event: Option<Event>,
) -> Result<Answer, Status> {
    let customer_id = customer_id(customer);
    let done = Ok(Answer::Done);
    match ask {
        Ask::Reserve {
            quantity,
            least,
            ttl,
        } => {
            let item = item("units", quantity, least);
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
        Ask::Allocate { seat } => {
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

fn seconds(micros: i64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: micros / SECOND,
        nanos: 0,
    }
}

/// Logs what was answered and returns what must be sent again.
fn settle(
    client: &mut Client,
    holdings: &mut Holdings,
    jobs: Vec<Job>,
    outcomes: Vec<Option<Outcome>>,
) -> io::Result<Vec<Job>> {
    let at = client.ground.now();
    let (mut lines, mut again) = (Vec::new(), Vec::new());
    for (job, outcome) in jobs.into_iter().zip(outcomes) {
        match (job, outcome) {
            (job, None) => again.push(job),
            (Job::Batch(events), Some(Outcome::Batch(answers))) => {
                let mut left = Vec::new();
                for (event, answer) in events.into_iter().zip(answers) {
                    match answer {
                        Some(answer) => take_event(client, event, answer, at, &mut lines),
                        None => left.push(event),
                    }
                }
                if !left.is_empty() {
                    again.push(Job::Batch(left));
                }
            }
            (Job::Consume(event), Some(Outcome::Event(answer))) => {
                if answer.is_stored() && client.draw.chance(7) {
                    let event = event.clone();
                    let reused = if client.draw.chance(30) {
                        other(event)
                    } else {
                        event
                    };
                    holdings.done.push_back(Job::Consume(reused));
                }
                lines.push(event.answered_at(at, answer));
            }
            (job @ Job::Call { .. }, Some(Outcome::Call(answer))) => {
                take_call(client, holdings, job, answer, at, &mut lines);
            }
            (job, Some(_)) => unreachable!("{job:?} has an outcome of another kind"),
        }
    }
    client.journal.append(&lines)?;
    client.acked(lines.len());
    Ok(again)
}

fn take_event(
    client: &mut Client,
    event: Event,
    answer: EventAnswer,
    at: i64,
    lines: &mut Vec<Line>,
) {
    lines.push(event.answered_at(at, answer.clone()));
    if answer.is_stored() {
        client.draw.remember(event);
    }
}

/// Notes what a call brought, so that it is ended some time, and at times made again.
fn take_call(
    client: &mut Client,
    holdings: &mut Holdings,
    mut job: Job,
    answer: Answer,
    at: i64,
    lines: &mut Vec<Line>,
) {
    let Job::Call {
        customer,
        request,
        ask,
        event,
        is_repeat,
    } = &mut job
    else {
        return;
    };
    lines.push(Line::CallAnswer {
        at,
        request: request.clone(),
        answer: answer.clone(),
    });
    if let (Some(event), Answer::Done) = (&event, &answer) {
        lines.push(event.answered_at(at, EventAnswer::Accepted));
    }
    if *is_repeat {
        return;
    }
    match (ask, &answer) {
        (
            Ask::Reserve { ttl: LONG, .. },
            Answer::Reserved {
                reservation,
                granted,
                ..
            },
        ) => {
            keep(
                &mut holdings.held,
                (*customer, reservation.clone(), *granted),
            );
        }
        (Ask::Start { .. }, Answer::Reserved { reservation, .. }) => {
            keep(&mut holdings.held, (*customer, reservation.clone(), 0));
        }
        (Ask::Allocate { seat }, Answer::Done) => {
            keep(&mut holdings.seats, (*customer, seat.clone()));
        }
        _ => {}
    }
    *is_repeat = true;
    if answer != Answer::Denied && client.draw.chance(5) {
        holdings.done.push_back(job);
    }
}

/// Notes something that is held, once: a repeated call brings it again.
fn keep<T: PartialEq>(held: &mut VecDeque<T>, one: T) {
    if !held.contains(&one) {
        held.push_back(one);
    }
}

impl Job {
    /// Returns the lines that say that it is about to be sent.
    fn sent_at(&self, at: i64) -> Vec<Line> {
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
