//! Comparing counters with what they should hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{Books, CounterKey, State, Tallied};
use crate::domain::counter::{CounterSpec, Ring};
use crate::domain::id::SubaccountId;
use crate::domain::quantity::Milli;
use crate::domain::reservation::{ItemHold, Reservation, ReservationState};
use crate::domain::time::Timestamp;
use crate::domain::window::{Buckets, TimeRange, Window};
use crate::storage::{AuditPage, AuditQuery, CounterMismatch, Use};

/// Compares one slice of customers.
pub(super) fn audit(state: &State, query: &AuditQuery) -> AuditPage {
    let mut page = AuditPage::default();
    let mut last = None;
    let wanted = state.numbers.iter().filter(|(id, _)| {
        query
            .after
            .as_deref()
            .is_none_or(|after| id.as_str() > after)
            && query.customer.as_ref().is_none_or(|only| only == *id)
    });
    for (done, (id, no)) in wanted.enumerate() {
        if done == query.limit.max(1) {
            page.next = last;
            return page;
        }
        if let Some(books) = state.books.get(no) {
            compare(books, state.latest, &mut page);
        }
        last = Some(String::from(id.as_str()));
    }
    page
}

/// What a counter should hold, found out in pieces.
#[derive(Default)]
struct Due {
    /// The end of its window; `None`: known from reservations only, so that use cannot be told.
    end: Option<Timestamp>,
    reserved: i128,
}

fn compare(books: &Books, latest: Timestamp, page: &mut AuditPage) {
    for (key, due) in dues(books, latest) {
        let tallied = books.counters.get(&key);
        let reserved = tallied.map_or(Milli::ZERO, |tallied| tallied.reserved);
        let reserved_expected = clamped(due.reserved);
        let (used, used_expected, same) = used(books, &key, tallied, due.end, latest);
        page.checked += 1;
        if !same || reserved != reserved_expected {
            page.mismatches.push(CounterMismatch {
                customer: books.customer.id.clone(),
                subaccount: key.subaccount,
                spec: key.spec,
                start: key.start,
                used,
                used_expected,
                reserved,
                reserved_expected,
            });
        }
    }
}

/// Names every counter that has a row, is held by an open reservation, or is tracked and runs at `latest`.
fn dues(books: &Books, latest: Timestamp) -> BTreeMap<CounterKey, Due> {
    let mut dues: BTreeMap<CounterKey, Due> = BTreeMap::new();
    for (key, tallied) in &books.counters {
        dues.entry(key.clone()).or_default().end = Some(tallied.end);
    }
    let own = books.tracked.iter().map(|spec| (None, spec));
    let below = books.subaccounts.iter().flat_map(|(id, row)| {
        let tracked = row.tracked.iter();
        tracked.map(move |spec| (Some(id), spec))
    });
    for (subaccount, spec) in own.chain(below) {
        let range = match spec.window {
            Window::Rolling(_) => TimeRange::ALWAYS,
            fixed @ (Window::Hour
            | Window::Day
            | Window::Week
            | Window::Month
            | Window::BillingPeriod
            | Window::Lifetime) => fixed.range(books.anchor(), latest),
        };
        let due = dues.entry(key(subaccount, spec, range.start)).or_default();
        due.end.get_or_insert(range.end);
    }
    let open = |held: &&Reservation| held.state == ReservationState::Open;
    for held in books.reservations.values().filter(open) {
        for item in &held.items {
            let ItemHold::Quota {
                reserved, windows, ..
            } = &item.hold
            else {
                continue;
            };
            for window in windows {
                let subaccount = held.subaccount.as_ref().filter(|_| window.of_subaccount);
                let key = key(subaccount, &window.spec, window.start);
                dues.entry(key).or_default().reserved += i128::from(reserved.0);
            }
        }
    }
    dues
}

fn key(subaccount: Option<&SubaccountId>, spec: &Arc<CounterSpec>, start: Timestamp) -> CounterKey {
    CounterKey {
        subaccount: subaccount.cloned(),
        spec: Arc::clone(spec),
        start,
    }
}

/// Returns what a counter holds as used, what it should hold, and whether these are the same.
fn used(
    books: &Books,
    key: &CounterKey,
    tallied: Option<&Tallied>,
    end: Option<Timestamp>,
    latest: Timestamp,
) -> (Milli, Milli, bool) {
    let Some(end) = end else {
        return (Milli::ZERO, Milli::ZERO, true);
    };
    let empty = Ring::default();
    let ring = match tallied.map(|tallied| &tallied.used) {
        Some(Use::Rolling(ring)) => ring,
        Some(Use::Fixed(_)) | None => &empty,
    };
    if let Window::Rolling(length) = key.spec.window {
        return used_of_ring(books, key, ring, Buckets::of(length), latest);
    }
    let held = match tallied.map(|tallied| &tallied.used) {
        Some(Use::Fixed(used)) => *used,
        Some(Use::Rolling(_)) | None => Milli::ZERO,
    };
    let dropped = tallied.map_or(Milli::ZERO, |tallied| tallied.dropped);
    let range = TimeRange {
        start: key.start,
        end,
    };
    let expected = books
        .counted(key.subaccount.as_ref(), &key.spec, range)
        .fold(i128::from(dropped.0), |sum, row| {
            sum + i128::from(row.weighted.0)
        });
    (held, clamped(expected), i128::from(held.0) == expected)
}

/// Compares bucket by bucket those that still count at `latest`.
fn used_of_ring(
    books: &Books,
    key: &CounterKey,
    ring: &Ring,
    buckets: Buckets,
    latest: Timestamp,
) -> (Milli, Milli, bool) {
    let oldest = buckets.oldest(latest);
    let range = TimeRange {
        start: buckets.start(oldest),
        end: Timestamp::MAX,
    };
    // What the ring holds beside what events say, by bucket.
    let mut sums: BTreeMap<i64, (i128, i128)> = BTreeMap::new();
    for (bucket, used) in ring.0.iter().filter(|entry| entry.0 >= oldest) {
        sums.entry(*bucket).or_default().0 += i128::from(used.0);
    }
    for row in books.counted(key.subaccount.as_ref(), &key.spec, range) {
        let sum = sums.entry(buckets.at(row.count_time)).or_default();
        sum.1 += i128::from(row.weighted.0);
    }
    let held = sums.values().map(|sum| sum.0).sum();
    let expected = sums.values().map(|sum| sum.1).sum();
    let same = sums.values().all(|sum| sum.0 == sum.1);
    (clamped(held), clamped(expected), same)
}

fn clamped(sum: i128) -> Milli {
    let bound = if sum < 0 { i64::MIN } else { i64::MAX };
    Milli(i64::try_from(sum).unwrap_or(bound))
}
