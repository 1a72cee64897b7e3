//! What meter events did, told apart from what the model says.

use super::super::{Calls, Double, Fault, Method, Settings};
use super::client::Client;

const START: i64 = 1_800_000_000;

#[tokio::test]
async fn the_sum_counts_what_had_an_effect_as_the_summaries_do() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    let ann = client.meter_and_customer().await;
    assert_eq!(client.meter_event(&ann, "a", 5).await.unwrap().status, 200);
    let again = client.meter_event(&ann, "a", 5).await.unwrap();
    assert_eq!(again.status, 400);
    assert_eq!(again.header("stripe-should-retry"), Some("false"));
    // Accepted, and of no effect: nobody of that name, and no such meter.
    assert_eq!(
        client.meter_event("cus_no", "b", 7).await.unwrap().status,
        200
    );
    let body =
        format!("event_name=other&identifier=c&payload[stripe_customer_id]={ann}&payload[value]=9");
    let other = client.post("/v1/billing/meter_events", &body).await;
    assert_eq!(other.unwrap().status, 200);
    // An effect whose answer got lost, and its repeat.
    let events = Calls::of(Method::Post, "/v1/billing/meter_events");
    double.faults().next(1, events, Fault::Error500AfterEffect);
    assert_eq!(client.meter_event(&ann, "d", 11).await.unwrap().status, 500);
    assert_eq!(client.meter_event(&ann, "d", 11).await.unwrap().status, 400);
    // One that is taken back.
    assert_eq!(client.meter_event(&ann, "e", 13).await.unwrap().status, 200);
    let cancel = "event_name=calls&type=cancel&cancel[identifier]=e";
    let canceled = client.post("/v1/billing/meter_event_adjustments", cancel);
    assert_eq!(canceled.await.unwrap().status, 200);

    assert_eq!(double.effective_sum("calls", &ann, START, START + 1), 16);
    assert_eq!(
        double.effective_sum("calls", &ann, START + 1, START + 60),
        0
    );
    assert_eq!(double.effective_sum("calls", "cus_no", 0, i64::MAX), 0);
    for (identifier, times) in [("a", 1), ("b", 0), ("c", 0), ("d", 1), ("e", 1)] {
        assert_eq!(double.effects_of(identifier), times, "{identifier}");
    }
    assert_eq!(double.doubled_identifiers(), Vec::<String>::new());

    double.advance(START + 120).await;
    let meters = client.get("/v1/billing/meters").await.unwrap().json();
    let path = format!(
        "/v1/billing/meters/{}/event_summaries?customer={ann}&start_time={START}&end_time={}",
        meters["data"][0]["id"].as_str().unwrap(),
        START + 60
    );
    let summary = client.get(&path).await.unwrap().json();
    assert_eq!(summary["data"][0]["aggregated_value"].as_f64(), Some(16.0));
}

#[tokio::test]
async fn each_of_many_meters_is_known_and_one_that_ends_counts_no_more() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    let ann = client.meter_and_customer().await;
    for at in 0..101 {
        let meter = format!("display_name=M&event_name=m{at}&default_aggregation[formula]=count");
        client
            .post("/v1/billing/meters", &meter)
            .await
            .unwrap()
            .id();
    }
    assert_eq!(client.meter_event(&ann, "a", 5).await.unwrap().status, 200);
    let counted = format!("event_name=m7&payload[stripe_customer_id]={ann}&payload[value]=5");
    let event = client.post("/v1/billing/meter_events", &counted).await;
    assert_eq!(event.unwrap().status, 200);
    let list = client
        .get("/v1/billing/meters?limit=100")
        .await
        .unwrap()
        .json();
    let after = list["data"][99]["id"].as_str().unwrap();
    let rest = format!("/v1/billing/meters?starting_after={after}");
    let list = client.get(&rest).await.unwrap().json();
    let first = list["data"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(first["event_name"], "calls");
    let end = format!(
        "/v1/billing/meters/{}/deactivate",
        first["id"].as_str().unwrap()
    );
    client.post(&end, "").await.unwrap().id();
    assert_eq!(client.meter_event(&ann, "b", 7).await.unwrap().status, 200);
    assert_eq!(double.effective_sum("calls", &ann, 0, i64::MAX), 5);
    assert_eq!(double.effective_sum("m7", &ann, 0, i64::MAX), 1);
}

