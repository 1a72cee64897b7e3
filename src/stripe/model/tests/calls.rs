//! What every call has: unknown things are refused, keys repeat answers, lists have pages, ids are expanded.

use super::{Api, DAY, Given, Method, Model, START, id};

/// Method, path, parameters; status, code, parameter of the refusal.
type Case = (
    Method,
    &'static str,
    Given<'static>,
    u16,
    &'static str,
    &'static str,
);

const REFUSED: [Case; 12] = [
    (Method::Get, "/v1/nothing", &[], 404, "", ""),
    (
        Method::Get,
        "/v1/customers/cus_x",
        &[],
        404,
        "resource_missing",
        "id",
    ),
    (
        Method::Post,
        "/v1/customers",
        &[("nme", "x")],
        400,
        "parameter_unknown",
        "nme",
    ),
    (
        Method::Post,
        "/v1/prices",
        &[("currency", "usd"), ("recurring[intervall]", "month")],
        400,
        "parameter_unknown",
        "recurring[intervall]",
    ),
    (
        Method::Post,
        "/v1/products",
        &[],
        400,
        "parameter_missing",
        "name",
    ),
    (
        Method::Post,
        "/v1/products",
        &[("name", "")],
        400,
        "parameter_missing",
        "name",
    ),
    (
        Method::Post,
        "/v1/subscriptions",
        &[("customer", "cus_x"), ("items[0][price]", "p")],
        400,
        "resource_missing",
        "customer",
    ),
    (
        Method::Post,
        "/v1/payment_intents",
        &[("amount", "ten"), ("currency", "usd")],
        400,
        "parameter_invalid_integer",
        "amount",
    ),
    (
        Method::Post,
        "/v1/payment_intents",
        &[("amount", "49"), ("currency", "usd")],
        400,
        "amount_too_small",
        "amount",
    ),
    (
        Method::Get,
        "/v1/customers",
        &[("limit", "101")],
        400,
        "",
        "limit",
    ),
    (
        Method::Post,
        "/v1/customers",
        &[("metadata", "x")],
        400,
        "",
        "metadata",
    ),
    (
        Method::Get,
        "/v1/customers",
        &[("starting_after", "cus_x")],
        400,
        "resource_missing",
        "starting_after",
    ),
];

#[test]
fn what_a_call_does_not_know_is_refused() {
    for (method, path, given, status, code, param) in REFUSED {
        let mut api = Api::new();
        let refusal = api.send(method, path, given, None).unwrap_err();
        let text = |key: &str| refusal.error[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (
                refusal.status,
                text("code").as_str(),
                text("param").as_str()
            ),
            (status, code, param),
            "{path}"
        );
        assert_eq!(text("type"), "invalid_request_error");
        assert!(api.model.take_events().is_empty());
    }
}

