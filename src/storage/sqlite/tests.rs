//! What only the SQLite store promises.

mod credits;

use tempfile::TempDir;

use super::writer::Ask;
use super::{Options, SqliteStore, diagnose};
use crate::domain::time::Span;
use crate::storage::conformance::fixture::{
    Draft, START, all_events, answer, create, customer_id, day, event, events_of, mark, minute, set,
};
use crate::storage::conformance::{self, fixture, store_conformance};
use crate::storage::{Changes, Store, StoreError};

/// Returns an empty store in a directory that goes with it.
pub async fn make() -> (SqliteStore, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    (store, directory)
}

fn open(directory: &TempDir) -> SqliteStore {
    SqliteStore::open(directory.path().join("bursar.db"), Options::default())
        .unwrap()
        .0
}

store_conformance!(sqlite, crate::storage::sqlite::tests::make);

#[tokio::test]
async fn many_random_histories_agree_with_the_reference() {
    for seed in 2..=12 {
        let (store, _directory) = make().await;
        conformance::model::same_as_model(&store, seed).await;
    }
}

async fn execute(store: &SqliteStore, sql: &str) -> Result<(), StoreError> {
    let sql = sql.to_owned();
    store.writer.ask(|reply| Ask::Execute(sql, reply)).await
}

#[tokio::test]
async fn weak_durability_is_refused_unless_allowed() {
    for (journal_mode, synchronous) in [("wal", "NORMAL"), ("delete", "FULL")] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bursar.db");
        let mut options = Options {
            journal_mode,
            synchronous,
            ..Options::default()
        };
        let Err(StoreError::Unavailable(why)) = SqliteStore::open(&path, options.clone()) else {
            panic!("{journal_mode} {synchronous} was taken");
        };
        assert!(why.contains("durable"), "{why}");
        options.allow_weak_durability = true;
        SqliteStore::open(&path, options).unwrap();
    }
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let (store, directory) = make().await;
    let path = directory.path().join("bursar.db");
    let Err(StoreError::Unavailable(why)) = SqliteStore::open(&path, Options::default()) else {
        panic!("opened twice");
    };
    assert!(why.contains("another process"), "{why}");
    drop(store);
    open(&directory);
}

#[tokio::test]
async fn epochs_rise_and_the_incarnation_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bursar.db");
    let (mut opened, mut epochs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (store, one) = SqliteStore::open(&path, Options::default()).unwrap();
        epochs.push(store.enlist(0).await.unwrap());
        opened.push(one);
    }
    assert_eq!(epochs, [1, 2, 3]);
    assert_eq!(opened[0].incarnation.len(), 16);
    assert!(
        opened
            .iter()
            .all(|one| one.incarnation == opened[0].incarnation)
    );
}

#[tokio::test]
async fn a_reopened_store_holds_everything() {
    let (store, directory) = make().await;
    let no = create(&store, "acme").await;
    let spec = fixture::spec("day");
    let row = event((no, "acme"), "e-1", 7, minute(3)).with(&[("model", "large")]);
    let changes = Changes {
        counters: vec![set(
            "acme",
            fixture::counter(&spec, fixture::between(0, 1440), 7, 0),
        )],
        rollups: vec![row.rollup()],
        answers: vec![answer("r-1", "granted")],
        ..Changes::default()
    };
    let mark = mark(&store).await;
    let draft = Draft::new().marked(mark).plain(vec![row]).changes(changes);
    draft.run(&store).await;
    let before = (
        format!(
            "{:?}",
            store.account(&customer_id("acme"), START).await.unwrap()
        ),
        events_of(&store, "acme").await,
    );
    drop(store);

    let store = open(&directory);
    let account = store.account(&customer_id("acme"), START).await.unwrap();
    assert_eq!(format!("{account:?}"), before.0);
    assert_eq!(events_of(&store, "acme").await, before.1);
    let (again, seen) = Draft::new().marked(mark).commit(&store).await;
    assert!(again.unwrap().repeated);
    assert_eq!(seen.calls, 0);
    let (_, seen) = Draft::new()
        .request(answer("r-1", "").key)
        .run(&store)
        .await;
    assert_eq!(&*seen.requests[0].as_ref().unwrap().answer, "granted");
    let audit = store.audit(crate::storage::AuditQuery {
        limit: 10,
        ..Default::default()
    });
    assert_eq!(audit.await.unwrap().mismatches, []);
}

