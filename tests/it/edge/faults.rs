//! Bad input: each with the code, the reason and the field path that a client sees. Nothing of it is applied.

use std::collections::BTreeMap;

use bursar::grpc::pb;
use prost_types::{Duration, Timestamp};
use tonic::Status;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use crate::harness::{Kind, START, TestServer, event, run, seen, seen_inside};

const INVALID: i32 = 3;
const NOT_FOUND: i32 = 5;
const EXISTS: i32 = 6;
const EXHAUSTED: i32 = 8;
const PRECONDITION: i32 = 9;
const OUT_OF_RANGE: i32 = 11;

type Seen = (i32, String, String);

fn expected(code: i32, reason: &str, field: &str) -> Seen {
    (code, reason.to_owned(), field.to_owned())
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp {
        seconds: START / 1_000_000 + seconds,
        nanos: 0,
    })
}

fn labels(count: usize) -> BTreeMap<String, String> {
    (0..count)
        .map(|n| (format!("k{n}"), String::new()))
        .collect()
}

const DAY: i64 = 86_400;
const UNITS_MAX: i64 = 1_000_000_000_000;

/// What is wrong with an event: its name, the code, the reason and the field below the event.
fn bad_events() -> Vec<(pb::UsageEvent, i32, &'static str, &'static str)> {
    let good = || event("acme", "e-1", 1);
    let with = |change: &dyn Fn(&mut pb::UsageEvent)| {
        let mut event = good();
        change(&mut event);
        event
    };
    let other = |meter: &str, quantity| {
        with(&|event| {
            event.meter_id = meter.to_owned();
            event.quantity = quantity;
        })
    };
    let field = "FIELD_INVALID";
    vec![
        (with(&|e| e.event_id.clear()), INVALID, field, "event_id"),
        (
            with(&|e| e.event_id = "x".repeat(129)),
            INVALID,
            field,
            "event_id",
        ),
        (
            with(&|e| e.event_id = "a\0b".to_owned()),
            INVALID,
            field,
            "event_id",
        ),
        (
            with(&|e| e.event_id = "caf\u{e9}".to_owned()),
            INVALID,
            field,
            "event_id",
        ),
        (
            with(&|e| e.customer_id.clear()),
            INVALID,
            field,
            "customer_id",
        ),
        (
            with(&|e| e.subaccount_id = "a b".to_owned()),
            INVALID,
            field,
            "subaccount_id",
        ),
        (with(&|e| e.meter_id.clear()), INVALID, field, "meter_id"),
        (
            with(&|e| e.reservation_id = "\n".to_owned()),
            INVALID,
            field,
            "reservation_id",
        ),
        (other("unknown", 1), NOT_FOUND, "METER_NOT_FOUND", ""),
        (
            with(&|e| e.subaccount_id = "nobody".to_owned()),
            NOT_FOUND,
            "SUBACCOUNT_NOT_FOUND",
            "",
        ),
        (
            other("tokens", -1),
            INVALID,
            "QUANTITY_NEGATIVE",
            "quantity",
        ),
        (
            other("tokens", UNITS_MAX + 1),
            INVALID,
            "QUANTITY_OUT_OF_RANGE",
            "quantity",
        ),
        (
            other("refundable", -UNITS_MAX - 1),
            INVALID,
            "QUANTITY_OUT_OF_RANGE",
            "quantity",
        ),
        (
            other("tokens", i64::MAX),
            INVALID,
            "QUANTITY_OUT_OF_RANGE",
            "quantity",
        ),
        (
            other("tokens", i64::MIN),
            INVALID,
            "QUANTITY_OUT_OF_RANGE",
            "quantity",
        ),
        (
            with(&|e| e.event_time = at(-36 * DAY)),
            INVALID,
            "EVENT_TOO_OLD",
            "event_time",
        ),
        (
            with(&|e| e.event_time = at(360)),
            INVALID,
            "EVENT_TOO_NEW",
            "event_time",
        ),
        (
            with(&|e| {
                e.event_time = Some(Timestamp {
                    seconds: -62_135_596_800,
                    nanos: 0,
                })
            }),
            INVALID,
            "EVENT_TOO_OLD",
            "event_time",
        ),
        (
            with(&|e| {
                e.event_time = Some(Timestamp {
                    seconds: 253_402_300_799,
                    nanos: 0,
                })
            }),
            INVALID,
            "EVENT_TOO_NEW",
            "event_time",
        ),
        (
            with(&|e| {
                e.event_time = Some(Timestamp {
                    seconds: i64::MAX,
                    nanos: 0,
                })
            }),
            INVALID,
            field,
            "event_time",
        ),
        (
            with(&|e| {
                e.event_time = Some(Timestamp {
                    seconds: 0,
                    nanos: -1,
                })
            }),
            INVALID,
            field,
            "event_time",
        ),
        (
            with(&|e| e.dimensions = labels(33)),
            INVALID,
            "TOO_MANY_DIMENSIONS",
            "dimensions",
        ),
        (
            with(&|e| e.dimensions = labels(1)),
            INVALID,
            "DIMENSION_UNDECLARED",
            "dimensions[\"k0\"]",
        ),
        (
            with(&|e| {
                e.dimensions = BTreeMap::from([("model".to_owned(), "x".repeat(257))]);
            }),
            INVALID,
            field,
            "dimensions[\"model\"]",
        ),
        (
            with(&|e| e.metadata = labels(33)),
            INVALID,
            field,
            "metadata",
        ),
        (
            with(&|e| e.metadata = BTreeMap::from([("k".to_owned(), "\0".to_owned())])),
            INVALID,
            field,
            "metadata[\"k\"]",
        ),
    ]
}

