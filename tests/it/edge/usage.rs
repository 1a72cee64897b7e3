//! Reports, corrections, lists, watches and audits, on each store.

use std::time::Duration;

use bursar::grpc::pb;
use pb::operations_service_client::OperationsServiceClient;
use pb::watch_entitlements_response::Update;
use prost_types::Timestamp;

use crate::harness::{Kind, START, TestServer, event, run, seen};

const SECONDS: i64 = START / 1_000_000;

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp {
        seconds: SECONDS + seconds,
        nanos: 0,
    })
}

fn acme() -> String {
    "acme".to_owned()
}

/// Starts a server on each store, with events a, b and c of `acme`: 10, 20 and 30 tokens, an hour apart, now last.
async fn on_both(test: impl AsyncFn(&TestServer)) {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let server = TestServer::start(kind);
        let events = [("a", 10, -7200), ("b", 20, -3600), ("c", 30, 0)];
        let events = events.map(|(id, quantity, seconds)| pb::UsageEvent {
            event_time: at(seconds),
            dimensions: [("model".to_owned(), format!("m-{id}"))].into(),
            ..event("acme", id, quantity)
        });
        let request = pb::RecordUsageBatchRequest {
            events: events.to_vec(),
        };
        let recorded = server.metering().await.record_usage_batch(request).await;
        for result in recorded.unwrap().into_inner().results {
            assert_eq!(result.status(), pb::RecordStatus::Recorded);
        }
        test(&server).await;
        server.stop().await;
    }
}

fn usage() -> pb::GetUsageRequest {
    pb::GetUsageRequest {
        customer_id: acme(),
        meter_id: "tokens".to_owned(),
        start_time: at(-86_400),
        end_time: at(60),
        ..pb::GetUsageRequest::default()
    }
}

async fn total(server: &TestServer) -> (i64, i64) {
    let answer = server.metering().await.get_usage(usage()).await.unwrap();
    let rows = answer.into_inner().rows;
    rows.first()
        .map_or((0, 0), |row| (row.value, row.event_count))
}

async fn events(server: &TestServer, exclude_voided: bool) -> Vec<pb::StoredUsageEvent> {
    let request = pb::ListUsageEventsRequest {
        customer_id: acme(),
        exclude_voided,
        ..pb::ListUsageEventsRequest::default()
    };
    let answer = server.metering().await.list_usage_events(request).await;
    answer.unwrap().into_inner().events
}

async fn audit(server: &TestServer) {
    let mut client = OperationsServiceClient::new(server.channel().await);
    let request = pb::AuditCountersRequest::default();
    let answer = client.audit_counters(request).await.unwrap().into_inner();
    assert!(answer.counters_checked > 0);
    assert_eq!(answer.mismatches, []);
    assert_eq!(answer.next_page_token, "");
}

