//! Tests of the checker on histories made by hand, each with one fault planted, and short runs against the server.

use crate::checker::{Kind, State, Stored, StoredCounter, StoredEvent, Times, check, totals_of};
use crate::history::History;
use crate::journal::{Answer, Ask, Content, EventAnswer, Line};
use crate::run::{Plan, Schedule, run};
use crate::world::{COUNTERS, Meter, SECOND};

/// A test and its name, for `cargo test NAME`.
pub struct Test {
    pub name: &'static str,
    pub needs_faults: bool,
    pub run: fn(),
}

const fn test(name: &'static str, run: fn()) -> Test {
    Test {
        name,
        needs_faults: false,
        run,
    }
}

const fn short_run(name: &'static str, run: fn()) -> Test {
    Test {
        name,
        needs_faults: true,
        run,
    }
}

pub const ALL: &[Test] = &[
    test("what_is_right_is_found_right", nothing_planted),
    test("a_lost_event_is_found", lost),
    test("an_event_with_other_content_is_found", altered),
    test("an_event_stored_twice_is_found", duplicated),
    test("an_event_counted_twice_is_found", counted_twice),
    test("an_event_nobody_sent_is_found", unexpected),
    test("a_refused_event_that_is_stored_is_found", refused),
    test("two_contents_of_one_id_are_found", two_contents),
    test("a_wrong_counter_is_found", wrong_counter),
    test("a_wrong_reserved_sum_is_found", wrong_reserved),
    test("a_missing_counter_is_found", missing_counter),
    test("a_wrong_bucket_is_found", wrong_bucket),
    test("over_admission_is_found", over_admitted),
    test(
        "over_admission_in_a_rolling_window_is_found",
        over_admitted_rolling,
    ),
    test(
        "over_admission_of_jobs_and_seats_is_found",
        over_admitted_things,
    ),
    test("a_changed_answer_is_found", changed_answer),
    test("a_lost_reservation_and_seat_are_found", lost_things),
    test("a_missing_answer_is_found", unanswered),
    short_run("short_run", good_run),
    short_run("ack_before_commit_is_found", ack_before_commit),
    short_run(
        "dedupe_outside_transaction_is_found",
        dedupe_outside_transaction,
    ),
    short_run(
        "counter_outside_transaction_is_found",
        counter_outside_transaction,
    ),
    short_run("decision_outside_lock_is_found", decision_outside_lock),
];

/// The wall clock when the clients' clock was 0.
const BEGAN: i64 = 1_700_000_000 * SECOND;
const TIMES: Times = Times {
    anchor: BEGAN - 600 * SECOND,
    began: BEGAN,
    read: BEGAN + 60 * SECOND,
};
/// A customer whose limits bite.
const HOT: u32 = 40;

/// A small history and what must be stored of it.
#[derive(Default)]
struct Scene {
    lines: Vec<Line>,
    stored: Stored,
}

fn content(meter: Meter, quantity: i64) -> Content {
    Content {
        meter,
        quantity,
        large: false,
        event_time: None,
        reservation: None,
    }
}

impl Scene {
    /// Events of each kind, one reservation that is committed and one that is open, a job, a seat.
    fn good() -> Self {
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
    fn event(&mut self, customer: u32, id: &str, content: Content, sent: i64, acked: i64) {
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
        };
        self.stored.events.insert(key, vec![event]);
    }

    fn send(&mut self, customer: u32, id: &str, variant: u8, content: &Content, at: i64) {
        self.lines.push(Line::Event {
            at: at * SECOND,
            customer,
            id: id.to_owned(),
            variant,
            content: content.clone(),
        });
    }

    fn answer(&mut self, customer: u32, id: &str, variant: u8, answer: EventAnswer, at: i64) {
        self.lines.push(Line::EventAnswer {
            at: at * SECOND,
            customer,
            id: id.to_owned(),
            variant,
            answer,
        });
    }

