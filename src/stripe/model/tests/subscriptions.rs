//! How subscriptions begin, change and end.

use super::super::DunningEnd;
use super::{Api, DAY, HOUR, START, id, int};

#[test]
fn a_first_payment_that_fails_leaves_what_the_call_asked_for() {
    let cases = [
        ("allow_incomplete", Some("incomplete")),
        ("default_incomplete", Some("incomplete")),
        ("error_if_incomplete", None),
    ];
    for (behavior, status) in cases {
        let mut api = Api::new();
        let customer = api.payer("pm_card_chargeCustomerFail");
        let product = api.product("Pro");
        let price = api.flat(&product, 1_000, "month");
        api.model.take_events();
        let given = [
            ("customer", customer.as_str()),
            ("items[0][price]", &price),
            ("payment_behavior", behavior),
        ];
        let answer = api.send(super::Method::Post, "/v1/subscriptions", &given, None);
        let Some(status) = status else {
            let refusal = answer.unwrap_err();
            assert_eq!(
                (refusal.status, &refusal.error["type"]),
                (402, &"card_error".into())
            );
            assert!(api.model.take_events().is_empty());
            assert!(
                api.get("/v1/subscriptions", &[("status", "all")])["data"]
                    .as_array()
                    .unwrap()
                    .is_empty()
            );
            continue;
        };
        let subscription = answer.unwrap();
        assert_eq!(subscription["status"], status);
        let tried = api.told().contains(&"invoice.payment_failed".to_owned());
        assert_eq!(tried, behavior == "allow_incomplete");
        api.pass(23 * HOUR);
        let now = api.subscription(&subscription);
        assert_eq!(
            (&now["status"], &now["latest_invoice"]["status"]),
            (&"incomplete_expired".into(), &"void".into())
        );
    }
}

#[test]
fn an_incomplete_subscription_becomes_active_once_paid() {
    let mut api = Api::new();
    let customer = id(&api.post("/v1/customers", &[]));
    let product = api.product("Pro");
    let price = api.flat(&product, 1_000, "month");
    let given = [("customer", customer.as_str()), ("items[0][price]", &price)];
    assert_eq!(
        api.refused("/v1/subscriptions", &given).error["code"],
        "resource_missing"
    );
    let given = [
        &given[..],
        &[
            ("payment_behavior", "default_incomplete"),
            ("expand[]", "latest_invoice.confirmation_secret"),
        ],
    ]
    .concat();
    let subscription = api.post("/v1/subscriptions", &given);
    let invoice = &subscription["latest_invoice"];
    let secret = invoice["confirmation_secret"]["client_secret"]
        .as_str()
        .unwrap();
    let intent = secret.split("_secret").next().unwrap();
    let refusal = api.refused(
        &format!("/v1/payment_intents/{intent}/confirm"),
        &[("payment_method", "pm_card_chargeDeclinedInsufficientFunds")],
    );
    assert_eq!(refusal.error["decline_code"], "insufficient_funds");
    assert!(api.told().contains(&"invoice.payment_failed".to_owned()));
    assert_eq!(api.subscription(&subscription)["status"], "incomplete");
    api.post(
        &format!("/v1/payment_intents/{intent}/confirm"),
        &[("payment_method", "pm_card_visa")],
    );
    assert_eq!(api.subscription(&subscription)["status"], "active");
}

#[test]
fn a_trial_bills_nothing_until_it_ends() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let (product, usage) = (api.product("Pro"), api.product("Calls"));
    let meter = api.meter("calls");
    let (price, metered) = (
        api.flat(&product, 1_000, "month"),
        api.metered(&usage, &meter),
    );
    let subscription = api.post(
        "/v1/subscriptions",
        &[
            ("customer", &customer),
            ("items[0][price]", &price),
            ("items[1][price]", &metered),
            ("trial_period_days", "14"),
        ],
    );
    assert_eq!(subscription["status"], "trialing");
    assert_eq!(subscription["trial_end"], START + 14 * DAY);
    api.use_meter("calls", &customer, 1_000, "u");
    api.model.take_events();
    api.pass(11 * DAY);
    assert_eq!(api.told(), ["customer.subscription.trial_will_end"]);
    api.pass(3 * DAY + HOUR);
    let now = api.subscription(&subscription);
    assert_eq!(
        (&now["status"], &now["latest_invoice"]["total"]),
        (&"active".into(), &1_000.into())
    );
    assert_eq!(now["billing_cycle_anchor"], START + 14 * DAY);
}

#[test]
fn a_trial_without_a_card_ends_as_was_set() {
    for (setting, status) in [
        ("cancel", "canceled"),
        ("pause", "paused"),
        ("create_invoice", "past_due"),
    ] {
        let mut api = Api::new();
        let customer = id(&api.post("/v1/customers", &[]));
        let product = api.product("Pro");
        let price = api.flat(&product, 1_000, "month");
        let subscription = api.post(
            "/v1/subscriptions",
            &[
                ("customer", &customer),
                ("items[0][price]", &price),
                ("trial_period_days", "14"),
                (
                    "trial_settings[end_behavior][missing_payment_method]",
                    setting,
                ),
            ],
        );
        api.pass(14 * DAY + HOUR);
        assert_eq!(
            api.subscription(&subscription)["status"],
            status,
            "{setting}"
        );
        if status == "paused" {
            api.model.set_card(&customer, "4242424242424242").unwrap();
            api.post(
                &format!("/v1/subscriptions/{}/resume", id(&subscription)),
                &[],
            );
            let now = api.subscription(&subscription);
            assert_eq!(
                (&now["status"], &now["latest_invoice"]["status"]),
                (&"active".into(), &"paid".into())
            );
        }
    }
}

