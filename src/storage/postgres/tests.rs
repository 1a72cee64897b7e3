//! What only the PostgreSQL store promises.

mod others;
mod several;
mod wallets;

use std::sync::Arc;

use sqlx::Connection as _;

use super::cluster::Database;
use super::migrate::{self, MIGRATIONS, Migration};
use super::{Options, PostgresStore};
use crate::domain::time::{Span, Timestamp};
use crate::storage::conformance::fixture::{
    Draft, START, answer, between, counter, create, customer_id, day, event, events_of, mark,
    meter, minute, set, spec,
};
use crate::storage::conformance::{self, store_conformance};
use crate::storage::{Changes, Store, StoreError, UsageQuery};

/// Returns an empty store in a database of its own.
pub async fn make() -> (PostgresStore, Database) {
    let database = Database::migrated().await;
    let store = open(&database).await;
    (store, database)
}

async fn open(database: &Database) -> PostgresStore {
    let opened = PostgresStore::open(&database.url(), Options::default()).await;
    opened.unwrap().0
}

store_conformance!(postgres, crate::storage::postgres::tests::make);

#[tokio::test]
async fn many_random_histories_agree_with_the_reference() {
    for seed in 2..=12 {
        let (store, _database) = make().await;
        conformance::model::same_as_model(&store, seed).await;
    }
}

#[tokio::test]
async fn weak_durability_is_refused_unless_allowed() {
    let database = Database::migrated().await;
    database.set("synchronous_commit", "off").await;
    let mut options = Options::default();
    let opened = PostgresStore::open(&database.url(), options.clone()).await;
    let Err(StoreError::Unavailable(why)) = opened else {
        panic!("synchronous_commit = off was taken");
    };
    assert!(why.contains("synchronous_commit=off"), "{why}");
    options.allow_weak_durability = true;
    PostgresStore::open(&database.url(), options).await.unwrap();
}