    fn call(&mut self, request: &str, ask: Ask, (sent, answered): (i64, i64), answer: Answer) {
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
    fn reserve(&mut self, request: &str, units: i64, sent: i64, known: i64) {
        let ask = Ask::Reserve {
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

    fn reserved(&mut self, units: i64) {
        for (place, counter) in COUNTERS.iter().enumerate() {
            if counter.meter == Meter::Units {
                let start = counter.window.start(TIMES.anchor, BEGAN).unwrap_or(0);
                let row = self.stored.counters.entry((HOT, place, start)).or_default();
                row.reserved += units * 1000;
            }
        }
    }

    fn start(&mut self, request: &str, sent: i64, known: i64) {
        let ask = Ask::Start { ttl: 600 * SECOND };
        self.call(request, ask, (sent, known), granted(request, 1, sent));
        self.stored
            .reservations
            .insert(format!("res-{request}"), (HOT, State::Open));
    }

    fn seat(&mut self, seat: &str, sent: i64, known: i64) {
        let ask = Ask::Allocate {
            seat: seat.to_owned(),
        };
        self.call(seat, ask, (sent, known), Answer::Done);
        self.stored.seats.insert((HOT, seat.to_owned()));
    }

    /// Returns the first counter of a meter that holds something, with a ring or without.
    fn counter(&mut self, customer: u32, meter: Meter, is_rolling: bool) -> &mut StoredCounter {
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
    fn kinds(self) -> Vec<Kind> {
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

fn granted(request: &str, units: i64, sent: i64) -> Answer {
    Answer::Reserved {
        reservation: format!("res-{request}"),
        granted: units,
        reserve_time: BEGAN + sent * SECOND + SECOND / 2,
    }
}

fn key(customer: u32, id: &str) -> (u32, String) {
    (customer, id.to_owned())
}

fn nothing_planted() {
    let scene = Scene::good();
    let history = History::of(scene.lines.clone());
    assert_eq!(totals_of(&history, &scene.stored), scene.stored.totals);
    assert_eq!(scene.kinds(), []);
}

fn lost() {
    let mut scene = Scene::good();
    scene.stored.events.remove(&key(0, "a"));
    scene.stored.noted.remove(&key(0, "a"));
    assert_eq!(scene.kinds(), [Kind::Lost]);
}

fn altered() {
    let mut scene = Scene::good();
    let mut sent = content(Meter::Tokens, 7);
    sent.quantity = 8;
    scene.send(0, "b", 1, &sent, 20);
    scene.answer(
        0,
        "b",
        1,
        EventAnswer::Rejected("EVENT_ID_REUSED".to_owned()),
        21,
    );
    let row = &mut scene.stored.events.get_mut(&key(0, "b")).unwrap()[0];
    row.content = sent;
    row.weighted += 1000;
    assert_eq!(scene.kinds(), [Kind::Lost, Kind::Unexpected]);
}

fn duplicated() {
    let mut scene = Scene::good();
    let rows = scene.stored.events.get_mut(&key(0, "a")).unwrap();
    rows.push(rows[0].clone());
    assert_eq!(scene.kinds(), [Kind::Duplicated]);
    let mut scene = Scene::good();
    scene.stored.noted.insert(key(0, "a"), 2);
    assert_eq!(scene.kinds(), [Kind::Duplicated]);
    let mut scene = Scene::good();
    scene.answer(0, "a", 0, EventAnswer::Recorded, 30);
    assert_eq!(scene.kinds(), [Kind::Duplicated]);
}

fn counted_twice() {
    let mut scene = Scene::good();
    let total = scene.stored.totals.get_mut(&(0, Meter::Tokens)).unwrap();
    *total = (total.0 + 1, total.1 + 7000);
    assert_eq!(scene.kinds(), [Kind::Duplicated]);
}

fn unexpected() {
    let mut scene = Scene::good();
    let row = scene.stored.events[&key(0, "a")].clone();
    scene.stored.events.insert(key(0, "z"), row);
    scene.stored.noted.insert(key(0, "z"), 1);
    assert_eq!(scene.kinds(), [Kind::Unexpected]);
    let mut scene = Scene::good();
    scene.stored.strange.push("a row".to_owned());
    assert_eq!(scene.kinds(), [Kind::Unexpected]);
}

fn refused() {
    let mut scene = Scene::good();
    scene.event(HOT, "f", content(Meter::Units, 5), 20, 21);
    scene.lines.pop();
    scene.answer(HOT, "f", 0, EventAnswer::Denied, 21);
    assert!(scene.kinds().contains(&Kind::Unexpected));
}

fn two_contents() {
    let mut scene = Scene::good();
    scene.send(0, "b", 1, &content(Meter::Tokens, 8), 20);
    scene.answer(0, "b", 1, EventAnswer::Recorded, 21);
    assert_eq!(scene.kinds(), [Kind::Lost, Kind::Duplicated]);
}

fn wrong_counter() {
    let mut scene = Scene::good();
    scene.counter(0, Meter::Tokens, false).used -= 7000;
    assert_eq!(scene.kinds(), [Kind::Counter]);
    let mut scene = Scene::good();
    scene.stored.totals.get_mut(&(1, Meter::Calls)).unwrap().1 += 1;
    assert_eq!(scene.kinds(), [Kind::Counter]);
}

fn wrong_reserved() {
    let mut scene = Scene::good();
    scene.counter(HOT, Meter::Units, true).reserved -= 1000;
    assert_eq!(scene.kinds(), [Kind::Counter]);
}

fn missing_counter() {
    let mut scene = Scene::good();
    scene
        .stored
        .counters
        .retain(|(customer, _, _), _| *customer != 1);
    assert_eq!(scene.kinds(), [Kind::Counter]);
}

fn wrong_bucket() {
    let mut scene = Scene::good();
    let ring = &mut scene.counter(0, Meter::Tokens, true).ring;
    let (bucket, amount) = ring.pop_first().unwrap();
    ring.insert(bucket - 1, amount);
    assert_eq!(scene.kinds(), [Kind::Counter]);
}

fn over_admitted() {
    let mut scene = Scene::good();
    scene.reserve("r9", 1_500, 20, 21);
    assert_eq!(scene.kinds(), [Kind::OverAdmitted]);
    // Ended before the next is asked for: that is no fault, whatever the limit.
    let mut scene = Scene::good();
    scene.reserve("r8", 1_300, 20, 21);
    let ask = Ask::Release {
        reservation: "res-r8".to_owned(),
    };
    scene.call("k8", ask, (22, 23), Answer::Done);
    scene
        .stored
        .reservations
        .insert("res-r8".to_owned(), (HOT, State::Released));
    scene.reserved(-1_300);
    scene.reserve("r9", 1_300, 24, 25);
    assert_eq!(scene.kinds(), []);
}

fn over_admitted_rolling() {
    let mut scene = Scene::good();
    scene.event(HOT, "f", content(Meter::Units, 1_200), 20, 21);
    scene.event(HOT, "g", content(Meter::Units, 1_200), 70, 71);
    assert_eq!(scene.kinds(), [Kind::OverAdmitted]);
    let mut scene = Scene::good();
    scene.event(HOT, "f", content(Meter::Units, 1_200), 20, 21);
    scene.event(HOT, "g", content(Meter::Units, 1_200), 85, 86);
    assert_eq!(scene.kinds(), []);
}

fn over_admitted_things() {
    let mut scene = Scene::good();
    for job in 2..8 {
        scene.start(&format!("j{job}"), 20 + job, 21 + job);
    }
    assert_eq!(scene.kinds(), [Kind::OverAdmitted]);
    let mut scene = Scene::good();
    for seat in 2..10 {
        scene.seat(&format!("s{seat}"), 20 + seat, 21 + seat);
    }
    assert_eq!(scene.kinds(), [Kind::OverAdmitted]);
}

fn changed_answer() {
    let mut scene = Scene::good();
    scene.lines.push(Line::CallAnswer {
        at: 40 * SECOND,
        request: "r2".to_owned(),
        answer: granted("r2", 29, 6),
    });
    assert_eq!(scene.kinds(), [Kind::Answer]);
    let mut scene = Scene::good();
    scene.call(
        "k2",
        Ask::Release {
            reservation: "res-r2".to_owned(),
        },
        (20, 21),
        Answer::Failed("WHY".to_owned()),
    );
    assert_eq!(scene.kinds(), [Kind::Answer]);
}

fn lost_things() {
    let mut scene = Scene::good();
    scene.stored.reservations.remove("res-j1");
    assert_eq!(scene.kinds(), [Kind::Lost]);
    let mut scene = Scene::good();
    scene.stored.seats.clear();
    assert_eq!(scene.kinds(), [Kind::Lost]);
    let mut scene = Scene::good();
    scene
        .stored
        .reservations
        .insert("res-nobody".to_owned(), (HOT, State::Open));
    scene.stored.seats.insert((HOT, "s7".to_owned()));
    assert_eq!(scene.kinds(), [Kind::Unexpected]);
}

fn unanswered() {
    let mut scene = Scene::good();
    scene.send(0, "f", 0, &content(Meter::Tokens, 1), 30);
    assert_eq!(scene.kinds(), [Kind::Unanswered]);
}

/// A run with every failpoint and some random kills.
fn good_run() {
    let outcome = short(10, Schedule::Mixed, None, 2_000);
    assert!(outcome.is_good(), "seed {}", outcome.seed);
}

/// Each defect gets the schedule that lays it bare.
fn short(
    rounds: usize,
    schedule: Schedule,
    fault: Option<&'static str>,
    least_acked: usize,
) -> crate::report::Outcome {
    let seed = bursar::clock::wall_clock().as_micros().cast_unsigned();
    println!("crash: rounds={rounds} seed={seed} schedule={schedule:?} fault={fault:?}");
    let plan = Plan {
        binary: env!("CARGO_BIN_EXE_bursar").into(),
        rounds,
        seed,
        schedule,
        fault,
        least_acked,
    };
    let outcome = run(&plan).unwrap_or_else(|error| panic!("{error}"));
    outcome.print();
    outcome
}

fn reveals(fault: &'static str, rounds: usize, schedule: Schedule, kind: Kind) {
    assert!(bursar::failpoint::FAULTS.contains(&fault));
    let outcome = short(rounds, schedule, Some(fault), 1_000);
    assert!(
        outcome.findings.count(kind) > 0,
        "{fault} was not found, seed {}",
        outcome.seed
    );
}

fn ack_before_commit() {
    reveals(
        "ack_before_commit",
        3,
        Schedule::At("commit.before_commit"),
        Kind::Lost,
    );
}

fn dedupe_outside_transaction() {
    reveals(
        "dedupe_outside_transaction",
        3,
        Schedule::At("commit.after_commit"),
        Kind::Duplicated,
    );
}

fn counter_outside_transaction() {
    reveals(
        "counter_outside_transaction",
        3,
        Schedule::At("fault.between"),
        Kind::Counter,
    );
}

fn decision_outside_lock() {
    reveals(
        "decision_outside_lock",
        1,
        Schedule::Random,
        Kind::OverAdmitted,
    );
}
