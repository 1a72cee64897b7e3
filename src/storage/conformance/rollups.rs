//! Usage over time: rollups, cut hours, groups, caps.

use std::sync::Arc;

use super::fixture::{
    Draft, between, create, customer_id, event, labels, meter, minute, rollups_of, subaccount_id,
};
use crate::domain::catalog::Aggregation;
use crate::domain::quantity::Milli;
use crate::domain::rollup::{COMBINATIONS_MAX, Rollup};
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::domain::window::TimeRange;
use crate::storage::{Changes, EventRow, Store, UsageQuery, UsageRow};

/// Stores events with their rollups.
async fn record(store: &dyn Store, rows: Vec<EventRow>) {
    let changes = Changes {
        rollups: rollups_of(&rows),
        ..Changes::default()
    };
    Draft::new().plain(rows).changes(changes).run(store).await;
}

fn ask(steps: Vec<TimeRange>) -> UsageQuery {
    UsageQuery {
        customer: customer_id("acme"),
        subaccount: None,
        meter: Arc::new(meter()),
        steps,
        group_by: Vec::new(),
        filter: Labels::new(),
    }
}

/// Step, group, count and sum in units of each row.
type Short = (usize, Labels, i64, i64);

async fn usage(store: &dyn Store, query: &UsageQuery) -> Vec<Short> {
    let rows = store.usage(query.clone()).await.unwrap();
    let short = |row: UsageRow| {
        (
            row.step,
            row.group,
            row.rollup.count,
            row.rollup.sum.0 / 1000,
        )
    };
    rows.into_iter().map(short).collect()
}

fn row(step: usize, group: &[(&str, &str)], count: i64, sum: i64) -> Short {
    (step, labels(group), count, sum)
}

pub async fn hours_add_up(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let rows = [
        event(of, "a", 1, minute(0)),
        event(of, "b", 9, minute(59)),
        event(of, "c", 4, minute(60)),
        event(of, "d", 8, minute(200)),
        event(of, "x", 99, minute(1)).of_meter("calls"),
    ];
    for row in rows {
        record(store, vec![row]).await;
    }
    let steps = vec![between(0, 120), between(120, 180), between(180, 240)];
    let found = store.usage(ask(steps)).await.unwrap();
    let first = UsageRow {
        step: 0,
        group: Labels::new(),
        rollup: Rollup {
            count: 3,
            sum: Milli(14_000),
            max: Some(Milli(9_000)),
            latest: Some((minute(60), Milli(4_000))),
        },
        unique: 0,
        overflowed: false,
    };
    let last = UsageRow {
        step: 2,
        rollup: Rollup::of_event(Milli(8_000), minute(200)),
        ..first.clone()
    };
    assert_eq!(found, [first, last]);
}

