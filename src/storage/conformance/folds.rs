//! Counters built from events.

use std::sync::Arc;

use super::fixture::{
    Draft, START, between, create, day, event, minute, spec, spec_where, subaccount_id,
};
use crate::domain::catalog::Interval;
use crate::domain::counter::{CounterSpec, Ring};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::window::{Anchor, Buckets, TimeRange, Window};
use crate::storage::{Changes, CustomerNo, EventRow, Fold, FoldResult, Store, WindowUse};

fn ask(customer: CustomerNo, spec: Arc<CounterSpec>, since: Timestamp) -> Fold {
    Fold {
        customer,
        subaccount: None,
        spec,
        anchor: Anchor {
            start: START,
            interval: Interval::Month,
        },
        since,
    }
}

fn window(range: TimeRange, used: i64) -> WindowUse {
    WindowUse {
        start: range.start,
        end: range.end,
        used: Milli(used * 1000),
    }
}

async fn fold(store: &dyn Store, fold: Fold) -> FoldResult {
    let (_, seen) = Draft::new().fold(fold).run(store).await;
    seen.folds.into_iter().next().unwrap()
}

/// Stores events at minutes, of quantities.
async fn store_all(store: &dyn Store, rows: Vec<EventRow>) {
    Draft::new().plain(rows).run(store).await;
}

pub async fn a_fold_sums_each_window(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let rows = vec![
        event(of, "a", 1, minute(0)),
        event(of, "b", 2, minute(59)),
        event(of, "c", 4, minute(180)),
    ];
    store_all(store, rows).await;
    // The plain event of the folding batch counts too.
    let (_, seen) = Draft::new()
        .plain(vec![event(of, "d", 8, minute(60))])
        .fold(ask(no, spec("hour"), START))
        .run(store)
        .await;
    let windows = vec![
        window(between(0, 60), 3),
        window(between(60, 120), 8),
        window(between(180, 240), 4),
    ];
    assert_eq!(seen.folds, [FoldResult::Windows(windows)]);
}

pub async fn a_fold_leaves_out_what_ended(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let rows = vec![event(of, "a", 1, minute(30)), event(of, "b", 2, minute(70))];
    store_all(store, rows).await;
    let both = vec![window(between(0, 60), 1), window(between(60, 120), 2)];
    let late = fold(store, ask(no, spec("hour"), minute(59))).await;
    assert_eq!(late, FoldResult::Windows(both));
    let later = fold(store, ask(no, spec("hour"), minute(60))).await;
    let second = vec![window(between(60, 120), 2)];
    assert_eq!(later, FoldResult::Windows(second));
    let last = fold(store, ask(no, spec("hour"), minute(120))).await;
    assert_eq!(last, FoldResult::Windows(Vec::new()));
}

pub async fn a_fold_follows_filter_meter_and_subaccount(store: &dyn Store) {
    let no = create(store, "acme").await;
    let other = create(store, "bolt").await;
    let of = (no, "acme");
    let at = minute(5);
    let rows = vec![
        event(of, "a", 1, at),
        event(of, "b", 2, at).with(&[("model", "large")]),
        event(of, "c", 4, at).of_subaccount("s1"),
        event(of, "d", 8, at)
            .of_subaccount("s1")
            .with(&[("model", "large"), ("user", "u")]),
        event(of, "e", 16, at).of_subaccount("s2"),
        event(of, "f", 32, at).of_meter("calls"),
        event((other, "bolt"), "g", 64, at),
    ];
    store_all(store, rows).await;
    let large = || spec_where("day", &[("model", "large")]);
    let day = TimeRange {
        start: START,
        end: day(1),
    };
    let sum = |used| FoldResult::Windows(vec![window(day, used)]);
    let mut own = ask(no, spec("day"), START);
    assert_eq!(fold(store, own.clone()).await, sum(31));
    own.spec = large();
    assert_eq!(fold(store, own.clone()).await, sum(10));
    own.subaccount = Some(subaccount_id("s1"));
    assert_eq!(fold(store, own.clone()).await, sum(8));
    own.spec = spec("day");
    assert_eq!(fold(store, own.clone()).await, sum(12));
    own.subaccount = Some(subaccount_id("s3"));
    assert_eq!(fold(store, own).await, FoldResult::Windows(Vec::new()));
}

pub async fn a_fold_takes_voids_off(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let (a, b) = (event(of, "a", 5, minute(1)), event(of, "b", 7, minute(61)));
    store_all(store, vec![a.clone(), b.clone()]).await;
    let changes = Changes {
        events: vec![b.voided(minute(90))],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let left = vec![window(between(0, 60), 5)];
    let found = fold(store, ask(no, spec("hour"), START)).await;
    assert_eq!(found, FoldResult::Windows(left), "no window of zero");
}

pub async fn a_fold_of_all_time_has_one_window(store: &dyn Store) {
    let no = create(store, "acme").await;
    let rows = vec![
        event((no, "acme"), "a", 5, minute(-1_000_000)),
        event((no, "acme"), "b", 7, day(900)),
    ];
    store_all(store, rows).await;
    let all = vec![window(TimeRange::ALWAYS, 12)];
    let found = fold(store, ask(no, spec("lifetime"), day(2000))).await;
    assert_eq!(found, FoldResult::Windows(all));
}

pub async fn a_fold_of_a_rolling_window_is_a_ring(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    // An hour has buckets of one minute.
    let rows = vec![
        event(of, "a", 1, minute(0)),
        event(of, "b", 2, minute(1)),
        event(
            of,
            "c",
            4,
            Timestamp::from_micros_clamped(minute(2).as_micros() - 1),
        ),
        event(of, "d", 8, minute(30)),
        event(of, "e", 16, minute(40)),
    ];
    let void = rows[4].voided(minute(41));
    store_all(store, rows).await;
    store_all(store, vec![void]).await;
    let rolling = spec("1h");
    let Window::Rolling(length) = rolling.window else {
        panic!("{rolling:?} is rolling");
    };
    let bucket = |at| Buckets::of(length).at(minute(at));
    let ring = |entries: &[(i64, i64)]| {
        let entries = entries.iter();
        FoldResult::Ring(Ring(
            entries
                .map(|(at, used)| (bucket(*at), Milli(used * 1000)))
                .collect(),
        ))
    };
    let all = fold(store, ask(no, Arc::clone(&rolling), START)).await;
    assert_eq!(all, ring(&[(0, 1), (1, 6), (30, 8)]));
    let within = Timestamp::from_micros_clamped(minute(1).as_micros() + 1);
    let late = fold(store, ask(no, Arc::clone(&rolling), within)).await;
    assert_eq!(late, ring(&[(1, 6), (30, 8)]), "a bucket counts to its end");
    let later = fold(store, ask(no, rolling, minute(2))).await;
    assert_eq!(later, ring(&[(30, 8)]));
}

pub async fn a_fold_says_when_a_sum_is_too_large(store: &dyn Store) {
    let no = create(store, "acme").await;
    let mut rows = Vec::new();
    for id in ["a", "b", "c"] {
        let mut row = event((no, "acme"), id, 1, minute(1));
        row.weighted = Milli(i64::MAX / 2);
        rows.push(row);
    }
    store_all(store, rows).await;
    let fixed = fold(store, ask(no, spec("day"), START)).await;
    assert_eq!(fixed, FoldResult::Overflow);
    let rolling = fold(store, ask(no, spec("5h"), START)).await;
    assert_eq!(rolling, FoldResult::Overflow);
}
