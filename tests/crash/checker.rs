//! Compares what is stored with what the clients know. Pure: logs and rows in, findings out.

use std::collections::{BTreeMap, BTreeSet};

use crate::admission;
use crate::billing::StoredChunk;
use crate::fold::{check_counters, compare_totals, totals_of};
use crate::history::{History, Key, Sent};
use crate::journal::{Answer, Content, EventAnswer};
use crate::wallets::rows::{Books, Charge};
use crate::world::{Meter, SECOND};
use crate::{voids, wallets};

/// What kind of promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Acknowledged and not stored.
    Lost,
    /// Stored or counted more than once.
    Duplicated,
    /// Stored and never sent, or refused and stored all the same.
    Unexpected,
    /// A counter or a total is not the fold of the events.
    Counter,
    /// More was granted than a limit allows.
    OverAdmitted,
    /// Credits came from nowhere, or were used and not paid for.
    CreditsMade,
    /// Credits went nowhere, or were taken for nothing.
    CreditsLost,
    /// Stripe counted otherwise than is charged.
    Billing,
    /// A ledger contradicts itself, or what wallets hold, or what was told.
    Ledger,
    /// An answer that contradicts another, or that nobody should get.
    Answer,
    /// Something was never answered, though the server was up.
    Unanswered,
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub text: String,
}

/// Collects findings.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    pub fn add(&mut self, kind: Kind, text: impl Into<String>) {
        let text = text.into();
        self.0.push(Finding { kind, text });
    }

    pub fn count(&self, kind: Kind) -> usize {
        self.0.iter().filter(|found| found.kind == kind).count()
    }
}

/// An event as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// `event_time` is there only when the sender stated it.
    pub content: Content,
    pub weighted: i64,
    pub count_time: i64,
    /// What it drew on a wallet.
    pub charge: Option<Charge>,
}

/// What takes an event back, as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVoid {
    pub quantity: i64,
    pub weighted: i64,
    pub count_time: i64,
    pub charge: Option<Charge>,
}

/// A counter as its row says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredCounter {
    pub used: i64,
    pub reserved: i64,
    /// Buckets of a rolling window.
    pub ring: BTreeMap<i64, i64>,
}

/// Where a stored reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Open,
    Committed,
    Released,
    Expired,
}

/// What the file holds.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// By key; more than one row is already wrong.
    pub events: BTreeMap<Key, Vec<StoredEvent>>,
    /// How often an event is noted in the index by time.
    pub noted: BTreeMap<Key, usize>,
    /// What takes events back, by their keys, and how often it is noted.
    pub voids: BTreeMap<Key, Vec<StoredVoid>>,
    pub noted_voids: BTreeMap<Key, usize>,
    /// By customer, place in [`COUNTERS`] and window start.
    pub counters: BTreeMap<(u32, usize, i64), StoredCounter>,
    /// Events and thousandths of the hourly totals.
    pub totals: BTreeMap<(u32, Meter), (i64, i64)>,
    /// By reservation id: customer and state.
    pub reservations: BTreeMap<String, (u32, State)>,
    pub seats: BTreeSet<(u32, String)>,
    pub books: Books,
    /// What was sealed for Stripe, by name.
    pub chunks: BTreeMap<String, StoredChunk>,
    /// Rows of customers, meters, counters or kinds that nobody asked for.
    pub strange: Vec<String>,
}

/// When things were.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From where the customers' windows step.
    pub anchor: i64,
    /// The wall clock when the clients' clock was 0.
    pub began: i64,
    /// The wall clock when the file was read.
    pub read: i64,
}

