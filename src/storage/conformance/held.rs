//! Lists of what is held: reservations and allocations.

use super::fixture::purse::{hold_id, keep, new_grant, new_hold, own, spend};
use super::fixture::{
    Draft, START, create, customer_id, labels, minute, reservation, subaccount_id,
};
use super::lists::read;
use crate::domain::catalog::Interval;
use crate::domain::customer::Allocation;
use crate::domain::id::{AllocationId, FeatureId, ReservationId};
use crate::domain::reservation::{Reservation, ReservationState};
use crate::domain::time::Span;
use crate::domain::wallet::{About, AutoTopUp, Book, NewGrant};
use crate::domain::window::{Anchor, Window};
use crate::storage::{AllocationQuery, Changes, ReservationQuery, Store};

pub(super) fn reservations_of(customer: &str) -> ReservationQuery {
    ReservationQuery {
        customer: customer_id(customer),
        id: None,
        subaccount: None,
        state: None,
        holder: None,
        after: None,
        limit: 2,
    }
}

pub(super) async fn reservations(store: &dyn Store, query: ReservationQuery) -> Vec<Reservation> {
    read(query.limit, async |after| {
        let query = ReservationQuery {
            after,
            ..query.clone()
        };
        store.reservations(query).await.unwrap()
    })
    .await
}

