//! Calls that go well, and what is known of them afterwards.

use super::super::{Double, Settings};
use super::client::Client;

#[tokio::test]
async fn a_call_reaches_the_model_and_is_recorded_as_it_came() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    let headers = [
        ("authorization", "Bearer sk_test_1"),
        ("stripe-version", "2026-01-28.clover"),
        ("idempotency-key", "k1"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let made = client
        .send("POST", "/v1/customers?expand[0]=x", &headers, "name=Ann")
        .await
        .unwrap();
    assert_eq!(made.status, 400, "{}", made.text);
    let made = client
        .send("POST", "/v1/customers", &headers[..2], "name=Ann")
        .await
        .unwrap();
    let id = made.id();
    assert!(made.header("request-id").unwrap().starts_with("req_"));
    assert_eq!(made.header("stripe-version"), Some("2026-01-28.clover"));
    assert_eq!(made.header("idempotent-replayed"), None);
    let read = client.get(&format!("/v1/customers/{id}")).await.unwrap();
    assert_eq!(read.json()["name"], "Ann");

    let calls = double.calls();
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[0].query, "expand[0]=x");
    assert_eq!(calls[0].body, "name=Ann");
    assert_eq!(calls[0].version.as_deref(), Some("2026-01-28.clover"));
    assert_eq!(calls[0].idempotency_key.as_deref(), Some("k1"));
    assert_eq!(calls[0].status, Some(400));
    assert_eq!((calls[1].number, calls[1].status), (2, Some(200)));
    assert_eq!(calls[2].method, "GET");
    assert_eq!(double.connections(), 1, "the connection is kept");
    double.stop().await;
}

#[tokio::test]
async fn a_key_that_is_not_good_is_refused_and_nothing_happens() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    for headers in [&[][..], &[("authorization", "Bearer sk_other")]] {
        let refused = client.send("POST", "/v1/customers", headers, "").await;
        let refused = refused.unwrap();
        assert_eq!(refused.status, 401);
        assert!(refused.header("request-id").is_some());
        assert_eq!(refused.json()["error"]["type"], "invalid_request_error");
    }
    let list = client.get("/v1/customers").await.unwrap();
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn an_answer_that_comes_again_says_so() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    let first = client
        .keyed("k", "/v1/customers", "name=Ann")
        .await
        .unwrap();
    let second = client
        .keyed("k", "/v1/customers", "name=Ann")
        .await
        .unwrap();
    assert_eq!(first.id(), second.id());
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    let other = client
        .keyed("k", "/v1/customers", "name=Bob")
        .await
        .unwrap();
    assert_eq!(other.status, 400);
    assert_eq!(other.json()["error"]["type"], "idempotency_error");
}

#[tokio::test]
async fn of_many_calls_the_last_are_remembered() {
    let settings = Settings {
        calls_kept: 2,
        ..Settings::default()
    };
    let double = Double::start(settings).await.unwrap();
    let client = Client::of(&double);
    for _ in 0..5 {
        client.get("/v1/balance").await.unwrap();
    }
    assert_eq!(double.call_count(), 5);
    let calls = double.calls();
    let numbers: Vec<u64> = calls.iter().map(|call| call.number).collect();
    assert_eq!(numbers, [4, 5]);
    assert!(calls.iter().all(|call| call.status == Some(200)));
}

#[tokio::test]
async fn what_the_api_does_not_have_is_a_404() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    for (method, path) in [
        ("GET", "/v1/nothing"),
        ("PUT", "/v1/customers"),
        ("GET", "/"),
    ] {
        let key = [("authorization", "Bearer sk_test_1")];
        let answer = client.send(method, path, &key, "").await.unwrap();
        assert_eq!(answer.status, 404, "{method} {path}");
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }
}
