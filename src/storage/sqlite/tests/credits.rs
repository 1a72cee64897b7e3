//! What only the SQLite store promises of wallets.

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::{make, open};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{About, Book, BookChanges, NewGrant, Posted, Source, WalletKey};
use crate::storage::Store;
use crate::storage::conformance::fixture::purse::{
    agents, book_of, changes_of, charge, hold_id, keep, new_grant, new_hold, own, posted, rich,
    spend,
};
use crate::storage::conformance::fixture::{
    Draft, START, create, customer_id, day, event, events_of, minute, subaccount_id,
};
use crate::storage::sqlite::open::MIGRATIONS;

#[tokio::test]
async fn a_reopened_store_holds_its_wallets() {
    let (store, directory) = make().await;
    let no = create(&store, "acme").await;
    let mut row = event((no, "acme"), "e-1", 7, minute(3));
    row.charge = Some(charge(9));
    let changes = changes_of("acme", rich(START));
    let batch = Draft::new().plain(vec![row]).changes(changes);
    batch.run(&store).await;
    let hold = hold_id("part");
    let before = (
        book_of(&store, "acme", START).await,
        posted(&store, "acme", own()).await,
        store.hold(&customer_id("acme"), &hold).await.unwrap(),
        events_of(&store, "acme").await,
    );
    assert!(before.2.is_some() && before.3[0].row.charge.is_some());
    drop(store);
    let store = open(&directory);
    assert_eq!(book_of(&store, "acme", START).await, before.0);
    assert_eq!(posted(&store, "acme", own()).await, before.1);
    let found = store.hold(&customer_id("acme"), &hold).await.unwrap();
    assert_eq!(found, before.2);
    assert_eq!(events_of(&store, "acme").await, before.3);
}

