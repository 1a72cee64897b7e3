//! Quantities that are more than can be counted or charged: each refusal names its field and the numbers behind it.

mod asked;

use std::collections::BTreeMap;

use bursar::grpc::pb;
use pb::wallet_service_client::WalletServiceClient;
use tonic::Status;
use tonic_types::StatusExt;

use super::super::stream::{Stream, batch};
use super::{OUT_OF_RANGE, UNITS_MAX};
use crate::harness::{Kind, TestServer, run, seen};

/// Tokens and refunds are counted for a limit, bytes only by the hour; each unit of them may weigh a million. A call costs
/// two cents of credits.
const CATALOG: &str = r#"
default_plan = "basic"
auto_create_customers = { per_minute = 100000 }

[credit_units.USD]
per_dollar = 1

[meters.tokens]
unit = "token"
aggregation = "sum"
dimensions = ["size", "kind"]
weights = { size = { huge = "1000" }, kind = { rare = "1000" } }

[meters.refunds]
unit = "token"
aggregation = "sum"
allow_negative = true
dimensions = ["size", "kind"]
weights = { size = { huge = "1000" }, kind = { rare = "1000" } }

[meters.bytes]
unit = "byte"
aggregation = "sum"
dimensions = ["size", "kind"]
weights = { size = { huge = "1000" }, kind = { rare = "1000" } }

[meters.calls]
unit = "call"
aggregation = "sum"

[features]
tokens = { metered = { meter = "tokens" } }
refunds = { metered = { meter = "refunds" } }
calls = { metered = { meter = "calls" } }

[products]
report = { outcome = "1000000.00" }

[plans.basic.entitlements]
tokens = { limits = [{ amount = 1, window = "month", on_limit = "allow" }] }
refunds = { limits = [{ amount = 1, window = "month", on_limit = "allow" }] }
calls = { wallet = { credit_unit = "USD", per_unit = "0.02", per = 1, from_first_unit = true } }
"#;

/// So many heavy units that two of them are beyond what can be counted.
const MANY: i64 = 5_000_000_000;
/// What so many calls cost is the most that is charged at once.
const DEAR: i64 = 50_000_000_000;

fn start(kind: Kind) -> TestServer {
    TestServer::with(kind, |config| {
        let path = config.catalog.as_ref().unwrap();
        std::fs::write(path, CATALOG).unwrap();
    })
}

fn heavy() -> BTreeMap<String, String> {
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    [("size", "huge"), ("kind", "rare")].map(own).into()
}

/// An event whose units weigh most, where its meter has weights.
fn event(meter: &str, id: &str, quantity: i64) -> pb::UsageEvent {
    let dimensions = if meter == "calls" {
        BTreeMap::new()
    } else {
        heavy()
    };
    pb::UsageEvent {
        meter_id: meter.to_owned(),
        dimensions,
        ..crate::harness::event("acme", id, quantity)
    }
}

/// A field, what it asks for, and the other numbers.
type Told = (String, i64, Vec<(String, i64)>);

fn told(field: &str, quantity: i64, numbers: &[(&str, i64)]) -> Told {
    let numbers = numbers.iter();
    let numbers = numbers.map(|(key, number)| ((*key).to_owned(), *number));
    (field.to_owned(), quantity, numbers.collect())
}

/// It cannot be counted.
fn counted(field: &str, quantity: i64) -> Told {
    told(field, quantity, &[("limit", i64::MAX / 1000)])
}

/// It cannot be charged at once, at two cents each.
fn dear(field: &str, quantity: i64) -> Told {
    let numbers = [
        ("cost_micros", quantity * 20_000),
        ("limit_micros", 1_000_000_000_000_000),
    ];
    told(field, quantity, &numbers)
}

