//! Dealings with Stripe: documents that are found by name, by customer, and by when there is something to do.

use super::fixture::{Draft, create, customer_id, minute};
use crate::storage::{BillingKey, BillingKind, BillingQuery, BillingRow, Changes, Store};

/// Returns a document that came to be, and is due, so many minutes after the start.
pub fn document(kind: BillingKind, id: &str, customer: Option<&str>, at: i64) -> BillingRow {
    BillingRow {
        key: key(kind, id),
        customer: customer.map(customer_id),
        state: Box::from("open"),
        due_time: Some(minute(at)),
        create_time: minute(at),
        body: Box::from(r#"{"a": "ä \" \\ 😀", "n": [1, 2]}"#),
    }
}

fn key(kind: BillingKind, id: &str) -> BillingKey {
    let id = Box::from(id);
    BillingKey { kind, id }
}

async fn write(store: &dyn Store, rows: Vec<BillingRow>) {
    let changes = Changes {
        billing: rows,
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
}

async fn all(store: &dyn Store, query: BillingQuery) -> Vec<BillingRow> {
    let page = store.billing(query).await.unwrap();
    assert!(page.next.is_none());
    page.items
}

fn ids(rows: &[BillingRow]) -> Vec<&str> {
    rows.iter().map(|row| &*row.key.id).collect()
}

pub async fn a_document_comes_back_as_it_was_given(store: &dyn Store) {
    create(store, "acme").await;
    let mut rows = Vec::new();
    for (nth, kind) in (0..).zip(BillingKind::ALL) {
        rows.push(document(kind, "d", (nth % 2 == 0).then_some("acme"), nth));
    }
    rows[1].due_time = None;
    write(store, rows.clone()).await;
    for row in rows {
        let query = BillingQuery {
            id: Some("d".into()),
            ..BillingQuery::of(row.key.kind, 5)
        };
        assert_eq!(all(store, query).await, [row]);
    }
}

pub async fn a_document_is_replaced_and_forgotten(store: &dyn Store) {
    let first = document(BillingKind::Webhook, "evt_1", None, 1);
    let other = document(BillingKind::Webhook, "evt_2", None, 1);
    write(store, vec![first.clone(), other.clone()]).await;
    let done = BillingRow {
        state: Box::from("done"),
        due_time: None,
        body: Box::from("{}"),
        ..first
    };
    write(store, vec![done.clone()]).await;
    let query = || BillingQuery::of(BillingKind::Webhook, 5);
    assert_eq!(all(store, query()).await, [done.clone(), other.clone()]);
    let changes = Changes {
        billing_gone: vec![done.key, key(BillingKind::Webhook, "never")],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    assert_eq!(all(store, query()).await, [other]);
}

pub async fn documents_of_one_name_differ_by_kind(store: &dyn Store) {
    let chunk = document(BillingKind::Chunk, "x", None, 1);
    let invoice = document(BillingKind::Invoice, "x", None, 2);
    write(store, vec![chunk.clone(), invoice.clone()]).await;
    let of = |kind| BillingQuery::of(kind, 5);
    assert_eq!(all(store, of(BillingKind::Chunk)).await, [chunk]);
    assert_eq!(all(store, of(BillingKind::Invoice)).await, [invoice]);
    assert!(all(store, of(BillingKind::Payment)).await.is_empty());
}

pub async fn what_is_due_comes_first_the_longest_overdue(store: &dyn Store) {
    let mut rows: Vec<_> = [(3, "c"), (1, "a"), (2, "z"), (2, "b"), (9, "late")]
        .into_iter()
        .map(|(at, id)| document(BillingKind::Chunk, id, None, at))
        .collect();
    rows.push(BillingRow {
        due_time: None,
        ..document(BillingKind::Chunk, "never", None, 0)
    });
    write(store, rows).await;
    let due = |limit, after| BillingQuery {
        due_by: Some(minute(3)),
        after,
        ..BillingQuery::of(BillingKind::Chunk, limit)
    };
    assert_eq!(ids(&all(store, due(9, None)).await), ["a", "b", "z", "c"]);
    let page = store.billing(due(2, None)).await.unwrap();
    assert_eq!(ids(&page.items), ["a", "b"]);
    let rest = all(store, due(2, page.next)).await;
    assert_eq!(ids(&rest), ["z", "c"]);
}

pub async fn pages_show_the_newest_first_and_each_once(store: &dyn Store) {
    let mut rows = Vec::new();
    for nth in 0..7 {
        let id = format!("p{nth}");
        rows.push(document(BillingKind::Payment, &id, None, nth / 2));
    }
    write(store, rows).await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let query = BillingQuery {
            after,
            ..BillingQuery::of(BillingKind::Payment, 2)
        };
        let page = store.billing(query).await.unwrap();
        seen.extend(ids(&page.items).into_iter().map(String::from));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["p6", "p4", "p5", "p2", "p3", "p0", "p1"]);
    let foreign = BillingQuery {
        after: Some("nonsense".to_owned()),
        ..BillingQuery::of(BillingKind::Payment, 2)
    };
    assert!(store.billing(foreign).await.is_err());
}

pub async fn documents_are_found_by_customer_and_state(store: &dyn Store) {
    create(store, "acme").await;
    create(store, "other").await;
    let sent = BillingRow {
        state: Box::from("sent"),
        ..document(BillingKind::Chunk, "b", Some("acme"), 2)
    };
    let rows = vec![
        document(BillingKind::Chunk, "a", Some("acme"), 1),
        sent,
        document(BillingKind::Chunk, "c", Some("other"), 3),
        document(BillingKind::Chunk, "d", None, 4),
    ];
    write(store, rows).await;
    let of = |customer: Option<&str>, state: Option<&str>| BillingQuery {
        customer: customer.map(customer_id),
        state: state.map(Box::from),
        ..BillingQuery::of(BillingKind::Chunk, 9)
    };
    for (query, expected) in [
        (of(Some("acme"), None), vec!["b", "a"]),
        (of(Some("acme"), Some("open")), vec!["a"]),
        (of(None, Some("sent")), vec!["b"]),
        (of(None, None), vec!["d", "c", "b", "a"]),
        (of(Some("nobody"), None), vec![]),
    ] {
        assert_eq!(ids(&all(store, query).await), expected);
    }
}

pub async fn documents_are_found_by_how_their_names_begin(store: &dyn Store) {
    create(store, "acme").await;
    let names = [
        "acme calls 1",
        "acme calls 2",
        "acme calls_%",
        "acme ca",
        "é calls 1",
    ];
    let rows = names.map(|id| document(BillingKind::Chunk, id, Some("acme"), 1));
    write(store, rows.to_vec()).await;
    for (start, expected) in [
        ("acme calls ", vec!["acme calls 1", "acme calls 2"]),
        ("acme calls_", vec!["acme calls_%"]),
        ("é c", vec!["é calls 1"]),
        ("ACME", vec![]),
        ("acme calls 1 and more", vec![]),
    ] {
        let query = BillingQuery {
            begins: Some(Box::from(start)),
            customer: Some(customer_id("acme")),
            ..BillingQuery::of(BillingKind::Chunk, 9)
        };
        assert_eq!(ids(&all(store, query).await), expected, "{start}");
    }
}

pub async fn a_document_of_an_unknown_customer_is_refused(store: &dyn Store) {
    let changes = Changes {
        billing: vec![document(BillingKind::Chunk, "c", Some("nobody"), 1)],
        ..Changes::default()
    };
    Draft::new().changes(changes).must_break(store).await;
    let query = BillingQuery::of(BillingKind::Chunk, 9);
    assert!(all(store, query).await.is_empty());
}

pub async fn a_batch_sees_what_it_asks_for(store: &dyn Store) {
    let row = document(BillingKind::Chunk, "c", None, 1);
    write(store, vec![row.clone()]).await;
    let draft = Draft::new()
        .document(key(BillingKind::Chunk, "none"))
        .document(row.key.clone())
        .document(key(BillingKind::Invoice, "c"));
    let (_, seen) = draft.run(store).await;
    assert_eq!(seen.billing, [None, Some(row), None]);
}
