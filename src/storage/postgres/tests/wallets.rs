//! Wallets that several processes spend from, and what only their rows here promise.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;

use super::{make, open, trim};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{About, Book, Cover, NewGrant, Source, WalletKey};
use crate::domain::window::TimeRange;
use crate::storage::conformance::fixture::purse::{
    book_of, changes_of, charge, hold_id, keep, ledger_of, new_grant, new_hold, own, posted, spend,
};
use crate::storage::conformance::fixture::{
    Draft, START, create, customer_id, day, event, events_of, mark, minute,
};
use crate::storage::postgres::PostgresStore;
use crate::storage::postgres::cluster::Database;
use crate::storage::{Batch, Named, Reread, Store};

/// Creates acme with so many credits.
async fn fund(store: &PostgresStore, amount: i64) -> Book {
    create(store, "acme").await;
    let mut book = Book::default();
    let about = About::default();
    book.grant(&own(), new_grant("g", amount), about, START)
        .unwrap();
    keep(store, "acme", &mut book, START).await;
    book
}

/// Debits one credit if there is one, as a batch of a life of its own that knows nothing of the customer.
async fn debit(store: &PostgresStore) -> bool {
    let (tell, told) = std::sync::mpsc::channel();
    let batch = Batch {
        mark: mark(store).await,
        now: START,
        plain: Vec::new(),
        probe_events: Vec::new(),
        probe_requests: Vec::new(),
        probe_billing: Vec::new(),
        catalog: 0,
        customers: vec![Named {
            id: customer_id("acme"),
            version: 0,
        }],
        folds: Vec::new(),
        changes_catalog: false,
        decide: Box::new(move |found| {
            let rows = found.accounts[0].rows().unwrap();
            let mut book = Book::restore(rows.wallets.clone(), rows.draws.clone());
            let cover = Cover::Full { owed_max: 0 };
            let done = book.debit(None, "USD", (1, cover), About::default(), START);
            tell.send(done.is_ok()).unwrap();
            changes_of("acme", book.take_changes(START))
        }),
    };
    store.commit(batch).await.unwrap();
    told.recv().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_spend_what_there_is_and_no_more() {
    let (store, database) = make().await;
    fund(&store, 10).await;
    let stores = [Arc::new(open(&database).await), Arc::new(store)];
    let mut tasks = Vec::new();
    for task in 0..8 {
        let store = Arc::clone(&stores[task % 2]);
        tasks.push(tokio::spawn(async move {
            let mut spent = 0;
            for _ in 0..3 {
                spent += i64::from(debit(&store).await);
            }
            spent
        }));
    }
    let mut spent = 0;
    for task in tasks {
        spent += task.await.unwrap();
    }
    assert_eq!(spent, 10);
    let book = book_of(&*stores[0], "acme", START).await;
    let wallet = book.wallet(&own()).unwrap();
    assert_eq!((wallet.available(START), wallet.head().number), (0, 11));
    let ledger = posted(&*stores[1], "acme", own()).await;
    let faults = crate::domain::wallet::audit(wallet, &ledger);
    assert_eq!(faults, []);
}

#[tokio::test]
async fn a_wallet_that_another_process_changed_is_read_again() {
    let (store, database) = make().await;
    let other = open(&database).await;
    let mut book = fund(&store, 10).await;
    let (_, seen) = Draft::new().name("acme", 2).run(&other).await;
    assert!(matches!(seen.accounts[0], Reread::Same));
    let hold = new_hold("h", 4, minute(60));
    book.hold("USD", hold, 0, About::default(), START).unwrap();
    keep(&store, "acme", &mut book, START).await;
    let (_, seen) = Draft::new().name("acme", 3).run(&other).await;
    let rows = seen.accounts[0].rows().unwrap();
    let read = Book::restore(rows.wallets.clone(), rows.draws.clone());
    assert_eq!(read, book);
    let wallet = read.wallet(&own()).unwrap();
    assert_eq!((wallet.available(START), wallet.held()), (6, 4));
}

#[tokio::test]
async fn many_rows_are_written_in_several_statements() {
    let (store, _database) = make().await;
    let mut book = fund(&store, 10_000).await;
    for at in 0..1_500 {
        let hold = new_hold(&format!("h{at}"), 2, minute(60));
        book.hold("USD", hold, 0, About::default(), START).unwrap();
    }
    keep(&store, "acme", &mut book, START).await;
    assert_eq!(book_of(&store, "acme", START).await, book);
    for at in 0..1_500 {
        let id = hold_id(&format!("h{at}"));
        book.capture(&id, (1, true), About::default(), START)
            .unwrap();
    }
    keep(&store, "acme", &mut book, START).await;
    assert_eq!(book_of(&store, "acme", START).await, book);
    let mut query = ledger_of("acme", own());
    query.limit = 10_000;
    let page = store.ledger(query).await.unwrap();
    assert_eq!(page.items.len(), 3_001);
}

#[tokio::test]
async fn a_range_of_a_ledger_is_found_by_number() {
    let (store, _database) = make().await;
    let mut book = fund(&store, 10_000).await;
    for at in 1..200 {
        spend(&mut book, 1, minute(at * 20));
    }
    // One whose process was late, and one whose process was early, by an hour each.
    let mut changes = book.take_changes(START);
    changes.posted[99].time = minute(97 * 20);
    changes.posted[149].time = minute(153 * 20);
    let times = changes.posted.iter().map(|posted| posted.time);
    let times: Vec<Timestamp> = std::iter::once(START).chain(times).collect();
    let changes = changes_of("acme", changes);
    Draft::new().changes(changes).run(&store).await;
    for (start, end) in [
        (0, 1),
        (0, 300),
        (97, 98),
        (98, 99),
        (100, 151),
        (153, 154),
        (199, 200),
        (200, 300),
        (9, 9),
    ] {
        let mut query = ledger_of("acme", own());
        query.range = TimeRange {
            start: minute(start * 20),
            end: minute(end * 20),
        };
        let all = (1..).zip(&times);
        let expected = all.filter(|(_, time)| query.range.contains(**time));
        let expected: Vec<i64> = expected.map(|(number, _)| number).collect();
        let found = store.ledger(query).await.unwrap().items;
        let found: Vec<i64> = found.iter().map(|posted| posted.number).collect();
        assert_eq!(found, expected, "{start} to {end}");
    }
}

#[tokio::test]
async fn a_payment_with_a_long_name_brings_credits_once() {
    let (store, _database) = make().await;
    create(&store, "acme").await;
    let long = "p".repeat(5_000);
    let bought = |id: &str, name: &str| {
        let mut book = Book::default();
        let new = NewGrant {
            source: Source::Stripe,
            reference: format!("{long}{name}").into(),
            ..new_grant(id, 5)
        };
        let key = WalletKey::own(id);
        book.grant(&key, new, About::default(), START).unwrap();
        changes_of("acme", book.take_changes(START))
    };
    for (id, name) in [("g1", "a"), ("g2", "b")] {
        Draft::new().changes(bought(id, name)).run(&store).await;
    }
    let again = Draft::new().changes(bought("g3", "a"));
    again.must_break(&store).await;
}

/// Writes a transaction in a database of its own, and returns the hash of its batch.
async fn hash_of(note: &str) -> Vec<u8> {
    let (store, database) = make().await;
    create(&store, "acme").await;
    let mut book = Book::default();
    let about = About {
        note: note.into(),
        ..About::default()
    };
    book.grant(&own(), new_grant("g", 5), about, START).unwrap();
    keep(&store, "acme", &mut book, START).await;
    sqlx::query_scalar("SELECT hash FROM batches ORDER BY epoch DESC LIMIT 1")
        .fetch_one(&mut database.connect().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_chain_of_batches_covers_ledgers() {
    let hashes = [hash_of("a").await, hash_of("a").await, hash_of("b").await];
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
}

#[tokio::test]
async fn charges_of_events_that_are_copied_come_back() {
    let (store, _database) = make().await;
    let no = create(&store, "acme").await;
    let rows: Vec<_> = (0..300)
        .map(|at| {
            let mut row = event((no, "acme"), &format!("e{at}"), 2, minute(300 - at));
            row.charge = (at % 3 > 0).then(|| charge(at));
            row
        })
        .collect();
    Draft::new().plain(rows.clone()).run(&store).await;
    let stored = events_of(&store, "acme").await;
    let stored: Vec<_> = stored.into_iter().map(|stored| stored.row).collect();
    assert_eq!(stored, rows);
}

#[tokio::test]
async fn a_pool_that_is_opened_again_is_not_forgotten() {
    let (store, database) = make().await;
    let mut book = fund(&store, 10).await;
    let hold = new_hold("h", 2, minute(60));
    book.hold("USD", hold, 0, About::default(), START).unwrap();
    book.release(&hold_id("h"), About::default(), START)
        .unwrap();
    keep(&store, "acme", &mut book, START).await;
    let mut conn = database.connect().await;
    let mut other = conn.begin().await.unwrap();
    sqlx::query("UPDATE holds SET state = 0, end_time = NULL")
        .execute(&mut *other)
        .await
        .unwrap();
    let opening = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        other.commit().await.unwrap();
    };
    tokio::join!(trim(&store, day(40)), opening);
    let found = store.hold(&customer_id("acme"), &hold_id("h")).await;
    assert!(found.unwrap().unwrap().1.is_open());
}

/// Returns how often rows of a table were changed, and how often in place.
async fn updates(database: &Database, table: &str) -> (i64, i64) {
    sqlx::query_as(
        "SELECT pg_stat_get_tuples_updated(oid), pg_stat_get_tuples_hot_updated(oid)
         FROM pg_class WHERE relname = $1",
    )
    .bind(table)
    .fetch_one(&mut database.connect().await)
    .await
    .unwrap()
}

#[tokio::test]
async fn wallets_and_grants_change_in_place() {
    let (store, database) = make().await;
    let mut book = fund(&store, 10_000).await;
    // As many versions as one page takes, since whoever reads may keep them there.
    for at in 0..15 {
        spend(&mut book, 1, minute(at));
        keep(&store, "acme", &mut book, START).await;
    }
    // Connections tell what they did when they are closed, at the latest.
    drop(store);
    for table in ["wallets", "grants"] {
        let mut seen = (0, 0);
        for _ in 0..100 {
            seen = updates(&database, table).await;
            if seen.0 == 15 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(seen, (15, 15), "{table}");
    }
}