/// Returns the hash of the newest batch of a store with one customer, which writes these changes.
async fn hash_of(changes: BookChanges) -> Vec<u8> {
    let (store, directory) = make().await;
    create(&store, "acme").await;
    let changes = changes_of("acme", changes);
    Draft::new().changes(changes).run(&store).await;
    drop(store);
    let conn = Connection::open(directory.path().join("bursar.db")).unwrap();
    let newest = "SELECT hash FROM batches ORDER BY seq DESC LIMIT 1";
    conn.query_row(newest, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn the_chain_covers_ledgers() {
    let whole = hash_of(rich(START)).await;
    assert_eq!(hash_of(rich(START)).await, whole);
    // The transactions of one wallet may be those of another that has none.
    let of_agent = |row: &&mut Posted| row.wallet == agents();
    let rest = WalletKey::of(Some(&subaccount_id("s2")), "USD");
    let changes: [&dyn Fn(&mut BookChanges); 5] = [
        &|changes| drop(changes.posted.pop()),
        &|changes| changes.posted[2].time = minute(1),
        &|changes| changes.posted[2].about.note = "other".into(),
        &|changes| changes.posted[2].balance.held += 1,
        &|changes| {
            for row in changes.posted.iter_mut().filter(of_agent) {
                row.wallet = rest.clone();
            }
        },
    ];
    for (case, change) in changes.into_iter().enumerate() {
        let mut other = rich(START);
        change(&mut other);
        assert_ne!(hash_of(other).await, whole, "case {case}");
    }
}

#[tokio::test]
async fn what_does_not_follow_in_its_ledger_is_refused() {
    let (store, _directory) = make().await;
    create(&store, "acme").await;
    for number in [0, 2, 50] {
        let mut changes = rich(START);
        changes.posted[0].number = number;
        let changes = changes_of("acme", changes);
        Draft::new().changes(changes).must_break(&store).await;
    }
    let mut changes = rich(START);
    changes.heads.retain(|head| head.key != agents());
    let changes = changes_of("acme", changes);
    Draft::new().changes(changes).must_break(&store).await;
    let changes = changes_of("acme", rich(START));
    Draft::new().changes(changes).run(&store).await;
}

#[tokio::test]
async fn a_grant_that_stays_open_touches_no_index() {
    let (store, _directory) = make().await;
    create(&store, "acme").await;
    let mut book = Book::default();
    let bought = NewGrant {
        source: Source::Stripe,
        reference: "pi_1".into(),
        expire_time: Some(day(9)),
        ..new_grant("g1", 100)
    };
    book.grant(&own(), bought, About::default(), START).unwrap();
    keep(&store, "acme", &mut book, START).await;
    // An update that names what indexes go by would be refused.
    let guard = "CREATE TRIGGER whole BEFORE UPDATE OF state ON books
               BEGIN SELECT raise(ABORT, 'written whole'); END";
    super::execute(&store, guard).await.unwrap();
    let hold = new_hold("h1", 30, day(1));
    book.hold("USD", hold, 0, About::default(), minute(1))
        .unwrap();
    spend(&mut book, 5, minute(1));
    keep(&store, "acme", &mut book, minute(1)).await;
    assert_eq!(book_of(&store, "acme", minute(1)).await, book);
    // What ends it is written whole.
    spend(&mut book, 65, minute(2));
    let (id, about) = (hold_id("h1"), About::default());
    book.capture(&id, (30, true), about, minute(2)).unwrap();
    let changes = changes_of("acme", book.take_changes(minute(2)));
    Draft::new().changes(changes).must_break(&store).await;
}

#[tokio::test]
async fn a_file_of_the_first_schema_is_taken_on() {
    let directory = tempfile::tempdir().unwrap();
    let conn = Connection::open(directory.path().join("bursar.db")).unwrap();
    let (version, name, text) = MIGRATIONS[0];
    assert_eq!(version, 1);
    conn.execute_batch(text).unwrap();
    conn.execute_batch(
        "CREATE TABLE schema_migrations (
             version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL, apply_time INTEGER NOT NULL);
         INSERT INTO meters VALUES (1, 'tokens');
         INSERT INTO events VALUES ('e-1', 1, 0, 1, 5, 5000, 60000000, NULL, NULL, 4, NULL, NULL, NULL, NULL);
         INSERT INTO answers VALUES ('c', 'Reserve', 'r-2', x'00', '{}', 8), ('c', 'Reserve', 'r-1', x'01', '{}', 9);
         INSERT INTO segments VALUES (1, 60000000, 60000000, 1);
         INSERT INTO segment_events VALUES (1, 1, 0, x'0003652d31');",
    )
    .unwrap();
    let checksum: [u8; 32] = Sha256::digest(text).into();
    let ran = "INSERT INTO schema_migrations VALUES (?1, ?2, ?3, 0)";
    conn.execute(ran, (version, name, checksum)).unwrap();
    let body = serde_json::to_string(&super::fixture::customer("acme")).unwrap();
    let customer = "INSERT INTO customers VALUES (1, 'acme', ?1, NULL, '[]', 0)";
    conn.execute(customer, [body]).unwrap();
    drop(conn);

    let store = open(&directory);
    let one = Timestamp::from_micros_clamped(60_000_000);
    let expected = event((1, "acme"), "e-1", 5, one);
    assert_eq!(events_of(&store, "acme").await[0].row, expected);
    let kept =
        "INSERT INTO store SELECT 'kept', group_concat(request, ' ' ORDER BY place) FROM answers";
    super::execute(&store, kept).await.unwrap();
    let conn = Connection::open(directory.path().join("bursar.db")).unwrap();
    let kept = conn.query_row("SELECT value FROM store WHERE name = 'kept'", [], |row| {
        row.get::<_, String>(0)
    });
    assert_eq!(kept.unwrap(), "r-2 r-1");
    let mut book = Book::default();
    book.grant(&own(), new_grant("g1", 5), About::default(), START)
        .unwrap();
    keep(&store, "acme", &mut book, START).await;
    assert_eq!(book_of(&store, "acme", START).await, book);
}
