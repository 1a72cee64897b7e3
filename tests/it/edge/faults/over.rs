//! Reservations that are no longer open.

use bursar::domain::time::Span;
use bursar::grpc::pb;

use super::calls::{Call, item};
use super::{EXISTS, NOT_FOUND, PRECONDITION, expected};
use crate::harness::{Kind, TestServer, run, seen};

fn commit(id: &str, request: &str) -> pb::CommitReservationRequest {
    pb::CommitReservationRequest {
        request_id: request.to_owned(),
        customer_id: "acme".to_owned(),
        reservation_id: id.to_owned(),
        events: Vec::new(),
    }
}

fn release(customer: &str, id: &str, request: &str) -> pb::ReleaseReservationRequest {
    pb::ReleaseReservationRequest {
        request_id: request.to_owned(),
        customer_id: customer.to_owned(),
        reservation_id: id.to_owned(),
    }
}

fn extend(id: &str) -> pb::ExtendReservationRequest {
    pb::ExtendReservationRequest {
        request_id: "x".to_owned(),
        customer_id: "acme".to_owned(),
        reservation_id: id.to_owned(),
        ttl: None,
    }
}

#[test]
fn a_reservation_that_is_over_says_how_it_ended() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut client = server.entitlements().await;
        let request = |id: &str| pb::ReserveRequest {
            request_id: id.to_owned(),
            customer_id: "acme".to_owned(),
            items: vec![item("tokens", 1)],
            ..pb::ReserveRequest::default()
        };
        let mut ids = Vec::new();
        for id in ["committed", "released", "expired"] {
            let answer = client.reserve(request(id)).await.unwrap().into_inner();
            ids.push(answer.reservation.unwrap().reservation_id);
        }
        client
            .commit_reservation(commit(&ids[0], "c-1"))
            .await
            .unwrap();
        client
            .release_reservation(release("acme", &ids[1], "c-2"))
            .await
            .unwrap();
        server.clock.advance(Span::from_secs(61));
        let closed = || expected(PRECONDITION, "RESERVATION_CLOSED", "");
        let expired = || expected(PRECONDITION, "RESERVATION_EXPIRED", "");
        let missing = || expected(NOT_FOUND, "RESERVATION_NOT_FOUND", "");
        for (call, wanted) in [
            (Call::Extend(extend(&ids[0])), closed()),
            (Call::Extend(extend(&ids[1])), closed()),
            (Call::Extend(extend(&ids[2])), expired()),
            (Call::Extend(extend("unknown")), missing()),
            (Call::Release(release("acme", &ids[0], "c-3")), closed()),
            (Call::Commit(commit(&ids[1], "c-4")), closed()),
            (Call::Commit(commit("unknown", "c-5")), missing()),
            (
                Call::Release(release("other", &ids[2], "c-6")),
                expected(NOT_FOUND, "CUSTOMER_NOT_FOUND", ""),
            ),
            (
                Call::Commit(commit(&ids[2], "c-1")),
                expected(EXISTS, "REQUEST_ID_REUSED", ""),
            ),
        ] {
            let status = call.send(&server).await.expect_err("it is refused");
            assert_eq!(seen(&status), wanted, "{status:?}");
        }
        client
            .release_reservation(release("acme", &ids[1], "c-7"))
            .await
            .expect("releasing what is released changes nothing");
        server.stop().await;
    });
}
