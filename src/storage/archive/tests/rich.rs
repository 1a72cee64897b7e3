//! A store with something of everything, and what is hard to copy of it.

use std::sync::Arc;

use super::{Kind, Place, WAYS, archive, restore, transfer};
use crate::domain::catalog::{EntitlementSpec, Interval};
use crate::domain::counter::Ring;
use crate::domain::customer::{Allocation, Override, Subaccount};
use crate::domain::id::{AllocationId, FeatureId, PlanId};
use crate::domain::quantity::Milli;
use crate::domain::subscription::{Subscription, SubscriptionStatus};
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::domain::wallet::{BookChanges, Source};
use crate::domain::window::TimeRange;
use crate::storage::archive::{Scope, Table};
use crate::storage::conformance::billing::document;
use crate::storage::conformance::fixture::purse::{charge, hold_id, posted, rich};
use crate::storage::conformance::fixture::{
    self, Draft, START, answer, between, counter, customer_id, customer_write, day, event, held,
    labels, meter, minute, reservation, rollups_of, set, spec, spec_where, subaccount_id,
};
use crate::storage::{
    BillingKind, Changes, Denial, EventRow, Store, StoredCatalog, UsageQuery, Use,
};

/// Texts that formats like to trip over.
const ODD: &str = "tab\tline\nreturn\r back\\slash \\N \\. \"quoted\" 'single' , ; é 語 \u{2028}";

fn catalog(version: i64) -> StoredCatalog {
    StoredCatalog {
        source: Arc::from(format!("# {ODD}\nversion = {version}\n")),
        ..fixture::catalog(version)
    }
}

fn people() -> Changes {
    let mut acme = customer_write("acme");
    acme.customer.display_name = Box::from(ODD);
    acme.customer.metadata = labels(&[("note", ODD)]);
    acme.tracked = vec![spec("day"), spec("5h"), long_spec()];
    acme.subscription = Some(Subscription {
        plan: PlanId::new("pro").unwrap(),
        catalog_version: 2,
        status: SubscriptionStatus::PastDue,
        interval: Interval::Month,
        anchor: START,
        trial_end: None,
        grace_end: Some(day(3)),
        start_time: START,
        update_time: minute(5),
        stripe: None,
    });
    let mut gone = customer_write("gone");
    gone.customer.delete_time = Some(minute(9));
    let part = Subaccount {
        id: subaccount_id("agent"),
        display_name: Box::from(ODD),
        metadata: Labels::new(),
        create_time: START,
        update_time: START,
        delete_time: Some(minute(2)),
    };
    let allocation = Allocation {
        feature: FeatureId::new("seats").unwrap(),
        id: AllocationId::new("seat/1").unwrap(),
        subaccount: Some(subaccount_id("agent")),
        metadata: labels(&[("note", ODD)]),
        create_time: START,
    };
    let grant = Override {
        feature: FeatureId::new("seats").unwrap(),
        subaccount: None,
        spec: EntitlementSpec::Concurrency(Some(9)),
        expire_time: Some(day(30)),
        note: Box::from(ODD),
        create_time: START,
    };
    let id = || customer_id("acme");
    Changes {
        customers: vec![acme, gone, customer_write("Zoë".replace('ë', "e").as_str())],
        subaccounts: vec![(id(), part, vec![spec("day")])],
        allocations: vec![(id(), allocation)],
        overrides: vec![(id(), grant)],
        catalog: Some(catalog(2)),
        ..Changes::default()
    }
}

/// A counter whose description is too long for an index.
fn long_spec() -> Arc<crate::domain::counter::CounterSpec> {
    let pairs: Vec<(String, String)> = (0..20)
        .map(|at| (format!("dimension{at:02}"), "x".repeat(100)))
        .collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (&**a, &**b)).collect();
    spec_where("day", &pairs)
}

