//! Forgetting: what goes, what stays, and that counters stay right.

use std::sync::Arc;

use super::audits::audit;
use super::fixture::purse::{book_of, changes_of, hold_id, new_grant, new_hold, own, posted};
use super::fixture::{
    Draft, START, answer, between, counter, create, customer_id, day, event, events_of, minute,
    reservation, set, shift, spec, spec_where, subaccount_id,
};
use crate::domain::catalog::Interval;
use crate::domain::id::FeatureId;
use crate::domain::quantity::Milli;
use crate::domain::reservation::ReservationState;
use crate::domain::time::{Span, Timestamp};
use crate::domain::wallet::{About, Book};
use crate::domain::window::{Anchor, TimeRange};
use crate::storage::{
    Changes, CounterRow, CounterSet, DENIALS_MAX, Denial, DenialQuery, EventRow, Fold, FoldResult,
    ReservationQuery, Store, TRIM_SLICE, Use, WindowUse,
};

const KEEP: Span = Span::from_days(40);

async fn trim(store: &dyn Store, now: Timestamp) {
    let mut turns = 0;
    while store.trim(now, KEEP).await.unwrap() {
        turns += 1;
        assert!(turns < 100, "a trim comes to its end");
    }
}

async fn write(store: &dyn Store, rows: Vec<EventRow>, counters: Vec<CounterSet>) {
    let changes = Changes {
        counters,
        ..Changes::default()
    };
    Draft::new().plain(rows).changes(changes).run(store).await;
}

async fn ids(store: &dyn Store) -> Vec<String> {
    let events = events_of(store, "acme").await;
    let name = |row: &EventRow| row.event.event_id.to_string();
    events.iter().map(|stored| name(&stored.row)).collect()
}

