//! Webhooks: who may send them, how they are worked on, and what makes up for those that do not come.

use std::time::Duration;

use bursar::grpc::pb;
use pb::SubscriptionStatus as Status;
use pb::operations_service_client::OperationsServiceClient;

use super::post::post_to;
use super::{SECRET, Site};
use crate::harness::{run, seen};
use crate::stripe::{Calls, Fault, Method, stripe_signature};

/// Posts a body as a webhook, and returns the status of the answer.
async fn post(site: &Site, signature: Option<&str>, body: &[u8]) -> u16 {
    post_to(site.server.serving.http_addr, signature, body).await
}

fn signed(at: i64, secret: &str, body: &[u8]) -> String {
    let body = std::str::from_utf8(body).unwrap();
    stripe_signature(&[secret.to_owned()], at, body)
}

#[test]
fn only_what_stripe_signed_lately_is_taken() {
    run(async {
        let site = Site::selling("aias").await;
        let body =
            br#"{"id": "evt_1", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}}"#;
        let now = site.double.now();
        let good = signed(now, SECRET, body);
        let cases: Vec<(&str, Option<String>, u16)> = vec![
            ("none", None, 400),
            ("nonsense", Some("x".to_owned()), 400),
            ("another secret", Some(signed(now, "whsec_x", body)), 400),
            ("old", Some(signed(now - 301, SECRET, body)), 400),
            ("ahead", Some(signed(now + 301, SECRET, body)), 400),
            ("only v0", Some(good.replace("v1=", "v0=")), 400),
            (
                "too long",
                Some(format!("{good},{}", "v1=00,".repeat(2_000))),
                400,
            ),
            ("good", Some(good.clone()), 200),
            ("again", Some(good.clone()), 200),
        ];
        for (what, signature, expected) in cases {
            let status = post(&site, signature.as_deref(), body).await;
            assert_eq!(status, expected, "{what}");
        }
        let altered = [&body[..], b" "].concat();
        assert_eq!(post(&site, Some(&good), &altered).await, 400);
        let long = vec![b'x'; 300 * 1024];
        let signature = signed(now, SECRET, &long);
        assert_eq!(post(&site, Some(&signature), &long).await, 413);
        // What is signed and makes no sense is taken, so that it does not come again and again.
        let nonsense = b"[1, 2";
        let signature = signed(now, SECRET, nonsense);
        assert_eq!(post(&site, Some(&signature), nonsense).await, 200);
        let kept = site.webhooks().await;
        let own: Vec<_> = kept
            .iter()
            .filter(|one| one.event_id == "evt_1" || one.event_type.is_empty())
            .map(pb::Webhook::state)
            .collect();
        assert_eq!(own.len(), 2);
        assert!(own.contains(&pb::WebhookState::Malformed));
        site.server.stop().await;
    });
}

