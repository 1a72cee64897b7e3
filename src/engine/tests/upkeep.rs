//! Chores: overdue reservations end, recovery is noticed, idle customers go, and nothing is lost by it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::failing::{Failing, Failure};
use super::setting::{customer, start, stored_catalog};
use super::usage::{CATALOG, setting};
use crate::clock::{Clock, ManualClock};
use crate::domain::id::RequestId;
use crate::domain::quantity::Milli;
use crate::domain::reservation::{Reservation, ReservationState};
use crate::engine::{Chores, Engine, Limits, Profile};
use crate::storage::memory::MemoryStore;
use crate::storage::{ReservationQuery, Store};

fn busy() -> Chores {
    let often = Duration::from_millis(5);
    Chores {
        sweep: often,
        denials: often,
        evict: often,
        customers_kept: 0,
        clock: often,
        trim: often,
        trim_pause: often,
        probe: often,
        ..Chores::default()
    }
}

/// Does chores often until the returned token is cancelled.
fn run(engine: &Engine) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stop = CancellationToken::new();
    let chores = engine.clone().run_chores(busy(), None, stop.clone());
    (stop, tokio::spawn(chores))
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come true");
}

fn reservations(state: Option<ReservationState>) -> ReservationQuery {
    ReservationQuery {
        customer: customer("acme"),
        id: None,
        subaccount: None,
        state,
        holder: None,
        after: None,
        limit: 10,
    }
}

#[tokio::test]
async fn the_sweep_frees_what_nobody_renews() {
    let setting = setting().await;
    for _ in 0..2 {
        assert!(setting.reserve("jobs", 1, None).await.reservation.is_some());
    }
    let full = setting.reserve("jobs", 1, None).await;
    assert!(full.reservation.is_none());
    setting.pass(2, 0);
    let (stop, task) = run(&setting.engine);
    let written = reservations(Some(ReservationState::Expired));
    eventually("the end of both", async || {
        let page = setting.store.reservations(written.clone()).await;
        page.unwrap().items.len() == 2
    })
    .await;
    assert!(setting.reserve("jobs", 2, None).await.reservation.is_some());
    stop.cancel();
    task.await.unwrap();
    setting.counters_are_right().await;
}

#[tokio::test]
async fn lists_show_what_is_overdue_as_expired() {
    let setting = setting().await;
    setting.reserve("jobs", 1, None).await;
    setting.pass(2, 0);
    setting.reserve("jobs", 1, None).await;
    for (state, count) in [
        (Some(ReservationState::Open), 1),
        (Some(ReservationState::Expired), 1),
        (Some(ReservationState::Released), 0),
        (None, 2),
    ] {
        let page = setting.engine.reservations(reservations(state)).await;
        let items = page.unwrap().items;
        assert_eq!(items.len(), count, "{state:?}");
        assert!(
            items
                .iter()
                .all(|held| state.is_none_or(|s| s == held.state))
        );
    }
    setting.pass(2, 0);
    setting.engine.drain();
    let page = setting.engine.reservations(reservations(None)).await;
    let expired = |held: &Reservation| held.state == ReservationState::Expired;
    assert!(page.unwrap().items.iter().all(expired));
}

#[tokio::test]
async fn letting_go_of_customers_loses_nothing() {
    let setting = setting().await;
    let (stop, task) = run(&setting.engine);
    for nth in 0..200 {
        setting.used(1).await;
        if nth % 3 == 0 {
            setting.engine.shared.accounts.evict_idle();
            setting.engine.shared.accounts.evict_idle();
            tokio::task::yield_now().await;
        }
    }
    stop.cancel();
    task.await.unwrap();
    let used = setting.look("tokens", None).await.limits[0].used;
    assert_eq!(used, Milli(200_000));
    setting.counters_are_right().await;
}

#[tokio::test]
async fn recovery_is_noticed_without_traffic() {
    let clock = Arc::new(ManualClock::at(start()));
    let told = Arc::clone(&clock);
    let store = Arc::new(Failing::new(MemoryStore::new(Arc::new(move || told.now()))));
    let (engine, committer) = Engine::start(
        Arc::clone(&store) as Arc<dyn Store>,
        clock,
        stored_catalog(CATALOG, 0),
        Limits::default(),
    );
    let create = async |id: &str| {
        let request = RequestId::new(id).unwrap();
        let made = engine.create_customer("t", request, customer(id), Profile::default());
        made.await
    };
    create("acme").await.unwrap();
    let (stop, task) = run(&engine);
    store.fail(Failure::All);
    eventually("the outage", async || {
        engine.shared.outage.since().is_some()
    })
    .await;
    assert!(create("bolt").await.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(engine.shared.outage.since().is_some());
    store.work();
    eventually("recovery", async || engine.shared.outage.since().is_none()).await;
    create("bolt").await.unwrap();
    stop.cancel();
    task.await.unwrap();
    drop(engine);
    committer.await.unwrap();
}
