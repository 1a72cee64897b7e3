//! Audits: what they compare and what they find.

use std::sync::Arc;

use super::fixture::{
    Draft, START, between, counter, create, create_tracking, customer_id, event, held, minute,
    reservation, set, shift, spec, spec_where, subaccount_id,
};
use crate::domain::counter::{CounterSpec, Ring};
use crate::domain::customer::Subaccount;
use crate::domain::quantity::Milli;
use crate::domain::reservation::{ItemHold, ReservationState};
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::domain::window::{Buckets, TimeRange, Window};
use crate::storage::{
    AuditQuery, Changes, CounterMismatch, CounterRow, EventRow, Store, StoreError, Use,
};

pub(super) async fn audit(store: &dyn Store) -> Vec<CounterMismatch> {
    let query = AuditQuery {
        customer: None,
        after: None,
        limit: 1_000,
    };
    let page = store.audit(query).await.unwrap();
    assert_eq!(page.next, None);
    page.mismatches
}

async fn write(store: &dyn Store, rows: Vec<EventRow>, changes: Changes) {
    Draft::new().plain(rows).changes(changes).run(store).await;
}

fn mismatch(
    spec: &Arc<CounterSpec>,
    start: Timestamp,
    used: (i64, i64),
    reserved: (i64, i64),
) -> CounterMismatch {
    CounterMismatch {
        customer: customer_id("acme"),
        subaccount: None,
        spec: Arc::clone(spec),
        start,
        used: Milli(used.0 * 1000),
        used_expected: Milli(used.1 * 1000),
        reserved: Milli(reserved.0 * 1000),
        reserved_expected: Milli(reserved.1 * 1000),
    }
}

fn ring(window: &str, entries: &[(i64, i64)]) -> CounterRow {
    let spec = spec(window);
    let Window::Rolling(length) = spec.window else {
        panic!("{window} is rolling");
    };
    let buckets = Buckets::of(length);
    let entry = |entry: &(i64, i64)| (buckets.at(minute(entry.0)), Milli(entry.1 * 1000));
    let mut row = counter(&spec, TimeRange::ALWAYS, 0, 0);
    row.used = Use::Rolling(Ring(entries.iter().map(entry).collect()));
    row
}

pub async fn right_counters_pass(store: &dyn Store) {
    let (hour, large) = (spec("hour"), spec_where("day", &[("model", "large")]));
    let tracked = [Arc::clone(&hour), Arc::clone(&large)];
    let no = create_tracking(store, "acme", &tracked).await;
    let of = (no, "acme");
    let rows = vec![
        event(of, "a", 1, minute(0)),
        event(of, "b", 2, minute(59)).of_subaccount("s1"),
        event(of, "c", 4, minute(60)),
        event(of, "d", 8, minute(5)).with(&[("model", "large")]),
        event(of, "e", 16, minute(5)).of_meter("calls"),
        event(of, "f", 32, minute(6)),
    ];
    let void = rows[5].voided(minute(7));
    let mut below = counter(&hour, between(0, 60), 2, 5);
    below.subaccount = Some(subaccount_id("s1"));
    let mut hold = reservation("r1", START, 5, vec![held(&hour, START)]);
    hold.subaccount = Some(subaccount_id("s1"));
    if let ItemHold::Quota { windows, .. } = &mut hold.items[0].hold {
        let mut own = windows[0].clone();
        own.of_subaccount = true;
        windows.push(own);
    }
    let mut over = reservation("r2", START, 64, vec![held(&hour, START)]);
    over.state = ReservationState::Released;
    let changes = Changes {
        events: vec![void],
        counters: vec![
            set("acme", counter(&hour, between(0, 60), 11, 5)),
            set("acme", counter(&hour, between(60, 120), 4, 0)),
            set("acme", counter(&large, between(0, 1440), 8, 0)),
            set("acme", counter(&spec("lifetime"), TimeRange::ALWAYS, 15, 0)),
            set("acme", ring("1h", &[(0, 1), (5, 8), (59, 2), (60, 4)])),
            set("acme", below),
        ],
        reservations: vec![(customer_id("acme"), hold), (customer_id("acme"), over)],
        ..Changes::default()
    };
    write(store, rows, changes).await;
    assert_eq!(audit(store).await, []);
    let query = AuditQuery {
        customer: Some(customer_id("acme")),
        after: None,
        limit: 1,
    };
    assert!(store.audit(query).await.unwrap().checked >= 6);
}

pub async fn a_wrong_use_is_found(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let hour = spec("hour");
    let rows = vec![
        event(of, "a", 3, minute(1)),
        event(of, "b", 4, minute(2)).of_subaccount("s1"),
        event(of, "c", 8, minute(60)),
    ];
    let mut below = counter(&hour, between(0, 60), 7, 0);
    below.subaccount = Some(subaccount_id("s1"));
    let changes = Changes {
        counters: vec![
            set("acme", counter(&hour, between(0, 60), 8, 0)),
            set("acme", below),
        ],
        shifts: vec![shift("acme", &hour, between(60, 120), 8, 0)],
        ..Changes::default()
    };
    write(store, rows, changes).await;
    let own = mismatch(&hour, START, (8, 7), (0, 0));
    let mut sub = mismatch(&hour, START, (7, 4), (0, 0));
    sub.subaccount = Some(subaccount_id("s1"));
    let mut found = audit(store).await;
    found.sort_by_key(|row| row.subaccount.clone());
    assert_eq!(found, [own, sub]);
}

