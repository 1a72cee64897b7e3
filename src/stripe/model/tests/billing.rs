//! Invoices made by hand, invoice items, the customer's balance, previews.

use super::{Api, HOUR, START, id, int};

#[test]
fn an_invoice_is_made_finalized_and_paid_by_calls() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let invoice = id(&api.post(
        "/v1/invoices",
        &[("customer", &customer), ("description", "Report")],
    ));
    for (amount, what) in [("2000", "Report"), ("-500", "Goodwill")] {
        let given = [
            ("customer", customer.as_str()),
            ("invoice", &invoice),
            ("amount", amount),
            ("currency", "usd"),
            ("description", what),
        ];
        api.post("/v1/invoiceitems", &given);
    }
    let path = format!("/v1/invoices/{invoice}");
    api.model.take_events();
    let open = api.post(&format!("{path}/finalize"), &[("auto_advance", "false")]);
    assert_eq!(
        (&open["status"], &open["amount_due"]),
        (&"open".into(), &1_500.into())
    );
    assert!(open["number"].as_str().unwrap().ends_with("-0001"));
    let paid = api.post(
        &format!("{path}/pay"),
        &[("expand[]", "payments.data.payment.payment_intent")],
    );
    assert_eq!(
        (&paid["status"], &paid["amount_paid"]),
        (&"paid".into(), &1_500.into())
    );
    let intent = &paid["payments"]["data"][0]["payment"]["payment_intent"];
    assert!(intent["latest_charge"].is_string());
    assert_eq!(
        api.told(),
        [
            "payment_intent.created",
            "invoice.finalized",
            "charge.succeeded",
            "payment_intent.succeeded",
            "invoice.paid",
            "invoice.payment_succeeded",
            "invoice_payment.paid",
        ]
    );
    for deed in ["pay", "void", "finalize"] {
        assert_eq!(
            api.refused(&format!("{path}/{deed}"), &[]).status,
            400,
            "{deed}"
        );
    }
}

#[test]
fn items_wait_for_an_invoice_that_takes_them() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let given = [
        ("customer", customer.as_str()),
        ("amount", "700"),
        ("currency", "usd"),
    ];
    let item = id(&api.post("/v1/invoiceitems", &given));
    let other = id(&api.post("/v1/invoiceitems", &given));
    api.delete(&format!("/v1/invoiceitems/{other}"), &[]);
    let empty = api.post("/v1/invoices", &[("customer", &customer)]);
    assert_eq!(empty["total"], 0);
    let full = api.post(
        "/v1/invoices",
        &[
            ("customer", &customer),
            ("pending_invoice_items_behavior", "include"),
            ("auto_advance", "true"),
        ],
    );
    assert_eq!(full["total"], 700);
    let pending = api.get(
        "/v1/invoiceitems",
        &[("customer", &customer), ("pending", "true")],
    );
    assert!(pending["data"].as_array().unwrap().is_empty());
    api.pass(HOUR);
    assert_eq!(
        api.get(&format!("/v1/invoices/{}", id(&full)), &[])["status"],
        "paid"
    );
    let path = format!("/v1/invoiceitems/{item}");
    assert_eq!(
        api.send(super::Method::Delete, &path, &[], None)
            .unwrap_err()
            .error["code"],
        "invoice_not_editable"
    );
}

#[test]
fn credit_and_small_sums_go_to_the_balance() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let mut bill = |amount: &str| {
        let given = [
            ("customer", customer.as_str()),
            ("amount", amount),
            ("currency", "usd"),
        ];
        api.post("/v1/invoiceitems", &given);
        let given = [
            ("customer", customer.as_str()),
            ("pending_invoice_items_behavior", "include"),
        ];
        let invoice = id(&api.post("/v1/invoices", &given));
        let invoice = api.post(&format!("/v1/invoices/{invoice}/finalize"), &[]);
        let balance = int(&api.get(&format!("/v1/customers/{customer}"), &[])["balance"]);
        (
            int(&invoice["amount_due"]),
            balance,
            invoice["status"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(bill("-300"), (0, -300, "paid".to_owned()));
    assert_eq!(bill("200"), (0, -100, "paid".to_owned()));
    assert_eq!(bill("120"), (0, 20, "paid".to_owned()));
    assert_eq!(bill("100"), (120, 0, "open".to_owned()));
}

#[test]
fn a_preview_says_what_a_change_costs_and_changes_nothing() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let product = api.product("Pro");
    let (small, large) = (
        api.flat(&product, 1_000, "month"),
        api.flat(&product, 3_000, "month"),
    );
    let subscription = api.subscribe(&customer, &small);
    let item = &subscription["items"]["data"][0];
    let end = int(&item["current_period_end"]);
    api.model.advance(START + (end - START) / 2);
    api.model.take_events();
    let before = serde_json::to_string(&api.model).unwrap();
    let at = api.model.now().to_string();
    let given = |behavior| {
        [
            ("subscription".to_owned(), id(&subscription)),
            ("subscription_details[items][0][id]".to_owned(), id(item)),
            (
                "subscription_details[items][0][price]".to_owned(),
                large.clone(),
            ),
            (
                "subscription_details[proration_behavior]".to_owned(),
                behavior,
            ),
            (
                "subscription_details[proration_date]".to_owned(),
                at.clone(),
            ),
        ]
    };
    for (behavior, total) in [
        ("always_invoice", 1_000),
        ("create_prorations", 4_000),
        ("none", 3_000),
    ] {
        let given = given(behavior.to_owned());
        let given: Vec<(&str, &str)> = given
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let preview = api.post("/v1/invoices/create_preview", &given);
        assert_eq!(preview["total"], total, "{behavior}");
        assert!(id(&preview).starts_with("upcoming_"));
    }
    let plain = api.post(
        "/v1/invoices/create_preview",
        &[("subscription", &id(&subscription))],
    );
    assert_eq!(plain["total"], 1_000);
    let new = api.post(
        "/v1/invoices/create_preview",
        &[
            ("customer", &customer),
            ("subscription_details[items][0][price]", &large),
        ],
    );
    assert_eq!(new["total"], 3_000);
    assert!(api.model.take_events().is_empty());
    let mut untouched: super::Model = serde_json::from_str(&before).unwrap();
    // Only the number of calls, and notes in the agenda that do nothing, differ.
    untouched.advance(end);
    api.model.advance(end);
    assert_eq!(untouched.take_events(), api.model.take_events());
}