/// What waits in the inbox is worked on.
async fn until_worked_on(site: &Site) {
    for _ in 0..100 {
        let waits = |one: &pb::Webhook| one.state() == pb::WebhookState::Waiting;
        if !site.webhooks().await.iter().any(waits) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the inbox is not worked on: {:#?}", site.webhooks().await);
}

/// Returns how often Stripe was asked how a customer's subscriptions stand.
fn questions(site: &Site, payer: &str) -> usize {
    let calls = site.double.calls();
    let asked = calls.iter().filter(|call| {
        call.method == "GET" && call.path == "/v1/subscriptions" && call.query.contains(payer)
    });
    asked.count()
}

fn event(id: &str, kind: &str, payer: &str) -> String {
    format!(
        r#"{{"id": "{id}", "type": "{kind}", "data": {{"object": {{"id": "x", "customer": "{payer}"}}}}}}"#
    )
}

async fn send(site: &Site, body: &str) {
    let signature = signed(site.double.now(), SECRET, body.as_bytes());
    assert_eq!(post(site, Some(&signature), body.as_bytes()).await, 200);
}

#[test]
fn many_webhooks_of_a_customer_take_few_questions() {
    run(async {
        let mut site = Site::selling("aias").await;
        site.create("acme").await;
        site.check_out("acme", "pro", pb::BillingInterval::Month)
            .await;
        site.until_is("acme", "pro", Status::Active).await;
        until_worked_on(&site).await;
        let payer = site.payer("acme").await;
        let before = questions(&site, &payer);
        let bodies: Vec<String> = (0..60)
            .map(|number| event(&format!("evt_burst_{number}"), "invoice.updated", &payer))
            .collect();
        send_together(&site, &bodies).await;
        until_worked_on(&site).await;
        let asked = questions(&site, &payer) - before;
        assert!(
            (1..=4).contains(&asked),
            "{asked} questions for 60 webhooks"
        );
        site.server.stop().await;
    });
}

/// Sends all at once.
async fn send_together(site: &Site, bodies: &[String]) {
    let mut posts = tokio::task::JoinSet::new();
    for body in bodies {
        let (addr, body) = (site.server.serving.http_addr, body.clone());
        let signature = signed(site.double.now(), SECRET, body.as_bytes());
        posts.spawn(async move { post_to(addr, Some(&signature), body.as_bytes()).await });
    }
    while let Some(status) = posts.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
}

#[test]
fn what_makes_no_sense_or_fails_holds_nobody_up() {
    run(async {
        let mut site = Site::selling("aias").await;
        let lost = "cus_of_nobody";
        let calls = Calls::of(Method::Get, &format!("/v1/customers/{lost}"));
        site.double
            .faults()
            .mix(1_000, calls, vec![Fault::Error500BeforeEffect]);
        let bodies = [
            "[1, 2".to_owned(),
            "{}".to_owned(),
            r#"{"id": 7, "type": {}}"#.to_owned(),
            event("evt_unknown", "foo.bar", lost),
            event("evt_new", "customer.teleported", ""),
            event("evt_failing", "invoice.paid", lost),
            r#"{"id": "evt_bare", "type": "invoice.paid", "data": 7}"#.to_owned(),
            r#"{"id": "evt_null", "type": "charge.failed", "data": {"object": null}}"#.to_owned(),
        ];
        for body in &bodies {
            send(&site, body).await;
        }
        site.create("acme").await;
        site.check_out("acme", "pro", pb::BillingInterval::Month)
            .await;
        site.until_is("acme", "pro", Status::Active).await;
        let failing = |one: &pb::Webhook| one.event_id == "evt_failing" && one.attempts > 0;
        let mut kept = site.webhooks().await;
        for _ in 0..100 {
            if kept.iter().any(failing) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            kept = site.webhooks().await;
        }
        let state = |id: &str| {
            let found = kept.iter().find(|one| one.event_id == id);
            found.map(pb::Webhook::state)
        };
        assert_eq!(state("evt_unknown"), Some(pb::WebhookState::Ignored));
        assert_eq!(state("evt_bare"), Some(pb::WebhookState::Ignored));
        assert_eq!(state("evt_null"), Some(pb::WebhookState::Ignored));
        assert_eq!(state("evt_failing"), Some(pb::WebhookState::Waiting));
        let malformed = |one: &&pb::Webhook| one.state() == pb::WebhookState::Malformed;
        assert_eq!(kept.iter().filter(malformed).count(), 3);
        let told = kept.iter().find(|one| failing(one)).unwrap();
        assert!(told.fault.contains("Stripe"), "{}", told.fault);
        site.server.stop().await;
    });
}

#[test]
fn a_range_of_events_is_worked_on_again() {
    run(async {
        let mut site = Site::selling("aias").await;
        let start = site.double.now();
        // Nothing comes by itself, and it is not yet time to look.
        site.double.send_events_to(None);
        site.create("acme").await;
        site.check_out("acme", "pro", pb::BillingInterval::Month)
            .await;
        let mut operations = OperationsServiceClient::new(site.server.channel().await);
        let stamp = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let mut request = pb::ReplayEventsRequest {
            start_time: stamp(start - 60),
            end_time: stamp(start + 60),
            page_token: String::new(),
        };
        for _ in 0..2 {
            let replayed = operations.replay_events(request.clone()).await.unwrap();
            let replayed = replayed.into_inner();
            assert!(replayed.queued_count > 3, "{replayed:?}");
            assert!(replayed.event_count >= replayed.queued_count);
            assert!(replayed.next_page_token.is_empty());
            site.until_is("acme", "pro", Status::Active).await;
            // The second time they are there, and worked on once more.
            until_worked_on(&site).await;
        }
        request.end_time = stamp(start - 60);
        let refused = operations.replay_events(request).await.unwrap_err();
        assert_eq!(seen(&refused).1, "FIELD_INVALID");
        site.server.stop().await;
    });
}

#[test]
fn a_subscription_that_nothing_was_heard_of_is_looked_at() {
    run(async {
        let mut site = Site::selling("aias").await;
        site.create("acme").await;
        site.check_out("acme", "pro", pb::BillingInterval::Month)
            .await;
        site.until_is("acme", "pro", Status::Active).await;
        until_worked_on(&site).await;
        // From now on nothing comes, and the list of events is of no help either.
        site.double.send_events_to(None);
        let none = Calls::of(Method::Get, "/v1/events");
        site.double
            .faults()
            .mix(1_000, none, vec![Fault::Error500BeforeEffect]);
        site.change_card("acme", "4000000000000341").await;
        site.pass(28 * 24 * 60 + 120).await;
        // Half an hour after a period that ended without news.
        site.pass(60).await;
        site.until_is("acme", "pro", Status::PastDue).await;
        site.server.stop().await;
    });
}

#[test]
fn who_asks_for_it_is_told_at_once_how_things_stand() {
    run(async {
        let mut site = Site::selling("aias").await;
        site.double.send_events_to(None);
        site.create("acme").await;
        site.check_out("acme", "pro", pb::BillingInterval::Month)
            .await;
        site.sync("acme").await;
        assert_eq!(site.standing("acme").await.plan_id, "pro");
        site.server.stop().await;
    });
}
