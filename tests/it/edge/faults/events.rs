//! Events that are refused.

use std::collections::BTreeMap;

use bursar::grpc::pb;
use prost_types::Timestamp;

use super::{DAY, EXISTS, INVALID, NOT_FOUND, OUT_OF_RANGE, UNITS_MAX, expected, labels};
use crate::harness::{Kind, START, TestServer, event, run, seen, seen_inside};

/// What is wrong with an event: the code, the reason and the field below the event.
type Bad = (pb::UsageEvent, i32, &'static str, &'static str);

fn bad(
    change: impl FnOnce(&mut pb::UsageEvent),
    code: i32,
    reason: &'static str,
    field: &'static str,
) -> Bad {
    let mut event = event("acme", "e-1", 1);
    change(&mut event);
    (event, code, reason, field)
}

fn invalid(change: impl FnOnce(&mut pb::UsageEvent), field: &'static str) -> Bad {
    bad(change, INVALID, "FIELD_INVALID", field)
}

fn bad_ids() -> Vec<Bad> {
    vec![
        invalid(|e| e.event_id.clear(), "event_id"),
        invalid(|e| e.event_id = "x".repeat(129), "event_id"),
        invalid(|e| e.event_id = "a\0b".to_owned(), "event_id"),
        invalid(|e| e.event_id = "caf\u{e9}".to_owned(), "event_id"),
        invalid(|e| e.customer_id.clear(), "customer_id"),
        invalid(|e| e.subaccount_id = "a b".to_owned(), "subaccount_id"),
        invalid(|e| e.meter_id.clear(), "meter_id"),
        invalid(|e| e.reservation_id = "\n".to_owned(), "reservation_id"),
        bad(
            |e| e.meter_id = "unknown".to_owned(),
            NOT_FOUND,
            "METER_NOT_FOUND",
            "",
        ),
        bad(
            |e| e.subaccount_id = "nobody".to_owned(),
            NOT_FOUND,
            "SUBACCOUNT_NOT_FOUND",
            "",
        ),
    ]
}

fn bad_quantities() -> Vec<Bad> {
    let range = |quantity| {
        let change = move |e: &mut pb::UsageEvent| {
            e.meter_id = "refundable".to_owned();
            e.quantity = quantity;
        };
        bad(change, INVALID, "QUANTITY_OUT_OF_RANGE", "quantity")
    };
    vec![
        bad(
            |e| e.quantity = -1,
            INVALID,
            "QUANTITY_NEGATIVE",
            "quantity",
        ),
        range(UNITS_MAX + 1),
        range(-UNITS_MAX - 1),
        range(i64::MAX),
        range(i64::MIN),
    ]
}

fn at(seconds: i64, nanos: i32) -> impl FnOnce(&mut pb::UsageEvent) {
    move |event| event.event_time = Some(Timestamp { seconds, nanos })
}

fn bad_times() -> Vec<Bad> {
    const NOW: i64 = START / 1_000_000;
    const YEAR_1: i64 = -62_135_596_800;
    const YEAR_9999: i64 = 253_402_300_799;
    vec![
        bad(
            at(NOW - 36 * DAY, 0),
            INVALID,
            "EVENT_TOO_OLD",
            "event_time",
        ),
        bad(at(NOW + 360, 0), INVALID, "EVENT_TOO_NEW", "event_time"),
        bad(at(YEAR_1, 0), INVALID, "EVENT_TOO_OLD", "event_time"),
        bad(at(YEAR_9999, 0), INVALID, "EVENT_TOO_NEW", "event_time"),
        invalid(at(i64::MAX, 0), "event_time"),
        invalid(at(NOW, -1), "event_time"),
    ]
}

fn bad_labels() -> Vec<Bad> {
    let one = |key: &str, value: String| BTreeMap::from([(key.to_owned(), value)]);
    let (many, undeclared) = ("TOO_MANY_DIMENSIONS", "DIMENSION_UNDECLARED");
    vec![
        bad(|e| e.dimensions = labels(33), INVALID, many, "dimensions"),
        bad(
            |e| e.dimensions = labels(1),
            INVALID,
            undeclared,
            "dimensions[\"k0\"]",
        ),
        invalid(
            |e| e.dimensions = one("model", "x".repeat(257)),
            "dimensions[\"model\"]",
        ),
        invalid(|e| e.metadata = labels(33), "metadata"),
        invalid(
            |e| e.metadata = one("k", "\0".to_owned()),
            "metadata[\"k\"]",
        ),
    ]
}

fn bad_events() -> Vec<Bad> {
    let mut all = bad_ids();
    all.extend(bad_quantities());
    all.extend(bad_times());
    all.extend(bad_labels());
    all
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
            for (place, result) in answer.results.iter().enumerate() {
                if let Some(error) = &result.error {
                    let field = format!("events[{place}].quantity");
                    let wanted = expected(OUT_OF_RANGE, "QUANTITY_OVERFLOW", &field);
                    assert_eq!(seen_inside(error), wanted);
                    rejected += 1;
                }
            }
        }
        // 9,223 events of 10^12 units fit into 64 bits of thousandths.
        assert_eq!(rejected, 10_000 - 9_223);
        server.stop().await;
    });
}
