//! `bursar stripe replay`, at a server whose Stripe is the sandbox.

use bursar::grpc::pb;
use pb::customer_service_client::CustomerServiceClient;
use pb::subscription_service_client::SubscriptionServiceClient;

use super::process::{Ground, Kind, done, refused, run};

#[test]
fn events_of_a_range_are_worked_on_again() {
    run(async {
        let ground = Ground::new();
        let database = ground.place(Kind::Sqlite).await;
        let served = ground.serve(&database).await;
        let customer = Some(pb::Customer {
            customer_id: "acme".to_owned(),
            ..pb::Customer::default()
        });
        let request = pb::CreateCustomerRequest {
            request_id: "r-create".to_owned(),
            customer,
        };
        let mut customers = CustomerServiceClient::new(served.channel.clone());
        customers.create_customer(request).await.unwrap();
        // The first thing that needs Stripe makes the customer known there, which is an event.
        let request = pb::CreatePortalSessionRequest {
            request_id: "r-portal".to_owned(),
            customer_id: "acme".to_owned(),
            return_url: "https://example.com".to_owned(),
        };
        let mut subscriptions = SubscriptionServiceClient::new(served.channel.clone());
        subscriptions.create_portal_session(request).await.unwrap();
        let range = ["stripe", "replay", "--from", "2020-01-01", "--to"];
        let at = ["--server", &served.address];
        let said = done(&[&range[..], &["2100-01-01"], &at].concat());
        let count = |text: &str| text.split(' ').next().unwrap().parse::<u32>().unwrap();
        assert!(count(&said) > 0, "{said}");
        assert!(said.contains("are worked on"), "{said}");
        let none = done(&[&range[..], &["2020-01-02"], &at].concat());
        assert_eq!(count(&none), 0, "{none}");
        let why = refused(&[&range[..], &["2020-01-01"], &at].concat());
        assert!(why.contains("must lie after start_time"), "{why}");
        served.stop().await;
    });
}
