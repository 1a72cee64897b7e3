//! What goes wrong: what the client sees, and whether anything happened.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::super::{Calls, Door, Double, Fault, Method, Settings};
use super::client::{Answer, Client, Nothing};

const CUSTOMERS: &str = "/v1/customers";

async fn customers(client: &Client) -> usize {
    let list = client.get("/v1/customers?limit=100").await.unwrap();
    list.json()["data"].as_array().unwrap().len()
}

/// What the client saw: a status, or why there is none.
type Seen = Result<u16, Nothing>;

fn seen(answer: Result<Answer, Nothing>) -> Seen {
    answer.map(|answer| answer.status)
}

#[tokio::test]
async fn each_fault_is_seen_as_it_should_be_and_has_its_effect_or_not() {
    let limited = |reason: Option<&str>| Fault::RateLimited {
        reason: reason.map(str::to_owned),
        retry_after: Some(2),
    };
    let table: [(Fault, Seen, usize); 13] = [
        (Fault::CloseBeforeEffect, Err(Nothing::Broken), 0),
        (Fault::TimeoutBeforeEffect, Err(Nothing::Late), 0),
        (Fault::TimeoutAfterEffect, Err(Nothing::Late), 1),
        (Fault::ResetAfterEffect, Err(Nothing::Broken), 1),
        (Fault::Error500BeforeEffect, Ok(500), 0),
        (Fault::Error500AfterEffect, Ok(500), 1),
        (Fault::SavedError500AfterEffect, Ok(500), 1),
        (limited(None), Ok(429), 0),
        (limited(Some("global-rate")), Ok(429), 0),
        (Fault::HtmlBadGateway, Ok(502), 0),
        (Fault::HtmlBadGatewayAfterEffect, Ok(502), 1),
        (Fault::Slow(Duration::from_millis(20)), Ok(200), 1),
        (Fault::Truncated, Err(Nothing::Broken), 1),
    ];
    for (fault, expected, effects) in table {
        let double = Double::start(Settings::default()).await.unwrap();
        let client = Client::of(&double);
        double
            .faults()
            .next(1, Calls::of(Method::Post, CUSTOMERS), fault.clone());
        // A call that does not fit takes nothing off the script.
        assert_eq!(customers(&client).await, 0);
        assert_eq!(double.faults().left(), 1);
        let caller = match expected {
            Err(Nothing::Late) => client.impatient(),
            Ok(_) | Err(Nothing::NotConnected | Nothing::Broken) => client.clone(),
        };
        let answer = caller.keyed("k", CUSTOMERS, "name=Ann").await;
        assert_eq!(seen(answer), expected, "{fault:?}");
        assert_eq!(customers(&client).await, effects, "{fault:?}");
        assert_eq!(double.faults().left(), 0);
        let noted = double.calls()[1].clone();
        assert_eq!(
            (noted.fault, noted.status.is_some()),
            (Some(fault.clone()), effect_told(&fault))
        );

        // The same call once more happens at most once in all, and is answered, unless a 500 was saved.
        let again = seen(client.keyed("k", CUSTOMERS, "name=Ann").await);
        let saved = fault == Fault::SavedError500AfterEffect;
        assert_eq!(again, Ok(if saved { 500 } else { 200 }), "{fault:?}");
        assert_eq!(customers(&client).await, 1, "{fault:?}");
        assert_eq!(double.faults().happened(), [(fault, CUSTOMERS.to_owned())]);
    }
}

fn effect_told(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::CloseBeforeEffect
            | Fault::TimeoutBeforeEffect
            | Fault::TimeoutAfterEffect
            | Fault::ResetAfterEffect
    )
}

