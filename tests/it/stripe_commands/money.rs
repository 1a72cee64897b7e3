//! Live, test and sandbox: a database deals in one of them, and says so when it is to deal in another.

use bursar::config::Database;
use bursar::grpc::pb;
use bursar::storage::sqlite::diagnose;
use pb::customer_service_client::CustomerServiceClient;
use pb::sandbox_service_client::SandboxServiceClient;

use super::{bursar, double};
use crate::harness::{Kind, TestServer, run};
use crate::stripe::{Double, stripe_signature};
use crate::subscriptions::post::post_to;
use crate::subscriptions::{SECRET, Site};

/// Starts a server on a file, with this key if it is not empty.
fn serve(file: &str, key: &str, double: &Double) -> TestServer {
    TestServer::with(Kind::Sqlite, |config| {
        config.database = Database::Sqlite(file.into());
        config.stripe.stripe_key = Some(key)
            .filter(|key| !key.is_empty())
            .and_then(|key| key.parse().ok());
        config.stripe.stripe_api_base = double.url();
    })
}

/// Requires that a server refuses to start, with why.
async fn refuses(file: &str, key: &str, double: &Double, why: &str) {
    let serve = [
        "serve",
        "--database",
        file,
        "--grpc-addr",
        "127.0.0.1:0",
        "--http-addr",
        "127.0.0.1:0",
    ];
    let said = bursar(double, &[("BURSAR_STRIPE_KEY", key)], &serve).await;
    assert_eq!(said.code, Some(1), "{key}: {said:?}");
    assert!(said.err.contains(why), "{key}: {said:?}");
}

#[test]
fn a_database_deals_in_the_money_that_it_began_with() {
    run(async {
        let double = double().await;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        // A server that only counts deals in none: a key may come later.
        let billed = path("billed.db");
        serve(&billed, "", &double).stop().await;
        assert_eq!(diagnose(&billed).unwrap().money, "");
        refuses(&billed, "pk_test_1", &double, "begins with none of").await;
        serve(&billed, "sk_test_1", &double).stop().await;
        assert_eq!(diagnose(&billed).unwrap().money, "test");
        serve(&billed, "rk_test_2", &double).stop().await;
        refuses(&billed, "sk_live_1", &double, "deals in test money").await;
        refuses(&billed, "", &double, "deals in test money").await;

        let played = path("played.db");
        let server = serve(&played, "", &double);
        let channel = server.channel().await;
        let request = pb::CreateCustomerRequest {
            request_id: "create".to_owned(),
            customer: Some(pb::Customer {
                customer_id: "acme".to_owned(),
                ..pb::Customer::default()
            }),
        };
        let mut customers = CustomerServiceClient::new(channel.clone());
        customers.create_customer(request).await.unwrap();
        let request = pb::SetTestCardRequest {
            customer_id: "acme".to_owned(),
            ..pb::SetTestCardRequest::default()
        };
        let mut sandbox = SandboxServiceClient::new(channel);
        sandbox.set_test_card(request).await.unwrap();
        server.stop().await;
        assert_eq!(diagnose(&played).unwrap().money, "sandbox");
        refuses(&played, "sk_test_1", &double, "deals in sandbox money").await;
        let doctor = ["doctor", "--database", &played];
        let said = bursar(&double, &[], &doctor).await;
        assert!(said.out.contains("they never mix"), "{said:?}");
        serve(&played, "", &double).stop().await;
        double.stop().await;
    });
}

#[test]
fn webhooks_of_the_other_mode_are_left_aside_for_all_to_see() {
    run(async {
        let site = Site::selling("aias").await;
        let body = r#"{"id": "evt_live", "type": "invoice.paid", "livemode": true,
            "data": {"object": {"id": "in_1", "customer": "cus_1"}}}"#;
        let signature = stripe_signature(&[SECRET.to_owned()], site.double.now(), body);
        let status = post_to(
            site.server.serving.http_addr,
            Some(&signature),
            body.as_bytes(),
        );
        assert_eq!(status.await, 200, "sent again it would be the same");
        let held = site.webhooks().await;
        let held = held.iter().find(|one| one.event_id == "evt_live").unwrap();
        assert_eq!(held.state(), pb::WebhookState::Ignored);
        assert!(held.fault.contains("live mode"), "{}", held.fault);
        site.server.stop().await;
        site.double.stop().await;
    });
}
