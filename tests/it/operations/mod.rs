//! Operations with the real binary: backup of a server that runs, restore, move, export, and what goes wrong with them.

mod export;
mod page;
pub(crate) mod process;
mod replay_events;
mod wrong;

use bursar::grpc::pb;
use pb::entitlement_service_client::EntitlementServiceClient;
use pb::metering_service_client::MeteringServiceClient;
use pb::operations_service_client::OperationsServiceClient;
use tonic::transport::Channel;

use self::process::{Ground, Kind, done, run};
use crate::harness::event;

/// Records events of `acme`; returns how many were duplicates.
async fn record(channel: &Channel, ids: std::ops::Range<usize>) -> usize {
    let events = ids.map(|id| pb::UsageEvent {
        dimensions: [("model".to_owned(), format!("m{}", id % 3))].into(),
        ..event("acme", format!("e-{id}"), 1)
    });
    let request = pb::RecordUsageBatchRequest {
        events: events.collect(),
    };
    let mut metering = MeteringServiceClient::new(channel.clone());
    let results = metering.record_usage_batch(request).await.unwrap();
    let results = results.into_inner().results;
    let duplicate = i32::from(pb::RecordStatus::Duplicate);
    let recorded = i32::from(pb::RecordStatus::Recorded);
    let is_known = |result: &pb::UsageResult| [duplicate, recorded].contains(&result.status);
    assert!(results.iter().all(is_known), "{results:?}");
    results.iter().filter(|one| one.status == duplicate).count()
}

fn reserve_request() -> pb::ReserveRequest {
    pb::ReserveRequest {
        request_id: "r-reserve".to_owned(),
        customer_id: "acme".to_owned(),
        items: vec![pb::ReserveItem {
            feature_id: "tokens".to_owned(),
            quantity: Some(7),
            ..pb::ReserveItem::default()
        }],
        ttl: Some(prost_types::Duration {
            seconds: 3_600,
            nanos: 0,
        }),
        holder: "worker".to_owned(),
        ..pb::ReserveRequest::default()
    }
}

/// Uses a server in several ways; returns the id of the reservation that is left open.
async fn use_it(channel: &Channel) -> String {
    record(channel, 0..40).await;
    let mut metering = MeteringServiceClient::new(channel.clone());
    let void = pb::VoidUsageRequest {
        request_id: "r-void".to_owned(),
        customer_id: "acme".to_owned(),
        event_ids: vec!["e-3".to_owned()],
        reason: "a mistake".to_owned(),
        ..pb::VoidUsageRequest::default()
    };
    metering.void_usage(void).await.unwrap();
    let mut entitlements = EntitlementServiceClient::new(channel.clone());
    let seat = pb::AllocateRequest {
        request_id: "r-seat".to_owned(),
        customer_id: "acme".to_owned(),
        feature_id: "seats".to_owned(),
        allocation_id: "ann".to_owned(),
        ..pb::AllocateRequest::default()
    };
    entitlements.allocate(seat).await.unwrap();
    let answer = entitlements.reserve(reserve_request()).await.unwrap();
    answer.into_inner().reservation.unwrap().reservation_id
}

/// Writes down what a server shows of `acme`.
async fn shown(channel: &Channel) -> String {
    let customer_id = "acme".to_owned();
    let mut entitlements = EntitlementServiceClient::new(channel.clone());
    let request = pb::ListEntitlementsRequest {
        customer_id: customer_id.clone(),
        ..pb::ListEntitlementsRequest::default()
    };
    let mut rights = entitlements
        .list_entitlements(request)
        .await
        .unwrap()
        .into_inner();
    for one in &mut rights.entitlements {
        let decision = one.decision.as_mut().unwrap();
        decision.evaluate_time = None;
        decision.cache_ttl = None;
    }
    let request = pb::ListReservationsRequest {
        customer_id: customer_id.clone(),
        ..pb::ListReservationsRequest::default()
    };
    let reservations = entitlements.list_reservations(request).await.unwrap();
    let request = pb::ListAllocationsRequest {
        customer_id: customer_id.clone(),
        ..pb::ListAllocationsRequest::default()
    };
    let allocations = entitlements.list_allocations(request).await.unwrap();
    let mut metering = MeteringServiceClient::new(channel.clone());
    let request = pb::ListUsageEventsRequest {
        customer_id: customer_id.clone(),
        page_size: 1_000,
        ..pb::ListUsageEventsRequest::default()
    };
    let events = metering.list_usage_events(request).await.unwrap();
    let usage = metering.get_usage(usage_request()).await.unwrap();
    format!(
        "{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}",
        rights.entitlements,
        reservations.into_inner().reservations,
        allocations.into_inner().allocations,
        events.into_inner().events,
        usage.into_inner().rows,
    )
}

fn usage_request() -> pb::GetUsageRequest {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    pb::GetUsageRequest {
        customer_id: "acme".to_owned(),
        meter_id: "tokens".to_owned(),
        start_time: at(1_700_000_000 / 3_600 * 3_600),
        end_time: at(4_000_000_000 / 3_600 * 3_600),
        group_by: vec!["model".to_owned()],
        ..pb::GetUsageRequest::default()
    }
}

