//! A limit is cut while several replicas serve it: from the cut's answer on, what is granted fits under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bursar::grpc::pb;
use pb::catalog_service_client::CatalogServiceClient;
use pb::entitlement_service_client::EntitlementServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::fleet::{CATALOG, Fleet, cluster, connect, reserve, run};

const AT_MOST: Duration = Duration::from_mins(3);
/// Clients at a time, and units that each takes at once: together more than the limit will be.
const CLIENTS: usize = 24;
const UNITS: i64 = 15;
/// How long they hold them.
const HELD: Duration = Duration::from_millis(300);
/// The limit after the cut.
const LEFT: i64 = 100;

/// What the clients know.
#[derive(Default)]
struct Known {
    is_cut: AtomicBool,
    is_over: AtomicBool,
    /// Units held: raised after a grant, lowered before a release.
    held: AtomicI64,
    /// The most that was held when something was granted that was asked for after the cut.
    worst: AtomicI64,
}

/// Takes and gives back units until it is over.
async fn work(mut service: EntitlementServiceClient<Channel>, client: usize, known: Arc<Known>) {
    let mut number = 0;
    while !known.is_over.load(Ordering::SeqCst) {
        number += 1;
        let name = format!("c{client}-{number}");
        let was_cut = known.is_cut.load(Ordering::SeqCst);
        let answer = service
            .reserve(reserve(&name, "acme", "tokens", UNITS))
            .await;
        let Some(made) = answer.unwrap().into_inner().reservation else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let now = known.held.fetch_add(UNITS, Ordering::SeqCst) + UNITS;
        if was_cut {
            known.worst.fetch_max(now, Ordering::SeqCst);
        }
        tokio::time::sleep(HELD).await;
        known.held.fetch_sub(UNITS, Ordering::SeqCst);
        let release = pb::ReleaseReservationRequest {
            request_id: format!("{name}-end"),
            customer_id: "acme".to_owned(),
            reservation_id: made.reservation_id,
        };
        service.release_reservation(release).await.unwrap();
    }
}

/// Has the limit cut while all work, and looks at what is granted afterwards.
async fn cut(make: impl AsyncFnOnce(&Fleet)) {
    let thousand = CATALOG.replace("10_000", "1_000");
    let fleet = Fleet::with(cluster(), 3, &thousand, |_| {}).await;
    fleet.create("acme").await;
    let known = Arc::new(Known::default());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let service = fleet.entitlements(client % 3).await;
        clients.spawn(work(service, client, Arc::clone(&known)));
    }
    let pause = async || tokio::time::sleep(Duration::from_millis(10)).await;
    while known.held.load(Ordering::SeqCst) < LEFT * 3 / 2 {
        pause().await;
    }
    make(&fleet).await;
    known.is_cut.store(true, Ordering::SeqCst);
    // What was in use goes, and something is granted after the cut as well.
    while known.worst.load(Ordering::SeqCst) == 0 {
        pause().await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    known.is_over.store(true, Ordering::SeqCst);
    clients.join_all().await;
    let worst = known.worst.load(Ordering::SeqCst);
    assert!(worst <= LEFT, "{worst} of {LEFT} are granted after the cut");
}

async fn by_override(fleet: &Fleet) {
    let limit = pb::Limit {
        amount: Some(LEFT),
        window: Some(pb::Window {
            kind: pb::WindowKind::Lifetime.into(),
            length: None,
        }),
        on_limit: pb::OnLimit::Block.into(),
        mode: pb::LimitMode::Enforce.into(),
        ..pb::Limit::default()
    };
    let value = pb::entitlement_value::Value::Metered(pb::MeteredValue {
        limits: vec![limit],
        ..pb::MeteredValue::default()
    });
    let request = pb::SetOverrideRequest {
        request_id: "cut".to_owned(),
        customer_id: "acme".to_owned(),
        feature_id: "tokens".to_owned(),
        value: Some(pb::EntitlementValue { value: Some(value) }),
        ..pb::SetOverrideRequest::default()
    };
    let mut service = fleet.entitlements(1).await;
    service.set_override(request).await.unwrap();
}

async fn by_catalog(fleet: &Fleet) {
    let request = pb::ApplyCatalogRequest {
        request_id: "cut".to_owned(),
        toml: CATALOG.replace("10_000", &LEFT.to_string()),
        ..pb::ApplyCatalogRequest::default()
    };
    let mut service = CatalogServiceClient::new(connect(fleet.addr(1)).await);
    service.apply_catalog(request).await.unwrap();
}

#[test]
fn a_limit_that_is_cut_by_an_override_holds_from_its_answer_on() {
    run(AT_MOST, cut(by_override));
}

#[test]
fn a_limit_that_is_cut_by_a_catalog_holds_from_its_answer_on() {
    run(AT_MOST, cut(by_catalog));
}
