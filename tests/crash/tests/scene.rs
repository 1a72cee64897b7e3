//! A small history made by hand, and what must be stored of it.

use crate::checker::{Kind, State, Stored, StoredCounter, StoredEvent, Times, check};
use crate::history::History;
use crate::journal::{Answer, Ask, Content, EventAnswer, Line};
use crate::world::{COUNTERS, Meter, SECOND};

/// The wall clock when the clients' clock was 0.
pub const BEGAN: i64 = 1_700_000_000 * SECOND;
pub const TIMES: Times = Times {
    anchor: BEGAN - 600 * SECOND,
    began: BEGAN,
    read: BEGAN + 60 * SECOND,
};
/// A customer whose limits bite.
pub const HOT: u32 = 40;

/// A small history and what must be stored of it.
#[derive(Default)]
pub struct Scene {
    pub lines: Vec<Line>,
    pub stored: Stored,
}

pub fn content(meter: Meter, quantity: i64) -> Content {
    Content {
        meter,
        quantity,
        large: false,
        event_time: None,
        reservation: None,
        part: 0,
    }
}

impl Scene {
    /// Events of each kind, one reservation that is committed and one that is open, a job, a seat.
    pub fn good() -> Self {
        let mut scene = Self::default();
        let large = Content {
            large: true,
            event_time: Some(BEGAN - 30 * SECOND),
            ..content(Meter::Tokens, 10)
        };
        scene.event(0, "a", large, 1, 2);
        scene.event(0, "b", content(Meter::Tokens, 7), 2, 3);
        scene.event(1, "c", content(Meter::Calls, 9), 3, 4);
        scene.event(HOT, "d", content(Meter::Units, 100), 4, 5);
        scene.reserve("r1", 50, 5, 6);
        scene.reserve("r2", 30, 6, 7);
        let used = Content {
            reservation: Some("res-r1".to_owned()),
            ..content(Meter::Units, 20)
        };
        scene.event(HOT, "e", used, 8, 9);
        let ask = Ask::Commit {
            reservation: "res-r1".to_owned(),
            event: Some("e".to_owned()),
        };
        scene.call("k1", ask, (8, 9), Answer::Done);
        scene
            .stored
            .reservations
            .insert("res-r1".to_owned(), (HOT, State::Committed));
        scene.reserved(-50);
        scene.start("j1", 9, 10);
        scene.seat("s1", 10, 11);
        scene
    }

    /// An event that is sent, stored, counted and acknowledged; times in seconds.
    pub fn event(&mut self, customer: u32, id: &str, content: Content, sent: i64, acked: i64) {
        self.send(customer, id, 0, &content, sent);
        self.answer(customer, id, 0, EventAnswer::Recorded, acked);
        // That of reservations: they are made in the middle between two seconds.
        let reserved = content
            .reservation
            .as_ref()
            .map(|_| BEGAN + 5 * SECOND + SECOND / 2);
        let count_time = reserved
            .or(content.event_time)
            .unwrap_or(BEGAN + sent * SECOND);
        let weighted = content.meter.weigh(content.quantity, content.large);
        for (place, counter) in COUNTERS.iter().enumerate() {
            if counter.meter == content.meter && (content.large || !counter.large_only) {
                let start = counter.window.start(TIMES.anchor, count_time).unwrap_or(0);
                let row = self
                    .stored
                    .counters
                    .entry((customer, place, start))
                    .or_default();
                match counter.window.bucket_width() {
                    Some(width) => *row.ring.entry(count_time / width).or_default() += weighted,
                    None => row.used += weighted,
                }
            }
        }
        let total = self
            .stored
            .totals
            .entry((customer, content.meter))
            .or_default();
        *total = (total.0 + 1, total.1 + weighted);
        let key = (customer, id.to_owned());
        self.stored.noted.insert(key.clone(), 1);
        let event = StoredEvent {
            content,
            weighted,
            count_time,
            charge: None,
        };
        self.stored.events.insert(key, vec![event]);
    }

    pub fn send(&mut self, customer: u32, id: &str, variant: u8, content: &Content, at: i64) {
        self.lines.push(Line::Event {
            at: at * SECOND,
            customer,
            id: id.to_owned(),
            variant,
            content: content.clone(),
        });
    }

    pub fn answer(&mut self, customer: u32, id: &str, variant: u8, answer: EventAnswer, at: i64) {
        self.lines.push(Line::EventAnswer {
            at: at * SECOND,
            customer,
            id: id.to_owned(),
            variant,
            answer,
        });
    }

    pub fn call(&mut self, request: &str, ask: Ask, (sent, answered): (i64, i64), answer: Answer) {
        let request = request.to_owned();
        self.lines.push(Line::Call {
            at: sent * SECOND,
            customer: HOT,
            request: request.clone(),
            ask,
        });
        self.lines.push(Line::CallAnswer {
            at: answered * SECOND,
            request,
            answer,
        });
    }

    /// A reservation that is granted and open.
    pub fn reserve(&mut self, request: &str, units: i64, sent: i64, known: i64) {
        let ask = Ask::Reserve {
            meter: Meter::Units,
            quantity: units,
            least: units,
            ttl: 600 * SECOND,
        };
        let answer = granted(request, units, sent);
        self.call(request, ask, (sent, known), answer);
        self.stored
            .reservations
            .insert(format!("res-{request}"), (HOT, State::Open));
        self.reserved(units);
    }

    pub fn reserved(&mut self, units: i64) {
        for (place, counter) in COUNTERS.iter().enumerate() {
            if counter.meter == Meter::Units {
                let start = counter.window.start(TIMES.anchor, BEGAN).unwrap_or(0);
                let row = self.stored.counters.entry((HOT, place, start)).or_default();
                row.reserved += units * 1000;
            }
        }
    }

    pub fn start(&mut self, request: &str, sent: i64, known: i64) {
        let ask = Ask::Start { ttl: 600 * SECOND };
        self.call(request, ask, (sent, known), granted(request, 1, sent));
        self.stored
            .reservations
            .insert(format!("res-{request}"), (HOT, State::Open));
    }

    pub fn seat(&mut self, id: &str, sent: i64, known: i64) {
        let ask = Ask::Allocate {
            seat: id.to_owned(),
        };
        self.call(id, ask, (sent, known), Answer::Done);
        self.stored.seats.insert((HOT, id.to_owned()));
    }

    /// Returns the first counter of a meter that holds something, with a ring or without.
    pub fn counter(&mut self, customer: u32, meter: Meter, is_rolling: bool) -> &mut StoredCounter {
        let mut rows = self.stored.counters.iter_mut();
        let found = rows.find(|((who, place, _), _)| {
            let counter = COUNTERS[*place];
            *who == customer
                && counter.meter == meter
                && counter.window.bucket_width().is_some() == is_rolling
        });
        found.expect("the scene has it").1
    }

    /// Returns the kinds of what is found, each once.
    pub fn kinds(self) -> Vec<Kind> {
        let history = History::of(self.lines);
        let mut found = check(&history, &self.stored, TIMES).0;
        for one in &found {
            println!("  found: {one:?}");
        }
        found.sort_by_key(|one| one.kind);
        found.dedup_by_key(|one| one.kind);
        found.into_iter().map(|one| one.kind).collect()
    }
}

pub fn granted(request: &str, units: i64, sent: i64) -> Answer {
    Answer::Reserved {
        reservation: format!("res-{request}"),
        granted: units,
        reserve_time: BEGAN + sent * SECOND + SECOND / 2,
    }
}

pub fn key(customer: u32, id: &str) -> (u32, String) {
    (customer, id.to_owned())
}
