//! Rules of meter events, their reports and their sums.

use super::{Api, DAY, Given, HOUR, START, id};

#[test]
fn what_is_wrong_with_an_event_is_refused_at_once_or_found_later() {
    let long = "x".repeat(101);
    let old = (START - 35 * DAY - 1).to_string();
    let oldest = (START - 35 * DAY).to_string();
    let ahead = (START + 301).to_string();
    let farthest = (START + 300).to_string();
    let cases: [(Given, Option<&str>); 9] = [
        (&[("identifier", &long)], Some("identifier")),
        (&[("event_name", &long)], Some("event_name")),
        (&[("timestamp", &old)], Some("timestamp")),
        (&[("timestamp", &oldest)], None),
        (&[("timestamp", &ahead)], Some("timestamp")),
        (&[("timestamp", &farthest)], None),
        (
            &[("payload[value]", "1234567890123456")],
            Some("payload[value]"),
        ),
        (&[("payload[value]", "123456789012345")], None),
        (&[("payload[value]", "1.5")], Some("payload[value]")),
    ];
    for (changes, refused) in cases {
        let mut api = Api::new();
        api.meter("calls");
        let customer = id(&api.post("/v1/customers", &[]));
        let mut given = vec![
            ("event_name", "calls"),
            ("payload[stripe_customer_id]", customer.as_str()),
            ("payload[value]", "1"),
        ];
        for change in changes {
            given.retain(|one| one.0 != change.0);
            given.push(*change);
        }
        let answer = api.send(
            super::Method::Post,
            "/v1/billing/meter_events",
            &given,
            None,
        );
        match (answer, refused) {
            (Ok(event), None) => assert_eq!(event["object"], "billing.meter_event"),
            (Err(refusal), Some(param)) => {
                assert_eq!(
                    (refusal.status, &refusal.error["param"]),
                    (400, &param.into())
                );
            }
            (answer, _) => panic!("{changes:?}: {answer:?}"),
        }
    }
}

#[test]
fn an_identifier_counts_once_in_a_day() {
    let mut api = Api::new();
    let meter = api.meter("calls");
    let customer = id(&api.post("/v1/customers", &[]));
    api.use_meter("calls", &customer, 5, "one");
    let given = [
        ("event_name", "calls"),
        ("payload[stripe_customer_id]", customer.as_str()),
        ("payload[value]", "5"),
        ("identifier", "one"),
    ];
    let again = api.refused("/v1/billing/meter_events", &given);
    assert_eq!((again.status, again.should_retry), (400, Some(false)));
    assert_eq!(
        again.error["message"],
        "An event already exists with identifier one."
    );
    api.pass(DAY);
    api.post("/v1/billing/meter_events", &given);
    api.pass(60);
    let (start, end) = (
        (START - START % 60).to_string(),
        (START + 2 * DAY - START % 60).to_string(),
    );
    let sums = api.get(
        &format!("/v1/billing/meters/{meter}/event_summaries"),
        &[
            ("customer", &customer),
            ("start_time", &start),
            ("end_time", &end),
        ],
    );
    assert_eq!(sums["data"][0]["aggregated_value"], 10);
}

#[test]
fn sums_lag_by_a_minute_are_aligned_and_leave_out_what_was_canceled() {
    let mut api = Api::new();
    let meter = api.meter("calls");
    let customer = id(&api.post("/v1/customers", &[]));
    let path = format!("/v1/billing/meters/{meter}/event_summaries");
    let hour = START - START % HOUR;
    let (from, to, crooked) = (
        hour.to_string(),
        (hour + 3 * HOUR).to_string(),
        (hour + 30).to_string(),
    );
    let range = [
        ("customer", customer.as_str()),
        ("start_time", &from),
        ("end_time", &to),
    ];
    api.use_meter("calls", &customer, 5, "a");
    api.use_meter("calls", &customer, 7, "b");
    assert_eq!(api.get(&path, &range)["data"].as_array().unwrap().len(), 0);
    api.pass(2 * HOUR);
    api.use_meter("calls", &customer, 1, "c");
    api.pass(60);
    assert_eq!(api.get(&path, &range)["data"][0]["aggregated_value"], 13);
    let mut by_hour = range.to_vec();
    by_hour.push(("value_grouping_window", "hour"));
    let hours = api.get(&path, &by_hour);
    let sums: Vec<i64> = hours["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| super::int(&one["aggregated_value"]))
        .collect();
    assert_eq!(sums, [1, 12]);
    let cancel = [
        ("event_name", "calls"),
        ("type", "cancel"),
        ("cancel[identifier]", "b"),
    ];
    api.post("/v1/billing/meter_event_adjustments", &cancel);
    assert_eq!(api.get(&path, &range)["data"][0]["aggregated_value"], 6);
    let given = [
        ("customer", customer.as_str()),
        ("start_time", &crooked),
        ("end_time", &to),
    ];
    let refusal = api
        .send(super::Method::Get, &path, &given, None)
        .unwrap_err();
    assert_eq!(refusal.error["param"], "start_time");
    api.pass(DAY);
    assert_eq!(
        api.refused("/v1/billing/meter_event_adjustments", &cancel)
            .status,
        400
    );
}

#[test]
fn what_cannot_be_counted_is_reported_after_a_minute() {
    let mut api = Api::new();
    let meter = api.meter("calls");
    let gone = api.meter("old");
    api.post(&format!("/v1/billing/meters/{gone}/deactivate"), &[]);
    api.use_meter("calls", "cus_unknown", 1, "a");
    api.use_meter("old", "cus_unknown", 1, "b");
    api.use_meter("none", "cus_unknown", 1, "c");
    api.model.take_events();
    api.pass(59);
    assert!(api.model.take_events().is_empty());
    api.pass(1);
    let events = api.model.take_events();
    let cases = [
        ("v1.billing.meter.no_meter_found", "no_meter", None, "c"),
        (
            "v1.billing.meter.error_report_triggered",
            "meter_event_customer_not_found",
            Some(meter),
            "a",
        ),
        (
            "v1.billing.meter.error_report_triggered",
            "archived_meter",
            Some(gone),
            "b",
        ),
    ];
    assert_eq!(events.len(), cases.len());
    for (event, (kind, code, meter, identifier)) in events.iter().zip(cases) {
        assert_eq!(
            (&event["object"], &event["type"]),
            (&"v2.core.event".into(), &kind.into())
        );
        assert_eq!(event["related_object"]["id"].as_str(), meter.as_deref());
        assert!(event["data"].is_null());
        let whole = api.get(&format!("/v2/core/events/{}", id(event)), &[]);
        let error = &whole["data"]["reason"]["error_types"][0];
        assert_eq!(error["code"], code);
        assert_eq!(
            error["sample_errors"][0]["request"]["identifier"],
            identifier
        );
    }
}

#[test]
fn a_name_has_one_active_meter() {
    let mut api = Api::new();
    let meter = api.meter("calls");
    let given = [
        ("display_name", "Calls"),
        ("event_name", "calls"),
        ("default_aggregation[formula]", "sum"),
    ];
    assert_eq!(api.refused("/v1/billing/meters", &given).status, 400);
    api.post(&format!("/v1/billing/meters/{meter}/deactivate"), &[]);
    let next = id(&api.post("/v1/billing/meters", &given));
    let listed = api.get("/v1/billing/meters", &[("status", "active")]);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed["data"][0]["id"], next.as_str());
    let renamed = api.post(
        &format!("/v1/billing/meters/{next}"),
        &[("display_name", "New")],
    );
    assert_eq!(renamed["display_name"], "New");
}
