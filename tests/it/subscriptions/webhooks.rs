//! Webhooks in any order, twice, late or never; and those that Stripe did not send.

use bursar::grpc::pb;
use pb::SubscriptionStatus as Status;
use pb::operations_service_client::OperationsServiceClient;

use super::{SECRET, Site};
use crate::harness::run;
use crate::stripe::{DeliveryPlan, stripe_signature};

/// Posts a body as a webhook, and returns the status of the answer.
async fn post(site: &Site, signature: Option<&str>, body: &[u8]) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(site.server.serving.http_addr)
        .await
        .unwrap();
    let signature =
        signature.map_or_else(String::new, |text| format!("stripe-signature: {text}\r\n"));
    let head = format!(
        "POST /stripe/webhook HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{signature}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server that has seen enough may not read the rest.
    let _ = stream.write_all(body).await;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    let status = answer.split(' ').nth(1).unwrap_or("0");
    status.parse().unwrap()
}

fn signed(at: i64, secret: &str, body: &[u8]) -> String {
    let body = std::str::from_utf8(body).unwrap();
    stripe_signature(&[secret.to_owned()], at, body)
}

async fn webhooks(site: &Site) -> Vec<pb::Webhook> {
    let mut operations = OperationsServiceClient::new(site.server.channel().await);
    let request = pb::ListWebhooksRequest {
        page_size: 1000,
        ..pb::ListWebhooksRequest::default()
    };
    operations
        .list_webhooks(request)
        .await
        .unwrap()
        .into_inner()
        .webhooks
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
        let kept = webhooks(&site).await;
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

/// Leads a subscription through its life with webhooks sent by a plan, and returns how it ends up.
async fn end_state(plan: DeliveryPlan, sync: bool) -> (String, Status, i64) {
    let mut site = Site::selling("aims").await;
    site.double.plan_delivery(plan);
    site.create("acme").await;
    site.check_out("acme", "pro", pb::BillingInterval::Month)
        .await;
    let customers = site
        .gateway
        .list_customers(None, bursar::stripe::gateway::Cursor::FIRST);
    let payer = customers.await.unwrap().data[0].id.clone();
    site.pass(29 * 24 * 60).await;
    site.double
        .model(|model| model.set_card(&payer, "4000000000000341"))
        .unwrap();
    site.pass(31 * 24 * 60).await;
    site.double.deliver_all().await;
    if sync {
        let customer_id = "acme".to_owned();
        let request = pb::SyncSubscriptionRequest { customer_id };
        site.subscriptions.sync_subscription(request).await.unwrap();
    }
    // All that came is worked on.
    for _ in 0..100 {
        let waiting = |one: &pb::Webhook| one.state() == pb::WebhookState::Waiting;
        if !webhooks(&site).await.iter().any(waiting) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let standing = site.standing("acme").await;
    let state = (
        standing.plan_id.clone(),
        standing.status(),
        standing.current_period_end.unwrap().seconds,
    );
    site.server.stop().await;
    state
}

#[test]
fn any_order_of_webhooks_leads_to_the_same() {
    run(async {
        let expected = end_state(DeliveryPlan::in_order(), false).await;
        assert_eq!(expected.0, "pro");
        for seed in 1..4 {
            let shuffled = end_state(DeliveryPlan::shuffled(seed), false).await;
            assert_eq!(shuffled, expected, "shuffled {seed}");
        }
    });
}

#[test]
fn webhooks_that_are_lost_are_made_up_for_by_asking() {
    run(async {
        let expected = end_state(DeliveryPlan::in_order(), false).await;
        let lost = end_state(DeliveryPlan::dropped(1_000), true).await;
        assert_eq!(lost, expected);
    });
}
