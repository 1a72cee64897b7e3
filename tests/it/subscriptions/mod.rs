//! Subscriptions that Stripe bills, over real HTTP: a server, the double of Stripe, and webhooks between them.

mod any_order;
mod asked;
mod commitments;
mod lifecycle;
mod lives;
pub(crate) mod post;
mod signatures;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bursar::domain::billing::price_list;
use bursar::domain::catalog::{Catalog, parse_catalog};
use bursar::domain::time::Span;
use bursar::grpc::pb;
use bursar::stripe::Setup;
use bursar::stripe::gateway::{Caller, Gateway, Http, HttpSettings, Rates, Repeats};
use pb::customer_service_client::CustomerServiceClient;
use pb::subscription_service_client::SubscriptionServiceClient;
use tonic::transport::Channel;

use crate::harness::{Kind, START, TestServer};
use crate::stripe::{Double, Settings, WebhookTarget};

/// What webhooks are signed with.
pub const SECRET: &str = "whsec_test";

/// A server whose billing goes through a double of Stripe, both at one time.
pub struct Site {
    pub server: TestServer,
    pub double: Double,
    pub gateway: Arc<Gateway>,
    pub catalog: Catalog,
    pub subscriptions: SubscriptionServiceClient<Channel>,
    customers: CustomerServiceClient<Channel>,
}

impl Site {
    /// Starts both, with a shipped catalog that Stripe is set up for.
    pub async fn selling(name: &str) -> Self {
        Self::with(file(name)).await
    }

    /// Starts both, with a catalog of this repository that Stripe is set up for.
    pub async fn with(file: PathBuf) -> Self {
        let catalog = parse_catalog(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let settings = Settings {
            now_seconds: START / 1_000_000,
            ..Settings::default()
        };
        let double = Double::start(settings).await.unwrap();
        let url = double.url();
        let server = TestServer::with(Kind::Sqlite, |config| {
            config.catalog = Some(file);
            config.stripe.stripe_key = "sk_test_bursar".parse().ok();
            config.stripe.stripe_api_base.clone_from(&url);
            config.billing.stripe_webhook_secret = vec![SECRET.parse().unwrap()];
        });
        double.send_events_to(Some(WebhookTarget {
            url: format!("http://{}/stripe/webhook", server.serving.http_addr),
            secrets: vec![SECRET.to_owned()],
        }));
        let gateway = gateway(&url);
        let setup = Setup::new(Arc::clone(&gateway));
        setup.apply(&price_list(&catalog)).await.unwrap();
        Self {
            subscriptions: SubscriptionServiceClient::new(server.channel().await),
            customers: CustomerServiceClient::new(server.channel().await),
            server,
            double,
            gateway,
            catalog,
        }
    }

    pub async fn create(&mut self, id: &str) {
        let customer = Some(pb::Customer {
            customer_id: id.to_owned(),
            ..pb::Customer::default()
        });
        let request = pb::CreateCustomerRequest {
            request_id: format!("create-{id}"),
            customer,
        };
        self.customers.create_customer(request).await.unwrap();
    }

    /// Subscribes a customer by a page, paid with a good card.
    pub async fn check_out(&mut self, id: &str, plan: &str, interval: pb::BillingInterval) {
        let request = pb::CreateCheckoutSessionRequest {
            request_id: format!("checkout-{id}"),
            customer_id: id.to_owned(),
            plan_id: plan.to_owned(),
            interval: interval.into(),
            success_url: "https://example.com/done".to_owned(),
            cancel_url: String::new(),
            purchase: None,
        };
        let page = self.subscriptions.create_checkout_session(request).await;
        let page = page.unwrap().into_inner();
        assert!(!page.sandbox);
        self.double
            .model(|model| model.complete_checkout(&page.session_id, "4242424242424242"))
            .unwrap();
    }

    pub async fn standing(&mut self, id: &str) -> pb::Subscription {
        let customer_id = id.to_owned();
        let request = pb::GetSubscriptionRequest { customer_id };
        let answer = self.subscriptions.get_subscription(request).await.unwrap();
        answer.into_inner().subscription.unwrap()
    }

    /// Waits until a customer's subscription is as it should be.
    pub async fn until(&mut self, id: &str, is_so: impl Fn(&pb::Subscription) -> bool) {
        let mut last = None;
        for _ in 0..100 {
            let standing = self.standing(id).await;
            if is_so(&standing) {
                return;
            }
            last = Some(standing);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{id} does not get there: {last:#?}");
    }

    /// Waits until a subscription stands as said, with this plan.
    pub async fn until_is(&mut self, id: &str, plan: &str, status: pb::SubscriptionStatus) {
        let is_so = |of: &pb::Subscription| of.plan_id == plan && of.status() == status;
        self.until(id, is_so).await;
    }

    /// Counts the calls that changed something at Stripe; others are made beside, when webhooks come.
    pub fn changes(&self) -> usize {
        let calls = self.double.calls().into_iter();
        calls.filter(|call| call.method != "GET").count()
    }

    /// Lets time pass for both.
    pub async fn pass(&self, minutes: u32) {
        self.server.clock.advance(Span::from_minutes(minutes));
        self.double
            .advance(self.double.now() + i64::from(minutes) * 60)
            .await;
    }
}

fn file(name: &str) -> PathBuf {
    format!("{}/catalogs/{name}.toml", env!("CARGO_MANIFEST_DIR")).into()
}

/// Returns a shipped catalog.
fn catalog(name: &str) -> Catalog {
    parse_catalog(&std::fs::read_to_string(file(name)).unwrap()).unwrap()
}

/// Makes the way to a double.
pub fn gateway(url: &str) -> Arc<Gateway> {
    let settings = HttpSettings {
        base_url: url.to_owned(),
        ..HttpSettings::default()
    };
    let http = Http::new(&settings, &"sk_test_bursar".into()).unwrap();
    let rates = Rates {
        calls: std::num::NonZeroU32::new(10_000).unwrap(),
        meter_events: None,
    };
    let caller = Caller::new(Arc::new(http), rates, Repeats::default(), 1);
    Arc::new(Gateway::new(caller))
}
