//! Batches: whole or not at all, and once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fixture::{
    Draft, START, answer, between, counter_of, create, customer_id, customer_write, event,
    events_of, held, mark, minute, reservation, rollups_of, set, shift, spec, subaccount_id,
};
use crate::domain::catalog::{Catalog, CatalogVersion, WarningLevels};
use crate::domain::customer::{Adjustment, Allocation, Subaccount};
use crate::domain::id::{AllocationId, FeatureId};
use crate::domain::quantity::Milli;
use crate::domain::usage::Labels;
use crate::domain::window::TimeRange;
use crate::storage::{BatchMark, Changes, Reread, Store, StoreError, StoredCatalog};

pub async fn an_empty_batch_is_committed(store: &dyn Store) {
    let (committed, _) = Draft::new().run(store).await;
    assert!(committed.created.is_empty());
}

pub async fn a_repeated_mark_does_nothing(store: &dyn Store) {
    let no = create(store, "acme").await;
    let hour = (spec("hour"), between(0, 60));
    let change = || Changes {
        shifts: vec![shift("acme", &hour.0, hour.1, 5, 0)],
        ..Changes::default()
    };
    let mark = mark(store).await;
    Draft::new().marked(mark).changes(change()).run(store).await;
    let late = event((no, "acme"), "e1", 1, minute(1));
    let again = Draft::new()
        .marked(mark)
        .plain(vec![late])
        .changes(change());
    let (outcome, seen) = again.commit(store).await;
    let committed = outcome.unwrap();
    assert!(committed.repeated && committed.created.is_empty());
    assert_eq!(seen.calls, 0);
    assert_eq!(
        counter_of(store, "acme", &hour.0, START).await,
        Some((5, 0))
    );
    assert!(events_of(store, "acme").await.is_empty());
}

pub async fn marks_of_another_epoch_are_others(store: &dyn Store) {
    let (first, second) = (mark(store).await, mark(store).await);
    assert!(first.epoch < second.epoch);
    assert_eq!(first.number, second.number);
    Draft::new().marked(first).run(store).await;
    Draft::new().marked(second).run(store).await;
    let next = BatchMark { number: 2, ..first };
    Draft::new().marked(next).run(store).await;
}