#[test]
fn a_key_gives_the_first_answer_again_for_a_day() {
    let mut api = Api::new();
    let send = |api: &mut Api, name: &str| {
        api.send(Method::Post, "/v1/customers", &[("name", name)], Some("k1"))
    };
    let first = send(&mut api, "Ann").unwrap();
    assert_eq!(send(&mut api, "Ann").unwrap(), first);
    let other = send(&mut api, "Bob").unwrap_err();
    assert_eq!(
        (other.status, &other.error["type"]),
        (400, &"idempotency_error".into())
    );
    assert_eq!(
        api.get("/v1/customers", &[])["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    api.pass(DAY);
    assert_ne!(id(&send(&mut api, "Ann").unwrap()), id(&first));
}

#[test]
fn a_key_gives_a_refusal_again_as_well() {
    let mut api = Api::new();
    let given = [("name", "Ann"), ("payment_method", "pm_none")];
    let first = api
        .send(Method::Post, "/v1/customers", &given, Some("k1"))
        .unwrap_err();
    let again = api
        .send(Method::Post, "/v1/customers", &given, Some("k1"))
        .unwrap_err();
    assert_eq!(first.error, again.error);
    assert!(
        api.get("/v1/customers", &[])["data"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn lists_are_newest_first_in_pages() {
    let mut api = Api::new();
    let ids: Vec<String> = (0..5)
        .map(|number| {
            let email = if number % 2 == 0 {
                "even@example.com"
            } else {
                "odd@example.com"
            };
            id(&api.post("/v1/customers", &[("email", email)]))
        })
        .collect();
    let first = api.get("/v1/customers", &[("limit", "2")]);
    assert_eq!(
        (first["data"][0]["id"].as_str(), &first["has_more"]),
        (Some(ids[4].as_str()), &true.into())
    );
    let next = api.get(
        "/v1/customers",
        &[("limit", "3"), ("starting_after", &ids[3])],
    );
    assert_eq!(
        (next["data"][2]["id"].as_str(), &next["has_more"]),
        (Some(ids[0].as_str()), &false.into())
    );
    let even = api.get("/v1/customers", &[("email", "even@example.com")]);
    assert_eq!(even["data"].as_array().unwrap().len(), 3);
    api.delete(&format!("/v1/customers/{}", ids[0]), &[]);
    assert_eq!(
        api.get("/v1/customers", &[])["data"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    assert_eq!(
        api.get(&format!("/v1/customers/{}", ids[0]), &[])["deleted"],
        true
    );
}

#[test]
fn ids_are_expanded_where_a_call_asks() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let product = api.product("Pro");
    let price = api.flat(&product, 1_000, "month");
    let subscription = api.subscribe(&customer, &price);
    let path = format!("/v1/subscriptions/{}", id(&subscription));
    let plain = api.get(&path, &[]);
    assert!(plain["latest_invoice"].is_string() && plain["customer"].is_string());
    let wide = api.get(
        &path,
        &[
            ("expand[]", "latest_invoice.payments"),
            ("expand[]", "customer"),
        ],
    );
    assert_eq!(wide["customer"]["id"], customer.as_str());
    assert_eq!(
        wide["latest_invoice"]["payments"]["data"][0]["status"],
        "paid"
    );
    let invoice = format!("/v1/invoices/{}", plain["latest_invoice"].as_str().unwrap());
    assert!(api.get(&invoice, &[])["payments"].is_null());
    let deep = [("expand[]", "payments.data.payment.payment_intent")];
    let intent = &api.get(&invoice, &deep)["payments"]["data"][0]["payment"]["payment_intent"];
    assert_eq!(intent["status"], "succeeded");
    let list = api.get("/v1/subscriptions", &[("expand[]", "data.latest_invoice")]);
    assert_eq!(list["data"][0]["latest_invoice"]["object"], "invoice");
    let refusal = api
        .send(Method::Get, &path, &[("expand[]", "nothing")], None)
        .unwrap_err();
    assert_eq!(refusal.error["param"], "expand");
}

#[test]
fn a_model_comes_back_from_its_json() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let product = api.product("Pro");
    let price = api.flat(&product, 1_000, "month");
    let subscription = api.subscribe(&customer, &price);
    let json = serde_json::to_string(&api.model).unwrap();
    let mut again = Api {
        model: serde_json::from_str::<Model>(&json).unwrap(),
    };
    for api in [&mut api, &mut again] {
        api.model.advance(START + 40 * DAY);
    }
    assert_eq!(
        api.subscription(&subscription),
        again.subscription(&subscription)
    );
    assert_eq!(api.model.take_events(), again.model.take_events());
}

#[test]
fn metadata_is_kept_as_it_is() {
    let mut api = Api::new();
    let given = [
        ("metadata[_mine]", "1"),
        ("metadata[object]", "invoice"),
        ("metadata[payments]", "2"),
        ("metadata[7]", "x"),
    ];
    let made = api.post("/v1/customers", &given);
    let expected =
        serde_json::json!({"_mine": "1", "object": "invoice", "payments": "2", "7": "x"});
    assert_eq!(made["metadata"], expected);
    let path = format!("/v1/customers/{}", id(&made));
    let changed = api.post(&path, &[("metadata[_mine]", ""), ("metadata[new]", "3")]);
    assert_eq!(changed["metadata"]["new"], "3");
    assert!(changed["metadata"]["_mine"].is_null());
    assert_eq!(
        api.post(&path, &[("metadata", "")])["metadata"],
        serde_json::json!({})
    );
}