/// Compares everything.
pub fn check(history: &History, stored: &Stored, times: Times) -> Findings {
    let mut found = Findings::default();
    for text in &history.confused {
        found.add(Kind::Answer, text.clone());
    }
    for text in &stored.strange {
        found.add(Kind::Unexpected, text.clone());
    }
    check_events(history, stored, times, &mut found);
    voids::check(history, stored, &mut found);
    compare_totals(
        "stored",
        &totals_of(history, stored),
        &stored.totals,
        &mut found,
    );
    check_counters(history, stored, times, &mut found);
    check_answers(history, &mut found);
    check_reservations(history, stored, &mut found);
    check_seats(history, stored, &mut found);
    admission::check(history, stored, times, &mut found);
    wallets::check(history, stored, &mut found);
    found
}

fn check_events(history: &History, stored: &Stored, times: Times, found: &mut Findings) {
    for (key, sent) in &history.events {
        let rows = stored.events.get(key).map_or(&[][..], Vec::as_slice);
        check_event(key, sent, rows, found);
        if let [row] = rows {
            check_row(key, sent, row, times, found);
        }
    }
    for (key, rows) in &stored.events {
        if !history.events.contains_key(key) {
            found.add(
                Kind::Unexpected,
                format!("{key:?} was never sent, stored as {rows:?}"),
            );
        }
        if rows.len() > 1 {
            found.add(
                Kind::Duplicated,
                format!("{key:?} is stored {} times", rows.len()),
            );
        }
    }
    for (key, times) in &stored.noted {
        if *times > 1 {
            found.add(Kind::Duplicated, format!("{key:?} is noted {times} times"));
        }
        if !stored.events.contains_key(key) {
            found.add(Kind::Unexpected, format!("{key:?} is noted and not stored"));
        }
    }
    for key in stored.events.keys() {
        if !stored.noted.contains_key(key) {
            found.add(
                Kind::Lost,
                format!("{key:?} is stored and not noted, so no list shows it"),
            );
        }
    }
}

/// Compares one event with what its sender was told.
fn check_event(key: &Key, sent: &Sent, rows: &[StoredEvent], found: &mut Findings) {
    let last = |variant: u8| {
        let mut answers = sent.answers.iter().rev();
        answers
            .find(|answer| answer.1 == variant)
            .map(|answer| &answer.2)
    };
    let recorded = sent
        .answers
        .iter()
        .filter(|answer| answer.2 == EventAnswer::Recorded);
    if recorded.count() > 1 {
        found.add(
            Kind::Duplicated,
            format!("{key:?} was recorded twice: {:?}", sent.answers),
        );
    }
    for (variant, content) in (0_u8..).zip(&sent.contents) {
        let Some(content) = content else { continue };
        let is_stored = rows.iter().any(|row| row.content == *content);
        let acked = sent
            .answers
            .iter()
            .any(|answer| answer.1 == variant && answer.2.is_stored());
        match last(variant) {
            None => found.add(Kind::Unanswered, format!("{key:?} variant {variant}")),
            _ if acked && !is_stored => {
                found.add(
                    Kind::Lost,
                    format!("{key:?} is acknowledged as {content:?}, stored: {rows:?}"),
                );
            }
            Some(EventAnswer::Recorded | EventAnswer::Duplicate | EventAnswer::Accepted) => {}
            Some(
                answer @ (EventAnswer::Denied | EventAnswer::Rejected(_) | EventAnswer::Nothing),
            ) => {
                if is_stored && !acked {
                    found.add(
                        Kind::Unexpected,
                        format!("{key:?} is stored and was refused: {answer:?}"),
                    );
                }
                check_refusal(key, answer, rows.is_empty(), found);
            }
        }
    }
}

/// The one reason for which our events may be refused is that another content has their id.
fn check_refusal(key: &Key, answer: &EventAnswer, is_absent: bool, found: &mut Findings) {
    let EventAnswer::Rejected(reason) = answer else {
        return;
    };
    if reason != "EVENT_ID_REUSED" {
        found.add(Kind::Answer, format!("{key:?} was refused: {reason}"));
    } else if is_absent {
        found.add(
            Kind::Lost,
            format!("{key:?} was refused because its id is taken, and nothing is stored"),
        );
    }
}