#[test]
fn bad_events_are_rejected_by_each_way_to_record() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut metering = server.metering().await;
        let mut entitlements = server.entitlements().await;
        for (bad, code, reason, field) in bad_events() {
            let path = |prefix: &str| match field {
                "" => String::new(),
                field => format!("{prefix}.{field}"),
            };
            let events = vec![event("acme", "good", 0), bad.clone()];
            let answer = metering
                .record_usage_batch(pb::RecordUsageBatchRequest { events })
                .await
                .unwrap()
                .into_inner();
            let error = answer.results[1].error.as_ref();
            let inside = seen_inside(error.expect("it is rejected"));
            let what = format!("{bad:?}");
            assert_eq!(inside, expected(code, reason, &path("events[1]")), "{what}");

            let consume = pb::ConsumeRequest {
                event: Some(bad),
                feature_id: "tokens".to_owned(),
                verbose: false,
            };
            let status = entitlements.consume(consume).await.unwrap_err();
            assert_eq!(
                seen(&status),
                expected(code, reason, &path("event")),
                "{what}"
            );
        }
        let zero = pb::RecordUsageBatchRequest {
            events: vec![event("acme", "e-1", 0)],
        };
        let answer = metering
            .record_usage_batch(zero)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            answer.results[0].status(),
            pb::RecordStatus::Recorded,
            "no id was taken"
        );
        server.stop().await;
    });
}

#[test]
fn the_same_id_with_other_content_is_refused_and_changes_nothing() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut client = server.metering().await;
        let events = vec![event("acme", "e-1", 1), event("acme", "e-1", 2)];
        let request = pb::RecordUsageBatchRequest { events };
        let answer = client
            .record_usage_batch(request)
            .await
            .unwrap()
            .into_inner();
        let error = answer.results[1].error.as_ref().unwrap();
        assert_eq!(seen_inside(error), expected(EXISTS, "EVENT_ID_REUSED", ""));
        server.stop().await;
    });
}

#[test]
fn sums_beyond_64_bits_are_refused_event_by_event() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut client = server.metering().await;
        let mut rejected = 0;
        for part in 0..10 {
            let events = (0..1000)
                .map(|n| event("acme", part * 1000 + n, UNITS_MAX))
                .collect();
            let request = pb::RecordUsageBatchRequest { events };
            let answer = client
                .record_usage_batch(request)
                .await
                .unwrap()
                .into_inner();
            for error in answer.results.iter().filter_map(|one| one.error.as_ref()) {
                assert_eq!(
                    seen_inside(error),
                    expected(OUT_OF_RANGE, "QUANTITY_OVERFLOW", "")
                );
                rejected += 1;
            }
        }
        // 9,223 events of 10^12 units fit into 64 bits of thousandths.
        assert_eq!(rejected, 10_000 - 9_223);
        server.stop().await;
    });
}

enum Call {
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
    async fn send(self, server: &TestServer) -> Result<(), Status> {
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

fn item(feature: &str, quantity: i64) -> pb::ReserveItem {
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
        let (customer_id, request_id) = ("acme".to_owned(), "x".to_owned());
        let commit = |id: &str, request: &str| pb::CommitReservationRequest {
            request_id: request.to_owned(),
            customer_id: "acme".to_owned(),
            reservation_id: id.to_owned(),
            events: Vec::new(),
        };
        let release = |customer: &str, id: &str, request: &str| pb::ReleaseReservationRequest {
            request_id: request.to_owned(),
            customer_id: customer.to_owned(),
            reservation_id: id.to_owned(),
        };
        client
            .commit_reservation(commit(&ids[0], "c-1"))
            .await
            .unwrap();
        client
            .release_reservation(release("acme", &ids[1], "c-2"))
            .await
            .unwrap();
        server
            .clock
            .advance(bursar::domain::time::Span::from_secs(61));
        let closed = || expected(PRECONDITION, "RESERVATION_CLOSED", "");
        let expired = || expected(PRECONDITION, "RESERVATION_EXPIRED", "");
        let missing = || expected(NOT_FOUND, "RESERVATION_NOT_FOUND", "");
        let extend = |id: &str| pb::ExtendReservationRequest {
            request_id: request_id.clone(),
            customer_id: customer_id.clone(),
            reservation_id: id.to_owned(),
            ttl: None,
        };
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