#[test]
fn retries_end_as_the_account_says() {
    for (end, status) in [
        (DunningEnd::Cancel, "canceled"),
        (DunningEnd::Unpaid, "unpaid"),
        (DunningEnd::PastDue, "past_due"),
    ] {
        let mut api = Api::new();
        api.model.dunning_end = end;
        let customer = api.payer("pm_card_visa");
        let product = api.product("Pro");
        let price = api.flat(&product, 1_000, "month");
        let subscription = api.subscribe(&customer, &price);
        api.model.set_card(&customer, "4000000000000341").unwrap();
        api.model
            .advance(int(&subscription["items"]["data"][0]["current_period_end"]) + HOUR);
        for days in [3, 5, 7] {
            let now = api.subscription(&subscription);
            assert_eq!(now["status"], "past_due");
            let next = int(&now["latest_invoice"]["next_payment_attempt"]);
            assert_eq!(next, api.model.now() + days * DAY);
            api.model.advance(next);
        }
        let now = api.subscription(&subscription);
        assert_eq!(now["status"], status);
        assert_eq!(now["latest_invoice"]["attempt_count"], 4);
        assert!(now["latest_invoice"]["next_payment_attempt"].is_null());
        if end == DunningEnd::Cancel {
            assert_eq!(now["cancellation_details"]["reason"], "payment_failed");
            continue;
        }
        api.model.set_card(&customer, "4242424242424242").unwrap();
        api.post(
            &format!("/v1/invoices/{}/pay", id(&now["latest_invoice"])),
            &[],
        );
        assert_eq!(api.subscription(&subscription)["status"], "active");
    }
}

#[test]
fn canceling_at_once_bills_use_only_with_an_invoice() {
    for (invoice_now, prorate, total) in [
        ("true", "false", 200),
        ("true", "true", 200 - 500),
        ("false", "false", 1_000),
    ] {
        let mut api = Api::new();
        let customer = api.payer("pm_card_visa");
        let (product, usage) = (api.product("Pro"), api.product("Calls"));
        let meter = api.meter("calls");
        let (price, metered) = (
            api.flat(&product, 1_000, "month"),
            api.metered(&usage, &meter),
        );
        let subscription = api.post(
            "/v1/subscriptions",
            &[
                ("customer", &customer),
                ("items[0][price]", &price),
                ("items[1][price]", &metered),
            ],
        );
        let end = int(&subscription["items"]["data"][0]["current_period_end"]);
        api.pass(DAY);
        api.use_meter("calls", &customer, 200, "u");
        api.model.advance(START + (end - START) / 2);
        let path = format!("/v1/subscriptions/{}", id(&subscription));
        let ended = api.delete(&path, &[("invoice_now", invoice_now), ("prorate", prorate)]);
        assert_eq!(ended["status"], "canceled");
        assert_eq!(api.newest_invoice(&customer)["total"], total);
        let again = api
            .send(super::Method::Delete, &path, &[], None)
            .unwrap_err();
        assert_eq!(again.status, 404);
    }
}

#[test]
fn an_end_can_be_set_and_taken_back() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let product = api.product("Pro");
    let price = api.flat(&product, 1_000, "month");
    let subscription = api.subscribe(&customer, &price);
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    let end = int(&subscription["items"]["data"][0]["current_period_end"]);
    let set = api.post(&path, &[("cancel_at_period_end", "true")]);
    assert_eq!(
        (&set["cancel_at"], &set["canceled_at"]),
        (&end.into(), &START.into())
    );
    let back = api.post(&path, &[("cancel_at_period_end", "false")]);
    assert!(back["cancel_at"].is_null() && back["canceled_at"].is_null());
    api.model.advance(end);
    assert_eq!(api.subscription(&subscription)["status"], "active");
    let at = (end + 5 * DAY).to_string();
    api.post(&path, &[("cancel_at", &at)]);
    api.model.advance(end + 5 * DAY);
    assert_eq!(api.subscription(&subscription)["ended_at"], end + 5 * DAY);
}

#[test]
fn paused_collection_does_what_was_chosen() {
    for (behavior, status) in [
        ("void", "void"),
        ("keep_as_draft", "draft"),
        ("mark_uncollectible", "uncollectible"),
    ] {
        let mut api = Api::new();
        let customer = api.payer("pm_card_visa");
        let product = api.product("Pro");
        let price = api.flat(&product, 1_000, "month");
        let subscription = api.subscribe(&customer, &price);
        let path = format!("/v1/subscriptions/{}", id(&subscription));
        api.post(&path, &[("pause_collection[behavior]", behavior)]);
        api.pass(31 * DAY + HOUR);
        let now = api.subscription(&subscription);
        assert_eq!(
            (&now["status"], &now["latest_invoice"]["status"]),
            (&"active".into(), &status.into())
        );
        assert!(api.post(&path, &[("pause_collection", "")])["pause_collection"].is_null());
    }
}