/// Compares what the server added to a row with what it must be.
fn check_row(key: &Key, sent: &Sent, row: &StoredEvent, times: Times, found: &mut Findings) {
    if !sent
        .contents
        .iter()
        .flatten()
        .any(|content| *content == row.content)
    {
        found.add(
            Kind::Unexpected,
            format!("{key:?} is stored as nobody sent it: {row:?}"),
        );
        return;
    }
    let weighted = row
        .content
        .meter
        .weigh(row.content.quantity, row.content.large);
    if row.weighted != weighted {
        found.add(
            Kind::Counter,
            format!("{key:?} weighs {weighted}, stored: {}", row.weighted),
        );
    }
    let answered = sent.acked_at().unwrap_or(i64::MAX - times.began);
    let (earliest, latest) = (times.began + sent.first_sent, times.began + answered);
    // The clock of the database counts milliseconds.
    let is_near = (earliest - SECOND..=latest.saturating_add(SECOND)).contains(&row.count_time);
    if row.content.event_time.is_none() && row.content.reservation.is_none() && !is_near {
        found.add(
            Kind::Answer,
            format!(
                "{key:?} counts at {}, sent between {earliest} and {latest}",
                row.count_time
            ),
        );
    }
}

/// A repeat must get the first answer, and nothing of ours is refused.
fn check_answers(history: &History, found: &mut Findings) {
    for (request, call) in &history.calls {
        let mut kept: Option<&Answer> = None;
        if call.answers.is_empty() {
            found.add(Kind::Unanswered, format!("{request}: {:?}", call.ask));
        }
        for (_, answer) in &call.answers {
            match answer {
                Answer::Failed(reason) => {
                    found.add(
                        Kind::Answer,
                        format!("{request}: {:?} was refused: {reason}", call.ask),
                    );
                }
                // Whatever was answered before stands.
                Answer::Nothing => continue,
                // A denial is not kept: the repeat decides anew, and may deny only what was not granted.
                Answer::Denied
                | Answer::Refused(_)
                | Answer::Done
                | Answer::Voided(_)
                | Answer::Moved(_)
                | Answer::Reserved { .. } => {
                    if kept.is_some_and(|before| before != answer) {
                        found.add(
                            Kind::Answer,
                            format!("{request}: {:?} was answered {:?}", call.ask, call.answers),
                        );
                    }
                }
            }
            if !matches!(answer, Answer::Denied | Answer::Refused(_)) {
                kept = Some(answer);
            }
        }
    }
}

fn check_reservations(history: &History, stored: &Stored, found: &mut Findings) {
    let granted = history.granted();
    for (id, held) in &granted {
        let Some((customer, state)) = stored.reservations.get(id) else {
            found.add(
                Kind::Lost,
                format!("reservation {id} was granted and is not stored"),
            );
            continue;
        };
        let is_right = match state {
            State::Open => !held.is_ended,
            State::Committed | State::Released => held.is_ended,
            State::Expired => !held.is_ended,
        };
        if !is_right || *customer != held.customer {
            found.add(
                Kind::Answer,
                format!("reservation {id} is {state:?}, clients say {held:?}"),
            );
        }
    }
    for id in stored
        .reservations
        .keys()
        .filter(|id| !granted.contains_key(*id))
    {
        found.add(
            Kind::Unexpected,
            format!("reservation {id} is stored and was granted to nobody"),
        );
    }
}

fn check_seats(history: &History, stored: &Stored, found: &mut Findings) {
    let seats = history.seats();
    for seat in seats.difference(&stored.seats) {
        found.add(
            Kind::Lost,
            format!("seat {seat:?} was allocated and is not stored"),
        );
    }
    for seat in stored.seats.difference(&seats) {
        found.add(
            Kind::Unexpected,
            format!("seat {seat:?} is stored and was not allocated"),
        );
    }
}