#[tokio::test]
async fn every_connection_has_its_limits() {
    let (store, _database) = make().await;
    for pool in [
        &store.shared.writers,
        &store.shared.feed,
        &store.shared.loaders,
    ] {
        let set: (String, String, String, String) = sqlx::query_as(
            "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),
                 current_setting('idle_in_transaction_session_timeout'), current_setting('application_name')",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        let set = [&*set.0, &*set.1, &*set.2, &*set.3];
        assert_eq!(set, ["15s", "5s", "15s", "bursar"]);
    }
}

#[tokio::test]
async fn migrations_run_once_however_many_open_at_the_same_time() {
    let database = Database::empty().await;
    let url = database.url();
    let open = || PostgresStore::open(&url, Options::default());
    let opened = tokio::join!(open(), open(), open(), open());
    let opened = [opened.0, opened.1, opened.2, opened.3].map(|opened| opened.unwrap().1);
    assert_eq!(opened[0].incarnation.len(), 16);
    let same = |one: &super::Opened| one.incarnation == opened[0].incarnation;
    assert!(opened.iter().all(same));
}

#[tokio::test]
async fn a_newer_schema_is_refused_only_when_it_breaks() {
    let database = Database::migrated().await;
    let run = async |breaking: bool, version: i64| {
        let newer = Migration {
            version,
            name: "newer",
            breaking,
            text: "CREATE TABLE IF NOT EXISTS newer (one integer)",
        };
        let mut conn = database.connect().await;
        migrate::run(&mut conn, &[newer]).await.unwrap();
    };
    run(false, 998).await;
    open(&database).await;
    run(true, 999).await;
    let opened = PostgresStore::open(&database.url(), Options::default()).await;
    let Err(StoreError::Corrupt { detail, .. }) = opened else {
        panic!("a schema that breaks was taken");
    };
    assert!(detail.contains("has schema 999"), "{detail}");
}

#[tokio::test]
async fn a_migration_that_was_changed_is_refused() {
    let database = Database::migrated().await;
    let changed = Migration {
        text: "-- nothing",
        ..MIGRATIONS[0]
    };
    let mut conn = database.connect().await;
    let refused = migrate::run(&mut conn, &[changed]).await;
    assert!(
        matches!(&refused, Err(StoreError::Corrupt { detail, .. }) if detail.contains("changed after it ran")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_database_of_the_version_before_is_brought_up_to_date() {
    let database = Database::empty().await;
    let mut conn = database.connect().await;
    migrate::run(&mut conn, &MIGRATIONS[..1]).await.unwrap();
    conn.close().await.unwrap();
    let mut conn = database.connect().await;
    let at = START.as_micros();
    super::days::make(&mut conn, super::columns::day_at(START))
        .await
        .unwrap();
    let rows = format!(
        r"INSERT INTO customers (customer_id, version, body, tracked, deleted) VALUES ('acme', 1, '{}', '[]', false);
         INSERT INTO event_keys VALUES ('old', 'acme', 0, {at} / 86400000000, {at});
         INSERT INTO events VALUES ({at} / 86400000000, 'acme', 'old', 0, 'tokens', 1, 1000, {at}, NULL, NULL, 4)",
        crate::storage::columns::json(&conformance::fixture::customer("acme")),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows))
        .execute(&mut conn)
        .await
        .unwrap();
    let store = open(&database).await;
    let old = event((1, "acme"), "old", 1, START);
    let mut new = event((1, "acme"), "new", 1, START);
    new.charge = Some(conformance::fixture::purse::charge(7));
    Draft::new().plain(vec![new.clone()]).run(&store).await;
    let events = events_of(&store, "acme").await;
    let events: Vec<_> = events.into_iter().map(|stored| stored.row).collect();
    assert_eq!(events, [new, old]);
}

#[tokio::test]
async fn a_reopened_store_holds_everything() {
    let (store, database) = make().await;
    let no = create(&store, "acme").await;
    let row = event((no, "acme"), "e-1", 7, minute(3)).with(&[("model", "large")]);
    let changes = Changes {
        counters: vec![set("acme", counter(&spec("day"), between(0, 1440), 7, 0))],
        rollups: vec![row.rollup()],
        answers: vec![answer("r-1", "granted")],
        ..Changes::default()
    };
    let mark = mark(&store).await;
    let draft = Draft::new().marked(mark).plain(vec![row]).changes(changes);
    draft.run(&store).await;
    let account = async |store: &PostgresStore| {
        let found = store.account(&customer_id("acme"), START).await.unwrap();
        found.unwrap()
    };
    let (before, events) = (account(&store).await, events_of(&store, "acme").await);
    drop(store);

    let store = open(&database).await;
    assert_eq!(
        format!("{:?}", account(&store).await),
        format!("{before:?}")
    );
    assert_eq!(events_of(&store, "acme").await, events);
    let (again, seen) = Draft::new().marked(mark).commit(&store).await;
    assert!(again.unwrap().repeated);
    assert_eq!(seen.calls, 0);
    let key = answer("r-1", "").key;
    let (_, seen) = Draft::new().request(key).run(&store).await;
    assert_eq!(&*seen.requests[0].as_ref().unwrap().answer, "granted");
}

#[tokio::test]
async fn labels_that_are_too_long_for_an_index_come_back() {
    let (store, _database) = make().await;
    let no = create(&store, "acme").await;
    let long = "x".repeat(5_000);
    let row = |id: &str, user: &str| {
        let labels = [("model", &*long), ("user", user)];
        event((no, "acme"), id, 1, minute(1)).with(&labels)
    };
    let rows = vec![row("a", "1"), row("b", "2"), row("c", "2")];
    let changes = Changes {
        rollups: conformance::fixture::rollups_of(&rows),
        ..Changes::default()
    };
    Draft::new().plain(rows).changes(changes).run(&store).await;
    let query = UsageQuery {
        customer: customer_id("acme"),
        subaccount: None,
        meter: Arc::new(meter()),
        steps: vec![between(0, 60)],
        group_by: vec![Box::from("user"), Box::from("model")],
        filter: crate::domain::usage::Labels::new(),
    };
    let rows = store.usage(query).await.unwrap();
    let counts: Vec<i64> = rows.iter().map(|row| row.rollup.count).collect();
    assert_eq!(counts, [1, 2]);
    assert_eq!(&*rows[0].group["model"], long);
}

#[tokio::test]
async fn a_decision_that_panics_leaves_nothing_behind() {
    let (store, _database) = make().await;
    let no = create(&store, "acme").await;
    let batch = crate::storage::Batch {
        mark: mark(&store).await,
        now: START,
        plain: vec![Arc::new(vec![event((no, "acme"), "e", 1, minute(1))])],
        probe_events: Vec::new(),
        probe_requests: Vec::new(),
        probe_billing: Vec::new(),
        catalog: 0,
        customers: Vec::new(),
        folds: Vec::new(),
        changes_catalog: false,
        decide: Box::new(|_| panic!("the test's own")),
    };
    let outcome = store.commit(batch).await;
    assert!(
        matches!(outcome, Err(StoreError::Constraint(_))),
        "{outcome:?}"
    );
    assert!(events_of(&store, "acme").await.is_empty());
}

#[tokio::test]
async fn a_database_that_may_only_be_read_is_full() {
    let (store, database) = make().await;
    database.set("default_transaction_read_only", "on").await;
    let (outcome, seen) = Draft::new().commit(&store).await;
    assert!(matches!(outcome, Err(StoreError::Full(_))), "{outcome:?}");
    assert_eq!(seen.calls, 0);
    assert!(store.catalog(None).await.unwrap().is_none());
}

/// Returns the days that have a partition.
async fn days(database: &Database) -> Vec<i32> {
    let mut conn = database.connect().await;
    let noted: Vec<i32> = sqlx::query_scalar("SELECT day FROM event_days ORDER BY day")
        .fetch_all(&mut conn)
        .await
        .unwrap();
    let made: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass")
            .fetch_one(&mut conn)
            .await
            .unwrap();
    assert_eq!(usize::try_from(made).unwrap(), noted.len());
    noted
}

async fn trim(store: &PostgresStore, now: Timestamp) {
    while store.trim(now, Span::ZERO).await.unwrap() {}
}

#[tokio::test]
async fn a_day_goes_when_nothing_of_it_must_be_kept() {
    let (store, database) = make().await;
    let other = open(&database).await;
    let no = create(&store, "acme").await;
    let row = |id: &str, at: i64| event((no, "acme"), id, 1, day(at));
    let late = row("late", 0).received(day(2));
    let rows = vec![row("a", 0), row("b", 1), late, row("c", 2)];
    Draft::new().plain(rows).run(&store).await;
    // It knows of the day, and then not that it went.
    Draft::new().plain(vec![row("d", 0)]).run(&other).await;
    let first = days(&database).await[0];
    assert_eq!(days(&database).await, [first, first + 1, first + 2]);
    trim(&store, day(38)).await;
    assert_eq!(days(&database).await, [first + 2]);
    assert_eq!(events_of(&store, "acme").await.len(), 2);
    let keys: i64 = sqlx::query_scalar("SELECT count(*) FROM event_keys")
        .fetch_one(&mut database.connect().await)
        .await
        .unwrap();
    assert_eq!(keys, 2, "keys go with their events");
    Draft::new().plain(vec![row("e", 0)]).run(&other).await;
    assert_eq!(days(&database).await, [first, first + 2]);
    assert_eq!(events_of(&store, "acme").await.len(), 3);
}

#[test]
fn a_commit_that_was_cut_off_has_an_unknown_outcome() {
    let cut = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
    assert!(matches!(
        super::error::of_commit(cut()),
        StoreError::Unknown(_)
    ));
    assert!(matches!(
        StoreError::from(cut()),
        StoreError::Unavailable(_)
    ));
}
