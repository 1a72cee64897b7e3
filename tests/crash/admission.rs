//! Whether more was granted than a limit allows, at any time.
//!
//! Clients cannot see when exactly the server decides, only that it was between sending and the answer. So each grant
//! is counted for the time that it held for certain: from its answer until its end was asked for. If even these
//! overlap to more than the limit, the limit was exceeded; no guess is involved.

use std::collections::BTreeMap;

use crate::checker::{Findings, Kind, Stored, Times};
use crate::history::{Call, Granted, History};
use crate::journal::{Answer, Ask, EventAnswer};
use crate::world::{COUNTERS, Counter, JOBS, Meter, SEATS, Window};

/// A stretch of time in which an amount was in use or set aside for certain.
#[derive(Debug, Clone, Copy)]
struct Hold {
    from: i64,
    until: i64,
    amount: i64,
}

/// Finds limits that were exceeded.
pub fn check(history: &History, stored: &Stored, times: Times, found: &mut Findings) {
    for counter in COUNTERS {
        let Some(limit) = counter.limit else { continue };
        let holds = unit_holds(history, counter, times);
        report(
            found,
            &format!("units in {}", counter.window_name),
            limit,
            holds,
        );
    }
    report(found, "jobs", JOBS, job_holds(history));
    report(found, "seats", SEATS, seat_holds(history));
    check_rows(stored, found);
}

fn report(found: &mut Findings, what: &str, limit: i64, holds: BTreeMap<u32, Vec<Hold>>) {
    for (customer, holds) in holds {
        let (at, most) = peak(&holds);
        if most > limit {
            found.add(
                Kind::OverAdmitted,
                format!("customer {customer}, {what}: {most} granted of {limit} at {at} µs"),
            );
        }
    }
}

/// Returns the largest sum of holds at one time, and when it was.
fn peak(holds: &[Hold]) -> (i64, i64) {
    let mut turns: Vec<(i64, i64)> = Vec::with_capacity(holds.len() * 2);
    for hold in holds.iter().filter(|hold| hold.from < hold.until) {
        turns.push((hold.from, hold.amount));
        turns.push((hold.until, -hold.amount));
    }
    // Of one instant, what ends comes first.
    turns.sort_unstable();
    let (mut sum, mut best) = (0, (0, 0));
    for (at, change) in turns {
        sum += change;
        if sum > best.1 {
            best = (at, sum);
        }
    }
    best
}

/// Returns until when use that was asked for at `asked` and known at `known` counts for certain.
fn counts_until(counter: Counter, asked: i64, known: i64, times: Times) -> i64 {
    match counter.window {
        Window::Lifetime => i64::MAX,
        Window::Rolling(length) => asked + length,
        Window::Steps(length) => {
            let start = |at| counter.window.start(times.anchor, times.began + at);
            match start(asked) {
                Some(first) if start(known) == Some(first) => first + length - times.began,
                // It may belong to either window.
                Some(_) | None => known,
            }
        }
    }
}

fn unit_holds(history: &History, counter: Counter, times: Times) -> BTreeMap<u32, Vec<Hold>> {
    let mut holds: BTreeMap<u32, Vec<Hold>> = BTreeMap::new();
    let granted = history.granted();
    for ((customer, _), sent) in &history.events {
        let (Some(content), Some(known)) = (sent.acked_content(), sent.acked_at()) else {
            continue;
        };
        if content.meter != Meter::Units {
            continue;
        }
        let reserved = content.reservation.as_ref().and_then(|id| granted.get(id));
        let hold = match reserved {
            // It takes over from its reservation, which held at least as much.
            Some(held) => Hold {
                from: held.ended_at.unwrap_or(known),
                until: counts_until(counter, held.asked_at, held.known_at, times),
                amount: content.quantity.min(held.amount),
            },
            None => Hold {
                from: known,
                until: counts_until(counter, sent.first_sent, known, times),
                amount: content.quantity,
            },
        };
        holds.entry(*customer).or_default().push(hold);
    }
    for held in granted.values() {
        if held.meter != Some(Meter::Units) {
            continue;
        }
        let mut hold = hold_of(held);
        if let Window::Steps(_) = counter.window {
            let end = counts_until(counter, held.asked_at, held.known_at, times);
            hold.until = hold.until.min(end);
        }
        holds.entry(held.customer).or_default().push(hold);
    }
    holds
}