#[test]
fn usage_is_reported_in_pages_of_steps_and_groups() {
    run(on_both(async |server| {
        assert_eq!(total(server).await, (60, 3));
        let mut client = server.metering().await;
        let mut request = pb::GetUsageRequest {
            granularity: pb::UsageGranularity::Hour.into(),
            group_by: vec!["model".to_owned()],
            page_size: 2,
            ..usage()
        };
        let first = client
            .get_usage(request.clone())
            .await
            .unwrap()
            .into_inner();
        let values: Vec<i64> = first.rows.iter().map(|row| row.value).collect();
        assert_eq!(values, [10, 20]);
        assert_eq!(first.rows[0].group["model"], "m-a");
        assert!(first.rows[0].complete);
        request.page_token = first.next_page_token;
        let rest = client
            .get_usage(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!((rest.rows.len(), rest.rows[0].value_milli), (1, 30_000));
        assert_eq!(rest.next_page_token, "");
        request.meter_id = "calls".to_owned();
        let foreign = client.get_usage(request).await.unwrap_err();
        let expected = (3, "PAGE_TOKEN_INVALID".to_owned(), "page_token".to_owned());
        assert_eq!(seen(&foreign), expected);
    }));
}

#[test]
fn a_void_is_an_event_of_its_own_and_takes_usage_back() {
    run(on_both(async |server| {
        let request = pb::VoidUsageRequest {
            request_id: "v-1".to_owned(),
            customer_id: acme(),
            event_ids: vec!["b".to_owned(), "none".to_owned()],
            reason: "counted twice".to_owned(),
            ..pb::VoidUsageRequest::default()
        };
        let mut client = server.metering().await;
        for _ in 0..2 {
            let answer = client.void_usage(request.clone()).await.unwrap();
            let answer = answer.into_inner();
            assert_eq!((answer.void_count, answer.voided_milli), (1, 20_000));
            assert_eq!(answer.results[1].status(), pb::VoidStatus::NotFound);
        }
        assert_eq!(total(server).await, (40, 2));
        let kinds: Vec<(String, pb::StoredEventKind, bool)> = events(server, false)
            .await
            .iter()
            .map(|one| {
                let id = one.event.as_ref().unwrap().event_id.clone();
                (id, one.kind(), one.voided)
            })
            .collect();
        let expected = [
            ("c", pb::StoredEventKind::Usage, false),
            ("b", pb::StoredEventKind::Usage, true),
            ("b", pb::StoredEventKind::Void, false),
            ("a", pb::StoredEventKind::Usage, false),
        ];
        assert_eq!(
            kinds,
            expected.map(|(id, kind, voided)| (id.to_owned(), kind, voided))
        );
        assert_eq!(events(server, true).await.len(), 2);
        let both = pb::VoidUsageRequest {
            request_id: "v-2".to_owned(),
            filter: Some(pb::VoidFilter::default()),
            ..request
        };
        let refused = client.void_usage(both).await.unwrap_err();
        let expected = (3, "FIELD_INVALID".to_owned(), "filter".to_owned());
        assert_eq!(seen(&refused), expected);
        audit(server).await;
    }));
}

#[test]
fn an_amendment_puts_another_event_in_place() {
    run(on_both(async |server| {
        let request = pb::AmendUsageRequest {
            request_id: "a-1".to_owned(),
            customer_id: acme(),
            event_id: "c".to_owned(),
            replacement: Some(event("acme", "d", 5)),
            reason: "wrong count".to_owned(),
        };
        let mut client = server.metering().await;
        let answer = client.amend_usage(request.clone()).await.unwrap();
        let answer = answer.into_inner();
        assert!(answer.voided.unwrap().voided);
        assert_eq!(answer.result.unwrap().status(), pb::RecordStatus::Recorded);
        assert_eq!(total(server).await, (35, 3));
        let again = pb::AmendUsageRequest {
            request_id: "a-2".to_owned(),
            ..request
        };
        let refused = client.amend_usage(again).await.unwrap_err();
        assert_eq!(seen(&refused).1, "EVENT_ALREADY_VOIDED");
        audit(server).await;
    }));
}

#[test]
fn lists_tell_of_entitlements_reservations_and_denials() {
    run(on_both(async |server| {
        let mut client = server.entitlements().await;
        let reserve = |request_id: &str, quantity| pb::ReserveRequest {
            request_id: request_id.to_owned(),
            customer_id: acme(),
            items: vec![pb::ReserveItem {
                feature_id: "jobs".to_owned(),
                quantity: Some(quantity),
                ..pb::ReserveItem::default()
            }],
            holder: "worker-7".to_owned(),
            ..pb::ReserveRequest::default()
        };
        client.reserve(reserve("r-1", 2)).await.unwrap();
        let denied = client.reserve(reserve("r-2", 1)).await.unwrap();
        assert!(denied.into_inner().reservation.is_none());
        let request = pb::ListReservationsRequest {
            customer_id: acme(),
            state: pb::ReservationState::Open.into(),
            holder: "worker-7".to_owned(),
            ..pb::ListReservationsRequest::default()
        };
        let listed = client.list_reservations(request).await.unwrap();
        assert_eq!(listed.into_inner().reservations.len(), 1);
        let request = pb::ListDenialsRequest {
            customer_id: acme(),
            reason: pb::DecisionReason::ConcurrencyLimitExceeded.into(),
            ..pb::ListDenialsRequest::default()
        };
        let listed = client.list_denials(request).await.unwrap().into_inner();
        assert_eq!(listed.denials.len(), 1);
        let denial = &listed.denials[0];
        assert_eq!((denial.denial_count, denial.last_quantity), (1, 1));
        assert!(!denial.last_decision.as_ref().unwrap().allowed);
        let request = pb::ListEntitlementsRequest {
            customer_id: acme(),
            page_size: 100,
            ..pb::ListEntitlementsRequest::default()
        };
        let listed = client.list_entitlements(request).await.unwrap();
        let listed = listed.into_inner().entitlements;
        let ids: Vec<&str> = listed.iter().map(|one| one.feature_id.as_str()).collect();
        assert_eq!(ids, ["calls", "jobs", "pace", "seats", "sso", "tokens"]);
        let tokens = listed[5].decision.as_ref().unwrap();
        assert_eq!(tokens.limit, Some(100));
        assert!(!listed[5].overridden && listed[5].value.is_some());
        audit(server).await;
    }));
}

#[test]
fn a_watch_follows_commits_and_ends_with_the_server() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut metering = server.metering().await;
        let record = |id: &str| pb::RecordUsageBatchRequest {
            events: vec![event("acme", id, 7)],
        };
        metering.record_usage_batch(record("a")).await.unwrap();
        let request = pb::WatchEntitlementsRequest {
            customer_id: acme(),
            feature_ids: vec!["tokens".to_owned()],
            ..pb::WatchEntitlementsRequest::default()
        };
        let mut client = server.entitlements().await;
        let watched = client.watch_entitlements(request).await.unwrap();
        let mut messages = watched.into_inner();
        let first = messages.message().await.unwrap().unwrap().update.unwrap();
        let Update::Snapshot(all) = first else {
            panic!("{first:?} is no snapshot");
        };
        assert_eq!(all.entitlements[0].decision.as_ref().unwrap().used, 7);
        metering.record_usage_batch(record("b")).await.unwrap();
        let next = messages.message().await.unwrap().unwrap().update.unwrap();
        let Update::Change(change) = next else {
            panic!("{next:?} is no change");
        };
        assert_eq!(change.entitlements[0].decision.as_ref().unwrap().used, 14);
        drop((metering, client));
        let thread = server.begin_stop();
        let end = messages.message().await.unwrap_err();
        assert_eq!(seen(&end).1, "DRAINING");
        let joined = tokio::task::spawn_blocking(move || thread.join());
        let joined = tokio::time::timeout(Duration::from_secs(20), joined).await;
        joined.unwrap().unwrap().unwrap();
    });
}

#[test]
fn a_rebuild_of_what_is_right_corrects_nothing() {
    run(on_both(async |server| {
        let mut client = OperationsServiceClient::new(server.channel().await);
        let request = pb::RebuildCountersRequest {
            request_id: "b-1".to_owned(),
            customer_id: acme(),
        };
        let rebuilt = client.rebuild_counters(request.clone()).await.unwrap();
        let rebuilt = rebuilt.into_inner();
        assert_eq!(rebuilt.corrections, []);
        // Both counters in the windows that run, and the day before, in which a and b count.
        assert_eq!(rebuilt.counters_rebuilt, 3);
        let again = client.rebuild_counters(request).await.unwrap();
        assert_eq!(again.into_inner(), rebuilt);
        audit(server).await;
        assert_eq!(total(server).await, (60, 3));
    }));
}
