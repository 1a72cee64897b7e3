//! Wallets that several processes spend from, and what keeps their rows right.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;

use super::{make, open, trim};
use crate::domain::id::{FeatureId, GrantId, HoldId};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::wallet::{
    About, Book, BookChanges, Category, Cause, Cover, NewGrant, NewHold, Source, UsageCharge,
    WalletKey,
};
use crate::domain::window::TimeRange;
use crate::storage::conformance::fixture::{
    Draft, START, create, customer_id, day, event, events_of, mark, minute,
};
use crate::storage::postgres::PostgresStore;
use crate::storage::postgres::cluster::Database;
use crate::storage::{Batch, Changes, LedgerQuery, Named, Reread, Store, StoreError};

fn coins() -> WalletKey {
    WalletKey::own("coins")
}

/// Returns credits that never expire.
fn credits(id: &str, amount: i64) -> NewGrant {
    NewGrant {
        id: GrantId::new(id).unwrap(),
        amount,
        priority: 0,
        category: Category::Promotional,
        source: Source::Manual,
        reference: Box::default(),
        expire_time: None,
    }
}

/// Returns credits that are to be set aside for an hour.
fn aside(id: &str, amount: i64) -> NewHold {
    NewHold {
        id: HoldId::new(id).unwrap(),
        amount,
        spender: None,
        expire_time: minute(60),
    }
}

fn changes(book: BookChanges) -> Changes {
    Changes {
        books: vec![(customer_id("acme"), book)],
        ..Changes::default()
    }
}

/// Writes what changed in a book.
async fn save(store: &PostgresStore, book: &mut Book) {
    let changes = changes(book.take_changes(START));
    Draft::new().changes(changes).run(store).await;
}

/// Returns the book of acme as it is stored.
async fn stored(store: &PostgresStore) -> Book {
    let account = store.account(&customer_id("acme"), START).await.unwrap();
    let account = account.unwrap();
    Book::restore(account.wallets, account.draws)
}

/// Creates acme with so many coins.
async fn fund(store: &PostgresStore, amount: i64) -> Book {
    create(store, "acme").await;
    let mut book = Book::default();
    let about = About::default();
    book.grant(&coins(), credits("g", amount), about, START)
        .unwrap();
    save(store, &mut book).await;
    book
}

async fn numbers(store: &PostgresStore, range: TimeRange) -> Vec<i64> {
    let query = LedgerQuery {
        customer: customer_id("acme"),
        wallet: coins(),
        range,
        cause: None,
        hold: None,
        grant: None,
        is_rising: true,
        after: None,
        limit: 1_000,
    };
    let page = store.ledger(query).await.unwrap();
    page.items.iter().map(|posted| posted.number).collect()
}

/// Debits a coin if there is one, as a batch of a life of its own that knows nothing of the customer.
async fn spend(store: &PostgresStore) -> bool {
    let (tell, told) = std::sync::mpsc::channel();
    let batch = Batch {
        mark: mark(store).await,
        now: START,
        plain: Vec::new(),
        probe_events: Vec::new(),
        probe_requests: Vec::new(),
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
            let done = book.debit(None, "coins", (1, cover), About::default(), START);
            tell.send(done.is_ok()).unwrap();
            changes(book.take_changes(START))
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
                spent += i64::from(spend(&store).await);
            }
            spent
        }));
    }
    let mut spent = 0;
    for task in tasks {
        spent += task.await.unwrap();
    }
    assert_eq!(spent, 10);
    let book = stored(&stores[0]).await;
    let wallet = book.wallet(&coins()).unwrap();
    assert_eq!((wallet.available(START), wallet.head().number), (0, 11));
    let all: Vec<i64> = (1..=11).collect();
    assert_eq!(numbers(&stores[1], TimeRange::ALWAYS).await, all);
}

#[tokio::test]
async fn a_wallet_that_another_process_changed_is_read_again() {
    let (store, database) = make().await;
    let other = open(&database).await;
    let mut book = fund(&store, 10).await;
    let (_, seen) = Draft::new().name("acme", 2).run(&other).await;
    assert!(matches!(seen.accounts[0], Reread::Same));
    book.hold("coins", aside("h", 4), 0, About::default(), START)
        .unwrap();
    save(&store, &mut book).await;
    let (_, seen) = Draft::new().name("acme", 3).run(&other).await;
    let rows = seen.accounts[0].rows().unwrap();
    let read = Book::restore(rows.wallets.clone(), rows.draws.clone());
    assert_eq!(read, book);
    let held = read.wallet(&coins()).unwrap();
    assert_eq!((held.available(START), held.held()), (6, 4));
}