pub async fn answers_are_found_again(store: &dyn Store) {
    let kept = answer("r1", "{\"granted\":3}");
    let changes = Changes {
        answers: vec![kept.clone()],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let mut other_method = kept.key.clone();
    other_method.method = "Reserve";
    let mut other_caller = kept.key.clone();
    other_caller.caller = Box::from("key/1");
    let (_, seen) = Draft::new()
        .request(other_method)
        .request(kept.key.clone())
        .request(other_caller)
        .request(answer("r2", "").key)
        .run(store)
        .await;
    assert_eq!(seen.requests, [None, Some(kept), None, None]);
}

pub async fn an_answer_is_never_replaced(store: &dyn Store) {
    let kept = answer("r1", "first");
    let storing = |kept: &crate::storage::StoredAnswer| Changes {
        answers: vec![kept.clone()],
        ..Changes::default()
    };
    Draft::new().changes(storing(&kept)).run(store).await;
    let other = storing(&answer("r1", "second"));
    Draft::new().changes(other).must_break(store).await;
    let (_, seen) = Draft::new().request(kept.key.clone()).run(store).await;
    assert_eq!(seen.requests, [Some(kept)]);
}

pub async fn a_broken_constraint_leaves_nothing_behind(store: &dyn Store) {
    let no = create(store, "acme").await;
    let (lifetime, always) = (spec("lifetime"), TimeRange::ALWAYS);
    let mut full = shift("acme", &lifetime, always, 0, 0);
    full.used = Milli(i64::MAX);
    let changes = Changes {
        shifts: vec![full],
        ..Changes::default()
    };
    Draft::new().changes(changes).run(store).await;
    let before = store.account(&customer_id("acme"), START).await.unwrap();

    let (plain, own) = (
        event((no, "acme"), "plain", 1, minute(1)),
        event((no, "acme"), "own", 1, minute(1)),
    );
    let hour = spec("hour");
    let row = super::fixture::counter(&hour, between(0, 60), 4, 1);
    let feature = FeatureId::new("seats").unwrap();
    let changes = Changes {
        rollups: rollups_of([&plain, &own]),
        events: vec![own],
        customers: vec![customer_write("bolt")],
        subaccounts: vec![(customer_id("acme"), subaccount("a1"), Vec::new())],
        counters: vec![set("acme", row)],
        shifts: vec![shift("acme", &lifetime, always, 1, 0)],
        reservations: vec![(
            customer_id("acme"),
            reservation("r1", START, 1, vec![held(&hour, START)]),
        )],
        allocations: vec![(customer_id("acme"), allocation("s1"))],
        adjustments: vec![(
            customer_id("acme"),
            vec![Adjustment {
                feature,
                spec: Arc::clone(&hour),
                start: START,
                since: None,
                baseline: Milli(1),
                amount: None,
            }],
        )],
        catalog: Some(catalog(1)),
        answers: vec![answer("r1", "x")],
        ..Changes::default()
    };
    let mark = mark(store).await;
    let failing = Draft::new().marked(mark).plain(vec![plain.clone()]);
    failing.changes(changes).must_break(store).await;

    let after = store.account(&customer_id("acme"), START).await.unwrap();
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    assert!(events_of(store, "acme").await.is_empty());
    let bolt = store.account(&customer_id("bolt"), START).await.unwrap();
    assert!(bolt.is_none());
    assert!(store.catalog(None).await.unwrap().is_none());
    let again = Draft::new()
        .marked(mark)
        .request(answer("r1", "x").key)
        .plain(vec![plain]);
    let (_, seen) = again.run(store).await;
    assert_eq!(seen.requests, [None], "no answer and no mark is left");
    assert!(seen.duplicates.is_empty(), "no event is left");
}

fn subaccount(id: &str) -> Subaccount {
    Subaccount {
        id: subaccount_id(id),
        display_name: Box::default(),
        metadata: Labels::new(),
        create_time: START,
        update_time: START,
        delete_time: None,
    }
}

fn allocation(id: &str) -> Allocation {
    Allocation {
        feature: FeatureId::new("seats").unwrap(),
        id: AllocationId::new(id).unwrap(),
        subaccount: None,
        metadata: Labels::new(),
        create_time: START,
    }
}

fn catalog(version: CatalogVersion) -> StoredCatalog {
    let catalog = Catalog {
        version,
        default_plan: None,
        auto_create_per_minute: Some(7),
        warnings: WarningLevels {
            notice_percent: 80,
            critical_percent: 95,
        },
        credit_units: BTreeMap::new(),
        meters: BTreeMap::new(),
        features: BTreeMap::new(),
        products: BTreeMap::new(),
        plans: BTreeMap::new(),
    };
    StoredCatalog {
        catalog: Arc::new(catalog),
        source: Arc::from(format!("version = {version}")),
        apply_time: minute(version),
    }
}

pub async fn changes_may_name_a_customer_that_they_create(store: &dyn Store) {
    let hour = spec("hour");
    let acme = || customer_id("acme");
    let changes = Changes {
        customers: vec![customer_write("acme")],
        subaccounts: vec![(acme(), subaccount("a1"), vec![Arc::clone(&hour)])],
        shifts: vec![shift("acme", &hour, between(0, 60), 0, 2)],
        reservations: vec![(
            acme(),
            reservation("r1", START, 2, vec![held(&hour, START)]),
        )],
        allocations: vec![(acme(), allocation("s1"))],
        ..Changes::default()
    };
    let (committed, _) = Draft::new().changes(changes).run(store).await;
    let account = store.account(&acme(), START).await.unwrap().unwrap();
    assert_eq!(committed.created, [(acme(), account.no)]);
    assert_eq!(account.subaccounts.len(), 1);
    assert_eq!(account.reservations.len(), 1);
    assert_eq!(account.allocations, [allocation("s1")]);
    assert_eq!(counter_of(store, "acme", &hour, START).await, Some((0, 2)));
}

pub async fn changes_of_an_unknown_customer_are_refused(store: &dyn Store) {
    let changes = Changes {
        customers: vec![customer_write("acme")],
        allocations: vec![(customer_id("nobody"), allocation("s1"))],
        ..Changes::default()
    };
    Draft::new().changes(changes).must_break(store).await;
    let acme = store.account(&customer_id("acme"), START).await.unwrap();
    assert!(acme.is_none());
}

pub async fn only_new_customers_are_listed_as_created(store: &dyn Store) {
    let no = create(store, "acme").await;
    let changes = Changes {
        customers: vec![customer_write("acme"), customer_write("bolt")],
        ..Changes::default()
    };
    let (committed, _) = Draft::new().changes(changes).run(store).await;
    assert_eq!(committed.created.len(), 1);
    let (id, bolt) = &committed.created[0];
    assert_eq!(*id, customer_id("bolt"));
    assert_ne!(*bolt, no);
    let acme = store.account(&customer_id("acme"), START).await.unwrap();
    assert_eq!(acme.unwrap().no, no, "a number is kept");
}

pub async fn a_customer_is_read_when_its_version_is_not_known(store: &dyn Store) {
    create(store, "acme").await;
    let before = store.account(&customer_id("acme"), START).await.unwrap();
    let version = before.unwrap().version;
    let draft = Draft::new().name("acme", 0).name("nobody", 0);
    let (_, seen) = draft.run(store).await;
    assert!(matches!(seen.accounts[1], Reread::Absent));
    let rows = seen.accounts[0].rows().unwrap();
    assert_eq!(rows.version, version, "as the batch before left it");
    let known = if store.is_shared() { version + 1 } else { 1 };
    let (_, seen) = Draft::new().name("acme", known).run(store).await;
    assert!(matches!(seen.accounts[0], Reread::Same));
}

pub async fn a_batch_under_an_older_catalog_is_refused(store: &dyn Store) {
    for version in [3, 4] {
        let changes = Changes {
            catalog: Some(catalog(version)),
            ..Changes::default()
        };
        Draft::new().under(3).changes(changes).run(store).await;
    }
    let (outcome, seen) = Draft::new().under(3).commit(store).await;
    assert!(matches!(outcome, Err(StoreError::Outdated)), "{outcome:?}");
    assert_eq!(seen.calls, 0);
    for version in [0, 4, 5] {
        Draft::new().under(version).run(store).await;
    }
}

pub async fn commits_at_the_same_time_all_happen(store: &dyn Store) {
    let no = create(store, "acme").await;
    let hour = spec("hour");
    // Each of eight sends its own events and one that all of them send.
    let sender = async |sender: i64| {
        let mut new = 0;
        for turn in 0..10 {
            let own = format!("{sender}-{turn}");
            let rows = vec![
                event((no, "acme"), &own, 1, minute(1)),
                event((no, "acme"), &format!("shared-{turn}"), 1, minute(1)),
            ];
            let changes = Changes {
                shifts: vec![shift("acme", &hour, between(0, 60), 1, 0)],
                ..Changes::default()
            };
            let (_, seen) = Draft::new().plain(rows).changes(changes).run(store).await;
            new += 2 - seen.duplicates.len();
        }
        new
    };
    let all = tokio::join!(
        sender(0),
        sender(1),
        sender(2),
        sender(3),
        sender(4),
        sender(5),
        sender(6),
        sender(7),
    );
    let new = all.0 + all.1 + all.2 + all.3 + all.4 + all.5 + all.6 + all.7;
    assert_eq!(new, 90, "each shared event is new to one of them");
    assert_eq!(events_of(store, "acme").await.len(), 90);
    assert_eq!(counter_of(store, "acme", &hour, START).await, Some((80, 0)));
}

pub async fn catalogs_are_kept_by_version(store: &dyn Store) {
    assert!(store.catalog(None).await.unwrap().is_none());
    for version in [1, 2] {
        let changes = Changes {
            catalog: Some(catalog(version)),
            ..Changes::default()
        };
        Draft::new().changes(changes).run(store).await;
    }
    let newest = store.catalog(None).await.unwrap().unwrap();
    assert_eq!(newest.version(), 2);
    let first = store.catalog(Some(1)).await.unwrap().unwrap();
    assert_eq!(first.catalog, catalog(1).catalog);
    assert_eq!(first.source, catalog(1).source);
    assert_eq!(first.apply_time, minute(1));
    assert!(store.catalog(Some(3)).await.unwrap().is_none());
}

pub async fn a_catalog_version_is_never_replaced(store: &dyn Store) {
    let storing = |kept: StoredCatalog| Changes {
        catalog: Some(kept),
        ..Changes::default()
    };
    let (first, mut other) = (catalog(1), catalog(1));
    other.source = Arc::from("other");
    Draft::new()
        .changes(storing(first.clone()))
        .run(store)
        .await;
    Draft::new().changes(storing(other)).must_break(store).await;
    let kept = store.catalog(None).await.unwrap().unwrap();
    assert_eq!(kept.source, first.source);
}

pub async fn an_aborted_batch_leaves_nothing_behind(store: &dyn Store) {
    let no = create(store, "acme").await;
    let hour = (spec("hour"), between(0, 60));
    let changes = Changes {
        abort: Some("changed its mind".to_owned()),
        shifts: vec![shift("acme", &hour.0, hour.1, 5, 0)],
        ..Changes::default()
    };
    let first = event((no, "acme"), "e1", 1, minute(1));
    let (outcome, _) = Draft::new()
        .plain(vec![first.clone()])
        .changes(changes)
        .commit(store)
        .await;
    assert!(matches!(outcome, Err(StoreError::Constraint(why)) if why == "changed its mind"));
    assert!(events_of(store, "acme").await.is_empty());
    assert_eq!(counter_of(store, "acme", &hour.0, START).await, None);
    Draft::new().plain(vec![first]).run(store).await;
    assert_eq!(events_of(store, "acme").await.len(), 1);
}
