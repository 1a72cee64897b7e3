//! The database away: another process holds the write lock of the file for longer than anybody waits.

use std::time::Duration;

use bursar::grpc::pb;
use tonic::Status;
use tonic_types::StatusExt;

use super::stream::{Stream, batch, events};
use crate::harness::{Kind, TestServer, run, seen};

/// `UNAVAILABLE`.
const UNAVAILABLE: i32 = 14;

async fn used(server: &TestServer) -> (i64, pb::Decision) {
    let mut client = server.entitlements().await;
    let answer = client.check_entitlement(pb::CheckEntitlementRequest {
        customer_id: "acme".to_owned(),
        feature_id: "tokens".to_owned(),
        ..pb::CheckEntitlementRequest::default()
    });
    let decision = answer.await.unwrap().into_inner().decision.unwrap();
    (decision.used, decision)
}

async fn reserve(server: &TestServer, request_id: &str) -> Result<pb::ReserveResponse, Status> {
    let mut client = server.entitlements().await;
    let call = client.reserve(pb::ReserveRequest {
        request_id: request_id.to_owned(),
        customer_id: "acme".to_owned(),
        items: vec![pb::ReserveItem {
            feature_id: "tokens".to_owned(),
            quantity: Some(5),
            ..pb::ReserveItem::default()
        }],
        ..pb::ReserveRequest::default()
    });
    call.await.map(tonic::Response::into_inner)
}

#[test]
fn without_the_database_nothing_is_acknowledged_checks_go_on_and_recovery_needs_no_restart() {
    run(async {
        let mut file = String::new();
        let server = TestServer::with(Kind::Sqlite, |config| file = config.database.to_string());
        let mut stream = Stream::open(&server).await;
        stream.send(batch(1, events(1, 10))).await;
        stream.until(10).await;
        assert_eq!(used(&server).await.0, 10);

        let other = rusqlite::Connection::open(&file).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        stream.send(batch(11, events(11, 20))).await;
        let (status, acked) = stream.end().await;
        let status = status.expect("the stream cannot go on");
        assert_eq!(acked, 0, "of these nothing is acknowledged");
        assert_eq!(seen(&status).0, UNAVAILABLE);
        assert_eq!(seen(&status).1, "STORAGE_UNAVAILABLE");

        let status = reserve(&server, "away").await.unwrap_err();
        assert_eq!(seen(&status).1, "STORAGE_UNAVAILABLE");
        let delay = status
            .get_error_details()
            .retry_info()
            .and_then(|info| info.retry_delay);
        assert!(
            delay.is_some_and(|delay| !delay.is_zero()),
            "it says when to try again"
        );
        let (count, decision) = used(&server).await;
        assert_eq!((count, decision.degraded), (10, true));
        assert_eq!(server.page("/readyz").await.0, 503);
        assert_eq!(server.page("/healthz").await.0, 200);

        other.execute_batch("ROLLBACK").unwrap();
        while server.page("/readyz").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // What was not acknowledged is sent again, under the ids it had; so is the call.
        let mut stream = Stream::open(&server).await;
        stream.send(batch(1, events(11, 20))).await;
        assert_eq!(stream.until(20).await, (Vec::new(), 0));
        let answer = reserve(&server, "away").await.unwrap();
        assert!(answer.reservation.is_some());
        let (count, decision) = used(&server).await;
        assert_eq!(
            (count, decision.reserved, decision.degraded),
            (30, 5, false)
        );
        server.stop().await;
    });
}