pub async fn cut_hours_are_read_from_events(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    // Only what cut hours must not read is summed up: so each source shows in the result.
    let whole = event(of, "whole", 100, minute(90));
    let cut = vec![
        event(of, "before", 1, minute(29)),
        event(of, "first", 2, minute(30)),
        event(of, "last", 4, minute(134)),
        event(of, "after", 8, minute(135)),
    ];
    Draft::new().plain(cut).run(store).await;
    let changes = Changes {
        rollups: vec![whole.rollup()],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let one = usage(store, &ask(vec![between(30, 135)])).await;
    assert_eq!(one, [row(0, &[], 3, 106)]);
    let steps = vec![between(30, 60), between(60, 120), between(120, 135)];
    let three = usage(store, &ask(steps)).await;
    let expected = [row(0, &[], 1, 2), row(1, &[], 1, 100), row(2, &[], 1, 4)];
    assert_eq!(three, expected);
}

pub async fn usage_within_one_hour_is_read_from_events(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let rows = vec![
        event(of, "a", 1, minute(10)),
        event(of, "b", 2, minute(20)),
        event(of, "c", 4, minute(30)),
    ];
    let void = rows[1].voided(minute(40));
    record(store, rows).await;
    record(store, vec![void]).await;
    let steps = vec![between(10, 20), between(20, 30), between(30, 31)];
    let found = usage(store, &ask(steps)).await;
    assert_eq!(found, [row(0, &[], 1, 1), row(2, &[], 1, 4)]);
    let all = store.usage(ask(vec![between(5, 55)])).await.unwrap();
    let expected = Rollup {
        count: 2,
        sum: Milli(5_000),
        max: Some(Milli(4_000)),
        latest: Some((minute(30), Milli(4_000))),
    };
    assert_eq!(all[0].rollup, expected);
}

/// Events of two models and two users in a whole hour and in a cut one.
async fn record_models(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let mut rows = Vec::new();
    for (hour, at) in [("whole", 10), ("cut", 70)] {
        let event = |id: &str, quantity| event(of, &format!("{hour}-{id}"), quantity, minute(at));
        rows.extend([
            event("a", 1).with(&[("model", "x"), ("user", "u")]),
            event("b", 2).with(&[("model", "x"), ("user", "v")]),
            event("c", 4).with(&[("model", "y"), ("user", "u")]),
            event("d", 8).with(&[("user", "u")]),
            event("e", 16),
        ]);
    }
    record(store, rows).await;
}

pub async fn groups_and_filters_tell_dimensions_apart(store: &dyn Store) {
    record_models(store).await;
    let mut query = ask(vec![between(0, 60), between(60, 90)]);
    query.group_by = vec![Box::from("model")];
    let mut expected = Vec::new();
    for step in [0, 1] {
        expected.extend([
            row(step, &[], 2, 24),
            row(step, &[("model", "x")], 2, 3),
            row(step, &[("model", "y")], 1, 4),
        ]);
    }
    assert_eq!(usage(store, &query).await, expected);
    query.filter = labels(&[("user", "u")]);
    query.steps = vec![between(0, 90)];
    let expected = [
        row(0, &[], 2, 16),
        row(0, &[("model", "x")], 2, 2),
        row(0, &[("model", "y")], 2, 8),
    ];
    assert_eq!(usage(store, &query).await, expected);
    query.group_by = vec![Box::from("user"), Box::from("model")];
    query.filter = labels(&[("user", "u"), ("model", "x")]);
    let expected = [row(0, &[("model", "x"), ("user", "u")], 2, 2)];
    assert_eq!(usage(store, &query).await, expected);
    query.filter = labels(&[("user", "w")]);
    assert!(usage(store, &query).await.is_empty());
}

pub async fn subaccounts_are_told_apart(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let rows = vec![
        event(of, "a", 1, minute(10)),
        event(of, "b", 2, minute(10)).of_subaccount("s1"),
        event(of, "c", 4, minute(10)).of_subaccount("s2"),
        event(of, "d", 8, minute(70)).of_subaccount("s1"),
    ];
    record(store, rows).await;
    let mut query = ask(vec![between(0, 60), between(60, 100)]);
    let all = [row(0, &[], 3, 7), row(1, &[], 1, 8)];
    assert_eq!(usage(store, &query).await, all);
    query.subaccount = Some(subaccount_id("s1"));
    let one = [row(0, &[], 1, 2), row(1, &[], 1, 8)];
    assert_eq!(usage(store, &query).await, one);
}

pub async fn unique_values_are_counted_once(store: &dyn Store) {
    record_models(store).await;
    let mut unique = meter();
    unique.aggregation = Aggregation::UniqueCount;
    unique.unique_by = Some(Box::from("user"));
    let mut query = ask(vec![between(0, 90)]);
    query.meter = Arc::new(unique);
    let count = async |query: &UsageQuery| {
        let rows = store.usage(query.clone()).await.unwrap();
        rows.iter().map(|row| row.unique).collect::<Vec<_>>()
    };
    assert_eq!(
        count(&query).await,
        [2],
        "u and v, in a whole and a cut hour"
    );
    query.group_by = vec![Box::from("model")];
    assert_eq!(count(&query).await, [1, 2, 1]);
    let account = store.account(&customer_id("acme"), minute(0)).await;
    let no = account.unwrap().unwrap().no;
    let mut voids = Vec::new();
    for (id, at) in [("whole-b", 10), ("cut-b", 70)] {
        let dimensions = [("model", "x"), ("user", "v")];
        let taken = event((no, "acme"), id, 2, minute(at)).with(&dimensions);
        voids.push(taken.voided(minute(80)));
    }
    record(store, voids).await;
    assert_eq!(count(&query).await, [1, 1, 1], "v is gone");
}

pub async fn a_void_is_counted_again(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let rows = vec![
        event(of, "a", 5, minute(10)),
        event(of, "b", 9, minute(20)),
        event(of, "c", 7, minute(15)),
        event(of, "other", 50, minute(30)).with(&[("model", "x")]),
        event(of, "below", 60, minute(31)).of_subaccount("s1"),
        event(of, "calls", 70, minute(32)).of_meter("calls"),
        event(of, "next", 80, minute(60)),
    ];
    let taken = rows[1].clone();
    record(store, rows).await;
    let void = taken.voided(minute(100));
    let changes = Changes {
        rollups: vec![void.rollup()],
        events: vec![void],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let mut query = ask(vec![between(0, 60)]);
    query.group_by = vec![Box::from("model")];
    let found = store.usage(query.clone()).await.unwrap();
    let without = found.iter().find(|row| row.group.is_empty()).unwrap();
    let expected = Rollup {
        count: 3,
        sum: Milli(72_000),
        max: Some(Milli(60_000)),
        latest: Some((minute(31), Milli(60_000))),
    };
    assert_eq!(without.rollup, expected, "with the subaccount's");
    for (id, at, left) in [("c", 15, 1), ("a", 10, 0)] {
        let quantity = if id == "c" { 7 } else { 5 };
        let void = event(of, id, quantity, minute(at)).voided(minute(101));
        record(store, vec![void]).await;
        let found = usage(store, &query).await;
        assert_eq!(found[0].2, left + 1);
    }
    // The row of the customer itself is empty now and what is left is the subaccount's.
    let found = store.usage(query).await.unwrap();
    assert_eq!(found[0].rollup, Rollup::of_event(Milli(60_000), minute(31)));
}

/// Fills the cap of the first hour, one unit per combination.
async fn fill_cap(store: &dyn Store, of: (i64, &str)) -> usize {
    let cap = usize::try_from(COMBINATIONS_MAX).unwrap();
    let rows = (0..cap).map(|n| {
        let id = format!("fill-{n}");
        event(of, &id, 1, minute(1)).with(&[("user", &format!("u{n}"))])
    });
    record(store, rows.collect()).await;
    cap
}

pub async fn combinations_beyond_the_cap_flow_over(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let cap = fill_cap(store, of).await;
    let mut query = ask(vec![between(0, 60), between(60, 120)]);
    query.group_by = vec![Box::from("user")];
    let rows = store.usage(query.clone()).await.unwrap();
    assert_eq!(rows.len(), cap);
    assert!(
        rows.iter().all(|row| !row.overflowed),
        "the cap itself fits"
    );
    let rows = vec![
        event(of, "new-1", 10, minute(2)).with(&[("user", "one too many")]),
        event(of, "new-2", 20, minute(3)).with(&[("user", "two too many")]),
        event(of, "known", 40, minute(4)).with(&[("user", "u7")]),
        event(of, "bare", 80, minute(5)),
        event(of, "below", 160, minute(6))
            .of_subaccount("s1")
            .with(&[("user", "own cap")]),
        event(of, "later", 320, minute(61)).with(&[("user", "next hour")]),
    ];
    record(store, rows).await;
    let rows = store.usage(query.clone()).await.unwrap();
    assert_eq!(rows.len(), cap + 3);
    let find = |user: &str| {
        let group = if user.is_empty() {
            Labels::new()
        } else {
            labels(&[("user", user)])
        };
        let row = rows.iter().find(|row| row.group == group).unwrap();
        (row.rollup.count, row.rollup.sum.0 / 1000, row.overflowed)
    };
    assert_eq!(find(""), (3, 110, true), "overflow and no dimensions");
    assert_eq!(find("u7"), (2, 41, true));
    assert_eq!(find("own cap"), (1, 160, true));
    assert_eq!(find("next hour"), (1, 320, false));
    query.group_by.clear();
    query.filter = labels(&[("user", "u7")]);
    let rows = store.usage(query.clone()).await.unwrap();
    assert_eq!((rows.len(), rows[0].rollup.count), (1, 2));
    assert!(rows[0].overflowed, "what flowed over may belong to it");
    query.filter.clear();
    query.subaccount = Some(subaccount_id("s1"));
    let rows = store.usage(query.clone()).await.unwrap();
    assert!(!rows[0].overflowed, "its hour did not flow over");
    query.subaccount = None;
    query.steps = vec![between(0, 59)];
    let rows = store.usage(query).await.unwrap();
    assert!(!rows[0].overflowed, "a cut hour is read from events");
}

pub async fn a_void_beyond_the_cap_is_counted_again(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    fill_cap(store, of).await;
    let over = |id: &str, quantity, at| {
        event(of, id, quantity, minute(at)).with(&[("user", &format!("new {id}"))])
    };
    let rows = vec![over("a", 10, 2), over("b", 20, 3)];
    let void = rows[1].voided(minute(50));
    record(store, rows).await;
    record(store, vec![void]).await;
    let mut query = ask(vec![between(0, 60)]);
    query.group_by = vec![Box::from("user")];
    let rows = store.usage(query).await.unwrap();
    let beyond = rows.iter().find(|row| row.group.is_empty()).unwrap();
    assert_eq!(beyond.rollup, Rollup::of_event(Milli(10_000), minute(2)));
}

pub async fn a_rollup_beyond_64_bits_is_refused(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let mut big = event(of, "a", 1, minute(1));
    big.weighted = Milli(i64::MAX - 5);
    record(store, vec![big]).await;
    let (small, other) = (
        event(of, "b", 1, minute(2)),
        event(
            of,
            "c",
            1,
            Timestamp::from_micros_clamped(minute(60).as_micros()),
        ),
    );
    let changes = Changes {
        rollups: vec![other.rollup(), small.rollup()],
        ..Changes::default()
    };
    let draft = Draft::new().plain(vec![small, other]).changes(changes);
    draft.must_break(store).await;
    let rows = store.usage(ask(vec![between(0, 120)])).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].rollup.sum, Milli(i64::MAX - 5));
}