/// Returns how many events the totals count.
async fn counted(channel: &Channel) -> i64 {
    let mut metering = MeteringServiceClient::new(channel.clone());
    let usage = metering.get_usage(usage_request()).await.unwrap();
    let rows = usage.into_inner().rows;
    rows.iter().map(|row| row.event_count).sum()
}

/// Requires that all counters are what is behind them.
async fn audit(channel: &Channel) {
    let mut operations = OperationsServiceClient::new(channel.clone());
    let request = pb::AuditCountersRequest::default();
    let audit = operations.audit_counters(request).await.unwrap();
    let audit = audit.into_inner();
    assert!(audit.counters_checked > 0);
    assert!(audit.mismatches.is_empty(), "{:?}", audit.mismatches);
}

/// Requires that a copy goes on where the original stood: repeats are repeats, and what was held can be committed.
async fn goes_on(channel: &Channel, reservation: &str) {
    audit(channel).await;
    assert_eq!(record(channel, 0..40).await, 40, "all are duplicates");
    let mut entitlements = EntitlementServiceClient::new(channel.clone());
    let again = entitlements.reserve(reserve_request()).await.unwrap();
    let again = again.into_inner().reservation.unwrap();
    assert_eq!(again.reservation_id, reservation, "the first answer");
    let request = pb::CommitReservationRequest {
        request_id: "r-commit".to_owned(),
        customer_id: "acme".to_owned(),
        reservation_id: reservation.to_owned(),
        events: vec![pb::UsageEvent {
            customer_id: String::new(),
            ..event("acme", "held", 5)
        }],
    };
    let committed = entitlements.commit_reservation(request).await.unwrap();
    let committed = committed.into_inner().reservation.unwrap();
    assert_eq!(committed.state, i32::from(pb::ReservationState::Committed));
    assert_eq!(
        record(channel, 90_000..90_010).await,
        0,
        "new ones are taken"
    );
    audit(channel).await;
}

/// Backs up a server that is recording, and restores elsewhere.
async fn back_up_and_restore(from: Kind, to: Kind) {
    let ground = Ground::new();
    let (old, new) = (ground.place(from).await, ground.place(to).await);
    let archive = ground.path("archive");
    let server = ground.serve(&old).await;
    let reservation = use_it(&server.channel).await;
    let writer = tokio::spawn({
        let channel = server.channel.clone();
        async move {
            for batch in 10..60 {
                record(&channel, batch * 100..batch * 100 + 20).await;
            }
        }
    });
    let (database, to) = (old.clone(), archive.clone());
    tokio::task::spawn_blocking(move || done(&["backup", "--database", &database, &to]))
        .await
        .unwrap();
    writer.await.unwrap();
    record(&server.channel, 80_000..80_010).await;
    let later = counted(&server.channel).await;
    assert_eq!(later, 39 + 1_000 + 10);

    let said = done(&["restore", "--database", &new, &archive]);
    assert!(said.contains("verified: "), "{said}");
    let restored = ground.serve(&new).await;
    let earlier = counted(&restored.channel).await;
    // Whole batches, and nothing of what came after.
    assert!((39..=later - 10).contains(&earlier), "{earlier}");
    assert_eq!((earlier - 39) % 20, 0);
    goes_on(&restored.channel, &reservation).await;
    // The old one knows nothing of it.
    assert_eq!(counted(&server.channel).await, later);
    audit(&server.channel).await;
    restored.stop().await;
    server.stop().await;
}

#[test]
fn a_backup_of_a_running_server_is_restored_and_serves() {
    run(back_up_and_restore(Kind::Sqlite, Kind::Sqlite));
}

#[test]
fn a_backup_from_postgres_is_restored_and_serves() {
    run(back_up_and_restore(Kind::Postgres, Kind::Postgres));
}

#[test]
fn a_server_moves_to_postgres_and_back_and_shows_the_same() {
    run(async {
        let ground = Ground::new();
        let first = ground.place(Kind::Sqlite).await;
        let server = ground.serve(&first).await;
        let reservation = use_it(&server.channel).await;
        let expected = shown(&server.channel).await;
        assert!(expected.contains(&reservation) && expected.contains("e-39"));
        server.stop().await;
        let mut from = first;
        for kind in [Kind::Postgres, Kind::Postgres, Kind::Sqlite] {
            let to = ground.place(kind).await;
            let said = done(&["move", "--from", &from, "--to", &to]);
            assert!(
                said.contains("the totals of 1 customers are equal"),
                "{said}"
            );
            let server = ground.serve(&to).await;
            assert_eq!(shown(&server.channel).await, expected);
            audit(&server.channel).await;
            server.stop().await;
            from = to;
        }
        let server = ground.serve(&from).await;
        goes_on(&server.channel, &reservation).await;
        server.stop().await;
    });
}
