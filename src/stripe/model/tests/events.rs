//! Events: what changed, and how long it can be read; endpoints that want them.

use super::{Api, DAY, Method, id};

#[test]
fn an_update_tells_what_was_before() {
    let mut api = Api::new();
    let customer = id(&api.post(
        "/v1/customers",
        &[("email", "a@example.com"), ("metadata[a]", "1")],
    ));
    api.model.take_events();
    let path = format!("/v1/customers/{customer}");
    let given = [("email", "b@example.com"), ("metadata[b]", "2")];
    api.send(Method::Post, &path, &given, Some("k1")).unwrap();
    let events = api.model.take_events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["type"], "customer.updated");
    assert_eq!(events[0]["api_version"], "2026-01-28.clover");
    assert_eq!(events[0]["request"]["idempotency_key"], "k1");
    let previous = serde_json::json!({"email": "a@example.com", "metadata": {"b": null}});
    assert_eq!(events[0]["data"]["previous_attributes"], previous);
    api.post(&path, &[("email", "b@example.com")]);
    assert!(api.model.take_events().is_empty());
}

#[test]
fn events_are_listed_by_type_and_time_for_thirty_days() {
    let mut api = Api::new();
    api.product("One");
    api.pass(10 * DAY);
    api.post("/v1/customers", &[]);
    let since = api.model.now().to_string();
    let count = |api: &mut Api, given: &[(&str, &str)]| {
        api.get("/v1/events", given)["data"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(count(&mut api, &[]), 2);
    assert_eq!(count(&mut api, &[("type", "product.created")]), 1);
    assert_eq!(count(&mut api, &[("type", "product.*")]), 1);
    assert_eq!(
        count(
            &mut api,
            &[
                ("types[]", "customer.created"),
                ("types[]", "product.created")
            ]
        ),
        2
    );
    assert_eq!(count(&mut api, &[("created[gte]", &since)]), 1);
    let event = id(&api.get("/v1/events", &[("type", "product.created")])["data"][0]);
    api.pass(20 * DAY);
    assert_eq!(
        api.get(&format!("/v1/events/{event}"), &[])["id"],
        event.as_str()
    );
    api.pass(1);
    let gone = api
        .send(Method::Get, &format!("/v1/events/{event}"), &[], None)
        .unwrap_err();
    assert_eq!(gone.status, 404);
    assert_eq!(count(&mut api, &[]), 1);
}

#[test]
fn an_endpoint_shows_its_secret_once() {
    let mut api = Api::new();
    let given = [
        ("url", "https://example.com/stripe"),
        ("enabled_events[]", "*"),
        ("api_version", "2026-01-28.clover"),
    ];
    let made = api.post("/v1/webhook_endpoints", &given);
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let path = format!("/v1/webhook_endpoints/{}", id(&made));
    assert!(api.get(&path, &[])["secret"].is_null());
    assert_eq!(
        api.post(&path, &[("disabled", "true")])["status"],
        "disabled"
    );
    assert_eq!(api.delete(&path, &[])["deleted"], true);
    assert!(
        api.get("/v1/webhook_endpoints", &[])["data"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}
