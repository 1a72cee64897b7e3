//! Payments, refunds, disputes, the balance.

use super::{Api, id};

fn available(api: &mut Api) -> i64 {
    super::int(&api.get("/v1/balance", &[])["available"][0]["amount"])
}

#[test]
fn a_card_pays_or_refuses() {
    for (token, decline) in [
        ("pm_card_visa", None),
        ("pm_card_chargeDeclined", Some("generic_decline")),
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            Some("insufficient_funds"),
        ),
        ("pm_card_chargeCustomerFail", Some("generic_decline")),
    ] {
        let mut api = Api::new();
        let given = [
            ("amount", "500"),
            ("currency", "usd"),
            ("payment_method", token),
            ("confirm", "true"),
        ];
        let answer = api.send(super::Method::Post, "/v1/payment_intents", &given, None);
        let told = api.told();
        let Some(decline) = decline else {
            assert_eq!(answer.unwrap()["status"], "succeeded");
            assert_eq!(
                told,
                [
                    "payment_intent.created",
                    "charge.succeeded",
                    "payment_intent.succeeded"
                ]
            );
            continue;
        };
        let refusal = answer.unwrap_err();
        assert_eq!(
            (refusal.status, &refusal.error["decline_code"]),
            (402, &decline.into())
        );
        assert_eq!(
            told,
            [
                "payment_intent.created",
                "charge.failed",
                "payment_intent.payment_failed"
            ]
        );
        let intent = id(&refusal.error["payment_intent"]);
        let kept = api.get(&format!("/v1/payment_intents/{intent}"), &[]);
        assert_eq!(kept["status"], "requires_payment_method");
        assert_eq!(kept["last_payment_error"]["decline_code"], decline);
    }
}

#[test]
fn a_declining_card_is_refused_when_it_is_attached() {
    let mut api = Api::new();
    let customer = id(&api.post("/v1/customers", &[]));
    for (token, fails) in [
        ("pm_card_chargeDeclined", true),
        ("pm_card_chargeCustomerFail", false),
    ] {
        let path = format!("/v1/payment_methods/{token}/attach");
        let answer = api.send(super::Method::Post, &path, &[("customer", &customer)], None);
        assert_eq!(answer.is_err(), fails, "{token}");
    }
    let methods = api.get(&format!("/v1/customers/{customer}/payment_methods"), &[]);
    assert_eq!(methods["data"].as_array().unwrap().len(), 1);
}

#[test]
fn refunds_go_up_to_what_was_paid() {
    let mut api = Api::new();
    let intent = id(&api.post(
        "/v1/payment_intents",
        &[
            ("amount", "1000"),
            ("currency", "usd"),
            ("payment_method", "pm_card_visa"),
            ("confirm", "true"),
        ],
    ));
    assert_eq!(available(&mut api), 1_000);
    let part = api.post(
        "/v1/refunds",
        &[("payment_intent", &intent), ("amount", "300")],
    );
    assert_eq!(
        (&part["status"], &part["amount"]),
        (&"succeeded".into(), &300.into())
    );
    assert_eq!(
        api.refused(
            "/v1/refunds",
            &[("payment_intent", &intent), ("amount", "701")]
        )
        .error["param"],
        "amount"
    );
    let charge = part["charge"].as_str().unwrap();
    api.post("/v1/refunds", &[("charge", charge)]);
    let again = api.refused("/v1/refunds", &[("charge", charge)]);
    assert_eq!(again.error["code"], "charge_already_refunded");
    assert_eq!(available(&mut api), 0);
    let charge = api.get(&format!("/v1/charges/{charge}"), &[]);
    assert_eq!(
        (&charge["amount_refunded"], &charge["refunded"]),
        (&1_000.into(), &true.into())
    );
    let told = api.told();
    assert_eq!(
        told.iter()
            .filter(|kind| *kind == "charge.refunded")
            .count(),
        2
    );
    assert_eq!(
        told.iter().filter(|kind| *kind == "refund.created").count(),
        2
    );
}

#[test]
fn disputes_take_the_money_until_they_are_won() {
    for won in [true, false] {
        let mut api = Api::new();
        let intent = api.post(
            "/v1/payment_intents",
            &[
                ("amount", "1000"),
                ("currency", "usd"),
                ("payment_method", "pm_card_visa"),
                ("confirm", "true"),
            ],
        );
        let charge = intent["latest_charge"].as_str().unwrap();
        assert!(api.model.dispute(charge, 1_001).is_err());
        let dispute = api.model.dispute(charge, 1_000).unwrap();
        assert!(api.model.dispute(charge, 1_000).is_err());
        assert_eq!(available(&mut api), 0);
        assert_eq!(
            api.refused("/v1/refunds", &[("charge", charge)]).error["code"],
            "charge_disputed"
        );
        api.model.take_events();
        api.model.close_dispute(&dispute, won).unwrap();
        assert!(api.model.close_dispute(&dispute, won).is_err());
        let shown = api.get(&format!("/v1/disputes/{dispute}"), &[]);
        assert_eq!(shown["status"], if won { "won" } else { "lost" });
        assert_eq!(available(&mut api), if won { 1_000 } else { 0 });
        let back = api
            .told()
            .contains(&"charge.dispute.funds_reinstated".to_owned());
        assert_eq!(back, won);
    }
}

#[test]
fn a_disputing_card_disputes_at_once() {
    let mut api = Api::new();
    api.post(
        "/v1/payment_intents",
        &[
            ("amount", "1000"),
            ("currency", "usd"),
            ("payment_method", "pm_card_createDispute"),
            ("confirm", "true"),
        ],
    );
    let told = api.told();
    assert!(told.ends_with(&[
        "charge.dispute.created".to_owned(),
        "charge.dispute.funds_withdrawn".to_owned()
    ]));
    assert_eq!(api.get("/v1/disputes", &[])["data"][0]["amount"], 1_000);
}
