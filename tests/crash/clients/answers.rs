//! What the answers to a group of calls mean: they are logged, what is held is noted, and what has no answer is made
//! again.

use std::collections::VecDeque;
use std::io;

use super::Client;
use super::calls::{Holdings, Open, Reserved};
use super::draw::other;
use super::job::{Job, LONG, Made, Outcome};
use super::wire::Event;
use crate::journal::{Answer, Ask, EventAnswer, Line};
use crate::world::Meter;

/// Logs what was answered and returns what must be sent again.
pub fn settle(
    client: &mut Client,
    holdings: &mut Holdings,
    open: Vec<Open>,
    made: Vec<Made>,
) -> io::Result<Vec<Open>> {
    let at = client.ground.now();
    let (mut lines, mut again) = (Vec::new(), Vec::new());
    for (mut one, mut made) in open.into_iter().zip(made) {
        one.is_lost |= made.is_lost;
        if one.is_lost || made.is_double {
            let said = made.outcomes.into_iter();
            made.outcomes = said.filter_map(Outcome::without_nothing).collect();
        }
        let Some(last) = made.outcomes.pop() else {
            again.push(one);
            continue;
        };
        for outcome in made.outcomes {
            note(&one.job, &outcome, at, &mut lines);
        }
        if one.is_lost && last.is_denial() {
            holdings.doubtful.push(one.job.clone());
        }
        match (one.job, last) {
            (Job::Batch(events), Outcome::Batch(answers)) => {
                let mut left = Vec::new();
                for (event, answer) in events.into_iter().zip(answers) {
                    match answer {
                        Some(answer) => {
                            note_drawn(holdings, &event, &answer);
                            take_event(client, event, &answer, at, &mut lines);
                        }
                        None => left.push(event),
                    }
                }
                if !left.is_empty() {
                    again.push(Open {
                        job: Job::Batch(left),
                        is_lost: true,
                    });
                }
            }
            (Job::Consume(event), Outcome::Event(answer)) => {
                note_drawn(holdings, &event, &answer);
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
            (job @ Job::Call { .. }, Outcome::Call(answer)) => {
                take_call(client, holdings, job, &answer, at, &mut lines);
            }
            (job, _) => unreachable!("{job:?} has an outcome of another kind"),
        }
    }
    client.journal.append(&lines)?;
    client.acked(lines.len());
    client.decided(lines.iter().filter(|line| is_decision(line)).count());
    Ok(again)
}

/// Notes an event that drew on a wallet, so that it is taken back some time.
fn note_drawn(holdings: &mut Holdings, event: &Event, answer: &EventAnswer) {
    if answer.is_stored() && event.content.meter == Meter::Work {
        holdings.funds.drew(event.customer, &event.id);
    }
}

/// Logs what the first of two servers answered.
fn note(job: &Job, outcome: &Outcome, at: i64, lines: &mut Vec<Line>) {
    match (job, outcome) {
        (Job::Batch(events), Outcome::Batch(answers)) => {
            let answered = events.iter().zip(answers);
            lines.extend(answered.filter_map(|(event, answer)| {
                Some(event.answered_at(at, answer.as_ref()?.clone()))
            }));
        }
        (Job::Consume(event), Outcome::Event(answer)) => {
            lines.push(event.answered_at(at, answer.clone()));
        }
        (Job::Call { request, event, .. }, Outcome::Call(answer)) => {
            lines.push(Line::CallAnswer {
                at,
                request: request.clone(),
                answer: answer.clone(),
            });
            lines.extend(last_event(event.as_ref(), answer, at));
        }
        (job, _) => unreachable!("{job:?} has an outcome of another kind"),
    }
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
    lines.extend(last_event(event.as_ref(), answer, at));
    if *is_repeat {
        return;
    }
    let reserved = |reservation: &String, granted: i64, meter| Reserved {
        customer: *customer,
        reservation: reservation.clone(),
        granted,
        meter,
    };
    match (ask, answer) {
        (
            Ask::Reserve {
                meter, ttl: LONG, ..
            },
            Answer::Reserved {
                reservation,
                granted,
                ..
            },
        ) => keep(
            &mut holdings.held,
            reserved(reservation, *granted, Some(*meter)),
        ),
        (Ask::Start { .. }, Answer::Reserved { reservation, .. }) => {
            keep(&mut holdings.held, reserved(reservation, 0, None));
        }
        (Ask::Allocate { seat }, Answer::Done) => {
            keep(&mut holdings.seats, (*customer, seat.clone()));
        }
        (Ask::Credits(credits), answer) => holdings.funds.take(*customer, credits, answer),
        _ => {}
    }
    *is_repeat = true;
    if !matches!(
        answer,
        Answer::Denied | Answer::Refused(_) | Answer::Nothing
    ) && client.draw.chance(5)
    {
        holdings.done.push_back(job);
    }
}

/// What the answer to a commit says of its last event.
fn last_event(event: Option<&Event>, answer: &Answer, at: i64) -> Option<Line> {
    let answer = match answer {
        Answer::Done => EventAnswer::Accepted,
        Answer::Nothing => EventAnswer::Nothing,
        Answer::Reserved { .. }
        | Answer::Denied
        | Answer::Refused(_)
        | Answer::Voided(_)
        | Answer::Moved(_)
        | Answer::Failed(_) => return None,
    };
    Some(event?.answered_at(at, answer))
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
