//! Watchers are told everything first, then what changes, and never miss the end.

use std::time::Duration;

use super::setting::{Setting, customer, feature, subaccount};
use super::usage::{CATALOG, setting};
use crate::domain::quantity::Milli;
use crate::domain::time::Span;
use crate::engine::{Entitled, EntitledAsk, Error, Limits, Watch, WatchUpdate};

fn ask() -> EntitledAsk {
    EntitledAsk {
        customer: customer("acme"),
        subaccount: None,
        features: Vec::new(),
        verbose: false,
    }
}

async fn watch(setting: &Setting, heartbeat: Span) -> Watch {
    setting.engine.watch(ask(), heartbeat).await.unwrap()
}

async fn next(watch: &mut Watch) -> WatchUpdate {
    let told = tokio::time::timeout(Duration::from_secs(10), watch.next());
    told.await.expect("a message in time").unwrap().1
}

fn used(entitled: &[Entitled], of: &str) -> Milli {
    let one = entitled.iter().find(|one| one.feature.id == feature(of));
    one.unwrap().decision.used
}

#[tokio::test]
async fn a_watcher_is_told_everything_and_then_changes() {
    let setting = setting().await;
    setting.used(5).await;
    let mut watch = watch(&setting, Span::from_minutes(5)).await;
    let WatchUpdate::Snapshot(all) = next(&mut watch).await else {
        panic!("the first message is a snapshot");
    };
    let ids: Vec<&str> = all.iter().map(|one| one.feature.id.as_str()).collect();
    assert_eq!(ids, ["jobs", "large", "sso", "tokens"]);
    assert_eq!(used(&all, "tokens"), Milli(5_000));
    setting.used(2).await;
    let WatchUpdate::Change { entitled, removed } = next(&mut watch).await else {
        panic!("usage changes a decision");
    };
    assert_eq!((entitled.len(), removed.len()), (1, 0));
    assert_eq!(used(&entitled, "tokens"), Milli(7_000));
}

#[tokio::test]
async fn a_slow_watcher_is_told_the_newest_state_once() {
    let setting = setting().await;
    let mut watch = watch(&setting, Span::from_millis(300)).await;
    next(&mut watch).await;
    for _ in 0..50 {
        setting.used(1).await;
    }
    let WatchUpdate::Change { entitled, .. } = next(&mut watch).await else {
        panic!("usage changes a decision");
    };
    assert_eq!(used(&entitled, "tokens"), Milli(50_000));
    assert_eq!(next(&mut watch).await, WatchUpdate::Heartbeat);
}

#[tokio::test]
async fn a_watcher_that_waits_is_woken_by_a_commit() {
    let setting = setting().await;
    let mut watch = watch(&setting, Span::from_minutes(5)).await;
    next(&mut watch).await;
    let engine = setting.engine.clone();
    let told = tokio::spawn(async move { (next(&mut watch).await, engine) });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!told.is_finished());
    setting.reserve("jobs", 1, None).await;
    let (WatchUpdate::Change { entitled, .. }, engine) = told.await.unwrap() else {
        panic!("a reservation changes a decision");
    };
    assert_eq!(used(&entitled, "jobs"), Milli(1_000));
    assert_eq!(engine.shared.watchers.seats(), 0, "the place is given up");
}

#[tokio::test]
async fn a_new_catalog_and_the_end_of_a_window_are_told() {
    let setting = setting().await;
    setting.used(5).await;
    let mut watch = watch(&setting, Span::from_millis(300)).await;
    next(&mut watch).await;
    let smaller = CATALOG.replace("sso = true", "");
    setting.apply(&smaller).await.unwrap();
    let WatchUpdate::Change { entitled, removed } = next(&mut watch).await else {
        panic!("a catalog changes rights");
    };
    assert_eq!((entitled.len(), removed), (0, vec![feature("sso")]));
    setting.pass(40, 0);
    let WatchUpdate::Change { entitled, .. } = next(&mut watch).await else {
        panic!("a window ended");
    };
    assert_eq!(used(&entitled, "tokens"), Milli::ZERO);
}

#[tokio::test]
async fn watchers_end_when_the_service_stops_and_are_bounded() {
    let setting = setting().await;
    let most = Limits::default().watchers_per_customer;
    let mut watches = Vec::new();
    for _ in 0..most {
        watches.push(watch(&setting, Span::from_minutes(5)).await);
    }
    let crowded = setting.engine.watch(ask(), Span::from_minutes(5)).await;
    assert!(matches!(crowded, Err(Error::Overloaded { .. })));
    watches.truncate(1);
    let mut last = watches.remove(0);
    next(&mut last).await;
    let told = tokio::spawn(async move { last.next().await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    setting.engine.drain();
    assert!(matches!(told.await.unwrap(), Err(Error::Draining)));
}

#[tokio::test]
async fn entitlements_are_listed_page_by_page() {
    let setting = setting().await;
    let first = setting.engine.entitlements(&ask(), None, 3).await.unwrap();
    assert_eq!(first.next.as_deref(), Some("sso"));
    let rest = setting.engine.entitlements(&ask(), Some("sso"), 3).await;
    let rest = rest.unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
    assert!(rest.items[0].decision.allowed && !rest.items[0].overridden);
    let mut below = ask();
    below.subaccount = Some(subaccount("nobody"));
    let refused = setting.engine.entitlements(&below, None, 3).await;
    assert_eq!(super::setting::cause(refused), "no subaccount");
}
