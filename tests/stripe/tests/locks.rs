//! Calls at the same time.

use std::time::Duration;

use super::super::{Double, Settings};
use super::client::Client;

async fn slow_double() -> Double {
    let settings = Settings {
        latency: Duration::from_millis(200),
        ..Settings::default()
    };
    Double::start(settings).await.unwrap()
}

#[tokio::test]
async fn a_customer_and_meter_take_one_event_at_a_time() {
    let double = slow_double().await;
    let client = Client::of(&double);
    let ann = client.meter_and_customer().await;
    let bob = client.post("/v1/customers", "name=Bob").await.unwrap().id();
    let (first, second, other) = tokio::join!(
        client.meter_event(&ann, "a", 1),
        client.meter_event(&ann, "b", 2),
        client.meter_event(&bob, "c", 4),
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(other.unwrap().status, 200);
    let refused = match (first.status, second.status) {
        (200, 429) => second,
        (429, 200) => first,
        both => panic!("{both:?}"),
    };
    assert_eq!(refused.json()["error"]["code"], "lock_timeout");
    assert_eq!(refused.header("stripe-rate-limited-reason"), None);
    assert!((2..=3).contains(&double.max_in_flight()));
    // One after the other is fine.
    assert_eq!(client.meter_event(&ann, "d", 8).await.unwrap().status, 200);
    assert_eq!(client.meter_event(&ann, "e", 16).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_idempotency_key_names_one_call_at_a_time() {
    let double = slow_double().await;
    let client = Client::of(&double);
    let (first, second) = tokio::join!(
        client.keyed("k", "/v1/customers", ""),
        client.keyed("k", "/v1/customers", ""),
    );
    let mut statuses = [first.unwrap().status, second.unwrap().status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}
