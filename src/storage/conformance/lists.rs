//! Lists: their order, their filters, their pages.

use super::fixture::{
    Draft, START, all_events, between, create, customer, customer_id, customer_write, event,
    labels, minute, reservation, subaccount_id,
};
use crate::domain::customer::Allocation;
use crate::domain::id::{AllocationId, EventId, FeatureId, MeterId, ReservationId};
use crate::domain::reservation::{Reservation, ReservationState};
use crate::domain::subscription::{Subscription, SubscriptionStatus};
use crate::domain::usage::Labels;
use crate::domain::window::TimeRange;
use crate::storage::{
    AllocationQuery, Changes, CustomerQuery, Denial, DenialQuery, EventQuery, Page,
    ReservationQuery, Store, StoreError,
};

/// Reads a list to its end, checks that every page is full save the last, and returns all items.
async fn read<T>(
    limit: usize,
    mut page_after: impl AsyncFnMut(Option<String>) -> Page<T>,
) -> Vec<T> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let page = page_after(after).await;
        assert!(page.items.len() <= limit);
        assert!(page.next.is_none() || page.items.len() == limit);
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            return items;
        }
    }
}

async fn customer_ids(store: &dyn Store, query: CustomerQuery) -> Vec<String> {
    let rows = read(query.limit, async |after| {
        let query = CustomerQuery {
            after,
            ..query.clone()
        };
        store.customers(query).await.unwrap()
    })
    .await;
    rows.into_iter().map(|row| row.0.id.to_string()).collect()
}

pub async fn customers_are_listed_by_id(store: &dyn Store) {
    for id in ["b", "a/1", "C", "a", "~z", "!", "aa"] {
        create(store, id).await;
    }
    let sorted = ["!", "C", "a", "a/1", "aa", "b", "~z"];
    for limit in [1, 2, 3, 7, 100] {
        let query = CustomerQuery {
            limit,
            ..CustomerQuery::default()
        };
        assert_eq!(customer_ids(store, query).await, sorted, "{limit} a page");
    }
}

pub async fn customers_are_filtered(store: &dyn Store) {
    let mut writes = Vec::new();
    for (id, region) in [("a", "eu"), ("b", "us"), ("c", "eu"), ("d", "eu")] {
        let mut write = customer_write(id);
        write.customer.metadata = labels(&[("region", region), ("id", id)]);
        writes.push(write);
    }
    writes[2].customer.delete_time = Some(minute(1));
    writes[3].subscription = Some(Subscription {
        plan: crate::domain::id::PlanId::new("pro").unwrap(),
        catalog_version: 1,
        status: SubscriptionStatus::Active,
        interval: crate::domain::catalog::Interval::Month,
        anchor: START,
        trial_end: None,
        grace_end: None,
        update_time: START,
    });
    let subscription = writes[3].subscription.clone();
    let changes = Changes {
        customers: writes,
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let all = CustomerQuery {
        limit: 1,
        ..CustomerQuery::default()
    };
    assert_eq!(customer_ids(store, all.clone()).await, ["a", "b", "d"]);
    let mut query = all.clone();
    query.deleted = true;
    assert_eq!(
        customer_ids(store, query.clone()).await,
        ["a", "b", "c", "d"]
    );
    query.metadata = labels(&[("region", "eu")]);
    assert_eq!(customer_ids(store, query.clone()).await, ["a", "c", "d"]);
    query.metadata = labels(&[("region", "eu"), ("id", "c")]);
    assert_eq!(customer_ids(store, query).await, ["c"]);
    let mut query = all.clone();
    query.id = Some(customer_id("b"));
    assert_eq!(customer_ids(store, query).await, ["b"]);
    let mut query = all;
    query.subscribed = true;
    let page = store.customers(query).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].0.id, customer("d").id);
    assert_eq!(page.items[0].1, subscription);
    assert_eq!(page.next, None);
}

async fn event_names(store: &dyn Store, query: EventQuery) -> Vec<String> {
    let rows = read(query.limit, async |after| {
        let query = EventQuery {
            after,
            ..query.clone()
        };
        store.events(query).await.unwrap()
    })
    .await;
    let name = |row: &crate::storage::EventRow| format!("{}:{:?}", row.event.event_id, row.kind);
    rows.iter().map(|stored| name(&stored.row)).collect()
}