#[tokio::test]
async fn many_rows_are_written_in_several_statements() {
    let (store, _database) = make().await;
    let mut book = fund(&store, 10_000).await;
    for at in 0..1_500 {
        let id = format!("h{at}");
        book.hold("coins", aside(&id, 2), 0, About::default(), START)
            .unwrap();
    }
    save(&store, &mut book).await;
    assert_eq!(stored(&store).await, book);
    for at in 0..1_500 {
        let id = HoldId::new(format!("h{at}")).unwrap();
        book.capture(&id, (1, true), About::default(), START)
            .unwrap();
    }
    save(&store, &mut book).await;
    assert_eq!(stored(&store).await, book);
    assert_eq!(numbers(&store, TimeRange::ALWAYS).await.len(), 1_000);
}

#[tokio::test]
async fn a_range_of_a_ledger_is_found_by_number() {
    let (store, _database) = make().await;
    let mut book = fund(&store, 10_000).await;
    for at in 1..200 {
        let about = About::default();
        book.debit(None, "coins", (1, Cover::Owe), about, minute(at * 60))
            .unwrap();
    }
    // One whose process was late, and one whose process was early, by less than a day each.
    let mut rows = book.take_changes(START);
    rows.posted[99].time = minute(80 * 60);
    rows.posted[149].time = minute(170 * 60);
    let times = rows.posted.iter().map(|posted| posted.time);
    let times: Vec<Timestamp> = std::iter::once(START).chain(times).collect();
    Draft::new().changes(changes(rows)).run(&store).await;
    let hour = |hours: i64| minute(hours * 60);
    for (start, end) in [
        (0, 1),
        (0, 300),
        (80, 81),
        (81, 100),
        (100, 170),
        (170, 171),
        (199, 200),
        (200, 300),
        (9, 9),
    ] {
        let range = TimeRange {
            start: hour(start),
            end: hour(end),
        };
        let all = (1..).zip(&times);
        let expected = all.filter(|(_, time)| range.contains(**time));
        let expected: Vec<i64> = expected.map(|(number, _)| number).collect();
        assert_eq!(numbers(&store, range).await, expected, "{start} to {end}");
    }
}

#[tokio::test]
async fn what_a_table_refuses_breaks_the_batch() {
    let (store, _database) = make().await;
    let mut book = fund(&store, 10).await;
    let about = About::default();
    book.debit(None, "coins", (3, Cover::Owe), about, START)
        .unwrap();
    let right = book.take_changes(START);
    let broken: [fn(&mut BookChanges); 7] = [
        |rows| rows.grants[0].1.held = 8,
        |rows| rows.grants[0].1.used = -1,
        |rows| rows.grants[0].1.amount = 11,
        |rows| rows.grants[0].0.unit = "euros".into(),
        |rows| rows.grants[0].1.source = Source::X402,
        |rows| rows.heads[0].receivable = -1,
        |rows| rows.posted[0].number = 1,
    ];
    for (at, breaks) in broken.iter().enumerate() {
        let mut rows = right.clone();
        rows.grants[0].1.reference = "paid".into();
        breaks(&mut rows);
        let (outcome, _) = Draft::new().changes(changes(rows)).commit(&store).await;
        let is_refused = matches!(outcome, Err(StoreError::Constraint(_)));
        assert!(is_refused, "{at}: {outcome:?}");
    }
    Draft::new().changes(changes(right)).run(&store).await;
    assert_eq!(stored(&store).await, book);
}

#[tokio::test]
async fn a_payment_brings_credits_once() {
    let (store, _database) = make().await;
    let mut book = fund(&store, 10).await;
    let long = "p".repeat(5_000);
    for (at, reference) in ["p1", &*long].into_iter().enumerate() {
        let paid = |id: String| NewGrant {
            source: Source::Stripe,
            reference: reference.into(),
            ..credits(&id, 5)
        };
        let mut again = book.clone();
        for (book, id) in [
            (&mut book, format!("first{at}")),
            (&mut again, format!("again{at}")),
        ] {
            book.grant(&coins(), paid(id), About::default(), START)
                .unwrap();
        }
        save(&store, &mut book).await;
        let mut rows = again.take_changes(START);
        rows.posted[0].number += 1;
        Draft::new().changes(changes(rows)).must_break(&store).await;
    }
    assert_eq!(stored(&store).await, book);
}

