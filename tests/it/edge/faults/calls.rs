//! Calls that are refused.

use bursar::grpc::pb;
use prost_types::Duration;
use tonic::Status;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use super::{DAY, EXHAUSTED, INVALID, NOT_FOUND, PRECONDITION, Seen, UNITS_MAX, expected, labels};
use crate::harness::{Kind, TestServer, event, run, seen};

/// A call of any method.
pub(super) enum Call {
    Check(pb::CheckEntitlementRequest),
    Checks(pb::BatchCheckEntitlementsRequest),
    Consume(pb::ConsumeRequest),
    Reserve(pb::ReserveRequest),
    Extend(pb::ExtendReservationRequest),
    Commit(pb::CommitReservationRequest),
    Release(pb::ReleaseReservationRequest),
    Record(pb::RecordUsageBatchRequest),
}

impl Call {
    pub(super) async fn send(self, server: &TestServer) -> Result<(), Status> {
        let mut entitlements = server.entitlements().await;
        match self {
            Self::Check(call) => entitlements.check_entitlement(call).await.map(drop),
            Self::Checks(call) => entitlements.batch_check_entitlements(call).await.map(drop),
            Self::Consume(call) => entitlements.consume(call).await.map(drop),
            Self::Reserve(call) => entitlements.reserve(call).await.map(drop),
            Self::Extend(call) => entitlements.extend_reservation(call).await.map(drop),
            Self::Commit(call) => entitlements.commit_reservation(call).await.map(drop),
            Self::Release(call) => entitlements.release_reservation(call).await.map(drop),
            Self::Record(call) => {
                let mut metering = server.metering().await;
                metering.record_usage_batch(call).await.map(drop)
            }
        }
    }
}

fn check(change: impl FnOnce(&mut pb::CheckEntitlementRequest)) -> Call {
    let mut call = pb::CheckEntitlementRequest {
        customer_id: "acme".to_owned(),
        feature_id: "tokens".to_owned(),
        ..pb::CheckEntitlementRequest::default()
    };
    change(&mut call);
    Call::Check(call)
}

pub(super) fn item(feature: &str, quantity: i64) -> pb::ReserveItem {
    pb::ReserveItem {
        feature_id: feature.to_owned(),
        quantity: Some(quantity),
        ..pb::ReserveItem::default()
    }
}

fn reserve(change: impl FnOnce(&mut pb::ReserveRequest)) -> Call {
    let mut call = pb::ReserveRequest {
        request_id: "r-bad".to_owned(),
        customer_id: "acme".to_owned(),
        items: vec![item("tokens", 1)],
        ..pb::ReserveRequest::default()
    };
    change(&mut call);
    Call::Reserve(call)
}

fn consume(feature: &str, meter: &str) -> Call {
    Call::Consume(pb::ConsumeRequest {
        event: Some(pb::UsageEvent {
            meter_id: meter.to_owned(),
            ..event("acme", "e-1", 1)
        }),
        feature_id: feature.to_owned(),
        verbose: false,
    })
}

fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

fn bad_checks() -> Vec<(Call, Seen)> {
    let field = |path: &str| expected(INVALID, "FIELD_INVALID", path);
    let items = |count| {
        Call::Checks(pb::BatchCheckEntitlementsRequest {
            customer_id: "acme".to_owned(),
            items: vec![pb::CheckItem::default(); count],
            ..pb::BatchCheckEntitlementsRequest::default()
        })
    };
    vec![
        (check(|call| call.customer_id.clear()), field("customer_id")),
        (
            check(|call| call.feature_id = "a b".to_owned()),
            field("feature_id"),
        ),
        (
            check(|call| call.subaccount_id = "\0".to_owned()),
            field("subaccount_id"),
        ),
        (check(|call| call.quantity = Some(-1)), field("quantity")),
        (
            check(|call| call.quantity = Some(UNITS_MAX + 1)),
            expected(INVALID, "QUANTITY_OUT_OF_RANGE", "quantity"),
        ),
        (
            check(|call| call.dimensions = labels(33)),
            expected(INVALID, "TOO_MANY_DIMENSIONS", "dimensions"),
        ),
        (
            check(|call| call.feature_id = "unknown".to_owned()),
            expected(NOT_FOUND, "FEATURE_NOT_FOUND", ""),
        ),
        (items(0), field("items")),
        (items(101), expected(INVALID, "BATCH_TOO_LARGE", "items")),
        (items(1), field("items[0].feature_id")),
        (
            consume("unknown", "tokens"),
            expected(NOT_FOUND, "FEATURE_NOT_FOUND", ""),
        ),
        (
            consume("seats", "tokens"),
            expected(PRECONDITION, "FEATURE_KIND_MISMATCH", ""),
        ),
        (consume("tokens", "calls"), field("event.meter_id")),
        (
            Call::Consume(pb::ConsumeRequest {
                event: None,
                ..pb::ConsumeRequest::default()
            }),
            field("event"),
        ),
    ]
}