fn usage(acme: i64) -> Vec<EventRow> {
    let of = (acme, "acme");
    let long = "y".repeat(1_500);
    let mut odd = event(of, "odd", 7, day(2)).with(&[("model", ODD), ("user", &long)]);
    odd.event.metadata = labels(&[("note", ODD)]);
    odd.event.event_time = None;
    let mut rows = vec![
        event(of, "0190b7a4-6f0e-7c3a-9d2e-5b8f1a2c0001", 5, day(1)).of_subaccount("agent"),
        event(of, "late", 3, day(1)).received(day(9)),
        event(of, "ahead", 2, day(4)).received(minute(3 * 1440 - 4)),
        odd,
    ];
    rows.push(rows[1].voided(day(10)));
    rows.push(event(of, "fresh", 1, day(11)).with(&[("model", ODD), ("user", &"z".repeat(1_500))]));
    rows.last_mut().unwrap().charge = Some(charge(9));
    rows.push(event(of, "fresher", 1, day(11)).of_meter("calls"));
    rows
}

/// Wallets with texts that are hard to copy.
fn credits() -> BookChanges {
    let mut changes = rich(day(41));
    for posted in &mut changes.posted {
        posted.about.note = Box::from(ODD);
    }
    for (_, grant) in &mut changes.grants {
        if grant.source == Source::Stripe {
            grant.reference = ODD.repeat(20).into();
        }
    }
    changes
}

/// Fills an empty store.
pub(super) async fn fill(store: &dyn Store) {
    let first = Changes {
        catalog: Some(catalog(1)),
        ..Changes::default()
    };
    Draft::new().changes(first).run(store).await;
    let (committed, _) = Draft::new().changes(people()).run(store).await;
    let mut created = committed.created.iter();
    let acme = created.find(|(id, _)| id.as_str() == "acme").unwrap().1;
    let rows = usage(acme);
    let mut ring = counter(&spec("5h"), TimeRange::ALWAYS, 0, 4);
    ring.used = Use::Rolling(Ring(vec![(7, Milli(-3)), (9, Milli(5_000))]));
    let hour = spec("hour");
    let mut open = reservation("open", minute(1), 4, vec![held(&hour, minute(0))]);
    open.holder = Box::from(ODD);
    open.subaccount = Some(subaccount_id("agent"));
    let changes = Changes {
        rollups: rollups_of(&rows),
        reservations: vec![(customer_id("acme"), open)],
        counters: vec![
            set("acme", ring),
            set("acme", counter(&hour, between(0, 60), 2, 4)),
            set(
                "acme",
                counter(&long_spec(), between(0, 1440), i64::MAX / 1000, 0),
            ),
            set(
                "acme",
                counter(&spec("day"), between(0, 1440), i64::MAX / 1000, 0),
            ),
            set("acme", counter(&spec("day"), between(1440, 2880), 5, 0)),
        ],
        ..Changes::default()
    };
    let batch = Draft::new().at(day(11)).plain(rows).changes(changes);
    batch.run(store).await;
    // Far enough that some events go, and their counters keep what they were.
    while store.trim(day(42), Span::from_days(36)).await.unwrap() {}
    let kept = Changes {
        answers: vec![answer("r-1", ODD)],
        books: vec![(customer_id("acme"), credits())],
        billing: vec![
            document(BillingKind::Chunk, "c-1", Some("acme"), 1),
            document(BillingKind::Webhook, ODD, None, 2),
        ],
        ..Changes::default()
    };
    Draft::new().at(day(41)).changes(kept).run(store).await;
    let denial = Denial {
        customer: customer_id("stranger"),
        feature: FeatureId::new("chat").unwrap(),
        reason: Box::from("CUSTOMER_UNKNOWN"),
        minute: day(30),
        count: 12,
        sample: Box::from(ODD),
    };
    store.log_denials(vec![denial]).await.unwrap();
}

