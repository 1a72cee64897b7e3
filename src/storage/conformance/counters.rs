//! Counters: set, shifted, left out when their window is over.

use std::sync::Arc;

use super::fixture::{
    Draft, START, between, counter, counter_of, create, customer_id, minute, set, shift, spec,
    spec_where, subaccount_id,
};
use crate::domain::counter::Ring;
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::storage::{Changes, CounterRow, CounterSet, CounterShift, Store, Use};

fn sets(sets: Vec<CounterSet>) -> Changes {
    Changes {
        counters: sets,
        ..Changes::default()
    }
}

fn shifts(shifts: Vec<CounterShift>) -> Changes {
    Changes {
        shifts,
        ..Changes::default()
    }
}

async fn write(store: &dyn Store, changes: Changes) {
    Draft::new().changes(changes).run(store).await;
}

async fn rows(store: &dyn Store, now: Timestamp) -> Vec<CounterRow> {
    let account = store.account(&customer_id("acme"), now).await.unwrap();
    let mut rows = account.unwrap().counters;
    rows.sort_by_key(|row| (row.subaccount.clone(), row.spec.clone(), row.start));
    rows
}

pub async fn a_set_replaces_the_row(store: &dyn Store) {
    create(store, "acme").await;
    let hour = spec("hour");
    let first = counter(&hour, between(0, 60), 5, 2);
    write(store, sets(vec![set("acme", first)])).await;
    let second = counter(&hour, between(0, 60), -1, 0);
    let other = counter(&hour, between(60, 120), 9, 0);
    let both = vec![set("acme", second.clone()), set("acme", other.clone())];
    write(store, sets(both)).await;
    assert_eq!(rows(store, START).await, [second, other]);
}

pub async fn a_shift_makes_the_row_and_adds(store: &dyn Store) {
    create(store, "acme").await;
    let (hour, range) = (spec("hour"), between(0, 60));
    let change = shifts(vec![shift("acme", &hour, range, 5, 3)]);
    write(store, change).await;
    assert_eq!(counter_of(store, "acme", &hour, START).await, Some((5, 3)));
    let day = spec("day");
    let changes = shifts(vec![
        shift("acme", &hour, range, -2, -3),
        shift("acme", &day, between(0, 1440), 1, 0),
    ]);
    write(store, changes).await;
    assert_eq!(counter_of(store, "acme", &hour, START).await, Some((3, 0)));
    assert_eq!(counter_of(store, "acme", &day, START).await, Some((1, 0)));
    let ends: Vec<Timestamp> = rows(store, START).await.iter().map(|row| row.end).collect();
    assert_eq!(ends, [minute(60), minute(1440)]);
}

pub async fn a_set_comes_before_a_shift(store: &dyn Store) {
    create(store, "acme").await;
    let (hour, range) = (spec("hour"), between(0, 60));
    let change = shifts(vec![shift("acme", &hour, range, 100, 100)]);
    write(store, change).await;
    let changes = Changes {
        counters: vec![set("acme", counter(&hour, range, 5, 2))],
        shifts: vec![shift("acme", &hour, range, 1, -2)],
        ..Changes::default()
    };
    write(store, changes).await;
    assert_eq!(counter_of(store, "acme", &hour, START).await, Some((6, 0)));
}

pub async fn a_sum_beyond_64_bits_is_refused(store: &dyn Store) {
    create(store, "acme").await;
    let (hour, range) = (spec("hour"), between(0, 60));
    let mut edge = counter(&hour, range, 0, 0);
    edge.used = Use::Fixed(Milli(i64::MAX - 1));
    edge.reserved = Milli(i64::MIN + 1);
    write(store, sets(vec![set("acme", edge.clone())])).await;
    let mut up = shift("acme", &hour, range, 0, 0);
    up.used = Milli(2);
    let mut down = shift("acme", &hour, range, 0, 0);
    down.reserved = Milli(-2);
    for bad in [up.clone(), down] {
        let changes = shifts(vec![
            shift("acme", &spec("day"), between(0, 1440), 1, 0),
            bad,
        ]);
        Draft::new().changes(changes).must_break(store).await;
        assert_eq!(rows(store, START).await, [edge.clone()]);
    }
    up.used = Milli(1);
    write(store, shifts(vec![up])).await;
    let used = Use::Fixed(Milli(i64::MAX));
    assert_eq!(
        rows(store, START).await[0].used,
        used,
        "the edge itself fits"
    );
}

pub async fn a_rolling_counter_takes_only_reservations_by_shift(store: &dyn Store) {
    create(store, "acme").await;
    let rolling = spec("5h");
    let change = shift("acme", &rolling, TimeRange::ALWAYS, 0, 3);
    write(store, shifts(vec![change.clone()])).await;
    let mut expected = counter(&rolling, TimeRange::ALWAYS, 0, 3);
    expected.used = Use::Rolling(Ring::default());
    assert_eq!(rows(store, START).await, [expected.clone()]);

    expected.used = Use::Rolling(Ring(vec![(7, Milli(5))]));
    write(store, sets(vec![set("acme", expected.clone())])).await;
    write(store, shifts(vec![change])).await;
    expected.reserved = Milli(6_000);
    assert_eq!(rows(store, START).await, [expected.clone()]);

    let used = shift("acme", &rolling, TimeRange::ALWAYS, 1, 0);
    let draft = Draft::new().changes(shifts(vec![used]));
    draft.must_break(store).await;
    assert_eq!(rows(store, START).await, [expected]);
}

