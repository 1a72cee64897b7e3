//! A client that calls: groups of calls that race each other for the hot customers' limits, and batches of events.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::Client;
use super::draw::other;
use super::job::{Job, LONG, Outcome, SHORT, make};
use super::wire::Event;
use crate::journal::{Answer, Ask, Content, EventAnswer, Line};
use crate::world::Meter;

/// Calls of one group, all on their way at once.
const GROUP: usize = 16;
/// Events in a batch.
const BATCH: usize = 100;
/// Pause before calls without an answer are made again.
const PAUSE: Duration = Duration::from_millis(10);
/// What a client holds at most before it ends the oldest.
const HELD_MAX: usize = 12;

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
                        Some(answer) => take_event(client, event, &answer, at, &mut lines),
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
                take_call(client, holdings, job, &answer, at, &mut lines);
            }
            (job, Some(_)) => unreachable!("{job:?} has an outcome of another kind"),
        }
    }
    client.journal.append(&lines)?;
    client.acked(lines.len());
    client.decided(lines.iter().filter(|line| is_decision(line)).count());
    Ok(again)
}

fn take_event(
    client: &mut Client,
    event: Event,
    answer: &EventAnswer,
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
    answer: &Answer,
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
    if let (Some(event), Answer::Done) = (&event, answer) {
        lines.push(event.answered_at(at, EventAnswer::Accepted));
    }
    if *is_repeat {
        return;
    }
    match (ask, answer) {
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
    if *answer != Answer::Denied && client.draw.chance(5) {
        holdings.done.push_back(job);
    }
}

/// Notes something that is held, once: a repeated call brings it again.
fn keep<T: PartialEq>(held: &mut VecDeque<T>, one: T) {
    if !held.contains(&one) {
        held.push_back(one);
    }
}

/// Whether a line says what a limit allowed or denied.
fn is_decision(line: &Line) -> bool {
    match line {
        Line::CallAnswer { answer, .. } => {
            matches!(answer, Answer::Reserved { .. } | Answer::Denied)
        }
        Line::EventAnswer { answer, .. } => *answer == EventAnswer::Denied,
        Line::Event { .. } | Line::Call { .. } => false,
    }
}
