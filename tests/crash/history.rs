//! What the clients know: their logs, put together by event and by request.

use std::collections::{BTreeMap, BTreeSet};

use crate::credits::{Credits, Moved};
use crate::journal::{Answer, Ask, Content, EventAnswer, Line};
use crate::world::Meter;

/// An event's key: customer and id.
pub type Key = (u32, String);

/// Everything that was sent under one event id.
#[derive(Debug, Default)]
pub struct Sent {
    /// The contents, by variant.
    pub contents: [Option<Content>; 2],
    /// When the first was about to be sent.
    pub first_sent: i64,
    /// Answers in order: when, to which variant, what.
    pub answers: Vec<(i64, u8, EventAnswer)>,
}

impl Sent {
    /// Returns the variant that is said to be stored.
    pub fn acked(&self) -> Option<u8> {
        let mut answers = self.answers.iter();
        answers
            .find(|(_, _, answer)| answer.is_stored())
            .map(|(_, variant, _)| *variant)
    }

    /// Returns the content that is said to be stored.
    pub fn acked_content(&self) -> Option<&Content> {
        self.contents[usize::from(self.acked()?)].as_ref()
    }

    /// Returns when the event was first said to be stored.
    pub fn acked_at(&self) -> Option<i64> {
        let mut answers = self.answers.iter();
        answers
            .find(|(_, _, answer)| answer.is_stored())
            .map(|(at, _, _)| *at)
    }
}

/// One call, sent until it was answered, and perhaps again.
#[derive(Debug)]
pub struct Call {
    /// The customer.
    pub customer: u32,
    /// What it asks for.
    pub ask: Ask,
    /// When it was first about to be sent.
    pub first_sent: i64,
    /// Answers in order.
    pub answers: Vec<(i64, Answer)>,
}

impl Call {
    /// Returns what it asks of wallets, if anything.
    pub fn credits(&self) -> Option<&Credits> {
        match &self.ask {
            Ask::Credits(credits) => Some(credits),
            _ => None,
        }
    }

    /// Returns what is said to have moved.
    pub fn moved(&self) -> Option<&Moved> {
        self.answers.iter().find_map(|(_, answer)| match answer {
            Answer::Moved(moved) => Some(moved),
            _ => None,
        })
    }

    /// Returns why a wallet stood against it, unless it was done after all.
    pub fn refused(&self) -> Option<&str> {
        let mut answers = self.answers.iter().rev();
        answers
            .find_map(|(_, answer)| match answer {
                Answer::Refused(reason) => Some(reason.as_str()),
                _ => None,
            })
            .filter(|_| self.moved().is_none())
    }
}

/// A reservation that a client was granted.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The customer.
    pub customer: u32,
    /// What was granted: units, or one job.
    pub amount: i64,
    /// What it is of; `None`: it is a place among the jobs in flight.
    pub meter: Option<Meter>,
    /// When it was first asked for and when it was known to be granted.
    pub asked_at: i64,
    pub known_at: i64,
    /// When the server made it, by the server's clock.
    pub reserve_time: i64,
    /// How long it lives at least from `asked_at`.
    pub ttl: i64,
    /// When a client began to end it.
    pub ended_at: Option<i64>,
    /// Whether its end is known to be done: committed or released.
    pub is_ended: bool,
}

/// What all clients know.
#[derive(Debug, Default)]
pub struct History {
    pub events: BTreeMap<Key, Sent>,
    pub calls: BTreeMap<String, Call>,
    /// What does not fit together in the logs themselves.
    pub confused: Vec<String>,
}

