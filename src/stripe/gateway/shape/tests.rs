use super::*;

fn post(path: &str, body: &str) -> RequestBuilder {
    let mut built = RequestBuilder::new(StripeMethod::Post, path);
    built.body = Some(body.to_owned());
    built
}

#[test]
fn the_same_call_is_the_same_bytes() {
    let cases = [
        (
            "a=1&metadata[b]=2&metadata[a]=1&c=3",
            "a=1&metadata[a]=1&metadata[b]=2&c=3",
        ),
        (
            "payload[value]=1&payload[a]=2",
            "payload[a]=2&payload[value]=1",
        ),
        // Lists keep their order, also past the tenth element.
        (
            "items[2][price]=b&items[10][price]=a",
            "items[2][price]=b&items[10][price]=a",
        ),
        ("expand[0]=z&expand[1]=a", "expand[0]=z&expand[1]=a"),
        // Maps of different things stay apart.
        (
            "items[0][metadata][b]=1&items[0][metadata][a]=2&items[1][metadata][c]=3&\
             items[1][metadata][a]=4",
            "items[0][metadata][b]=1&items[0][metadata][a]=2&items[1][metadata][c]=3&\
             items[1][metadata][a]=4",
        ),
        ("", ""),
    ];
    for (body, expected) in cases {
        let shaped = shape(post("/customers", body), Some("k")).unwrap();
        assert_eq!(shaped.body, expected, "{body}");
    }
}

#[test]
fn a_request_is_carried_over_whole() {
    let shaped = shape(post("/customers/cus_1", "a=b"), Some("key")).unwrap();
    let expected = Request {
        method: Method::Post,
        path: "/v1/customers/cus_1".to_owned(),
        query: String::new(),
        body: "a=b".to_owned(),
        idempotency_key: Some("key".to_owned()),
    };
    assert_eq!(shaped, expected);

    let mut built = RequestBuilder::new(StripeMethod::Delete, "/subscriptions/sub_1");
    built.body = Some("prorate=true".to_owned());
    let shaped = shape(built, None).unwrap();
    assert_eq!(shaped.method, Method::Delete);
    assert_eq!(
        (shaped.query.as_str(), shaped.body.as_str()),
        ("prorate=true", "")
    );
}

#[test]
fn an_id_never_names_another_resource() {
    for path in [
        "/customers/",
        "/customers//sources",
        "/customers/../charges",
        "/customers/cus_1?expand",
        "/customers/cus 1",
        "/customers/cus_1%2Fsources",
        "/customers/cüs",
        "customers",
        "",
    ] {
        let refused = shape(post(path, ""), Some("k")).unwrap_err();
        assert_eq!(refused.kind, Kind::InvalidRequest, "{path}");
    }
}

#[test]
fn a_key_is_there_and_fits() {
    for (key, fits) in [
        ("k".to_owned(), true),
        ("k".repeat(IDEMPOTENCY_KEY_MAX), true),
        (String::new(), false),
        ("k\r\nx-header: 1".to_owned(), false),
        ("schlüssel".to_owned(), false),
        ("k".repeat(IDEMPOTENCY_KEY_MAX + 1), false),
    ] {
        assert_eq!(
            shape(post("/customers", ""), Some(&key)).is_ok(),
            fits,
            "{}",
            key.len()
        );
    }
}

#[test]
fn a_parameter_is_emptied_wherever_it_stands() {
    let built = emptied(post("/subscriptions/sub_1", ""), "pause_collection");
    assert_eq!(built.body.as_deref(), Some("pause_collection="));
    let built = emptied(post("/subscriptions/sub_1", "a=1"), "cancel_at");
    assert_eq!(built.body.as_deref(), Some("a=1&cancel_at="));
}
