//! Counters built from stored events.

use std::collections::BTreeMap;

use super::state::{CounterKey, State};
use crate::domain::counter::Ring;
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::window::{Buckets, TimeRange, Window};
use crate::storage::{Fold, FoldResult, WindowUse};

/// Builds a counter from the events of its customer.
pub(super) fn fold(state: &State, asked: &Fold) -> FoldResult {
    match asked.spec.window {
        Window::Rolling(length) => rolling(state, asked, Buckets::of(length)),
        Window::Hour
        | Window::Day
        | Window::Week
        | Window::Month
        | Window::BillingPeriod
        | Window::Lifetime => fixed(state, asked),
    }
}

fn fixed(state: &State, asked: &Fold) -> FoldResult {
    let mut windows: BTreeMap<Timestamp, (Timestamp, i128)> = BTreeMap::new();
    let Some(books) = state.books.get(&asked.customer) else {
        return FoldResult::Windows(Vec::new());
    };
    // What was trimmed is not found in events any more, and still counts.
    let from = CounterKey {
        subaccount: asked.subaccount.clone(),
        spec: asked.spec.clone(),
        start: Timestamp::MIN,
    };
    let same = |key: &CounterKey| key.subaccount == asked.subaccount && key.spec == asked.spec;
    for (key, tallied) in books
        .counters
        .range(from..)
        .take_while(|(key, _)| same(key))
    {
        if tallied.dropped != Milli::ZERO && tallied.end > asked.since {
            let sum = i128::from(tallied.dropped.0);
            windows.insert(key.start, (tallied.end, sum));
        }
    }
    let events = books.counted(asked.subaccount.as_ref(), &asked.spec, TimeRange::ALWAYS);
    for row in events {
        let range = asked.spec.window.range(asked.anchor, row.count_time);
        if range.end > asked.since {
            let window = windows.entry(range.start).or_insert((range.end, 0));
            window.1 += i128::from(row.weighted.0);
        }
    }
    let windows = windows.into_iter().filter(|(_, (_, used))| *used != 0);
    windows
        .map(|(start, (end, used))| {
            let used = i64::try_from(used).map(Milli).ok()?;
            Some(WindowUse { start, end, used })
        })
        .collect::<Option<Vec<_>>>()
        .map_or(FoldResult::Overflow, FoldResult::Windows)
}

fn rolling(state: &State, asked: &Fold, buckets: Buckets) -> FoldResult {
    let mut ring: BTreeMap<i64, i128> = BTreeMap::new();
    let oldest = buckets.at(asked.since);
    if let Some(books) = state.books.get(&asked.customer) {
        let range = TimeRange {
            start: buckets.start(oldest),
            end: Timestamp::MAX,
        };
        for row in books.counted(asked.subaccount.as_ref(), &asked.spec, range) {
            *ring.entry(buckets.at(row.count_time)).or_default() += i128::from(row.weighted.0);
        }
    }
    ring.into_iter()
        .filter(|(_, used)| *used != 0)
        .map(|(bucket, used)| Some((bucket, i64::try_from(used).map(Milli).ok()?)))
        .collect::<Option<Vec<_>>>()
        .map_or(FoldResult::Overflow, |ring| FoldResult::Ring(Ring(ring)))
}