/// Writes down what only lists show of it.
async fn shown(store: &dyn Store) -> String {
    let mut account = store
        .account(&customer_id("acme"), day(1))
        .await
        .unwrap()
        .unwrap();
    account.no = 0;
    account.version = 0;
    account
        .counters
        .sort_by_key(|row| (row.spec.clone(), row.start));
    account
        .wallets
        .sort_by(|one, other| one.key().cmp(other.key()));
    let mut credits = Vec::new();
    for wallet in &account.wallets {
        credits.push(posted(store, "acme", wallet.key().clone()).await);
    }
    let mut held = Vec::new();
    for id in ["open", "part", "back", "chat"] {
        let customer = customer_id("acme");
        held.push(store.hold(&customer, &hold_id(id)).await.unwrap().unwrap());
    }
    let mut events = crate::storage::conformance::fixture::events_of(store, "acme").await;
    for one in &mut events {
        one.row.customer = 0;
    }
    let mut catalogs = Vec::new();
    for version in [Some(1), Some(2), None, Some(3)] {
        let found = store.catalog(version).await.unwrap();
        catalogs.push(found.map(|one| (one.version(), one.source, one.apply_time)));
    }
    let query = UsageQuery {
        customer: customer_id("acme"),
        subaccount: None,
        meter: Arc::new(meter()),
        steps: vec![TimeRange {
            start: START,
            end: day(12),
        }],
        group_by: vec![Box::from("model"), Box::from("user")],
        filter: Labels::new(),
    };
    let usage = store.usage(query).await.unwrap();
    format!("{account:#?}\n{events:#?}\n{catalogs:#?}\n{usage:#?}\n{credits:#?}\n{held:#?}")
}

#[tokio::test]
async fn a_copy_has_something_of_everything() {
    for (from, to) in WAYS {
        let places = [
            Place::empty(from).await,
            Place::empty(to).await,
            Place::empty(to).await,
        ];
        let [from, by_file, direct] = &places;
        let original = from.open().await.unwrap();
        fill(&*original).await;
        let filled = from.tally().await;
        for table in Table::ALL {
            let is_empty = filled.of(table).rows == 0;
            assert_eq!(is_empty, table == Table::Adjustments, "{}", table.name());
        }
        let bytes = archive(from).await;
        for part in ["\"dropped\":", "\"ring\":[[", "\"kind\":1", "\"charge\":{"] {
            let found = bytes
                .windows(part.len())
                .any(|window| window == part.as_bytes());
            assert!(found, "the archive has no {part}");
        }
        restore(&bytes, by_file).await.unwrap();
        let copied = transfer(from, direct).await.unwrap();
        assert_eq!(copied.customers, Some(3));
        let expected = shown(&*original).await;
        for copy in [by_file, direct] {
            assert_eq!(copy.tally().await, filled);
            assert_eq!(shown(&*copy.open().await.unwrap()).await, expected);
        }
    }
}

#[tokio::test]
async fn both_databases_send_the_same_of_a_time_and_a_customer() {
    let sqlite = Place::empty(Kind::Sqlite).await;
    fill(&*sqlite.open().await.unwrap()).await;
    let postgres = Place::empty(Kind::Postgres).await;
    transfer(&sqlite, &postgres).await.unwrap();
    for (customer, start, end, events) in [
        (Some("acme"), START, Timestamp::MAX, 4),
        (None, day(1), day(2), 2),
        (Some("gone"), START, Timestamp::MAX, 0),
        (Some("nobody"), START, Timestamp::MAX, 0),
    ] {
        let scope = Scope {
            tables: vec![Table::Rollups, Table::Events],
            range: TimeRange { start, end },
            customer: customer.map(customer_id),
        };
        let mut tallies = Vec::new();
        for place in [&sqlite, &postgres] {
            let mut tally = super::Tally::default();
            place
                .snapshot()
                .await
                .send(&scope, &mut tally)
                .await
                .unwrap();
            tallies.push(tally);
        }
        assert_eq!(tallies[0], tallies[1], "{scope:?}");
        assert_eq!(tallies[0].of(Table::Events).rows, events, "{scope:?}");
    }
}
