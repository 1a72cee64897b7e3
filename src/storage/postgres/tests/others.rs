//! What processes on one database know of one another: lives, changes, shares of rates.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{make, open};
use crate::domain::id::{CustomerId, FeatureId};
use crate::domain::rate_share::{WHOLE, Want};
use crate::domain::time::Span;
use crate::storage::conformance::fixture::{
    Draft, START, catalog, create, customer_id, event, mark, minute,
};
use crate::storage::postgres::cluster::Database;
use crate::storage::postgres::{Options, PostgresStore};
use crate::storage::{
    BatchMark, Changes, Feed, RateClaims, RateKey, RateTable, Reread, Store, StoreError,
};

/// Opens a store whose epochs others may end at once.
async fn mortal(database: &Database) -> PostgresStore {
    let options = Options {
        lease: Span::from_millis(1),
        ..Options::default()
    };
    let opened = PostgresStore::open(&database.url(), options).await;
    opened.unwrap().0
}

fn ids(feed: &Feed) -> Vec<&str> {
    let mut ids: Vec<&str> = feed.changed.iter().map(CustomerId::as_str).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn an_epoch_that_others_ended_commits_nothing() {
    let (store, database) = make().await;
    let asleep = mortal(&database).await;
    let first = mark(&asleep).await;
    Draft::new().marked(first).run(&asleep).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    store.follow(None).await.unwrap();
    let next = BatchMark { number: 2, ..first };
    let (outcome, seen) = Draft::new().marked(next).commit(&asleep).await;
    assert!(matches!(outcome, Err(StoreError::Fenced)), "{outcome:?}");
    assert_eq!(seen.calls, 0, "nothing is decided");
    // What it had committed is still known to be.
    let (outcome, _) = Draft::new().marked(first).commit(&asleep).await;
    assert!(outcome.unwrap().repeated);
    Draft::new().run(&asleep).await;
}

#[tokio::test]
async fn a_process_that_says_that_it_is_there_is_not_ended() {
    let (store, database) = make().await;
    let other = open(&database).await;
    let first = mark(&other).await;
    for number in 1..4 {
        store.follow(None).await.unwrap();
        other.follow(None).await.unwrap();
        let next = BatchMark { number, ..first };
        Draft::new().marked(next).run(&other).await;
    }
    other.resign().await.unwrap();
    let next = BatchMark { number: 4, ..first };
    let (outcome, _) = Draft::new().marked(next).commit(&other).await;
    assert!(matches!(outcome, Err(StoreError::Fenced)), "{outcome:?}");
}

#[tokio::test]
async fn a_new_life_ends_the_one_before() {
    let (store, _database) = make().await;
    let (first, second) = (
        store.enlist(7).await.unwrap(),
        store.enlist(7).await.unwrap(),
    );
    assert!(first < second);
    let marked = |epoch| Draft::new().marked(BatchMark { epoch, number: 1 });
    let (outcome, _) = marked(first).commit(&store).await;
    assert!(matches!(outcome, Err(StoreError::Fenced)), "{outcome:?}");
    marked(second).run(&store).await;
}

#[tokio::test]
async fn a_number_that_was_passed_is_not_taken_for_a_repeat() {
    let (store, _database) = make().await;
    let first = mark(&store).await;
    let third = BatchMark { number: 3, ..first };
    Draft::new().marked(third).run(&store).await;
    let second = BatchMark { number: 2, ..first };
    Draft::new().marked(second).must_break(&store).await;
}

#[tokio::test]
async fn others_learn_what_a_process_changed_however_late_it_commits() {
    let (store, database) = make().await;
    for id in ["acme", "bolt", "core"] {
        create(&store, id).await;
    }
    let (early, late) = (open(&database).await, open(&database).await);
    let begun = store.follow(None).await.unwrap();
    assert!(begun.changed.is_empty() && !begun.everything);
    // The one that was decided at a later instant commits first.
    Draft::new().at(minute(9)).load("bolt").run(&late).await;
    let feed = store.follow(Some(begun.cursor)).await.unwrap();
    assert_eq!(ids(&feed), ["bolt"]);
    Draft::new().at(minute(1)).load("acme").run(&early).await;
    // What this process does itself is no news to it.
    Draft::new().at(minute(2)).load("core").run(&store).await;
    let feed = store.follow(Some(feed.cursor)).await.unwrap();
    assert_eq!(ids(&feed), ["acme"]);
    let feed = store.follow(Some(feed.cursor)).await.unwrap();
    assert_eq!((feed.changed, feed.everything), (vec![], false));
}

#[tokio::test]
async fn what_is_forgotten_before_it_was_seen_may_be_anything() {
    let (store, database) = make().await;
    create(&store, "acme").await;
    let other = open(&database).await;
    let begun = store.follow(None).await.unwrap();
    Draft::new().load("acme").run(&other).await;
    sqlx::query("DELETE FROM batches")
        .execute(&mut database.connect().await)
        .await
        .unwrap();
    let feed = store.follow(Some(begun.cursor)).await.unwrap();
    assert!(feed.everything);
}

#[tokio::test]
async fn a_customer_that_another_process_changed_is_read_again() {
    let (store, database) = make().await;
    let other = open(&database).await;
    let no = create(&store, "acme").await;
    let (_, seen) = Draft::new().name("acme", 1).run(&store).await;
    assert!(matches!(seen.accounts[0], Reread::Same));
    let row = event((no, "acme"), "e", 1, minute(1));
    Draft::new().plain(vec![row]).run(&other).await;
    let (_, seen) = Draft::new().name("acme", 2).run(&store).await;
    assert_eq!(seen.accounts[0].rows().unwrap().version, 3);
    let account = store.account(&customer_id("acme"), START).await.unwrap();
    assert_eq!(account.unwrap().version, 4);
}

#[tokio::test]
async fn a_catalog_waits_for_batches_that_are_decided_under_the_one_before() {
    let (store, database) = make().await;
    let other = Arc::new(open(&database).await);
    let apply = |version| Changes {
        catalog: Some(catalog(version)),
        ..Changes::default()
    };
    Draft::new().changes(apply(1)).run(&store).await;
    let mut conn = database.connect().await;
    let mut held = sqlx::Connection::begin(&mut conn).await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
        .bind(crate::storage::postgres::locks::CATALOG)
        .execute(&mut *held)
        .await
        .unwrap();
    let applying = {
        let other = Arc::clone(&other);
        let changes = apply(2);
        tokio::spawn(async move { Draft::new().under(1).changes(changes).run(&*other).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!applying.is_finished(), "a batch is still decided under it");
    held.rollback().await.unwrap();
    applying.await.unwrap();
    let (outcome, _) = Draft::new().under(1).commit(&store).await;
    assert!(matches!(outcome, Err(StoreError::Outdated)), "{outcome:?}");
}

#[tokio::test]
async fn processes_see_what_others_hold_of_rates_until_those_are_gone() {
    let (store, database) = make().await;
    let other = mortal(&database).await;
    let take = async |store: &PostgresStore, default: u32, own: Option<u32>| {
        let seen = Arc::new(Mutex::new(RateTable::default()));
        let told = Arc::clone(&seen);
        let key = RateKey {
            customer: customer_id("acme"),
            feature: FeatureId::new("calls").unwrap(),
        };
        let claim = move |table: &RateTable| {
            *told.lock() = table.clone();
            let want = Want { parts: 7, least: 3 };
            RateClaims {
                default,
                shares: own.map(|parts| (key, parts, want)).into_iter().collect(),
            }
        };
        store.share_rates(Box::new(claim)).await.unwrap().unwrap();
        let table = seen.lock();
        table.clone()
    };
    let table = take(&store, WHOLE, None).await;
    assert_eq!((&table.defaults[..], table.own), (&[0][..], 0));
    let table = take(&other, 400, Some(30)).await;
    assert_eq!(table.defaults[1 - table.own], WHOLE);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let table = take(&store, WHOLE, None).await;
    // The other was not heard of for longer than it said.
    assert_eq!(table.defaults, [WHOLE]);
    assert!(table.shares.is_empty());
    take(&other, 400, Some(30)).await;
    other.resign().await.unwrap();
    let table = take(&store, 5, Some(2)).await;
    assert_eq!((table.defaults.len(), table.shares.len()), (1, 0));
    let table = take(&store, 5, None).await;
    assert_eq!(table.shares[0].parts, 2);
    assert_eq!(take(&store, 5, None).await.shares, []);
}

/// A database that is distributed by customer can only keep keys that hold the customer.
#[tokio::test]
async fn every_unique_key_of_a_customers_table_holds_the_customer() {
    let (_store, database) = make().await;
    let keys: Vec<(String, bool)> = sqlx::query_as(
        "SELECT t.relname || '.' || i.relname, bool_or(a.attname = 'customer_id')
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
         JOIN pg_attribute a ON a.attrelid = i.oid
         WHERE x.indisunique AND EXISTS (
             SELECT FROM pg_attribute c WHERE c.attrelid = t.oid AND c.attname = 'customer_id')
         GROUP BY 1",
    )
    .fetch_all(&mut database.connect().await)
    .await
    .unwrap();
    assert!(keys.len() > 10, "{keys:?}");
    for (key, holds) in keys {
        assert!(holds, "{key}");
    }
}
