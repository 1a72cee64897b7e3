//! Checkout, payment links, the portal.

use super::super::Refused;
use super::{Api, DAY, id};

#[test]
fn a_declined_card_leaves_the_session_open() {
    let mut api = Api::new();
    let product = api.product("Pro");
    let price = api.flat(&product, 1_000, "month");
    let session = id(&api.post(
        "/v1/checkout/sessions",
        &[
            ("mode", "subscription"),
            ("line_items[0][price]", &price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://example.com"),
        ],
    ));
    api.model.take_events();
    let refused = api.model.complete_checkout(&session, "4000000000009995");
    assert_eq!(
        refused,
        Err(Refused::Declined {
            decline_code: "insufficient_funds".to_owned()
        })
    );
    assert_eq!(
        api.told(),
        ["charge.failed", "payment_intent.payment_failed"]
    );
    assert!(
        api.get("/v1/subscriptions", &[("status", "all")])["data"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let path = format!("/v1/checkout/sessions/{session}");
    assert_eq!(api.get(&path, &[])["status"], "open");
    api.model
        .complete_checkout(&session, "4242424242424242")
        .unwrap();
    let done = api.get(
        &path,
        &[("expand[]", "subscription"), ("expand[]", "line_items")],
    );
    assert_eq!(
        (&done["status"], &done["subscription"]["status"]),
        (&"complete".into(), &"active".into())
    );
    assert_eq!(done["line_items"]["data"][0]["amount_total"], 1_000);
    assert_eq!(
        api.model.complete_checkout(&session, "4242424242424242"),
        Err(Refused::NotOpen)
    );
}

#[test]
fn a_trial_needs_no_payment_now() {
    let mut api = Api::new();
    let product = api.product("Pro");
    let price = api.flat(&product, 1_000, "month");
    let session = id(&api.post(
        "/v1/checkout/sessions",
        &[
            ("mode", "subscription"),
            ("line_items[0][price]", &price),
            ("line_items[0][quantity]", "1"),
            ("subscription_data[trial_period_days]", "14"),
            ("success_url", "https://example.com"),
        ],
    ));
    api.model
        .complete_checkout(&session, "4242424242424242")
        .unwrap();
    let done = api.get(
        &format!("/v1/checkout/sessions/{session}"),
        &[("expand[]", "subscription")],
    );
    assert_eq!(done["payment_status"], "no_payment_required");
    assert_eq!(done["subscription"]["status"], "trialing");
}

#[test]
fn a_session_expires_after_a_day_or_when_told() {
    let mut api = Api::new();
    let given = [
        ("mode", "payment"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", "700"),
        ("line_items[0][price_data][product_data][name]", "Report"),
        ("line_items[0][quantity]", "2"),
        ("success_url", "https://example.com"),
    ];
    let (one, two) = (
        api.post("/v1/checkout/sessions", &given),
        api.post("/v1/checkout/sessions", &given),
    );
    assert_eq!(one["amount_total"], 1_400);
    api.model.take_events();
    let path = format!("/v1/checkout/sessions/{}/expire", id(&two));
    assert_eq!(api.post(&path, &[])["status"], "expired");
    assert_eq!(api.refused(&path, &[]).status, 400);
    api.pass(DAY - 1);
    assert_eq!(api.told(), ["checkout.session.expired"]);
    api.pass(1);
    assert_eq!(api.told(), ["checkout.session.expired"]);
    assert_eq!(
        api.model.complete_checkout(&id(&one), "4242424242424242"),
        Err(Refused::NotOpen)
    );
}

#[test]
fn a_payment_keeps_its_intent_over_tries() {
    let mut api = Api::new();
    let product = api.product("Credits");
    let price = id(&api.post(
        "/v1/prices",
        &[
            ("product", &product),
            ("currency", "usd"),
            ("unit_amount", "2500"),
        ],
    ));
    let customer = id(&api.post("/v1/customers", &[]));
    let session = id(&api.post(
        "/v1/checkout/sessions",
        &[
            ("mode", "payment"),
            ("customer", &customer),
            ("line_items[0][price]", &price),
            ("line_items[0][quantity]", "1"),
            ("payment_intent_data[metadata][order]", "7"),
            ("success_url", "https://example.com"),
        ],
    ));
    assert!(
        api.model
            .complete_checkout(&session, "4000000000000002")
            .is_err()
    );
    api.model
        .complete_checkout(&session, "4242424242424242")
        .unwrap();
    let intents = api.get("/v1/payment_intents", &[("customer", &customer)]);
    assert_eq!(intents["data"].as_array().unwrap().len(), 1);
    assert_eq!(intents["data"][0]["metadata"]["order"], "7");
    let charges = api.get("/v1/charges", &[("customer", &customer)]);
    assert_eq!(charges["data"].as_array().unwrap().len(), 2);
}

#[test]
fn a_link_is_paid_as_often_as_people_want() {
    let mut api = Api::new();
    let product = api.product("Report");
    let price = id(&api.post(
        "/v1/prices",
        &[
            ("product", &product),
            ("currency", "usd"),
            ("unit_amount", "900"),
        ],
    ));
    let given = [
        ("line_items[0][price]", price.as_str()),
        ("line_items[0][quantity]", "1"),
        ("metadata[a]", "b"),
    ];
    let link = id(&api.post("/v1/payment_links", &given));
    for _ in 0..2 {
        let session = api.model.pay_link(&link, "4242424242424242").unwrap();
        let session = api.get(&format!("/v1/checkout/sessions/{session}"), &[]);
        assert_eq!(
            (&session["payment_link"], &session["metadata"]["a"]),
            (&link.as_str().into(), &"b".into())
        );
    }
    api.post(&format!("/v1/payment_links/{link}"), &[("active", "false")]);
    assert_eq!(
        api.model.pay_link(&link, "4242424242424242"),
        Err(Refused::NotOpen)
    );
}

#[test]
fn the_portal_needs_a_configuration() {
    let mut api = Api::new();
    let customer = id(&api.post("/v1/customers", &[]));
    assert_eq!(
        api.refused("/v1/billing_portal/sessions", &[("customer", &customer)])
            .error["param"],
        "configuration"
    );
    let configuration = api.post(
        "/v1/billing_portal/configurations",
        &[
            ("features[subscription_cancel][enabled]", "true"),
            ("features[invoice_history][enabled]", "true"),
            ("default_return_url", "https://example.com"),
        ],
    );
    assert_eq!(
        configuration["features"]["subscription_cancel"]["enabled"],
        true
    );
    let session = api.post(
        "/v1/billing_portal/sessions",
        &[
            ("customer", &customer),
            ("configuration", &id(&configuration)),
        ],
    );
    assert_eq!(session["return_url"], "https://example.com");
    assert!(session["url"].as_str().unwrap().starts_with("https://"));
}
