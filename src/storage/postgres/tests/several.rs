//! Several processes, or connections, that work on one database at a time.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;

use super::{make, open};
use crate::domain::time::Span;
use crate::storage::conformance::fixture::{
    Draft, START, between, counter_of, create, customer_id, customer_write, event, events_of, mark,
    minute, shift, spec,
};
use crate::storage::postgres::cluster::Database;
use crate::storage::postgres::{Options, PostgresStore};
use crate::storage::{Batch, Changes, Named, Store, StoreError};

/// Opens a store that does not wait long.
async fn impatient(database: &Database) -> PostgresStore {
    let options = Options {
        lock_timeout: Span::from_millis(50),
        ..Options::default()
    };
    let opened = PostgresStore::open(&database.url(), options).await;
    opened.unwrap().0
}

async fn versions(database: &Database) -> Vec<i64> {
    sqlx::query_scalar("SELECT version FROM customers ORDER BY customer_id")
        .fetch_all(&mut database.connect().await)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_store_each_event_once_and_add_up() {
    let (first, database) = make().await;
    let (first, second) = (Arc::new(first), Arc::new(open(&database).await));
    let acme = create(&*first, "acme").await;
    let bolt = create(&*first, "bolt").await;
    let mut writers = Vec::new();
    for store in [Arc::clone(&first), first, Arc::clone(&second), second] {
        writers.push(tokio::spawn(async move {
            let mut new = 0;
            for turn in 0..30 {
                // The customers are named in another order each time, and events come twice.
                let mut rows = vec![
                    event((acme, "acme"), &format!("a{turn}"), 1, minute(1)),
                    event((bolt, "bolt"), &format!("b{turn}"), 1, minute(1)),
                ];
                if turn % 2 == 0 {
                    rows.reverse();
                }
                let hour = spec("hour");
                let changes = Changes {
                    shifts: vec![
                        shift("bolt", &hour, between(0, 60), 1, 0),
                        shift("acme", &hour, between(0, 60), 1, 0),
                    ],
                    ..Changes::default()
                };
                let draft = Draft::new().plain(rows).changes(changes);
                new += 2 - draft.run(&*store).await.1.duplicates.len();
            }
            new
        }));
    }
    let mut new = 0;
    for writer in writers {
        new += writer.await.unwrap();
    }
    assert_eq!(new, 60, "each event is new to one of them");
    let store = open(&database).await;
    for id in ["acme", "bolt"] {
        assert_eq!(events_of(&store, id).await.len(), 30);
        let held = counter_of(&store, id, &spec("hour"), START).await;
        assert_eq!(held, Some((120, 0)));
    }
    assert_eq!(
        versions(&database).await,
        [121, 121],
        "each batch raises them"
    );
}

#[tokio::test]
async fn a_batch_given_again_waits_for_the_connection_that_may_commit_it() {
    let (store, database) = make().await;
    for commits in [true, false] {
        let mark = mark(&store).await;
        let draft = Draft::new().marked(mark);
        let mut conn = database.connect().await;
        let mut old = conn.begin().await.unwrap();
        for sql in [
            "UPDATE committers SET number = $2 WHERE epoch = $1",
            "INSERT INTO batches VALUES ($1, $2, 0, 0, 0, NULL, '', '')",
        ] {
            let done = sqlx::query(sql).bind(mark.epoch).bind(mark.number);
            done.execute(&mut *old).await.unwrap();
        }
        let ending = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if commits {
                old.commit().await.unwrap();
            } else {
                old.rollback().await.unwrap();
            }
        };
        let ((outcome, seen), ()) = tokio::join!(draft.commit(&store), ending);
        assert_eq!(outcome.unwrap().repeated, commits);
        assert_eq!(seen.calls, usize::from(!commits));
    }
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_changes_nothing() {
    let (store, database) = make().await;
    let no = create(&store, "acme").await;
    let store = impatient(&database).await;
    let mut conn = database.connect().await;
    let mut other = conn.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM customers FOR UPDATE")
        .execute(&mut *other)
        .await
        .unwrap();
    let rows = || vec![event((no, "acme"), "e", 1, minute(1))];
    let (outcome, seen) = Draft::new().plain(rows()).commit(&store).await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable(_))),
        "{outcome:?}"
    );
    assert_eq!(seen.calls, 0);
    // One that is given up in time is waited for, try after try.
    let ending = async {
        tokio::time::sleep(Duration::from_millis(80)).await;
        other.rollback().await.unwrap();
    };
    let ((outcome, seen), ()) = tokio::join!(Draft::new().plain(rows()).commit(&store), ending);
    outcome.unwrap();
    assert_eq!((seen.calls, seen.duplicates.len()), (1, 0));
}

#[tokio::test]
async fn a_connection_that_is_lost_before_the_commit_changes_nothing() {
    let (store, database) = make().await;
    let no = create(&store, "acme").await;
    let url = database.url();
    let batch = |mark, cuts: bool| Batch {
        mark,
        now: START,
        plain: vec![Arc::new(vec![event((no, "acme"), "e", 1, minute(1))])],
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
        decide: {
            let url = url.clone();
            Box::new(move |found| {
                assert!(found.duplicates.is_empty());
                if cuts {
                    cut(&url);
                }
                Changes::default()
            })
        },
    };
    let mark = mark(&store).await;
    let outcome = store.commit(batch(mark, true)).await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable(_))),
        "{outcome:?}"
    );
    // The connections of before are dead; a batch that was not decided yet finds another.

    store.commit(batch(mark, false)).await.unwrap();
    assert_eq!(events_of(&store, "acme").await.len(), 1);
}

/// Ends every other connection to a database.
fn cut(url: &str) {
    let url = url.to_owned();
    let cutting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut conn = sqlx::PgConnection::connect(&url).await.unwrap();
            sqlx::query(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .execute(&mut conn)
            .await
            .unwrap();
        });
    });
    cutting.join().unwrap();
}

#[tokio::test]
async fn a_customer_that_another_process_created_is_not_created_again() {
    let (store, database) = make().await;
    let other = open(&database).await;
    let creating = || Changes {
        customers: vec![customer_write("acme")],
        ..Changes::default()
    };
    let draft = || Draft::new().load("acme").changes(creating());
    let (created, seen) = draft().run(&store).await;
    assert!(seen.accounts[0].rows().is_none());
    assert_eq!(created.created.len(), 1);
    let (replaced, seen) = draft().run(&other).await;
    assert!(seen.accounts[0].rows().is_some() && replaced.created.is_empty());
}