pub async fn events_go_and_counters_stay_right(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let large = spec_where("lifetime", &[("model", "large")]);
    let rows = vec![
        event(of, "a", 1, day(0)),
        event(of, "b", 2, day(1)).of_subaccount("s1"),
        event(of, "c", 4, day(2)).with(&[("model", "large")]),
        event(of, "d", 8, day(3)).of_meter("calls"),
        event(of, "e", 16, day(50)),
        event(of, "f", 32, day(4)),
    ];
    let void = rows[5].voided(day(4));
    let lifetime = counter(&spec("lifetime"), TimeRange::ALWAYS, 23, 0);
    let mut below = counter(&spec("lifetime"), TimeRange::ALWAYS, 2, 0);
    below.subaccount = Some(subaccount_id("s1"));
    let mut rolling = counter(&spec("30d"), TimeRange::ALWAYS, 0, 0);
    rolling.used = Use::Rolling(crate::domain::counter::Ring(vec![
        (START.as_micros() / (43_200 * 1_000_000), Milli(1_000)),
        (day(50).as_micros() / (43_200 * 1_000_000), Milli(16_000)),
    ]));
    let sets: Vec<CounterSet> = [
        lifetime,
        below,
        counter(&large, TimeRange::ALWAYS, 4, 0),
        rolling,
    ]
    .map(|row: CounterRow| set("acme", row))
    .into();
    let mut all = rows;
    all.push(void);
    write(store, all, sets).await;
    Draft::new().at(day(50)).run(store).await;
    assert_eq!(audit(store).await, []);
    trim(store, day(60)).await;
    assert_eq!(ids(store).await, ["e"]);
    assert_eq!(audit(store).await, []);
    // A change of the counter keeps what was dropped, however it is written.
    let all = TimeRange::ALWAYS;
    let changes = Changes {
        shifts: vec![shift("acme", &spec("lifetime"), all, 64, 0)],
        counters: vec![set("acme", counter(&large, all, 68, 0))],
        events: vec![event(of, "g", 64, day(60)).with(&[("model", "large")])],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let wrong: Vec<_> = audit(store)
        .await
        .into_iter()
        .map(|row| row.start)
        .collect();
    assert_eq!(wrong, [Timestamp::MIN], "only the ring lacks the new event");
    trim(store, day(200)).await;
    assert!(ids(store).await.is_empty());
    assert_eq!(audit(store).await, []);
}

pub async fn events_stay_as_long_as_their_keys_must(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let rows = vec![
        event(of, "old", 1, day(0)),
        event(of, "late", 2, day(0)).received(day(30)),
        event(of, "new", 4, day(30)),
    ];
    write(store, rows, Vec::new()).await;
    trim(store, day(40)).await;
    assert_eq!(ids(store).await, ["new", "late", "old"], "kept 40 days");
    trim(store, day(41)).await;
    assert_eq!(ids(store).await, ["new", "late"]);
    trim(store, day(66)).await;
    assert_eq!(ids(store).await, ["new", "late"], "36 days from receipt");
    trim(store, day(67)).await;
    assert_eq!(ids(store).await, ["new"]);
    // A shorter time to keep is not shorter than keys are kept.
    let more = store.trim(day(66), Span::ZERO).await.unwrap();
    assert!(!more);
    assert_eq!(ids(store).await, ["new"]);
    store.trim(day(67), Span::ZERO).await.unwrap();
    assert!(ids(store).await.is_empty());
    // What was forgotten may come again.
    let again = vec![event(of, "old", 1, day(66))];
    let (_, seen) = Draft::new().plain(again).run(store).await;
    assert!(seen.duplicates.is_empty());
}

pub async fn a_trim_goes_in_slices(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let count = TRIM_SLICE + 500;
    let row = |n: usize| event(of, &format!("e{n:05}"), 1, minute(0));
    write(store, (0..count).map(row).collect(), Vec::new()).await;
    assert!(store.trim(day(60), KEEP).await.unwrap());
    let left = ids(store).await.len();
    assert!((count - TRIM_SLICE..count).contains(&left), "{left} left");
    trim(store, day(60)).await;
    assert!(ids(store).await.is_empty());
    assert!(!store.trim(day(60), KEEP).await.unwrap());
}

pub async fn counters_go_when_nothing_of_their_window_is_left(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let hour = spec("hour");
    let windows = [
        between(0, 60),
        between(60, 120),
        between(120, 180),
        between(180, 240),
    ];
    let late = event(of, "late", 2, minute(70)).received(day(30));
    let rows = vec![event(of, "old", 1, minute(0)), late.clone()];
    let sets = vec![
        set("acme", counter(&hour, windows[0], 1, 0)),
        set("acme", counter(&hour, windows[1], 2, 0)),
        set("acme", counter(&hour, windows[2], 0, 5)),
        set("acme", counter(&hour, windows[3], 0, 0)),
        set("acme", counter(&spec("lifetime"), TimeRange::ALWAYS, 3, 0)),
    ];
    write(store, rows, sets).await;
    trim(store, day(50)).await;
    let starts = async || {
        let account = store.account(&customer_id("acme"), START).await.unwrap();
        let rows = account.unwrap().counters;
        let mut starts: Vec<_> = rows.iter().map(|row| row.start).collect();
        starts.sort();
        starts
    };
    let held = [Timestamp::MIN, minute(60), minute(120)];
    assert_eq!(
        starts().await,
        held,
        "an event or a reserve keeps its window"
    );
    // The late event can still be taken back, and its counter follows.
    let changes = Changes {
        events: vec![late.voided(day(50))],
        shifts: vec![
            shift("acme", &hour, windows[1], -2, 0),
            shift("acme", &hour, windows[2], 0, -5),
            shift("acme", &spec("lifetime"), TimeRange::ALWAYS, -2, 0),
        ],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    assert_eq!(audit(store).await, []);
    trim(store, day(90)).await;
    assert_eq!(starts().await, [Timestamp::MIN]);
    assert_eq!(audit(store).await, []);
}

pub async fn what_was_trimmed_stays_in_folds(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let rows = vec![event(of, "a", 1, day(0)), event(of, "b", 2, day(50))];
    let lifetime = spec("lifetime");
    let row = counter(&lifetime, TimeRange::ALWAYS, 3, 0);
    write(store, rows, vec![set("acme", row)]).await;
    trim(store, day(60)).await;
    let fold = Fold {
        customer: no,
        subaccount: None,
        spec: Arc::clone(&lifetime),
        anchor: Anchor {
            start: START,
            interval: Interval::Month,
        },
        since: day(60),
    };
    let (_, seen) = Draft::new().fold(fold).run(store).await;
    let all = WindowUse {
        start: TimeRange::ALWAYS.start,
        end: TimeRange::ALWAYS.end,
        used: Milli(3_000),
    };
    assert_eq!(seen.folds, [FoldResult::Windows(vec![all])]);
}

pub async fn answers_go_in_time(store: &dyn Store) {
    for (request, at) in [("old", day(0)), ("new", day(2))] {
        let changes = Changes {
            answers: vec![answer(request, "x")],
            ..Changes::default()
        };
        Draft::new().at(at).changes(changes).run(store).await;
    }
    let kept = async || {
        let keys = (answer("old", "").key, answer("new", "").key);
        let probing = Draft::new().request(keys.0).request(keys.1);
        let (_, seen) = probing.run(store).await;
        seen.requests
            .iter()
            .map(Option::is_some)
            .collect::<Vec<_>>()
    };
    trim(store, day(40)).await;
    assert_eq!(kept().await, [true, true]);
    trim(store, day(41)).await;
    assert_eq!(kept().await, [false, true]);
}

pub async fn denials_go_in_time(store: &dyn Store) {
    let row = |id: &str, at: Timestamp| Denial {
        customer: customer_id(id),
        feature: FeatureId::new("chat").unwrap(),
        reason: Box::from("LIMIT_REACHED"),
        minute: at,
        count: 1,
        sample: Box::default(),
    };
    let many = i64::try_from(DENIALS_MAX).unwrap() + 5;
    let crowd = (0..many).map(|n| row("crowd", minute(n)));
    store.log_denials(crowd.collect()).await.unwrap();
    let few = vec![row("few", day(0)), row("few", day(2))];
    store.log_denials(few).await.unwrap();
    let list = async |id: &str| {
        let query = DenialQuery {
            customer: customer_id(id),
            feature: None,
            reason: None,
            range: TimeRange::ALWAYS,
            after: None,
            limit: 20_000,
        };
        let page = store.denials(query).await.unwrap();
        let minutes = page.items.iter().map(|row| row.minute);
        minutes.collect::<Vec<_>>()
    };
    trim(store, day(30)).await;
    assert_eq!(list("few").await, [day(2), day(0)]);
    let left = list("crowd").await;
    assert_eq!(left.len(), DENIALS_MAX);
    assert_eq!(left.last(), Some(&minute(5)), "the oldest went");
    trim(store, day(31)).await;
    assert_eq!(list("few").await, [day(2)]);
}

pub async fn ended_reservations_go_in_time(store: &dyn Store) {
    create(store, "acme").await;
    let mut rows = Vec::new();
    for (id, end) in [("open", None), ("old", Some(day(0))), ("new", Some(day(2)))] {
        let mut held = reservation(id, START, 1, Vec::new());
        held.end_time = end;
        if end.is_some() {
            held.state = ReservationState::Committed;
        }
        rows.push((customer_id("acme"), held));
    }
    let changes = Changes {
        reservations: rows,
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let left = async || {
        let query = ReservationQuery {
            customer: customer_id("acme"),
            id: None,
            subaccount: None,
            state: None,
            holder: None,
            after: None,
            limit: 10,
        };
        let page = store.reservations(query).await.unwrap();
        let ids = page.items.iter().map(|held| held.id.to_string());
        ids.collect::<Vec<_>>()
    };
    trim(store, day(35)).await;
    assert_eq!(left().await, ["new", "old", "open"]);
    trim(store, day(36)).await;
    assert_eq!(left().await, ["new", "open"]);
    trim(store, day(900)).await;
    assert_eq!(left().await, ["open"], "an open one never goes");
}

pub async fn ended_holds_go_in_time(store: &dyn Store) {
    let mut book = Book::default();
    let about = About::default;
    for id in ["acme", "bolt"] {
        create(store, id).await;
    }
    book.grant(&own(), new_grant("g", 100), about(), START)
        .unwrap();
    for id in ["expired", "new", "old", "open"] {
        let end = if id == "expired" { day(0) } else { day(500) };
        let hold = new_hold(id, 10, end);
        book.hold("USD", hold, 0, about(), START).unwrap();
    }
    book.sweep(day(1));
    book.release(&hold_id("old"), about(), day(0)).unwrap();
    book.capture(&hold_id("new"), (10, true), about(), day(2))
        .unwrap();
    let changes = book.take_changes(day(2));
    for id in ["acme", "bolt"] {
        let changes = changes_of(id, changes.clone());
        Draft::new().changes(changes).run(store).await;
    }
    let left = async || {
        let mut ids = Vec::new();
        for customer in ["acme", "bolt"] {
            for id in ["expired", "new", "old", "open"] {
                let found = store.hold(&customer_id(customer), &hold_id(id)).await;
                ids.extend(found.unwrap().map(|_| format!("{customer} {id}")));
            }
        }
        ids
    };
    trim(store, day(35)).await;
    assert_eq!(left().await.len(), 8);
    trim(store, day(36)).await;
    let kept = ["acme new", "acme open", "bolt new", "bolt open"];
    assert_eq!(left().await, kept);
    trim(store, day(900)).await;
    assert_eq!(left().await, ["acme open", "bolt open"]);
    // Nothing else of the wallets goes.
    let read = book_of(store, "bolt", day(2)).await;
    assert_eq!(read, book);
    assert_eq!(posted(store, "bolt", own()).await, changes.posted);
}