fn told_by(status: &Status) -> Told {
    let (code, reason, field) = seen(status);
    assert_eq!(
        (code, &*reason),
        (OUT_OF_RANGE, "QUANTITY_OVERFLOW"),
        "{status:?}"
    );
    let details = status.get_error_details();
    let mut numbers = details.error_info().unwrap().metadata.clone();
    assert_eq!(numbers.remove("field"), Some(field.clone()));
    let quantity = numbers.remove("quantity").unwrap().parse().unwrap();
    let numbers: BTreeMap<String, i64> = numbers
        .into_iter()
        .map(|(key, number)| (key, number.parse().unwrap()))
        .collect();
    assert!(status.message().starts_with(&field), "{status:?}");
    (field, quantity, numbers.into_iter().collect())
}

fn told_inside(status: &tonic_types::Status) -> Told {
    let details = prost::Message::encode_to_vec(status);
    let code = tonic::Code::from_i32(status.code);
    let message = status.message.clone();
    told_by(&Status::with_details(code, message, details.into()))
}

/// Records events and returns what became of each: nothing, when it was recorded.
async fn record(server: &TestServer, events: Vec<pb::UsageEvent>) -> Vec<Option<Told>> {
    let request = pb::RecordUsageBatchRequest { events };
    let mut metering = server.metering().await;
    let answer = metering.record_usage_batch(request).await.unwrap();
    let results = answer.into_inner().results;
    results
        .iter()
        .map(|result| result.error.as_ref().map(told_inside))
        .collect()
}

/// Runs a test on a server in memory, and on one with a file.
fn on_both(test: impl AsyncFn(&TestServer)) {
    for kind in [Kind::Memory, Kind::Sqlite] {
        run(async {
            let server = start(kind);
            test(&server).await;
            server.stop().await;
        });
    }
}

#[test]
fn an_event_that_cannot_be_counted_or_charged_is_rejected_with_its_numbers() {
    on_both(async |server| {
        let events = vec![
            event("tokens", "e-0", MANY),
            event("tokens", "e-1", UNITS_MAX),
            event("tokens", "e-2", MANY),
            event("bytes", "e-3", MANY),
            event("bytes", "e-4", MANY),
            event("calls", "e-5", UNITS_MAX),
            event("calls", "e-6", DEAR),
            event("calls", "e-7", DEAR + 1),
        ];
        let expected = vec![
            None,
            Some(counted("events[1].quantity", UNITS_MAX)),
            Some(counted("events[2].quantity", MANY)),
            None,
            Some(counted("events[4].quantity", MANY)),
            Some(dear("events[5].quantity", UNITS_MAX)),
            None,
            Some(dear("events[7].quantity", DEAR + 1)),
        ];
        assert_eq!(record(server, events).await, expected);
        // On a stream, where the sequence number says which event it is.
        let mut stream = Stream::open(server).await;
        let events = vec![
            event("calls", "s-1", 1),
            event("calls", "s-2", UNITS_MAX),
            event("bytes", "s-3", MANY),
        ];
        stream.send(batch(1, events)).await;
        let (rejects, _) = stream.until(3).await;
        let rejects = rejects.iter().map(|reject| {
            let status = reject.status.as_ref().unwrap();
            (reject.seq, told_inside(status))
        });
        let expected = [
            (2, dear("quantity", UNITS_MAX)),
            (3, counted("quantity", MANY)),
        ];
        assert_eq!(rejects.collect::<Vec<_>>(), expected);
    });
}