pub async fn counters_whose_window_ended_are_left_out(store: &dyn Store) {
    create(store, "acme").await;
    let hour = spec("hour");
    let first = counter(&hour, between(0, 60), 1, 0);
    let second = counter(&hour, between(60, 120), 2, 0);
    let always = counter(&spec("lifetime"), TimeRange::ALWAYS, 3, 0);
    let all = [&first, &second, &always];
    let writes = all.iter().map(|row| set("acme", (*row).clone()));
    write(store, sets(writes.collect())).await;
    let at_59 = rows(store, minute(59)).await;
    assert_eq!(at_59, [first, second.clone(), always.clone()]);
    let at_60 = rows(store, minute(60)).await;
    assert_eq!(
        at_60,
        [second, always.clone()],
        "a window ends before its end"
    );
    assert_eq!(rows(store, minute(1_000_000)).await, [always]);
}

pub async fn counters_of_subaccounts_stand_apart(store: &dyn Store) {
    create(store, "acme").await;
    create(store, "bolt").await;
    let range = between(0, 60);
    let (plain, filtered) = (spec("hour"), spec_where("hour", &[("model", "large")]));
    let own = counter(&plain, range, 1, 0);
    let large = counter(&filtered, range, 2, 0);
    let mut below = counter(&plain, range, 4, 0);
    below.subaccount = Some(subaccount_id("s1"));
    let theirs = counter(&plain, range, 8, 0);
    let writes = vec![
        set("acme", own.clone()),
        set("acme", large.clone()),
        set("acme", below.clone()),
        set("bolt", theirs),
    ];
    write(store, sets(writes)).await;
    let mut change = shift("acme", &plain, range, 1, 1);
    change.subaccount = Some(subaccount_id("s1"));
    write(store, shifts(vec![change])).await;
    below.used = Use::Fixed(Milli(5_000));
    below.reserved = Milli(1_000);
    assert_eq!(rows(store, START).await, [own, large, below]);
    assert_eq!(counter_of(store, "bolt", &plain, START).await, Some((8, 0)));
}

pub async fn rings_come_back_as_they_were(store: &dyn Store) {
    create(store, "acme").await;
    let mut rows_written = Vec::new();
    let rings = [
        ("1m", vec![]),
        ("30m", vec![(0, Milli(1)), (i64::MAX, Milli(i64::MAX))]),
        (
            "35d",
            (0..90).map(|n| (29_000 + n, Milli(-n * 1_001))).collect(),
        ),
    ];
    for (window, ring) in rings {
        let mut row = counter(&spec(window), TimeRange::ALWAYS, 0, 1);
        row.used = Use::Rolling(Ring(ring));
        rows_written.push(row);
    }
    rows_written.sort_by_key(|row| Arc::clone(&row.spec));
    let writes = rows_written.iter().map(|row| set("acme", row.clone()));
    write(store, sets(writes.collect())).await;
    assert_eq!(rows(store, START).await, rows_written);
}

pub async fn a_cleared_counter_forgets_every_window(store: &dyn Store) {
    create(store, "acme").await;
    create(store, "bolt").await;
    let (hour, day, range) = (spec("hour"), spec("day"), between(0, 60));
    let mut below = counter(&hour, range, 7, 0);
    below.subaccount = Some(subaccount_id("s1"));
    let mut before = vec![
        set("acme", counter(&hour, range, 5, 2)),
        set("acme", counter(&hour, between(60, 120), 6, 0)),
        set("acme", counter(&day, between(0, 1440), 8, 0)),
        set("bolt", counter(&hour, range, 9, 0)),
    ];
    before.push(set("acme", below.clone()));
    write(store, sets(before)).await;
    let moved = counter(&hour, between(30, 90), 4, 1);
    let changes = Changes {
        cleared: vec![(customer_id("acme"), None, Arc::clone(&hour))],
        counters: vec![set("acme", moved.clone())],
        shifts: vec![shift("acme", &hour, range, 1, 0)],
        ..Changes::default()
    };
    write(store, changes).await;
    let kept = [
        counter(&hour, range, 1, 0),
        moved,
        counter(&day, between(0, 1440), 8, 0),
        below,
    ];
    assert_eq!(rows(store, START).await, kept);
    let other = counter_of(store, "bolt", &hour, START).await;
    assert_eq!(other, Some((9, 0)), "another customer's stay");
    let unknown = Changes {
        cleared: vec![(customer_id("nobody"), None, hour)],
        ..Changes::default()
    };
    Draft::new().changes(unknown).must_break(store).await;
}