#[tokio::test]
async fn event_ids_of_every_form_come_back_as_they_were_given() {
    let (store, _directory) = make().await;
    let no = create(&store, "acme").await;
    let long = "x".repeat(128);
    let ids = [
        "01981f7e-9c4b-7d2a-8b10-00aa11bb22cc",
        "01981F7E-9C4B-7D2A-8B10-00AA11BB22CC",
        "01981f7e9c4b7d2a8b1000aa11bb22cc",
        "0123456789abcdef",
        "~",
        &long,
    ];
    let rows: Vec<_> = ids
        .iter()
        .map(|id| event((no, "acme"), id, 1, minute(1)))
        .collect();
    Draft::new().plain(rows.clone()).run(&store).await;
    let mut found: Vec<_> = events_of(&store, "acme")
        .await
        .into_iter()
        .map(|stored| stored.row)
        .collect();
    let mut rows = rows;
    rows.sort_by(|a, b| a.event.event_id.cmp(&b.event.event_id));
    found.sort_by(|a, b| a.event.event_id.cmp(&b.event.event_id));
    assert_eq!(found, rows);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_recovers_without_a_restart() {
    let (store, _directory) = make().await;
    let no = create(&store, "acme").await;
    Draft::new()
        .plain(vec![event((no, "acme"), "before", 1, minute(1))])
        .run(&store)
        .await;
    execute(&store, "PRAGMA max_page_count = 1").await.unwrap();
    let many: Vec<_> = (0..5_000)
        .map(|index| event((no, "acme"), &format!("full-{index}"), 1, minute(1)))
        .collect();
    for _ in 0..3 {
        let (outcome, _) = Draft::new().plain(many.clone()).commit(&store).await;
        assert!(matches!(outcome, Err(StoreError::Full(_))), "{outcome:?}");
        assert_eq!(events_of(&store, "acme").await.len(), 1, "reads go on");
    }
    execute(&store, "PRAGMA max_page_count = 1000000")
        .await
        .unwrap();
    Draft::new().plain(many).run(&store).await;
    assert_eq!(events_of(&store, "acme").await.len(), 5_001);
}

#[tokio::test]
async fn a_read_only_database_refuses_writes_and_recovers_without_a_restart() {
    let (store, _directory) = make().await;
    let no = create(&store, "acme").await;
    let row = event((no, "acme"), "e-1", 1, minute(1));
    execute(&store, "PRAGMA query_only = ON").await.unwrap();
    let (outcome, _) = Draft::new().plain(vec![row.clone()]).commit(&store).await;
    assert!(matches!(outcome, Err(StoreError::Full(_))), "{outcome:?}");
    assert_eq!(events_of(&store, "acme").await, []);
    execute(&store, "PRAGMA query_only = OFF").await.unwrap();
    Draft::new().plain(vec![row]).run(&store).await;
}

#[tokio::test]
async fn a_decision_that_panics_leaves_nothing_and_harms_nobody() {
    let (store, _directory) = make().await;
    let no = create(&store, "acme").await;
    let row = event((no, "acme"), "e-1", 1, minute(1));
    let batch = crate::storage::Batch {
        mark: mark(&store).await,
        now: START,
        plain: vec![std::sync::Arc::new(vec![row.clone()])],
        probe_events: Vec::new(),
        probe_requests: Vec::new(),
        probe_billing: Vec::new(),
        catalog: 0,
        customers: Vec::new(),
        folds: Vec::new(),
        changes_catalog: false,
        decide: Box::new(|_| panic!("deliberate")),
    };
    let outcome = store.commit(batch).await;
    assert!(matches!(outcome, Err(StoreError::Constraint(_))));
    assert_eq!(events_of(&store, "acme").await, []);
    Draft::new().plain(vec![row]).run(&store).await;
}

#[tokio::test]
async fn migrations_are_recorded_and_neither_edited_nor_newer() {
    let (store, directory) = make().await;
    let path = directory.path().join("bursar.db");
    store.enlist(0).await.unwrap();
    let healthy = diagnose(&path).unwrap();
    assert_eq!(healthy.faults, [""; 0]);
    assert_eq!(healthy.schema_version, healthy.schema_known);
    assert_eq!((healthy.epoch, &*healthy.journal_mode), (1, "wal"));
    execute(&store, "UPDATE schema_migrations SET checksum = x'00'")
        .await
        .unwrap();
    drop(store);
    let Err(StoreError::Corrupt { detail, .. }) = SqliteStore::open(&path, Options::default())
    else {
        panic!("an edited migration was taken");
    };
    assert!(detail.contains("changed"), "{detail}");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute("UPDATE schema_migrations SET version = version + 1000", [])
        .unwrap();
    let Err(StoreError::Corrupt { detail, .. }) = SqliteStore::open(&path, Options::default())
    else {
        panic!("a newer schema was taken");
    };
    assert!(detail.contains("newer"), "{detail}");
}

#[tokio::test]
async fn events_are_listed_across_segments_whatever_order_they_came_in() {
    let (store, _directory) = make().await;
    let no = create(&store, "acme").await;
    let mut ids = Vec::new();
    for index in 0..40_i64 {
        // Each batch opens a segment of its own; count times go up and down.
        let at = minute((index * 17) % 40);
        let id = format!("e-{index:02}");
        Draft::new()
            .at(minute(index * 2))
            .plain(vec![
                event((no, "acme"), &id, 1, at),
                event((no, "acme"), &format!("{id}-late"), 1, minute(-index)),
            ])
            .run(&store)
            .await;
        ids.push(id);
    }
    let all = events_of(&store, "acme").await;
    assert_eq!(all.len(), 80);
    assert!(all.is_sorted_by_key(|stored| std::cmp::Reverse(stored.row.count_time)));
    let mut paged = Vec::new();
    let mut query = all_events("acme");
    query.limit = 7;
    loop {
        let page = store.events(query.clone()).await.unwrap();
        paged.extend(page.items);
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    assert_eq!(paged, all);
}

#[tokio::test]
async fn trimmed_segments_go_and_those_cut_stay_readable() {
    let (store, directory) = make().await;
    let no = create(&store, "acme").await;
    for index in 0..3_i64 {
        let rows: Vec<_> = (0..700)
            .map(|row| {
                let at = day(index * 30).plus(Span::from_secs(row));
                event((no, "acme"), &format!("e-{index}-{row}"), 1, at)
            })
            .collect();
        Draft::new().at(day(0)).plain(rows).run(&store).await;
    }
    let now = day(75);
    while store.trim(now, Span::from_days(36)).await.unwrap() {}
    assert_eq!(events_of(&store, "acme").await.len(), 700);
    while store.trim(day(400), Span::from_days(36)).await.unwrap() {}
    assert_eq!(events_of(&store, "acme").await, []);
    drop(store);
    let left: i64 = rusqlite::Connection::open(directory.path().join("bursar.db"))
        .unwrap()
        .query_row(
            "SELECT (SELECT count(*) FROM segments) + (SELECT count(*) FROM segment_events)
             + (SELECT count(*) FROM events)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn shipped_catalogs_survive_the_columns_they_are_stored_in() {
    for toml in [
        include_str!("../../../catalogs/default.toml"),
        include_str!("../../../catalogs/aims.toml"),
        include_str!("../../../catalogs/aegis.toml"),
        include_str!("../../../catalogs/aias.toml"),
    ] {
        let catalog = crate::domain::catalog::parse_catalog(toml).unwrap();
        let json = serde_json::to_string(&catalog).unwrap();
        let read: crate::domain::catalog::Catalog = serde_json::from_str(&json).unwrap();
        assert_eq!(read, catalog);
    }
}

#[tokio::test]
async fn the_log_stays_short_while_commits_never_pause() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bursar.db");
    let options = Options {
        checkpoint_pages: 8,
        ..Options::default()
    };
    let (store, _) = SqliteStore::open(&path, options).unwrap();
    for nth in 0..300 {
        let sql = format!(
            "REPLACE INTO store VALUES ('test-{}', zeroblob(8000))",
            nth % 10
        );
        execute(&store, &sql).await.unwrap();
    }
    // It is never cut, only started over: what one length and the commit that goes beyond it take.
    let log = std::fs::metadata(directory.path().join("bursar.db-wal")).unwrap();
    let pages = log.len() / 4096;
    assert!((8..=8 * 16 + 100).contains(&pages), "{pages} pages");
}