#[test]
fn calls_with_one_event_name_it() {
    on_both(async |server| {
        let first = vec![event("tokens", "e-0", MANY), event("calls", "c-0", 1)];
        assert_eq!(record(server, first).await, [None, None]);
        let mut entitlements = server.entitlements().await;
        for quantity in [UNITS_MAX, MANY] {
            let consume = pb::ConsumeRequest {
                event: Some(event("tokens", "e-1", quantity)),
                feature_id: "tokens".to_owned(),
                verbose: false,
            };
            let refused = entitlements.consume(consume).await.unwrap_err();
            assert_eq!(told_by(&refused), counted("event.quantity", quantity));
        }
        let mut metering = server.metering().await;
        for (meter, expected) in [
            ("tokens", counted("replacement.quantity", UNITS_MAX)),
            ("calls", dear("replacement.quantity", UNITS_MAX)),
        ] {
            let amend = pb::AmendUsageRequest {
                request_id: meter.to_owned(),
                customer_id: "acme".to_owned(),
                event_id: "c-0".to_owned(),
                replacement: Some(event(meter, "c-1", UNITS_MAX)),
                reason: String::new(),
            };
            let refused = metering.amend_usage(amend).await.unwrap_err();
            assert_eq!(told_by(&refused), expected);
        }
        // What was not replaced stands.
        let again = record(server, vec![event("calls", "c-0", 1)]).await;
        assert_eq!(again, [None]);
    });
}

#[test]
fn a_void_that_cannot_be_counted_off_names_its_event() {
    on_both(async |server| {
        let events = [("up", MANY), ("down", -MANY), ("deep", -MANY)];
        let events = events.map(|(id, quantity)| event("refunds", id, quantity));
        assert_eq!(record(server, events.into()).await, [None, None, None]);
        let void = |ids: &[&str]| pb::VoidUsageRequest {
            request_id: ids.join("-"),
            customer_id: "acme".to_owned(),
            event_ids: ids.iter().map(ToString::to_string).collect(),
            ..pb::VoidUsageRequest::default()
        };
        let mut metering = server.metering().await;
        let refused = metering.void_usage(void(&["nobody", "up"])).await;
        let refused = told_by(&refused.unwrap_err());
        assert_eq!(refused, counted("event_ids[1]", MANY));
        let done = metering.void_usage(void(&["deep", "up"])).await.unwrap();
        assert_eq!(done.into_inner().void_count, 2);
    });
}

#[test]
fn what_a_wallet_cannot_owe_as_well_is_refused_with_its_numbers() {
    run(async {
        let server = start(Kind::Memory);
        // The most at once, as often as 64 bits hold.
        let times = 9_223;
        for first in (0..times).step_by(1_000) {
            let events = (first..times.min(first + 1_000)).map(|id| {
                let id = format!("e-{id}");
                event("calls", &id, DEAR)
            });
            let recorded = record(&server, events.collect()).await;
            assert!(recorded.iter().all(Option::is_none));
        }
        let owed = times * DEAR * 20_000;
        let numbers = [("cost_micros", DEAR * 20_000), ("limit_micros", i64::MAX)];
        let next = record(&server, vec![event("calls", "next", DEAR)]).await;
        assert_eq!(next, [Some(told("events[0].quantity", DEAR, &numbers))]);
        let request = pb::DebitCreditsRequest {
            request_id: "d".to_owned(),
            spender: Some(pb::WalletName {
                customer_id: "acme".to_owned(),
                subaccount_id: String::new(),
                credit_unit: "USD".to_owned(),
            }),
            amount_micros: DEAR * 20_000,
            allow_receivable: true,
            ..pb::DebitCreditsRequest::default()
        };
        let mut wallets = WalletServiceClient::new(server.channel().await);
        let refused = wallets.debit_credits(request).await.unwrap_err();
        let (code, reason, field) = seen(&refused);
        assert_eq!(
            (code, &*reason, &*field),
            (OUT_OF_RANGE, "QUANTITY_OVERFLOW", "amount_micros")
        );
        let details = refused.get_error_details();
        let numbers: BTreeMap<_, _> = details
            .error_info()
            .unwrap()
            .metadata
            .clone()
            .into_iter()
            .collect();
        let expected = [
            ("amount_micros", (DEAR * 20_000).to_string()),
            ("field", "amount_micros".to_owned()),
            ("limit_micros", i64::MAX.to_string()),
            ("owed_micros", owed.to_string()),
        ];
        let expected = expected.map(|(key, number)| (key.to_owned(), number));
        assert_eq!(numbers, expected.into());
        server.stop().await;
    });
}