/// Stores what a book changed in a database of its own, and returns the hash of the batch.
async fn hash_of(note: &str) -> Vec<u8> {
    let (store, database) = make().await;
    create(&store, "acme").await;
    let mut book = Book::default();
    let about = About {
        note: note.into(),
        ..About::default()
    };
    book.grant(&coins(), credits("g", 5), about, START).unwrap();
    save(&store, &mut book).await;
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
async fn charges_come_back_however_events_are_written() {
    let (store, _database) = make().await;
    let no = create(&store, "acme").await;
    let charged = |id: &str, at: i64| {
        let mut row = event((no, "acme"), id, 2, minute(at));
        row.charge = Some(Box::new(UsageCharge {
            feature: FeatureId::new("chat").unwrap(),
            wallet: coins(),
            quantity: Milli(1_500),
            amount: 7,
            owed: 1,
            period_start: START,
        }));
        row
    };
    let mut rows = vec![charged("few", 1)];
    Draft::new().plain(rows.clone()).run(&store).await;
    let many: Vec<_> = (0..300).map(|at| charged(&format!("m{at}"), at)).collect();
    Draft::new().plain(many.clone()).run(&store).await;
    let decided = Changes {
        events: vec![charged("decided", 2)],
        ..Changes::default()
    };
    rows.extend(many.iter().chain(&decided.events).cloned());
    Draft::new().changes(decided).run(&store).await;
    let events = events_of(&store, "acme").await;
    assert_eq!(events.len(), rows.len());
    for stored in &events {
        assert!(rows.contains(&stored.row), "{stored:?}");
    }
    let again = Draft::new().plain(rows[..1].to_vec()).run(&store).await.1;
    assert_eq!(again.duplicates[0].2.row, rows[0]);
}

#[tokio::test]
async fn a_pool_that_is_opened_again_is_not_forgotten() {
    let (store, database) = make().await;
    let mut book = fund(&store, 10).await;
    let hold = HoldId::new("h").unwrap();
    book.hold("coins", aside("h", 2), 0, About::default(), START)
        .unwrap();
    book.release(&hold, About::default(), START).unwrap();
    save(&store, &mut book).await;
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
    let found = store.hold(&customer_id("acme"), &hold).await.unwrap();
    assert!(found.unwrap().1.is_open());
    // One that has ended goes.
    sqlx::query("UPDATE holds SET state = 2, end_time = $1")
        .bind(START.as_micros())
        .execute(&mut conn)
        .await
        .unwrap();
    trim(&store, day(40)).await;
    let found = store.hold(&customer_id("acme"), &hold).await.unwrap();
    assert_eq!(found, None);
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
    for at in 0..40 {
        let about = About::default();
        book.debit(None, "coins", (1, Cover::Owe), about, minute(at))
            .unwrap();
        save(&store, &mut book).await;
    }
    // Connections tell what they did when they are closed, at the latest.
    drop(store);
    for table in ["wallets", "grants"] {
        let mut seen = (0, 0);
        for _ in 0..100 {
            seen = updates(&database, table).await;
            if seen.0 == 40 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(seen, (40, 40), "{table}");
    }
}

#[tokio::test]
async fn whoever_waits_is_told_of_credits_whose_time_is_over() {
    let (store, _database) = make().await;
    let mut book = fund(&store, 10).await;
    let ending = |id: &str, at: Timestamp| NewGrant {
        expire_time: Some(at),
        ..credits(id, 5)
    };
    let about = About::default;
    book.grant(&coins(), ending("e", minute(9)), about(), START)
        .unwrap();
    save(&store, &mut book).await;
    let overdue = async |at| store.overdue(minute(at), 10).await.unwrap().len();
    assert_eq!((overdue(8).await, overdue(9).await), (0, 1));
    // What is held of it ends with its hold.
    book.hold("coins", aside("h", 5), 0, about(), START)
        .unwrap();
    save(&store, &mut book).await;
    assert_eq!((overdue(59).await, overdue(60).await), (0, 1));
    book.sweep(minute(60));
    let ended = changes(book.take_changes(minute(60)));
    let causes: Vec<Cause> = ended.books[0]
        .1
        .posted
        .iter()
        .map(|posted| posted.transaction.cause)
        .collect();
    assert_eq!(causes, [Cause::HoldExpiry]);
    Draft::new().changes(ended).run(&store).await;
    assert_eq!(overdue(60).await, 0);
}
