//! Commits that fail: memory says afterwards what the store says, and what nobody knew is done once.

use super::failing::Failure;
use super::setting::{CATALOG, Setting, customer, plan};
use crate::domain::time::Span;
use crate::engine::ProfileChange;

/// As [`CATALOG`], with one window more to count.
fn with_hours() -> String {
    let month = r#"tokens = { limits = [{ amount = 100, window = "month" }] }"#;
    let both = r#"tokens = { limits = [{ amount = 100, window = "month" }, { amount = 90, window = "hour" }] }"#;
    assert!(CATALOG.contains(month));
    CATALOG.replacen(month, both, 1)
}

async fn touch(setting: &Setting) {
    let change = ProfileChange {
        display_name: Some("Bea".into()),
        ..ProfileChange::default()
    };
    let (acme, request) = (customer("acme"), setting.fresh());
    let update = setting.engine.update_customer("t", request, &acme, change);
    update.await.unwrap();
}

#[tokio::test]
async fn counters_that_could_not_be_begun_are_begun_later() {
    for failure in [Failure::Commits, Failure::OneIsLost, Failure::OneIsDone] {
        let setting = Setting::new().await;
        setting.used(30).await;
        assert!(setting.hold(10, None).await);
        setting.apply(&with_hours()).await.unwrap();
        setting.store.fail(failure);
        // What needs the new counter begins it, and fails or is told later.
        let _ = setting.try_hold(1).await;
        setting.store.work();
        touch(&setting).await;
        let seen = setting.look("tokens", None).await;
        let hour = seen
            .limits
            .iter()
            .find(|limit| limit.amount == Some(90))
            .unwrap();
        assert_eq!(hour.used.units_up(), 30, "{failure:?}");
        setting.counters_are_right().await;
    }
}

#[tokio::test]
async fn a_batch_of_unknown_outcome_is_done_once() {
    for failure in [Failure::OneIsLost, Failure::OneIsDone] {
        let setting = Setting::new().await;
        setting.assign(plan("carry")).await.unwrap();
        setting.store.fail(failure);
        setting.used(30).await;
        setting.store.fail(failure);
        assert!(setting.hold(10, None).await);
        setting.store.fail(failure);
        touch(&setting).await;
        let seen = setting.look("tokens", None).await;
        assert_eq!(seen.used.units_up(), 30, "{failure:?}");
        assert_eq!(seen.reserved.units_up(), 10, "{failure:?}");
        setting.counters_are_right().await;
    }
}

#[tokio::test]
async fn what_could_not_be_committed_is_forgotten() {
    let setting = Setting::new().await;
    setting.assign(plan("carry")).await.unwrap();
    setting.used(30).await;
    setting.store.fail(Failure::Commits);
    assert!(setting.try_hold(10).await.is_err());
    assert!(setting.try_hold(20).await.is_err());
    setting.store.work();
    setting.clock.advance(Span::from_secs(1));
    let seen = setting.look("tokens", None).await;
    assert_eq!((seen.used.units_up(), seen.reserved.units_up()), (30, 0));
    assert!(setting.hold(570, None).await, "nothing of it is held");
    setting.counters_are_right().await;
}

#[tokio::test]
async fn what_could_not_be_committed_still_serves_checks_while_nothing_can_be_read() {
    let setting = Setting::new().await;
    setting.assign(plan("carry")).await.unwrap();
    setting.used(30).await;
    setting.store.fail(Failure::Commits);
    assert!(setting.try_hold(10).await.is_err());
    setting.store.fail(Failure::All);
    let seen = setting.look("tokens", None).await;
    assert!(seen.degraded);
    assert_eq!(seen.used.units_up(), 30, "it is not unknown");
    setting.store.work();
    let seen = setting.look("tokens", None).await;
    assert_eq!((seen.used.units_up(), seen.reserved.units_up()), (30, 0));
}