impl History {
    /// Puts logs together.
    pub fn of(lines: impl IntoIterator<Item = Line>) -> Self {
        let mut history = Self::default();
        for line in lines {
            history.take(line);
        }
        history
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Event {
                at,
                customer,
                id,
                variant,
                content,
            } => {
                let sent = self.events.entry((customer, id)).or_insert_with(|| Sent {
                    first_sent: at,
                    ..Sent::default()
                });
                sent.contents[usize::from(variant)] = Some(content);
                sent.first_sent = sent.first_sent.min(at);
            }
            Line::EventAnswer {
                at,
                customer,
                id,
                variant,
                answer,
            } => match self.events.get_mut(&(customer, id.clone())) {
                Some(sent) => sent.answers.push((at, variant, answer)),
                None => self
                    .confused
                    .push(format!("event {id} was answered and never sent")),
            },
            Line::Call {
                at,
                customer,
                request,
                ask,
            } => {
                let call = self.calls.entry(request.clone()).or_insert_with(|| Call {
                    customer,
                    ask: ask.clone(),
                    first_sent: at,
                    answers: Vec::new(),
                });
                if call.ask != ask {
                    self.confused
                        .push(format!("request {request} was sent with two contents"));
                }
            }
            Line::CallAnswer {
                at,
                request,
                answer,
            } => match self.calls.get_mut(&request) {
                Some(call) => call.answers.push((at, answer)),
                None => self
                    .confused
                    .push(format!("request {request} was answered and never sent")),
            },
        }
    }

    /// Returns how many events are said to be durable and how many calls were answered for good.
    pub fn acked(&self) -> usize {
        let events = self.events.values().filter(|sent| sent.acked().is_some());
        let is_final = |call: &&Call| !call.answers.is_empty();
        events.count() + self.calls.values().filter(is_final).count()
    }

    /// Returns what was granted, by reservation id.
    pub fn granted(&self) -> BTreeMap<String, Granted> {
        let mut all = BTreeMap::new();
        for call in self.calls.values() {
            let (ttl, meter) = match call.ask {
                Ask::Reserve { ttl, meter, .. } => (ttl, Some(meter)),
                Ask::Start { ttl } => (ttl, None),
                Ask::Commit { .. }
                | Ask::Release { .. }
                | Ask::Extend { .. }
                | Ask::Allocate { .. }
                | Ask::Deallocate { .. }
                | Ask::Void { .. }
                | Ask::Credits(_) => continue,
            };
            for (at, answer) in &call.answers {
                if let Answer::Reserved {
                    reservation,
                    granted,
                    reserve_time,
                } = answer
                {
                    all.entry(reservation.clone()).or_insert(Granted {
                        customer: call.customer,
                        amount: *granted,
                        meter,
                        asked_at: call.first_sent,
                        known_at: *at,
                        reserve_time: *reserve_time,
                        ttl,
                        ended_at: None,
                        is_ended: false,
                    });
                }
            }
        }
        for call in self.calls.values() {
            let (Ask::Commit { reservation, .. } | Ask::Release { reservation }) = &call.ask else {
                continue;
            };
            if let Some(granted) = all.get_mut(reservation) {
                let began = granted.ended_at.unwrap_or(i64::MAX).min(call.first_sent);
                granted.ended_at = Some(began);
                granted.is_ended |= call
                    .answers
                    .iter()
                    .any(|(_, answer)| *answer == Answer::Done);
            }
        }
        all
    }

    /// Returns the seats that exist now, as the clients know it.
    pub fn seats(&self) -> BTreeSet<(u32, String)> {
        let mut seats = BTreeSet::new();
        let done = |call: &Call| {
            call.answers
                .iter()
                .any(|(_, answer)| *answer == Answer::Done)
        };
        for call in self.calls.values() {
            if let (Ask::Allocate { seat }, true) = (&call.ask, done(call)) {
                seats.insert((call.customer, seat.clone()));
            }
        }
        for call in self.calls.values() {
            if let (Ask::Deallocate { seat }, true) = (&call.ask, done(call)) {
                seats.remove(&(call.customer, seat.clone()));
            }
        }
        seats
    }
    /// Returns how many calls each event was taken back by, as they were told.
    pub fn voided(&self) -> BTreeMap<Key, usize> {
        let mut voided = BTreeMap::new();
        for call in self.calls.values() {
            let Ask::Void { event } = &call.ask else {
                continue;
            };
            let mut answers = call.answers.iter();
            if answers.any(|(_, answer)| *answer == Answer::Voided(true)) {
                *voided.entry((call.customer, event.clone())).or_default() += 1;
            }
        }
        voided
    }

    /// Returns the calls to wallets, by request.
    pub fn wallet_calls(&self) -> impl Iterator<Item = (&str, &Call, &Credits)> {
        let calls = self.calls.iter();
        calls.filter_map(|(request, call)| Some((request.as_str(), call, call.credits()?)))
    }
}