/// Stores four reservations and returns them newest first.
async fn reserve(store: &dyn Store) -> Vec<Reservation> {
    create(store, "acme").await;
    create(store, "bolt").await;
    let mut rows = vec![
        reservation("d", minute(3), 1, Vec::new()),
        reservation("a/1", minute(2), 2, Vec::new()),
        reservation("b", minute(2), 3, Vec::new()),
        reservation("c", minute(1), 4, Vec::new()),
    ];
    rows[1].state = ReservationState::Committed;
    rows[1].end_time = Some(minute(9));
    rows[3].holder = Box::from("worker-2");
    rows[2].subaccount = Some(subaccount_id("s1"));
    let mut shuffled = vec![("bolt", reservation("d", minute(9), 9, Vec::new()))];
    shuffled.extend([2, 0, 3, 1].map(|index: usize| ("acme", rows[index].clone())));
    let changes = Changes {
        reservations: shuffled
            .into_iter()
            .map(|(id, held)| (customer_id(id), held))
            .collect(),
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    rows
}

pub async fn reservations_are_listed_newest_first(store: &dyn Store) {
    let rows = reserve(store).await;
    for limit in [1, 2, 3, 4, 9] {
        let query = ReservationQuery {
            limit,
            ..reservations_of("acme")
        };
        assert_eq!(reservations(store, query).await, rows, "{limit} a page");
    }
}

pub async fn reservations_are_filtered(store: &dyn Store) {
    let rows = reserve(store).await;
    let mut query = reservations_of("acme");
    query.state = Some(ReservationState::Open);
    let open = [rows[0].clone(), rows[2].clone(), rows[3].clone()];
    assert_eq!(reservations(store, query.clone()).await, open);
    query.holder = Some(Box::from("worker-2"));
    assert_eq!(reservations(store, query).await, [rows[3].clone()]);
    let mut query = reservations_of("acme");
    query.id = Some(ReservationId::new("a/1").unwrap());
    assert_eq!(reservations(store, query).await, [rows[1].clone()]);
    let mut query = reservations_of("acme");
    query.subaccount = Some(subaccount_id("s1"));
    assert_eq!(reservations(store, query).await, [rows[2].clone()]);
}

pub async fn allocations_are_listed_by_feature_and_id(store: &dyn Store) {
    create(store, "acme").await;
    create(store, "bolt").await;
    let row = |feature: &str, id: &str| Allocation {
        feature: FeatureId::new(feature).unwrap(),
        id: AllocationId::new(id).unwrap(),
        subaccount: None,
        metadata: labels(&[("id", id)]),
        create_time: START,
    };
    let sorted = [
        row("a", "c/z"),
        row("a/b", "x"),
        row("a/b", "y"),
        row("ab", "a"),
        Allocation {
            subaccount: Some(subaccount_id("s1")),
            ..row("b", "0/1")
        },
    ];
    let mut writes = vec![(customer_id("bolt"), row("a", "other"))];
    writes.extend(
        sorted
            .iter()
            .rev()
            .map(|row| (customer_id("acme"), row.clone())),
    );
    let changes = Changes {
        allocations: writes,
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let list = async |feature: Option<&str>, subaccount: Option<&str>, limit| {
        read(limit, async |after| {
            let query = AllocationQuery {
                customer: customer_id("acme"),
                feature: feature.map(|id| FeatureId::new(id).unwrap()),
                subaccount: subaccount.map(subaccount_id),
                after,
                limit,
            };
            store.allocations(query).await.unwrap()
        })
        .await
    };
    for limit in [1, 2, 3, 5, 9] {
        assert_eq!(list(None, None, limit).await, sorted, "{limit} a page");
        assert_eq!(list(Some("a/b"), None, limit).await, sorted[1..3]);
        assert_eq!(list(None, Some("s1"), limit).await, sorted[4..]);
        assert!(list(Some("a"), Some("s1"), limit).await.is_empty());
    }
}

pub async fn overdue_reservations_name_their_customers(store: &dyn Store) {
    let mut rows = Vec::new();
    for id in ["a", "b", "c", "d"] {
        create(store, id).await;
        for n in ["1", "2"] {
            rows.push((customer_id(id), reservation(n, minute(0), 1, Vec::new())));
        }
    }
    // Customer a: one is over. b: both are. c: they end later. d: they ended.
    rows[0].1.expire_time = minute(20);
    rows[1].1.expire_time = minute(90);
    rows[2].1.expire_time = minute(10);
    rows[3].1.expire_time = minute(11);
    for row in &mut rows[6..] {
        row.1.state = ReservationState::Released;
        row.1.end_time = Some(minute(1));
    }
    let changes = Changes {
        reservations: rows,
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let overdue = async |at, limit| {
        let mut ids = store.overdue(minute(at), limit).await.unwrap();
        ids.sort();
        ids.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(overdue(9, 10).await, [""; 0]);
    assert_eq!(overdue(10, 10).await, ["b"], "over at its expire time");
    assert_eq!(overdue(20, 10).await, ["a", "b"]);
    assert_eq!(overdue(20, 1).await.len(), 1);
    assert_eq!(overdue(90, 10).await, ["a", "b", "c"]);
}

pub async fn overdue_credits_name_their_customers(store: &dyn Store) {
    let until = |id: &str, end: i64| NewGrant {
        expire_time: Some(minute(end)),
        ..new_grant(id, 10)
    };
    let about = About::default;
    let mut books = Vec::new();
    for id in ["grant", "hold", "never", "set-aside", "spent", "swept"] {
        create(store, id).await;
        books.push((id, Book::default()));
    }
    for (id, book) in &mut books {
        let new = match *id {
            "hold" | "never" => new_grant("g", 10),
            _ends => until("g", 20),
        };
        book.grant(&own(), new, about(), START).unwrap();
        match *id {
            "grant" | "never" | "swept" => {}
            "spent" => spend(book, 10, START),
            _held => {
                let end = if *id == "hold" { 30 } else { 90 };
                let hold = new_hold("h", 10, minute(end));
                book.hold("USD", hold, 0, about(), START).unwrap();
            }
        }
        keep(store, id, book, START).await;
    }
    let overdue = async |at, limit| {
        let mut ids = store.overdue(minute(at), limit).await.unwrap();
        ids.sort();
        ids.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(overdue(19, 10).await, [""; 0]);
    assert_eq!(overdue(20, 10).await, ["grant", "swept"]);
    assert_eq!(overdue(30, 10).await, ["grant", "hold", "swept"]);
    assert_eq!(overdue(30, 1).await.len(), 1);
    // One of all kinds is named once.
    let row = reservation("r", minute(-600), 1, Vec::new());
    let changes = Changes {
        reservations: vec![(customer_id("grant"), row)],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    assert_eq!(overdue(30, 10).await, ["grant", "hold", "swept"]);
    assert_eq!(overdue(30, 3).await.len(), 3);
    for (id, book) in &mut books {
        match *id {
            "swept" => book.sweep(minute(31)),
            "hold" => drop(book.release(&hold_id("h"), about(), minute(29)).unwrap()),
            _stays => continue,
        }
        keep(store, id, book, minute(31)).await;
    }
    assert_eq!(overdue(31, 10).await, ["grant"]);
    // What was set aside of a grant whose time is over ends with its hold.
    assert_eq!(overdue(90, 10).await, ["grant", "set-aside"]);
    // So does a wallet that money is to be asked for, until it says otherwise.
    for (due, named) in [(Some(25), true), (Some(32), false), (None, false)] {
        let (_, book) = &mut books[2];
        book.wallet_mut(&own()).terms_mut().top_up = due.map(low);
        keep(store, "never", book, minute(24)).await;
        let found = overdue(31, 10).await;
        assert_eq!(found.contains(&"never".to_owned()), named, "{found:?}");
    }
}

/// Returns a top-up that waits until a minute, for a wallet that is below every threshold.
fn low(until: i64) -> AutoTopUp {
    let anchor = Anchor {
        start: START,
        interval: Interval::Month,
    };
    let cool_down = Span::from_hours(1);
    let cap = (100, Window::Month);
    let mut low = AutoTopUp::new((1_000, 10), cap, cool_down, anchor, START);
    low.state.wait_until = minute(until);
    low
}