#[tokio::test]
async fn an_identifier_counts_again_once_it_is_forgotten_and_that_shows() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    let ann = client.meter_and_customer().await;
    assert_eq!(client.meter_event(&ann, "a", 5).await.unwrap().status, 200);
    double.advance(START + 25 * 3_600).await;
    assert_eq!(client.meter_event(&ann, "a", 5).await.unwrap().status, 200);
    assert_eq!(double.effects_of("a"), 2);
    assert_eq!(double.doubled_identifiers(), ["a"]);
}

/// What a careful sender does: the same event again until it is told that it counted, or had counted before.
async fn send_until_told(client: &Client, customer: &str, identifier: &str, value: i64) -> usize {
    for attempt in 1..100 {
        match client.meter_event(customer, identifier, value).await {
            Ok(answer) if answer.status == 200 => return attempt,
            Ok(answer) if answer.status == 400 => {
                assert!(answer.text.contains("already exists"), "{}", answer.text);
                return attempt;
            }
            Ok(_) | Err(_) => {}
        }
    }
    panic!("{identifier} never got through");
}

#[tokio::test]
async fn whatever_goes_wrong_a_careful_sender_counts_once() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    let ann = client.meter_and_customer().await;
    let events = || Calls::of(Method::Post, "/v1/billing/meter_events");
    let quick = vec![
        Fault::CloseBeforeEffect,
        Fault::ResetAfterEffect,
        Fault::Error500BeforeEffect,
        Fault::Error500AfterEffect,
        Fault::HtmlBadGateway,
        Fault::HtmlBadGatewayAfterEffect,
        Fault::Truncated,
        Fault::RateLimited {
            reason: None,
            retry_after: None,
        },
    ];
    let late = vec![Fault::TimeoutBeforeEffect, Fault::TimeoutAfterEffect];
    double.faults().mix(500, events(), quick.clone());
    double.faults().mix(50, events(), late.clone());
    let client = client.impatient();
    let (mut sent, mut attempts) = (0, 0);
    for at in 0..150 {
        attempts += send_until_told(&client, &ann, &format!("e{at}"), at).await;
        sent += at;
    }
    assert!(attempts > 150);
    assert_eq!(double.effective_sum("calls", &ann, 0, i64::MAX), sent);
    assert_eq!(double.doubled_identifiers(), Vec::<String>::new());
    let happened = double.faults().happened();
    for fault in quick.iter().chain(&late) {
        assert!(happened.iter().any(|(one, _)| one == fault), "{fault:?}");
    }
}

#[tokio::test]
async fn thousands_of_events_are_counted_on_a_few_connections() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    client.meter_and_customer().await;
    let (lanes, each) = (4_u64, 500_u64);
    let mut tasks = Vec::new();
    for lane in 0..lanes {
        let client = client.clone();
        tasks.push(tokio::spawn(async move {
            let customer = client.post("/v1/customers", "").await.unwrap().id();
            for at in 0..each {
                let identifier = format!("{lane}-{at}");
                let answer = client.meter_event(&customer, &identifier, 2).await;
                assert_eq!(answer.unwrap().status, 200);
            }
            customer
        }));
    }
    for task in tasks {
        let customer = task.await.unwrap();
        let sum = double.effective_sum("calls", &customer, 0, i64::MAX);
        assert_eq!(sum, 1_000);
    }
    assert_eq!(double.call_count(), 2 + lanes * (each + 1));
    assert!(double.connections() <= lanes, "{}", double.connections());
}
