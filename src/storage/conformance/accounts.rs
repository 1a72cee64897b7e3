//! What decisions about one customer read.

use std::sync::Arc;

use super::fixture::{
    Draft, START, between, counter, create, customer, customer_id, customer_write, held, labels,
    minute, reservation, set, spec, subaccount_id,
};
use crate::domain::catalog::{EntitlementSpec, Interval, Limit, MeteredSpec, Mode, OnLimit};
use crate::domain::counter::CounterSpec;
use crate::domain::customer::{Adjustment, Allocation, Override, Subaccount};
use crate::domain::id::{AllocationId, FeatureId, PlanId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::{ItemHold, ReservationState, ReservedItem};
use crate::domain::subscription::{Subscription, SubscriptionStatus};
use crate::domain::window::Window;
use crate::storage::{AccountRows, Changes, CustomerWrite, Store};

async fn account(store: &dyn Store, id: &str) -> AccountRows {
    let found = store.account(&customer_id(id), START).await.unwrap();
    found.unwrap()
}

async fn write(store: &dyn Store, changes: Changes) {
    Draft::new().changes(changes).run(store).await;
}

fn feature(id: &str) -> FeatureId {
    FeatureId::new(id).unwrap()
}

fn subscription() -> Subscription {
    Subscription {
        plan: PlanId::new("pro").unwrap(),
        catalog_version: 3,
        status: SubscriptionStatus::PastDue,
        interval: Interval::Year,
        anchor: minute(17),
        trial_end: Some(minute(18)),
        grace_end: Some(minute(19)),
        start_time: minute(21),
        update_time: minute(20),
        stripe: None,
    }
}

fn subaccount(id: &str) -> Subaccount {
    Subaccount {
        id: subaccount_id(id),
        display_name: Box::from("An agent"),
        metadata: labels(&[("team", "blue")]),
        create_time: minute(1),
        update_time: minute(2),
        delete_time: None,
    }
}

fn overriding(of: &str, subaccount: Option<SubaccountId>, spec: EntitlementSpec) -> Override {
    Override {
        feature: feature(of),
        subaccount,
        spec,
        expire_time: Some(minute(-5)),
        note: Box::from("a \"note\""),
        create_time: minute(2),
    }
}

fn limited() -> EntitlementSpec {
    EntitlementSpec::Metered(MeteredSpec {
        limits: vec![Limit {
            amount: Some(5),
            window: Window::Day,
            on_limit: OnLimit::AllowUpTo(2),
            mode: Mode::Observe,
        }],
        ..MeteredSpec::default()
    })
}

fn allocation(of: &str, id: &str) -> Allocation {
    Allocation {
        feature: feature(of),
        id: AllocationId::new(id).unwrap(),
        subaccount: Some(subaccount_id("s1")),
        metadata: labels(&[("k", "v")]),
        create_time: minute(3),
    }
}

fn adjustment(of: &str, baseline: i64, amount: Option<Milli>) -> Adjustment {
    Adjustment {
        feature: feature(of),
        spec: spec("hour"),
        start: START,
        since: None,
        baseline: Milli(baseline),
        amount,
    }
}

pub async fn an_unknown_customer_has_no_account(store: &dyn Store) {
    create(store, "acme").await;
    for id in ["acm", "acme2", "ACME"] {
        let found = store.account(&customer_id(id), START).await.unwrap();
        assert!(found.is_none(), "{id}");
    }
    let (_, seen) = Draft::new().load("nobody").load("acme").run(store).await;
    assert!(seen.accounts[0].rows().is_none() && seen.accounts[1].rows().is_some());
}

/// Writes one of everything.
async fn write_all(store: &dyn Store) -> Changes {
    let acme = || customer_id("acme");
    let mut who = customer("acme");
    who.email = Box::from("a@example.org");
    who.metadata = labels(&[("region", "eu"), ("n", "1")]);
    who.update_time = minute(4);
    let mut gone = subaccount("s2");
    gone.delete_time = Some(minute(9));
    let hour = spec("hour");
    let mut open = reservation("r1", START, 5, vec![held(&hour, START)]);
    open.subaccount = Some(subaccount_id("s1"));
    open.items.push(ReservedItem {
        feature: feature("jobs"),
        granted: 2,
        dimensions: labels(&[]),
        hold: ItemHold::Slots,
        pledge: None,
    });
    open.items.push(ReservedItem {
        feature: feature("beta"),
        granted: 0,
        dimensions: labels(&[]),
        hold: ItemHold::Right,
        pledge: None,
    });
    let make = || Changes {
        customers: vec![CustomerWrite {
            customer: who.clone(),
            subscription: Some(subscription()),
            tracked: vec![spec("5h"), spec("hour")],
        }],
        subaccounts: vec![
            (acme(), subaccount("s1"), vec![spec("day")]),
            (acme(), gone.clone(), vec![]),
        ],
        counters: vec![set("acme", counter(&hour, between(0, 60), 3, 5))],
        reservations: vec![(acme(), open.clone())],
        allocations: vec![
            (acme(), allocation("seats", "a")),
            (acme(), allocation("seats", "b")),
        ],
        overrides: vec![
            (acme(), overriding("chat", None, limited())),
            (
                acme(),
                overriding(
                    "chat",
                    Some(subaccount_id("s1")),
                    EntitlementSpec::Concurrency(None),
                ),
            ),
        ],
        adjustments: vec![(
            acme(),
            vec![
                adjustment("chat", 7, Some(Milli(9))),
                adjustment("code", -1, None),
            ],
        )],
        ..Changes::default()
    };
    write(store, make()).await;
    make()
}

/// Compares an account with the changes that made it.
fn compare(found: &AccountRows, made: &Changes) {
    let wrote = &made.customers[0];
    assert_eq!(found.customer, wrote.customer);
    assert_eq!(found.subscription, wrote.subscription);
    assert_eq!(sorted(&found.tracked), sorted(&wrote.tracked));
    assert_eq!(found.counters, [made.counters[0].row.clone()]);
    assert_eq!(found.reservations, [made.reservations[0].1.clone()]);
    let mut allocations = found.allocations.clone();
    allocations.sort_by_key(|row| row.id.clone());
    let expected: Vec<_> = made.allocations.iter().map(|row| row.1.clone()).collect();
    assert_eq!(allocations, expected);
    let mut overrides = found.overrides.clone();
    overrides.sort_by_key(|row| row.subaccount.clone());
    let expected: Vec<_> = made.overrides.iter().map(|row| row.1.clone()).collect();
    assert_eq!(overrides, expected);
    assert_eq!(found.adjustments, made.adjustments[0].1);
    let mut below: Vec<_> = found.subaccounts.iter().collect();
    below.sort_by_key(|row| row.subaccount.id.clone());
    assert_eq!(below.len(), made.subaccounts.len());
    for (row, (_, subaccount, tracked)) in below.iter().zip(&made.subaccounts) {
        assert_eq!(row.subaccount, *subaccount);
        assert_eq!(sorted(&row.tracked), sorted(tracked));
    }
}

fn sorted(specs: &[Arc<CounterSpec>]) -> Vec<Arc<CounterSpec>> {
    let mut specs = specs.to_vec();
    specs.sort();
    specs
}

pub async fn an_account_is_complete(store: &dyn Store) {
    let made = write_all(store).await;
    create(store, "bolt").await;
    compare(&account(store, "acme").await, &made);
    let other = account(store, "bolt").await;
    assert!(other.counters.is_empty() && other.reservations.is_empty());
    assert!(other.allocations.is_empty() && other.subaccounts.is_empty());
    assert!(other.overrides.is_empty() && other.adjustments.is_empty());
}

pub async fn a_batch_loads_the_same_account(store: &dyn Store) {
    let made = write_all(store).await;
    let (_, seen) = Draft::new().load("acme").run(store).await;
    let loaded = seen.accounts[0].rows().unwrap();
    compare(loaded, &made);
    assert_eq!(loaded.no, account(store, "acme").await.no);
    let late = Draft::new().at(minute(60)).load("acme");
    let (_, seen) = late.run(store).await;
    let loaded = seen.accounts[0].rows().unwrap();
    assert!(loaded.counters.is_empty(), "ended by the batch's own now");
}

pub async fn a_customer_is_replaced_whole(store: &dyn Store) {
    let made = write_all(store).await;
    let changes = Changes {
        customers: vec![customer_write("acme")],
        ..Changes::default()
    };
    write(store, changes).await;
    let found = account(store, "acme").await;
    assert_eq!(found.customer, customer("acme"));
    assert_eq!(found.subscription, None);
    assert!(found.tracked.is_empty());
    // What hangs on it stays.
    assert_eq!(found.reservations, [made.reservations[0].1.clone()]);
    assert_eq!(found.counters.len(), 1);
    assert_eq!(found.subaccounts.len(), 2);
}

pub async fn a_subaccount_is_replaced_whole(store: &dyn Store) {
    write_all(store).await;
    let mut other = subaccount("s1");
    other.display_name = Box::from("Another");
    other.metadata = labels(&[]);
    other.delete_time = Some(minute(30));
    let tracked = vec![spec("30m"), spec("lifetime")];
    let changes = Changes {
        subaccounts: vec![(customer_id("acme"), other.clone(), tracked.clone())],
        ..Changes::default()
    };
    write(store, changes).await;
    let found = account(store, "acme").await.subaccounts;
    assert_eq!(found.len(), 2);
    let row = found.iter().find(|row| row.subaccount.id == other.id);
    let row = row.unwrap();
    assert_eq!(row.subaccount, other);
    assert_eq!(sorted(&row.tracked), sorted(&tracked));
}

pub async fn overrides_are_replaced_and_removed(store: &dyn Store) {
    write_all(store).await;
    let acme = || customer_id("acme");
    let other = overriding("chat", None, EntitlementSpec::Boolean(true));
    let changes = Changes {
        overrides: vec![(acme(), other.clone())],
        removed_overrides: vec![
            (acme(), feature("chat"), Some(subaccount_id("s1"))),
            (acme(), feature("nothing"), None),
        ],
        ..Changes::default()
    };
    write(store, changes).await;
    assert_eq!(account(store, "acme").await.overrides, [other]);
}

pub async fn adjustments_replace_one_another(store: &dyn Store) {
    write_all(store).await;
    let acme = || customer_id("acme");
    for rows in [vec![adjustment("chat", 1, None)], vec![]] {
        let changes = Changes {
            adjustments: vec![(acme(), rows.clone())],
            ..Changes::default()
        };
        write(store, changes).await;
        assert_eq!(account(store, "acme").await.adjustments, rows);
    }
}

pub async fn allocations_come_and_go(store: &dyn Store) {
    write_all(store).await;
    let acme = || customer_id("acme");
    let mut other = allocation("seats", "b");
    other.subaccount = None;
    other.metadata = labels(&[]);
    let freed = |id| (acme(), feature("seats"), AllocationId::new(id).unwrap());
    let changes = Changes {
        allocations: vec![(acme(), other.clone())],
        deallocations: vec![freed("a"), freed("never-was")],
        ..Changes::default()
    };
    write(store, changes).await;
    assert_eq!(account(store, "acme").await.allocations, [other]);
}

pub async fn reservations_leave_the_account_when_they_end(store: &dyn Store) {
    create(store, "acme").await;
    let acme = || customer_id("acme");
    let mut rows = Vec::new();
    for id in ["open", "committed", "released", "expired", "overdue"] {
        rows.push((acme(), reservation(id, minute(-120), 1, Vec::new())));
    }
    rows[0].1.expire_time = minute(60);
    let all = Changes {
        reservations: rows.clone(),
        ..Changes::default()
    };
    write(store, all).await;
    assert_eq!(account(store, "acme").await.reservations.len(), 5);
    let ends = [
        (1, ReservationState::Committed),
        (2, ReservationState::Released),
        (3, ReservationState::Expired),
    ];
    for (index, state) in ends {
        rows[index].1.state = state;
        rows[index].1.end_time = Some(START);
    }
    let ended = Changes {
        reservations: rows[1..4].to_vec(),
        ..Changes::default()
    };
    write(store, ended).await;
    let mut left = account(store, "acme").await.reservations;
    left.sort_by_key(|held| held.id.clone());
    assert_eq!(left, [rows[0].1.clone(), rows[4].1.clone()]);
}

pub async fn a_deleted_customer_is_still_read(store: &dyn Store) {
    write_all(store).await;
    let mut write_of = customer_write("acme");
    write_of.customer.delete_time = Some(minute(50));
    let changes = Changes {
        customers: vec![write_of.clone()],
        ..Changes::default()
    };
    write(store, changes).await;
    let found = account(store, "acme").await;
    assert_eq!(found.customer, write_of.customer);
}