pub async fn events_are_listed_newest_first(store: &dyn Store) {
    let acme = create(store, "acme").await;
    let bolt = create(store, "bolt").await;
    let of = (acme, "acme");
    let uuid = "0190b7a4-6f0e-7c3a-9d2e-5b8f1a2c3d4e";
    let rows = vec![
        event(of, "b", 1, minute(5)),
        event(of, "a/x", 1, minute(5)),
        event(of, uuid, 1, minute(5)),
        event(of, "z", 1, minute(6)),
        event(of, "c", 1, minute(4)),
        event((bolt, "bolt"), "other", 1, minute(5)),
    ];
    let void = rows[1].voided(minute(9));
    Draft::new().plain(rows).run(store).await;
    Draft::new().plain(vec![void]).run(store).await;
    let expected = [
        String::from("z:Usage"),
        format!("{uuid}:Usage"),
        String::from("a/x:Usage"),
        String::from("a/x:Void"),
        String::from("b:Usage"),
        String::from("c:Usage"),
    ];
    for limit in [1, 2, 3, 5, 6, 50] {
        let query = EventQuery {
            limit,
            ..all_events("acme")
        };
        assert_eq!(event_names(store, query).await, expected, "{limit} a page");
    }
}

pub async fn events_are_filtered(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let rows = vec![
        event(of, "a", 1, minute(1)).with(&[("model", "x"), ("user", "u")]),
        event(of, "b", 1, minute(2)).with(&[("model", "x")]),
        event(of, "c", 1, minute(3)).of_meter("calls"),
        event(of, "d", 1, minute(4)).of_subaccount("s1"),
    ];
    let void = rows[1].voided(minute(9));
    Draft::new().plain(rows).run(store).await;
    Draft::new().plain(vec![void]).run(store).await;
    let all = EventQuery {
        limit: 2,
        ..all_events("acme")
    };
    let ranged = EventQuery {
        range: between(2, 4),
        ..all.clone()
    };
    let expected = ["c:Usage", "b:Usage", "b:Void"];
    assert_eq!(event_names(store, ranged).await, expected);
    let metered = EventQuery {
        meter: Some(MeterId::new("calls").unwrap()),
        ..all.clone()
    };
    assert_eq!(event_names(store, metered).await, ["c:Usage"]);
    let below = EventQuery {
        subaccount: Some(subaccount_id("s1")),
        ..all.clone()
    };
    assert_eq!(event_names(store, below).await, ["d:Usage"]);
    let mut labelled = EventQuery {
        dimensions: labels(&[("model", "x")]),
        ..all.clone()
    };
    let expected = ["b:Usage", "b:Void", "a:Usage"];
    assert_eq!(event_names(store, labelled.clone()).await, expected);
    labelled.dimensions = labels(&[("model", "x"), ("user", "u")]);
    assert_eq!(event_names(store, labelled).await, ["a:Usage"]);
    let ids = ["b", "a", "none", "d"].map(|id| EventId::new(id).unwrap());
    let named = EventQuery {
        ids: ids.to_vec(),
        ..all
    };
    let expected = ["d:Usage", "b:Usage", "b:Void", "a:Usage"];
    assert_eq!(event_names(store, named).await, expected);
}

fn reservations_of(customer: &str) -> ReservationQuery {
    ReservationQuery {
        customer: customer_id(customer),
        id: None,
        state: None,
        holder: None,
        after: None,
        limit: 2,
    }
}

async fn reservations(store: &dyn Store, query: ReservationQuery) -> Vec<Reservation> {
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
        row("b", "0/1"),
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
    let list = async |feature: Option<&str>, limit| {
        read(limit, async |after| {
            let query = AllocationQuery {
                customer: customer_id("acme"),
                feature: feature.map(|id| FeatureId::new(id).unwrap()),
                after,
                limit,
            };
            store.allocations(query).await.unwrap()
        })
        .await
    };
    for limit in [1, 2, 3, 5, 9] {
        assert_eq!(list(None, limit).await, sorted, "{limit} a page");
        assert_eq!(list(Some("a/b"), limit).await, sorted[1..3]);
    }
}

fn denial(feature: &str, reason: &str, at: i64, count: i64, sample: &str) -> Denial {
    Denial {
        customer: customer_id("nobody"),
        feature: FeatureId::new(feature).unwrap(),
        reason: Box::from(reason),
        minute: minute(at),
        count,
        sample: Box::from(sample),
    }
}

fn denials_of(customer: &str) -> DenialQuery {
    DenialQuery {
        customer: customer_id(customer),
        feature: None,
        reason: None,
        range: TimeRange::ALWAYS,
        after: None,
        limit: 2,
    }
}

async fn denials(store: &dyn Store, query: DenialQuery) -> Vec<Denial> {
    read(query.limit, async |after| {
        let query = DenialQuery {
            after,
            ..query.clone()
        };
        store.denials(query).await.unwrap()
    })
    .await
}

