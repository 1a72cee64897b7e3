//! Lists: their order, their filters, their pages.

use super::denials::{denials, denials_of};
use super::fixture::{
    Draft, START, all_events, between, create, customer, customer_id, customer_write, event,
    labels, meter, minute, subaccount_id,
};
use super::held::{reservations, reservations_of};
use crate::domain::catalog::Interval;
use crate::domain::id::{EventId, MeterId, PlanId, ReservationId};
use crate::domain::subscription::{Subscription, SubscriptionStatus};
use crate::domain::usage::Labels;
use crate::storage::{
    AllocationQuery, Changes, CustomerQuery, EventQuery, EventRow, Page, PlanInForce, Store,
    StoreError, UsageQuery,
};

/// Reads a list to its end, checks that every page is full save the last, and returns all items.
pub(super) async fn read<T>(
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

fn subscription(plan: &str, status: SubscriptionStatus) -> Subscription {
    Subscription {
        plan: PlanId::new(plan).unwrap(),
        catalog_version: 1,
        status,
        interval: Interval::Month,
        anchor: START,
        trial_end: None,
        grace_end: None,
        start_time: START,
        update_time: START,
        stripe: None,
    }
}

pub async fn customers_are_filtered_by_email_plan_and_status(store: &dyn Store) {
    let paused = subscription("pro", SubscriptionStatus::Paused);
    let ended = subscription("pro", SubscriptionStatus::Canceled);
    let mut writes: Vec<_> = ["a", "b", "c"].map(customer_write).into();
    writes[0].customer.email = Box::from("A@x.example");
    writes[1].subscription = Some(paused);
    writes[2].subscription = Some(ended);
    let changes = Changes {
        customers: writes,
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let all = || CustomerQuery {
        limit: 1,
        ..CustomerQuery::default()
    };
    for (email, expected) in [("A@x.example", &["a"][..]), ("a@x.example", &[])] {
        let mut query = all();
        query.email = Some(Box::from(email));
        assert_eq!(customer_ids(store, query).await, expected, "{email}");
    }
    let in_force = |plan: &str, is_default| PlanInForce {
        plan: PlanId::new(plan).unwrap(),
        is_default,
    };
    for (plan, expected) in [
        (in_force("pro", false), &["b"][..]),
        (in_force("pro", true), &["a", "b", "c"]),
        (in_force("free", true), &["a", "c"]),
        (in_force("free", false), &[]),
    ] {
        let mut query = all();
        query.plan = Some(plan.clone());
        assert_eq!(customer_ids(store, query).await, expected, "{plan:?}");
    }
    for (status, expected) in [
        (SubscriptionStatus::Paused, &["b"][..]),
        (SubscriptionStatus::Canceled, &["c"]),
        (SubscriptionStatus::Active, &[]),
    ] {
        let mut query = all();
        query.status = Some(status);
        assert_eq!(customer_ids(store, query).await, expected, "{status:?}");
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
    writes[3].subscription = Some(subscription("pro", SubscriptionStatus::Active));
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
    let name = |row: &EventRow| format!("{}:{:?}", row.event.event_id, row.kind);
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
    let mut rows = vec![
        event(of, "a", 1, minute(1)).with(&[("model", "x"), ("user", "u")]),
        event(of, "b", 1, minute(2)).with(&[("model", "x")]),
        event(of, "c", 1, minute(3)).of_meter("calls"),
        event(of, "d", 1, minute(4)).of_subaccount("s1"),
    ];
    rows[3].event.reservation_id = Some(ReservationId::new("r1").unwrap());
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
        ..all.clone()
    };
    let expected = ["d:Usage", "b:Usage", "b:Void", "a:Usage"];
    assert_eq!(event_names(store, named).await, expected);
    let standing = EventQuery {
        standing: true,
        ..all.clone()
    };
    let expected = ["d:Usage", "c:Usage", "a:Usage"];
    assert_eq!(event_names(store, standing).await, expected);
    let held = EventQuery {
        reservation: Some(ReservationId::new("r1").unwrap()),
        ..all
    };
    assert_eq!(event_names(store, held).await, ["d:Usage"]);
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
        subaccount: None,
        after: None,
        limit: 1,
    };
    let page = store.allocations(query).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    let query = UsageQuery {
        customer: customer_id("nobody"),
        subaccount: None,
        meter: std::sync::Arc::new(meter()),
        steps: vec![between(0, 600)],
        group_by: Vec::new(),
        filter: Labels::new(),
    };
    assert!(store.usage(query).await.unwrap().is_empty());
}