fn bad_reservations() -> Vec<(Call, Seen)> {
    let field = |path: &str| expected(INVALID, "FIELD_INVALID", path);
    let events = |count: usize| {
        Call::Record(pb::RecordUsageBatchRequest {
            events: vec![pb::UsageEvent::default(); count],
        })
    };
    vec![
        (reserve(|call| call.request_id.clear()), field("request_id")),
        (reserve(|call| call.items.clear()), field("items")),
        (
            reserve(|call| call.items = vec![item("tokens", 1); 33]),
            expected(INVALID, "BATCH_TOO_LARGE", "items"),
        ),
        (
            reserve(|call| call.items[0].quantity = Some(0)),
            field("items[0].quantity"),
        ),
        (
            reserve(|call| call.items[0].min_quantity = Some(2)),
            field("items[0].min_quantity"),
        ),
        (
            reserve(|call| call.items.push(item("seats", 1))),
            expected(PRECONDITION, "FEATURE_KIND_MISMATCH", ""),
        ),
        (
            reserve(|call| call.items.push(item("unknown", 1))),
            expected(NOT_FOUND, "FEATURE_NOT_FOUND", ""),
        ),
        (
            reserve(|call| call.subaccount_id = "nobody".to_owned()),
            expected(NOT_FOUND, "SUBACCOUNT_NOT_FOUND", ""),
        ),
        (reserve(|call| call.ttl = seconds(0)), field("ttl")),
        (reserve(|call| call.ttl = seconds(DAY + 1)), field("ttl")),
        (reserve(|call| call.ttl = seconds(i64::MAX)), field("ttl")),
        (
            reserve(|call| call.holder = "x".repeat(129)),
            field("holder"),
        ),
        (
            reserve(|call| call.metadata = labels(33)),
            field("metadata"),
        ),
        (events(0), field("events")),
        (events(1001), expected(INVALID, "BATCH_TOO_LARGE", "events")),
        (
            Call::Record(pb::RecordUsageBatchRequest {
                events: vec![event("acme", "x".repeat(5 * 1024 * 1024), 1)],
            }),
            expected(EXHAUSTED, "MESSAGE_TOO_LARGE", ""),
        ),
    ]
}

#[test]
fn bad_calls_say_what_is_wrong_where() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut client = server.metering().await;
        let events = vec![event("acme", "first", 0)];
        client
            .record_usage_batch(pb::RecordUsageBatchRequest { events })
            .await
            .unwrap();
        let calls = bad_checks().into_iter().chain(bad_reservations());
        for (number, (call, wanted)) in calls.enumerate() {
            let status = call.send(&server).await.expect_err("it is refused");
            assert_eq!(seen(&status), wanted, "call {number}: {status:?}");
        }
        server.stop().await;
    });
}

/// A check whose ids are any bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct RawCheck {
    #[prost(bytes = "vec", tag = "1")]
    customer_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    feature_id: Vec<u8>,
}

#[test]
fn text_that_is_not_utf8_is_named_by_its_field() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut client: Grpc<Channel> = Grpc::new(server.channel().await);
        client.ready().await.unwrap();
        let request = RawCheck {
            customer_id: b"acme".to_vec(),
            feature_id: vec![0xff, 0xfe],
        };
        let path = "/bursar.v1.EntitlementService/CheckEntitlement";
        let codec: ProstCodec<RawCheck, pb::CheckEntitlementResponse> = ProstCodec::default();
        let status = client
            .unary(tonic::Request::new(request), path.parse().unwrap(), codec)
            .await
            .unwrap_err();
        assert_eq!(
            seen(&status),
            expected(INVALID, "FIELD_INVALID", "feature_id")
        );
        server.stop().await;
    });
}