#[tokio::test]
async fn a_rate_limit_carries_its_headers_and_a_page_none_of_stripes() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    let reason = Some("endpoint-rate".to_owned());
    let fault = Fault::RateLimited {
        reason,
        retry_after: Some(3),
    };
    double.faults().next(1, Calls::all(), fault);
    double.faults().next(1, Calls::all(), Fault::HtmlBadGateway);
    let limited = client.get("/v1/balance").await.unwrap();
    assert_eq!(
        limited.header("stripe-rate-limited-reason"),
        Some("endpoint-rate")
    );
    assert_eq!(limited.header("retry-after"), Some("3"));
    assert_eq!(limited.json()["error"]["code"], "rate_limit");
    let page = client.get("/v1/balance").await.unwrap();
    assert_eq!((page.status, page.header("request-id")), (502, None));
    assert!(page.text.starts_with("<html>"));
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_close_an_end() {
    for (fault, reset) in [
        (Fault::ResetAfterEffect, true),
        (Fault::CloseBeforeEffect, false),
    ] {
        let double = Double::start(Settings::default()).await.unwrap();
        double.faults().next(1, Calls::all(), fault);
        let address = double.url().trim_start_matches("http://").to_owned();
        let call = "GET /v1/balance HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk_test_1\r\n\r\n";
        let end = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(call.as_bytes()).unwrap();
            stream.read(&mut [0; 64])
        });
        let end = end.await.unwrap();
        if reset {
            assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        } else {
            assert_eq!(end.unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn a_script_can_mean_the_calls_for_one_customer() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    let ann = client.meter_and_customer().await;
    let bob = client.post(CUSTOMERS, "").await.unwrap().id();
    let events = Calls::of(Method::Post, "/v1/billing/meter_events").with(&bob);
    double.faults().next(1, events, Fault::Error500BeforeEffect);
    assert_eq!(seen(client.meter_event(&ann, "a", 1).await), Ok(200));
    assert_eq!(seen(client.meter_event(&bob, "b", 1).await), Ok(500));
    assert_eq!(seen(client.meter_event(&bob, "b", 1).await), Ok(200));
}

#[tokio::test]
async fn what_is_slow_happens_though_the_client_has_gone() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    let slow = Fault::Slow(Duration::from_millis(700));
    double.faults().next(1, Calls::of(Method::Post, ""), slow);
    let late = client.impatient().post(CUSTOMERS, "").await;
    assert_eq!(seen(late), Err(Nothing::Late));
    assert_eq!(customers(&client).await, 0);
    for _ in 0..100 {
        if customers(&client).await == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not happen");
}

#[tokio::test]
async fn a_mix_is_the_same_for_the_same_seed() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let settings = Settings {
            seed,
            ..Settings::default()
        };
        let double = Double::start(settings).await.unwrap();
        let client = Client::of(&double);
        let faults = vec![Fault::Error500BeforeEffect, Fault::HtmlBadGateway];
        double
            .faults()
            .mix(400, Calls::of(Method::Get, "/v1/balance"), faults);
        let mut statuses = Vec::new();
        for _ in 0..60 {
            statuses.push(client.get("/v1/balance").await.unwrap().status);
        }
        for status in [200, 500, 502] {
            assert!(statuses.contains(&status), "{status}");
        }
        double.faults().clear();
        assert_eq!(client.get("/v1/balance").await.unwrap().status, 200);
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn connections_are_refused_closed_and_taken_again_at_the_same_address() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    assert_eq!(customers(&client).await, 0);
    for (door, expected) in [
        (Door::NotListening, Nothing::NotConnected),
        (Door::CloseAtAccept, Nothing::Broken),
        (Door::NotListening, Nothing::NotConnected),
    ] {
        double.door(door).await;
        // What the client kept of the connection before is found to be gone first.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(
            seen(client.post(CUSTOMERS, "").await),
            Err(expected),
            "{door:?}"
        );
    }
    double.door(Door::Open).await;
    assert_eq!(customers(&client).await, 0);
    assert_eq!(double.connections(), 2);
    let url = double.url();
    double.stop().await;
    let address = url.trim_start_matches("http://");
    assert!(TcpStream::connect(address).is_err());
}
