//! The checker must find what is wrong: each test plants one fault in a history that is right.

use super::scene::{HOT, Scene, content, granted, key};
use crate::checker::{Kind, State};
use crate::fold::totals_of;
use crate::history::History;
use crate::journal::{Answer, Ask, EventAnswer, Line};
use crate::world::{Meter, SECOND};

pub fn nothing_planted() {
    let scene = Scene::good();
    let history = History::of(scene.lines.clone());
    assert_eq!(totals_of(&history, &scene.stored), scene.stored.totals);
    assert_eq!(scene.kinds(), []);
}

pub fn lost() {
    let mut scene = Scene::good();
    scene.stored.events.remove(&key(0, "a"));
    scene.stored.noted.remove(&key(0, "a"));
    assert_eq!(scene.kinds(), [Kind::Lost]);
}

pub fn altered() {
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
    let row = &mut scene
        .stored
        .events
        .get_mut(&key(0, "b"))
        .expect("the scene has it")[0];
    row.content = sent;
    row.weighted += 1000;
    assert_eq!(scene.kinds(), [Kind::Lost, Kind::Unexpected]);
}

pub fn duplicated() {
    let mut scene = Scene::good();
    let rows = scene
        .stored
        .events
        .get_mut(&key(0, "a"))
        .expect("the scene has it");
    rows.push(rows[0].clone());
    assert_eq!(scene.kinds(), [Kind::Duplicated]);
    let mut scene = Scene::good();
    scene.stored.noted.insert(key(0, "a"), 2);
    assert_eq!(scene.kinds(), [Kind::Duplicated]);
    let mut scene = Scene::good();
    scene.answer(0, "a", 0, EventAnswer::Recorded, 30);
    assert_eq!(scene.kinds(), [Kind::Duplicated]);
}

pub fn counted_twice() {
    let mut scene = Scene::good();
    let total = scene
        .stored
        .totals
        .get_mut(&(0, Meter::Tokens))
        .expect("the scene has it");
    *total = (total.0 + 1, total.1 + 7000);
    assert_eq!(scene.kinds(), [Kind::Duplicated]);
}

pub fn unexpected() {
    let mut scene = Scene::good();
    let row = scene.stored.events[&key(0, "a")].clone();
    scene.stored.events.insert(key(0, "z"), row);
    scene.stored.noted.insert(key(0, "z"), 1);
    assert_eq!(scene.kinds(), [Kind::Unexpected]);
    let mut scene = Scene::good();
    scene.stored.strange.push("a row".to_owned());
    assert_eq!(scene.kinds(), [Kind::Unexpected]);
}

pub fn refused() {
    let mut scene = Scene::good();
    scene.event(HOT, "f", content(Meter::Units, 5), 20, 21);
    scene.lines.pop();
    scene.answer(HOT, "f", 0, EventAnswer::Denied, 21);
    assert!(scene.kinds().contains(&Kind::Unexpected));
}

pub fn nothing() {
    let mut scene = Scene::good();
    scene.event(HOT, "f", content(Meter::Units, 5), 20, 21);
    scene.lines.pop();
    scene.answer(HOT, "f", 0, EventAnswer::Nothing, 21);
    assert!(scene.kinds().contains(&Kind::Unexpected));
    let mut scene = Scene::good();
    scene.send(HOT, "f", 0, &content(Meter::Units, 5), 20);
    scene.answer(HOT, "f", 0, EventAnswer::Nothing, 21);
    let ask = Ask::Deallocate {
        seat: "s1".to_owned(),
    };
    scene.call("k9", ask, (22, 23), Answer::Nothing);
    assert_eq!(scene.kinds(), []);
}

pub fn two_contents() {
    let mut scene = Scene::good();
    scene.send(0, "b", 1, &content(Meter::Tokens, 8), 20);
    scene.answer(0, "b", 1, EventAnswer::Recorded, 21);
    assert_eq!(scene.kinds(), [Kind::Lost, Kind::Duplicated]);
}

pub fn wrong_counter() {
    let mut scene = Scene::good();
    scene.counter(0, Meter::Tokens, false).used -= 7000;
    assert_eq!(scene.kinds(), [Kind::Counter]);
    let mut scene = Scene::good();
    scene
        .stored
        .totals
        .get_mut(&(1, Meter::Calls))
        .expect("the scene has it")
        .1 += 1;
    assert_eq!(scene.kinds(), [Kind::Counter]);
}

pub fn wrong_reserved() {
    let mut scene = Scene::good();
    scene.counter(HOT, Meter::Units, true).reserved -= 1000;
    assert_eq!(scene.kinds(), [Kind::Counter]);
}

pub fn missing_counter() {
    let mut scene = Scene::good();
    scene
        .stored
        .counters
        .retain(|(customer, _, _), _| *customer != 1);
    assert_eq!(scene.kinds(), [Kind::Counter]);
}

pub fn wrong_bucket() {
    let mut scene = Scene::good();
    let ring = &mut scene.counter(0, Meter::Tokens, true).ring;
    let (bucket, amount) = ring.pop_first().expect("the scene has it");
    ring.insert(bucket - 1, amount);
    assert_eq!(scene.kinds(), [Kind::Counter]);
}

pub fn over_admitted() {
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

pub fn over_admitted_rolling() {
    let mut scene = Scene::good();
    scene.event(HOT, "f", content(Meter::Units, 1_200), 20, 21);
    scene.event(HOT, "g", content(Meter::Units, 1_200), 70, 71);
    assert_eq!(scene.kinds(), [Kind::OverAdmitted]);
    let mut scene = Scene::good();
    scene.event(HOT, "f", content(Meter::Units, 1_200), 20, 21);
    scene.event(HOT, "g", content(Meter::Units, 1_200), 85, 86);
    assert_eq!(scene.kinds(), []);
}

pub fn over_admitted_things() {
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

pub fn changed_answer() {
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

pub fn lost_things() {
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

pub fn unanswered() {
    let mut scene = Scene::good();
    scene.send(0, "f", 0, &content(Meter::Tokens, 1), 30);
    assert_eq!(scene.kinds(), [Kind::Unanswered]);
}