fn hold_of(held: &Granted) -> Hold {
    let expires = held.asked_at + held.ttl;
    Hold {
        from: held.known_at,
        until: held.ended_at.unwrap_or(i64::MAX).min(expires),
        amount: held.amount,
    }
}

fn job_holds(history: &History) -> BTreeMap<u32, Vec<Hold>> {
    let mut holds: BTreeMap<u32, Vec<Hold>> = BTreeMap::new();
    for held in history
        .granted()
        .values()
        .filter(|held| held.meter.is_none())
    {
        holds.entry(held.customer).or_default().push(hold_of(held));
    }
    holds
}

fn seat_holds(history: &History) -> BTreeMap<u32, Vec<Hold>> {
    let mut freed: BTreeMap<(u32, &str), i64> = BTreeMap::new();
    for call in history.calls.values() {
        if let Ask::Deallocate { seat } = &call.ask {
            freed.insert((call.customer, seat), call.first_sent);
        }
    }
    let mut holds: BTreeMap<u32, Vec<Hold>> = BTreeMap::new();
    for call in history.calls.values() {
        if let (Ask::Allocate { seat }, Some(from)) = (&call.ask, done_at(call)) {
            let until = freed.get(&(call.customer, seat.as_str()));
            holds.entry(call.customer).or_default().push(Hold {
                from,
                until: until.copied().unwrap_or(i64::MAX),
                amount: 1,
            });
        }
    }
    holds
}

fn done_at(call: &Call) -> Option<i64> {
    let mut answers = call.answers.iter();
    answers
        .find(|(_, answer)| *answer == Answer::Done)
        .map(|(at, _)| *at)
}

/// The rows themselves must not say that a limit is exceeded: all use of this meter was admitted.
fn check_rows(stored: &Stored, found: &mut Findings) {
    for ((customer, place, start), row) in &stored.counters {
        let counter = COUNTERS[*place];
        let Some(limit) = counter
            .limit
            .filter(|_| counter.window.bucket_width().is_none())
        else {
            continue;
        };
        let taken = row.used + row.reserved;
        if taken > limit * 1000 {
            found.add(
                Kind::OverAdmitted,
                format!(
                    "customer {customer}, {} from {start}: the row holds {taken} thousandths of {limit}",
                    counter.window_name
                ),
            );
        }
    }
}

/// How many requests limits allowed, and how many they denied.
pub fn tally(history: &History) -> (usize, usize) {
    let (mut admitted, mut denied) = (0, 0);
    for sent in history.events.values() {
        let content = sent.contents.iter().flatten().next();
        if content
            .is_some_and(|content| content.meter == Meter::Units && content.reservation.is_none())
        {
            admitted += usize::from(sent.acked().is_some());
            let is_denied = |answer: &EventAnswer| *answer == EventAnswer::Denied;
            denied += usize::from(sent.answers.iter().any(|answer| is_denied(&answer.2)));
        }
    }
    for call in history.calls.values() {
        if matches!(call.ask, Ask::Reserve { meter, .. } if meter != Meter::Units) {
            continue;
        }
        if let Ask::Reserve { .. } | Ask::Start { .. } | Ask::Allocate { .. } = call.ask {
            let any =
                |wanted: fn(&Answer) -> bool| call.answers.iter().any(|(_, answer)| wanted(answer));
            admitted += usize::from(any(|answer| {
                matches!(answer, Answer::Reserved { .. } | Answer::Done)
            }));
            denied += usize::from(any(|answer| *answer == Answer::Denied));
        }
    }
    (admitted, denied)
}