pub async fn denials_are_summed_and_listed(store: &dyn Store) {
    let first = vec![
        denial("chat", "LIMIT_REACHED", 1, 2, "old"),
        denial("chat", "LIMIT_REACHED", 2, 1, "next minute"),
        denial("chat", "FEATURE_UNKNOWN", 1, 4, "other reason"),
        denial("a/b", "LIMIT_REACHED", 1, 8, "other feature"),
        denial("chat", "LIMIT_REACHED", 1, 16, "same list"),
    ];
    store.log_denials(first).await.unwrap();
    store
        .log_denials(vec![denial("chat", "LIMIT_REACHED", 1, 32, "new")])
        .await
        .unwrap();
    store.log_denials(Vec::new()).await.unwrap();
    let all = [
        denial("chat", "LIMIT_REACHED", 2, 1, "next minute"),
        denial("a/b", "LIMIT_REACHED", 1, 8, "other feature"),
        denial("chat", "FEATURE_UNKNOWN", 1, 4, "other reason"),
        denial("chat", "LIMIT_REACHED", 1, 50, "new"),
    ];
    for limit in [1, 2, 3, 4, 9] {
        let mut query = denials_of("nobody");
        query.limit = limit;
        assert_eq!(denials(store, query).await, all, "{limit} a page");
    }
    let mut query = denials_of("nobody");
    query.range = between(1, 2);
    assert_eq!(denials(store, query.clone()).await, all[1..]);
    query.feature = Some(FeatureId::new("chat").unwrap());
    assert_eq!(denials(store, query.clone()).await, all[2..]);
    query.reason = Some(Box::from("LIMIT_REACHED"));
    assert_eq!(denials(store, query).await, all[3..]);
}

pub async fn pages_hold_still_while_rows_come(store: &dyn Store) {
    let no = create(store, "acme").await;
    let of = (no, "acme");
    let at = |id: &str, minutes| event(of, id, 1, minute(minutes));
    let rows = vec![at("b", 10), at("d", 20), at("f", 30)];
    Draft::new().plain(rows).run(store).await;
    let mut query = all_events("acme");
    query.limit = 2;
    let first = store.events(query.clone()).await.unwrap();
    // One before what was read, one between what was read, one after it.
    let late = vec![at("g", 40), at("e", 25), at("c", 15)];
    Draft::new().plain(late).run(store).await;
    query.after = first.next;
    assert!(query.after.is_some());
    let rest = store.events(query).await.unwrap();
    let ids = rest.items.iter().map(|row| row.row.event.event_id.as_str());
    assert_eq!(ids.collect::<Vec<_>>(), ["c", "b"]);

    create(store, "m").await;
    let mut query = CustomerQuery {
        limit: 1,
        ..CustomerQuery::default()
    };
    let first = store.customers(query.clone()).await.unwrap();
    assert_eq!(first.items[0].0.id.as_str(), "acme");
    create(store, "aaaa").await;
    create(store, "b").await;
    query.after = first.next;
    query.limit = 9;
    let rest = store.customers(query).await.unwrap();
    let ids = rest.items.iter().map(|row| row.0.id.as_str());
    assert_eq!(ids.collect::<Vec<_>>(), ["b", "m"]);
}

pub async fn tokens_of_others_are_refused(store: &dyn Store) {
    create(store, "acme").await;
    for token in ["", "x", "1", "é/é/é", "99999999999999999999/u/a", "-1/u/a"] {
        let mut query = all_events("acme");
        query.after = Some(String::from(token));
        let outcome = store.events(query).await;
        assert!(
            matches!(outcome, Err(StoreError::Constraint(_))),
            "{token}: {outcome:?}"
        );
        let mut query = reservations_of("acme");
        query.after = Some(String::from(token));
        let outcome = store.reservations(query).await;
        assert!(
            matches!(outcome, Err(StoreError::Constraint(_))),
            "{token}: {outcome:?}"
        );
    }
}

pub async fn unknown_customers_have_empty_lists(store: &dyn Store) {
    assert!(event_names(store, all_events("nobody")).await.is_empty());
    let held = reservations(store, reservations_of("nobody")).await;
    assert!(held.is_empty());
    assert!(denials(store, denials_of("nobody")).await.is_empty());
    let query = AllocationQuery {
        customer: customer_id("nobody"),
        feature: None,
        after: None,
        limit: 1,
    };
    let page = store.allocations(query).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    let query = crate::storage::UsageQuery {
        customer: customer_id("nobody"),
        subaccount: None,
        meter: std::sync::Arc::new(super::fixture::meter()),
        steps: vec![between(0, 600)],
        group_by: Vec::new(),
        filter: Labels::new(),
    };
    assert!(store.usage(query).await.unwrap().is_empty());
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
