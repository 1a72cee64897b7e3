//! Calls that go well, on each store.

use bursar::domain::time::Span;
use bursar::grpc::pb;
use pb::DecisionReason as Reason;

use crate::harness::{Kind, TestServer, event, run};

fn check(feature: &str, quantity: i64) -> pb::CheckEntitlementRequest {
    pb::CheckEntitlementRequest {
        customer_id: "acme".to_owned(),
        feature_id: feature.to_owned(),
        quantity: Some(quantity),
        ..pb::CheckEntitlementRequest::default()
    }
}

fn consume(id: &str, quantity: i64) -> pb::ConsumeRequest {
    pb::ConsumeRequest {
        event: Some(event("acme", id, quantity)),
        feature_id: "tokens".to_owned(),
        verbose: false,
    }
}

async fn on_both(test: impl AsyncFn(&TestServer)) {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let server = TestServer::start(kind);
        test(&server).await;
        server.stop().await;
    }
}

#[test]
fn an_unknown_customer_is_denied_until_its_first_use() {
    run(on_both(async |server| {
        let mut client = server.entitlements().await;
        let answer = client.check_entitlement(check("tokens", 1)).await.unwrap();
        let decision = answer.into_inner().decision.unwrap();
        assert!(!decision.allowed);
        assert_eq!(decision.reason(), Reason::CustomerUnknown);

        let answer = client
            .consume(consume("e-1", 60))
            .await
            .unwrap()
            .into_inner();
        let result = answer.result.unwrap();
        assert_eq!(result.status(), pb::RecordStatus::Recorded);
        assert!(result.customer_created);
        assert_eq!(answer.decision.unwrap().remaining, Some(100));

        let answer = client.check_entitlement(check("tokens", 40)).await.unwrap();
        let decision = answer.into_inner().decision.unwrap();
        assert!(decision.allowed);
        assert_eq!(
            (decision.limit, decision.used, decision.remaining),
            (Some(100), 60, Some(40))
        );
        let answer = client.check_entitlement(check("tokens", 41)).await.unwrap();
        let decision = answer.into_inner().decision.unwrap();
        assert_eq!(decision.reason(), Reason::LimitExceeded);
        assert_eq!(decision.granted_quantity, 0);
    }));
}

#[test]
fn consuming_stops_at_the_limit_and_counts_an_event_once() {
    run(on_both(async |server| {
        let mut client = server.entitlements().await;
        for (id, status) in [
            ("e-1", pb::RecordStatus::Recorded),
            ("e-1", pb::RecordStatus::Duplicate),
        ] {
            let answer = client.consume(consume(id, 70)).await.unwrap().into_inner();
            assert_eq!(answer.result.unwrap().status(), status);
        }
        let answer = client
            .consume(consume("e-2", 31))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.result, None);
        assert_eq!(answer.decision.unwrap().reason(), Reason::LimitExceeded);
        let answer = client
            .consume(consume("e-3", 30))
            .await
            .unwrap()
            .into_inner();
        assert!(answer.decision.unwrap().allowed);
    }));
}

#[test]
fn a_batch_of_checks_is_decided_as_one_when_asked() {
    run(on_both(async |server| {
        let mut client = server.entitlements().await;
        client.consume(consume("e-1", 1)).await.unwrap();
        let item = |feature: &str, quantity| pb::CheckItem {
            feature_id: feature.to_owned(),
            quantity: Some(quantity),
            ..pb::CheckItem::default()
        };
        let mut request = pb::BatchCheckEntitlementsRequest {
            customer_id: "acme".to_owned(),
            items: vec![item("tokens", 60), item("tokens", 60), item("sso", 1)],
            ..pb::BatchCheckEntitlementsRequest::default()
        };
        for (all_or_none, allowed) in [(false, [true, true, true]), (true, [true, false, true])] {
            request.all_or_none = all_or_none;
            let answer = client
                .batch_check_entitlements(request.clone())
                .await
                .unwrap()
                .into_inner();
            let made: Vec<bool> = answer.decisions.iter().map(|made| made.allowed).collect();
            assert_eq!(made, allowed);
            assert_eq!(answer.allowed, !all_or_none);
        }
    }));
}

