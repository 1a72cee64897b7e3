//! Events on their way: signed, in any order, twice, late, lost, and again until they are acknowledged.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::{DeliveryPlan, Double, Settings, WebhookTarget, stripe_signature};
use super::client::Client;
use super::receiver::Receiver;

const START: i64 = 1_800_000_000;

async fn setup(delivery: DeliveryPlan, retries: Vec<i64>) -> (Double, Receiver, Client) {
    let receiver = Receiver::start().await;
    let settings = Settings {
        webhook: Some(WebhookTarget {
            url: receiver.url.clone(),
            secrets: vec!["whsec_old".to_owned(), "whsec_new".to_owned()],
        }),
        delivery,
        retry_after_seconds: retries,
        ..Settings::default()
    };
    let double = Double::start(settings).await.unwrap();
    let client = Client::of(&double);
    (double, receiver, client)
}

/// Makes so many customers, each of which gives one event, and returns the ids of the events in order.
async fn customers(client: &Client, count: usize) -> Vec<String> {
    for _ in 0..count {
        client.post("/v1/customers", "").await.unwrap().id();
    }
    let events = client.get("/v1/events?limit=100").await.unwrap().json();
    let events = events["data"].as_array().unwrap().iter().rev();
    events
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_signature_is_what_the_official_clients_make() {
    // Signed by the Python client 16.1.0.
    let secrets = ["whsec_test".to_owned()];
    let signed = stripe_signature(&secrets, 1_800_000_000, r#"{"id":"evt_1"}"#);
    assert_eq!(signed, include_str!("signature.txt").trim());
}

#[tokio::test]
async fn events_are_sent_as_they_come_signed_by_every_secret() {
    let (double, receiver, client) = setup(DeliveryPlan::in_order(), vec![]).await;
    let sent = customers(&client, 3).await;
    for _ in 0..200 {
        if double.pending() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(receiver.ids(), sent);
    let message = receiver.came().remove(0);
    let secrets = ["whsec_old".to_owned(), "whsec_new".to_owned()];
    let expected = stripe_signature(&secrets, START, &message.body);
    assert_eq!(message.signature, expected);
    assert_eq!(message.signature.matches("v1=").count(), 2);
    assert_eq!(message.event()["type"], "customer.created");
}

#[tokio::test]
async fn an_event_comes_again_until_it_is_acknowledged_or_given_up() {
    let plan = DeliveryPlan::in_order().when_asked();
    let (double, receiver, client) = setup(plan, vec![60, 600]).await;
    let sent = customers(&client, 2).await;
    receiver.answer([500, 200, 400, 301]);
    double.deliver_all().await;
    let expected = [&sent[0], &sent[1], &sent[0], &sent[0]];
    assert_eq!(receiver.ids().iter().collect::<Vec<_>>(), expected);
    assert_eq!(double.undelivered(), [sent[0].clone()]);
    assert_eq!(double.pending(), 0);
    let attempts: Vec<(usize, Option<u16>)> = double
        .attempts()
        .iter()
        .map(|attempt| (attempt.number, attempt.status))
        .collect();
    let expected = [
        (1, Some(500)),
        (1, Some(200)),
        (2, Some(400)),
        (3, Some(301)),
    ];
    assert_eq!(attempts, expected);
}

#[tokio::test]
async fn a_receiver_that_is_not_there_gets_it_when_it_is() {
    let (double, receiver, client) = setup(DeliveryPlan::in_order(), vec![60]).await;
    let target = |url: &str| WebhookTarget {
        url: url.to_owned(),
        secrets: vec!["whsec_1".to_owned()],
    };
    // Nobody listens where the discard service would be.
    double.send_events_to(Some(target("http://127.0.0.1:9/hook")));
    let sent = customers(&client, 1).await;
    double.advance(START).await;
    assert_eq!(double.attempts()[0].status, None);
    assert_eq!(double.pending(), 1);
    double.send_events_to(Some(target(&receiver.url)));
    double.advance(START + 60).await;
    assert_eq!(receiver.ids(), sent);
    assert_eq!(double.pending(), 0);
}

#[tokio::test]
async fn a_second_attempt_waits_for_its_time() {
    let (double, receiver, client) = setup(DeliveryPlan::in_order(), vec![60, 600]).await;
    receiver.answer([500, 503]);
    customers(&client, 1).await;
    for (to, attempts, pending) in [(59, 1, 1), (60, 2, 1), (659, 2, 1), (660, 3, 0)] {
        double.advance(START + to).await;
        assert_eq!(receiver.ids().len(), attempts, "{to}");
        assert_eq!(double.pending(), pending, "{to}");
    }
    assert_eq!(double.undelivered(), Vec::<String>::new());
}

#[tokio::test]
async fn a_shuffle_brings_all_in_another_order_the_same_for_a_seed() {
    let mut orders = Vec::new();
    for seed in [3, 3, 4] {
        let (double, receiver, client) = setup(DeliveryPlan::shuffled(seed), vec![]).await;
        let sent = customers(&client, 20).await;
        assert_eq!(double.pending(), 20);
        assert!(receiver.ids().is_empty());
        double.deliver_all().await;
        let came = receiver.ids();
        assert_ne!(came, sent);
        assert_eq!(BTreeSet::from_iter(&came), BTreeSet::from_iter(&sent));
        orders.push(came);
    }
    assert_eq!(orders[0], orders[1]);
    assert_ne!(orders[0], orders[2]);
}

#[tokio::test]
async fn duplicates_losses_and_delays_are_as_planned() {
    let plan = DeliveryPlan::duplicated().when_asked();
    let (double, receiver, client) = setup(plan, vec![]).await;
    let sent = customers(&client, 5).await;
    double.deliver_all().await;
    let mut twice = sent.iter().chain(&sent).collect::<Vec<_>>();
    twice.sort();
    let mut came = receiver.ids();
    came.sort();
    assert_eq!(came.iter().collect::<Vec<_>>(), twice);

    double.plan_delivery(DeliveryPlan::dropped(500));
    let lossy = customers(&client, 20).await.split_off(5);
    double.deliver_all().await;
    let lost = double.undelivered();
    let came: BTreeSet<String> = receiver.ids().into_iter().collect();
    assert!((1..20).contains(&lost.len()));
    for event in &lossy {
        assert_ne!(came.contains(event), lost.contains(event), "{event}");
    }

    double.plan_delivery(DeliveryPlan::delayed(300));
    let late = customers(&client, 1).await.pop().unwrap();
    double.advance(START + 299).await;
    assert!(!receiver.ids().contains(&late));
    double.advance(START + 300).await;
    assert!(receiver.ids().contains(&late));
}

#[tokio::test]
async fn a_receiver_that_comes_later_gets_what_comes_after_it() {
    let double = Double::start(Settings::default()).await.unwrap();
    let client = Client::of(&double);
    let before = customers(&client, 1).await;
    let receiver = Receiver::start().await;
    double.send_events_to(Some(WebhookTarget {
        url: receiver.url.clone(),
        secrets: vec!["whsec_1".to_owned()],
    }));
    let both = customers(&client, 1).await;
    double.deliver_all().await;
    assert_eq!(receiver.ids(), both[1..]);
    assert!(!receiver.ids().contains(&before[0]));
    double.plan_delivery(DeliveryPlan::in_order().when_asked());
    customers(&client, 1).await;
    assert_eq!(double.pending(), 1);
    double.send_events_to(None);
    double.deliver_all().await;
    assert_eq!((double.pending(), receiver.ids().len()), (0, 1));
}

#[tokio::test]
async fn what_a_person_does_sends_events() {
    let (double, receiver, client) = setup(DeliveryPlan::in_order(), vec![]).await;
    let product = client.post("/v1/products", "name=Plan").await.unwrap().id();
    let body = format!("product={product}&currency=usd&unit_amount=900&recurring[interval]=month");
    let price = client.post("/v1/prices", &body).await.unwrap().id();
    let body = format!(
        "mode=subscription&line_items[0][price]={price}&line_items[0][quantity]=1\
         &success_url=https://example.com/ok"
    );
    let session = client
        .post("/v1/checkout/sessions", &body)
        .await
        .unwrap()
        .id();
    double
        .model(|model| model.complete_checkout(&session, "4242424242424242"))
        .unwrap();
    double.deliver_all().await;
    let kinds: Vec<String> = receiver
        .came()
        .iter()
        .map(|message| message.event()["type"].as_str().unwrap().to_owned())
        .collect();
    for kind in [
        "checkout.session.completed",
        "customer.subscription.created",
        "invoice.paid",
    ] {
        assert!(kinds.iter().any(|one| one == kind), "{kind}: {kinds:?}");
    }
    // A renewal comes of the clock alone.
    let before = receiver.ids().len();
    double.advance(START + 32 * 86_400).await;
    let renewed = receiver.came().split_off(before);
    let paid = renewed
        .iter()
        .filter(|one| one.event()["type"] == "invoice.paid");
    assert_eq!(paid.count(), 1);
}

#[tokio::test]
async fn thin_events_go_where_they_are_wanted() {
    let (snapshots, thin) = (Receiver::start().await, Receiver::start().await);
    let target = |receiver: &Receiver, secret: &str| WebhookTarget {
        url: receiver.url.clone(),
        secrets: vec![secret.to_owned()],
    };
    let settings = Settings {
        webhook: Some(target(&snapshots, "whsec_1")),
        thin_webhook: Some(target(&thin, "whsec_2")),
        ..Settings::default()
    };
    let double = Double::start(settings).await.unwrap();
    let client = Client::of(&double);
    client.meter_and_customer().await;
    client.meter_event("cus_no", "a", 1).await.unwrap();
    double.advance(START + 120).await;
    let message = thin.came().remove(0);
    let kind = "v1.billing.meter.error_report_triggered";
    assert_eq!(message.event()["type"], kind);
    let expected = stripe_signature(&["whsec_2".to_owned()], START + 120, &message.body);
    assert_eq!(message.signature, expected);
    assert!(!snapshots.ids().is_empty());
    assert!(!snapshots.ids().contains(&message.id()));
}
