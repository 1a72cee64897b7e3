//! Administration from outside: customers, plans, catalogs, overrides, allocations, and what is refused of them.

mod calls;
mod costs;
mod faults;
mod prices;

use std::collections::BTreeMap;

use bursar::grpc::pb;
use pb::catalog_service_client::CatalogServiceClient;
use pb::customer_service_client::CustomerServiceClient;
use pb::entitlement_service_client::EntitlementServiceClient;
use pb::entitlement_value::Value;
use pb::metering_service_client::MeteringServiceClient;
use pb::subscription_service_client::SubscriptionServiceClient;
use prost_types::Timestamp;
use tonic::Status;
use tonic::transport::Channel;

use crate::harness::{Kind, START, TestServer, run};

/// Runs a test against a server with the customer `acme`.
fn with_acme(kind: Kind, test: impl AsyncFnOnce(Clients)) {
    let server = TestServer::start(kind);
    run(async {
        let mut to = Clients::of(&server).await;
        to.create(acme()).await.unwrap();
        test(to).await;
    });
    run(async {
        server.stop().await;
    });
}

struct Clients {
    customers: CustomerServiceClient<Channel>,
    subscriptions: SubscriptionServiceClient<Channel>,
    catalogs: CatalogServiceClient<Channel>,
    entitlements: EntitlementServiceClient<Channel>,
    metering: MeteringServiceClient<Channel>,
}

impl Clients {
    async fn of(server: &TestServer) -> Self {
        let channel = server.channel().await;
        Self {
            customers: CustomerServiceClient::new(channel.clone()),
            subscriptions: SubscriptionServiceClient::new(channel.clone()),
            catalogs: CatalogServiceClient::new(channel.clone()),
            entitlements: EntitlementServiceClient::new(channel.clone()),
            metering: MeteringServiceClient::new(channel),
        }
    }

    async fn create(&mut self, customer: pb::Customer) -> Result<pb::Customer, Status> {
        let request = pb::CreateCustomerRequest {
            request_id: format!("create {}", customer.customer_id).replace(' ', "-"),
            customer: Some(customer),
        };
        let answer = self.customers.create_customer(request).await?;
        Ok(answer.into_inner().customer.unwrap())
    }
}

fn acme() -> pb::Customer {
    pb::Customer {
        customer_id: "acme".to_owned(),
        display_name: "Acme".to_owned(),
        email: "a@example.org".to_owned(),
        metadata: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
        ..pb::Customer::default()
    }
}

fn at(seconds: i64) -> Option<Timestamp> {
    let seconds = START / 1_000_000 + seconds;
    Some(Timestamp { seconds, nanos: 0 })
}

fn tokens(amount: i64) -> pb::EntitlementValue {
    let window = pb::Window {
        kind: pb::WindowKind::Day.into(),
        length: None,
    };
    let limit = pb::Limit {
        amount: Some(amount),
        window: Some(window),
        ..pb::Limit::default()
    };
    let metered = pb::MeteredValue {
        limits: vec![limit],
        ..pb::MeteredValue::default()
    };
    pb::EntitlementValue {
        value: Some(Value::Metered(metered)),
    }
}

fn override_of(feature: &str, value: pb::EntitlementValue) -> pb::SetOverrideRequest {
    pb::SetOverrideRequest {
        request_id: format!("o-{feature}"),
        customer_id: "acme".to_owned(),
        feature_id: feature.to_owned(),
        value: Some(value),
        reason: "a favour".to_owned(),
        ..pb::SetOverrideRequest::default()
    }
}