pub async fn a_wrong_reserve_is_found(store: &dyn Store) {
    create(store, "acme").await;
    let hour = spec("hour");
    let changes = Changes {
        counters: vec![set("acme", counter(&hour, between(0, 60), 0, 4))],
        reservations: vec![
            (
                customer_id("acme"),
                reservation("r1", START, 5, vec![held(&hour, START)]),
            ),
            (
                customer_id("acme"),
                reservation("r2", START, 2, vec![held(&hour, START)]),
            ),
        ],
        ..Changes::default()
    };
    write(store, Vec::new(), changes).await;
    let wrong = mismatch(&hour, START, (0, 0), (4, 7));
    assert_eq!(audit(store).await, [wrong]);
}

pub async fn a_wrong_bucket_is_found(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let rows = vec![event(of, "a", 3, minute(10)), event(of, "b", 4, minute(11))];
    let swapped = ring("1h", &[(10, 4), (11, 3)]);
    let lacking = ring("2h", &[(10, 7)]);
    let changes = Changes {
        counters: vec![
            set("acme", swapped.clone()),
            set("acme", lacking.clone()),
            set("acme", ring("30m", &[(10, 3)])),
        ],
        ..Changes::default()
    };
    write(store, rows, changes).await;
    let expected = [
        mismatch(&swapped.spec, Timestamp::MIN, (7, 7), (0, 0)),
        mismatch(&spec("30m"), Timestamp::MIN, (3, 7), (0, 0)),
    ];
    let found = audit(store).await;
    assert_eq!(found.len(), 2, "two minutes are one bucket of two hours");
    assert!(expected.iter().all(|row| found.contains(row)), "{found:?}");
    // An hour later, neither bucket counts and both counters are right.
    Draft::new().at(minute(75)).run(store).await;
    assert_eq!(audit(store).await, []);
}

pub async fn a_tracked_window_without_a_row_holds_nothing(store: &dyn Store) {
    let (hour, rolling) = (spec("hour"), spec("5h"));
    let tracked = [Arc::clone(&hour), Arc::clone(&rolling)];
    let no = create_tracking(store, "acme", &tracked).await;
    let of = (no, "acme");
    let below = Subaccount {
        id: subaccount_id("s1"),
        display_name: Box::default(),
        metadata: Labels::new(),
        create_time: START,
        update_time: START,
        delete_time: None,
    };
    let changes = Changes {
        subaccounts: vec![(customer_id("acme"), below, vec![Arc::clone(&hour)])],
        ..Changes::default()
    };
    let rows = vec![
        event(of, "a", 3, minute(1)),
        event(of, "b", 4, minute(61)).of_subaccount("s1"),
    ];
    write(store, rows, changes).await;
    let own = mismatch(&hour, START, (0, 3), (0, 0));
    let ring = |expected| mismatch(&rolling, Timestamp::MIN, (0, expected), (0, 0));
    let mut found = audit(store).await;
    found.sort_by_key(|row| row.start);
    assert_eq!(
        found,
        [ring(7), own],
        "the window that holds the batch's now"
    );
    Draft::new().at(minute(61)).run(store).await;
    let own = mismatch(&hour, minute(60), (0, 4), (0, 0));
    let mut sub = own.clone();
    sub.subaccount = Some(subaccount_id("s1"));
    let mut found = audit(store).await;
    found.sort_by_key(|row| (row.start, row.subaccount.clone()));
    assert_eq!(found, [ring(7), own, sub]);
    Draft::new().at(minute(500)).run(store).await;
    assert_eq!(audit(store).await, [], "all of it is over");
}

pub async fn a_held_window_without_a_row_holds_nothing(store: &dyn Store) {
    create(store, "acme").await;
    let hour = spec("hour");
    let hold = reservation("r1", START, 5, vec![held(&hour, START)]);
    let changes = Changes {
        reservations: vec![(customer_id("acme"), hold)],
        ..Changes::default()
    };
    write(store, Vec::new(), changes).await;
    let wrong = mismatch(&hour, START, (0, 0), (0, 5));
    assert_eq!(audit(store).await, [wrong]);
}

pub async fn an_audit_goes_by_customer(store: &dyn Store) {
    let hour = spec("hour");
    for id in ["c", "a", "b", "d"] {
        create(store, id).await;
        let used = i64::from(id != "b");
        let changes = Changes {
            counters: vec![set(id, counter(&hour, between(0, 60), used, 0))],
            ..Changes::default()
        };
        write(store, Vec::new(), changes).await;
    }
    for limit in [1, 2, 3, 4, 5] {
        let (mut found, mut checked, mut after) = (Vec::new(), 0, None);
        loop {
            let query = AuditQuery {
                customer: None,
                after,
                limit,
            };
            let page = store.audit(query).await.unwrap();
            assert!(page.mismatches.len() <= limit);
            checked += page.checked;
            found.extend(page.mismatches.into_iter().map(|row| row.customer));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(checked, 4);
        assert_eq!(found, ["a", "c", "d"].map(customer_id), "{limit} a slice");
    }
    let query = AuditQuery {
        customer: Some(customer_id("c")),
        after: None,
        limit: 1,
    };
    let page: Result<_, StoreError> = store.audit(query).await;
    let page = page.unwrap();
    assert_eq!((page.checked, page.mismatches.len()), (1, 1));
    assert_eq!(page.next, None);
}