fn reserve(request_id: &str, quantity: i64) -> pb::ReserveRequest {
    let item = |feature: &str, quantity| pb::ReserveItem {
        feature_id: feature.to_owned(),
        quantity: Some(quantity),
        ..pb::ReserveItem::default()
    };
    pb::ReserveRequest {
        request_id: request_id.to_owned(),
        customer_id: "acme".to_owned(),
        items: vec![item("tokens", quantity), item("jobs", 1)],
        holder: "worker-1".to_owned(),
        ..pb::ReserveRequest::default()
    }
}

#[test]
fn reserving_holds_and_committing_settles() {
    run(on_both(async |server| {
        let mut client = server.entitlements().await;
        let first = client
            .reserve(reserve("r-1", 80))
            .await
            .unwrap()
            .into_inner();
        let again = client
            .reserve(reserve("r-1", 80))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(first, again);
        let held = first.reservation.unwrap();
        assert_eq!(held.state(), pb::ReservationState::Open);
        let reserved: Vec<i64> = held.items.iter().map(|item| item.reserved_milli).collect();
        assert_eq!(reserved, [80_000, 1_000]);

        let denied = client
            .reserve(reserve("r-2", 21))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(denied.reservation, None);
        assert_eq!(denied.decision.unwrap().reason(), Reason::LimitExceeded);
        let granted: Vec<i64> = denied
            .items
            .iter()
            .map(|item| item.granted_quantity)
            .collect();
        assert_eq!(granted, [0, 0]);

        let extended = client
            .extend_reservation(pb::ExtendReservationRequest {
                request_id: "x-1".to_owned(),
                customer_id: "acme".to_owned(),
                reservation_id: held.reservation_id.clone(),
                ttl: Some(prost_types::Duration {
                    seconds: 600,
                    nanos: 0,
                }),
            })
            .await
            .unwrap();
        let extended = extended.into_inner().reservation.unwrap();
        assert!(extended.expire_time.unwrap().seconds > held.expire_time.unwrap().seconds);

        let answer = client
            .commit_reservation(pb::CommitReservationRequest {
                request_id: "c-1".to_owned(),
                customer_id: "acme".to_owned(),
                reservation_id: held.reservation_id.clone(),
                events: vec![pb::UsageEvent {
                    customer_id: String::new(),
                    ..event("", "e-1", 30)
                }],
            })
            .await
            .unwrap()
            .into_inner();
        let closed = answer.reservation.unwrap();
        assert_eq!(closed.state(), pb::ReservationState::Committed);
        assert_eq!(answer.results[0].status(), pb::RecordStatus::Recorded);
        let answer = client.check_entitlement(check("tokens", 70)).await.unwrap();
        assert!(answer.into_inner().decision.unwrap().allowed);
    }));
}

#[test]
fn a_reservation_that_is_given_back_or_expires_frees_its_quota() {
    run(on_both(async |server| {
        let mut client = server.entitlements().await;
        let held = client.reserve(reserve("r-1", 100)).await.unwrap();
        let held = held.into_inner().reservation.unwrap();
        let release = pb::ReleaseReservationRequest {
            request_id: "x-1".to_owned(),
            customer_id: "acme".to_owned(),
            reservation_id: held.reservation_id,
        };
        let released = client
            .release_reservation(release)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            released.reservation.unwrap().state(),
            pb::ReservationState::Released
        );

        client.reserve(reserve("r-2", 100)).await.unwrap();
        let full = client.check_entitlement(check("tokens", 1)).await.unwrap();
        assert!(!full.into_inner().decision.unwrap().allowed);
        server.clock.advance(Span::from_secs(61));
        let free = client
            .check_entitlement(check("tokens", 100))
            .await
            .unwrap();
        assert!(free.into_inner().decision.unwrap().allowed);
    }));
}

#[test]
fn a_batch_has_one_result_per_event() {
    run(on_both(async |server| {
        let mut client = server.metering().await;
        let events = vec![
            event("acme", "e-1", 5),
            event("acme", "e-1", 5),
            event("acme", "e-1", 6),
            event("acme", "not an id", 1),
            event("acme", "e-2", 0),
        ];
        let request = pb::RecordUsageBatchRequest { events };
        let answer = client
            .record_usage_batch(request)
            .await
            .unwrap()
            .into_inner();
        let statuses: Vec<_> = answer.results.iter().map(pb::UsageResult::status).collect();
        use pb::RecordStatus::{Duplicate, Recorded, Rejected};
        assert_eq!(
            statuses,
            [Recorded, Duplicate, Rejected, Rejected, Recorded]
        );
    }));
}
