//! Usage that Stripe takes and then does not count: it tells so later, and then it is seen here.

use std::sync::Arc;
use std::time::Duration;

use bursar::domain::billing::price_list;
use bursar::domain::catalog::parse_catalog;
use bursar::domain::time::Span;
use bursar::grpc::pb;
use bursar::stripe::Setup;
use bursar::stripe::wire::{Method, Request};
use pb::operations_service_client::OperationsServiceClient;
use pb::subscription_service_client::SubscriptionServiceClient;

use super::sender::{Sender, gateway};
use super::world::{CATALOG, INCLUDED, event_name};
use crate::harness::{Kind, START, TestServer, event};
use crate::stripe::{Double, Settings, WebhookTarget};
use crate::subscriptions::SECRET;

/// A server that bills through a double, and customers with more usage than is included.
struct Site {
    server: TestServer,
    double: Double,
    operations: OperationsServiceClient<tonic::transport::Channel>,
    events: u32,
}

impl Site {
    async fn begin(customers: usize) -> Self {
        let settings = Settings {
            now_seconds: START / 1_000_000,
            ..Settings::default()
        };
        let double = Double::start(settings).await.unwrap();
        let url = double.url();
        let folder = tempfile::tempdir().unwrap();
        let catalog = folder.path().join("catalog.toml");
        let text = CATALOG.replace(
            "default_plan",
            "auto_create_customers = { per_minute = 100000 }\ndefault_plan",
        );
        std::fs::write(&catalog, text).unwrap();
        let server = TestServer::with(Kind::Sqlite, |config| {
            config.catalog = Some(catalog);
            config.stripe.stripe_key = "sk_test_bursar".parse().ok();
            config.stripe.stripe_api_base.clone_from(&url);
            config.billing.stripe_meter_events_per_second = "10000".parse().ok();
            config.billing.stripe_webhook_secret = vec![SECRET.parse().unwrap()];
        });
        double.send_events_to(Some(WebhookTarget {
            url: format!("http://{}/stripe/webhook", server.serving.http_addr),
            secrets: vec![SECRET.to_owned()],
        }));
        let setup = Setup::new(gateway(&url, Sender::Right));
        let list = price_list(&parse_catalog(CATALOG).unwrap());
        setup.apply(&list).await.unwrap();
        let operations = OperationsServiceClient::new(server.channel().await);
        let mut site = Self {
            server,
            double,
            operations,
            events: 0,
        };
        let mut subscriptions = SubscriptionServiceClient::new(site.server.channel().await);
        for customer in 0..customers {
            site.consume(customer, INCLUDED).await;
            let customer_id = format!("c{customer}");
            let request = pb::SyncSubscriptionRequest {
                customer_id,
                ..pb::SyncSubscriptionRequest::default()
            };
            subscriptions.sync_subscription(request).await.unwrap();
        }
        site
    }

    async fn consume(&mut self, customer: usize, quantity: i64) {
        self.events += 1;
        let event = event(&format!("c{customer}"), self.events, quantity);
        let request = pb::RecordUsageBatchRequest {
            events: vec![event],
        };
        let mut metering = self.server.metering().await;
        metering.record_usage_batch(request).await.unwrap();
    }

    async fn pass(&self, minutes: u32) {
        self.server.clock.advance(Span::from_minutes(minutes));
        let to = self.double.now() + i64::from(minutes) * 60;
        self.double.advance(to).await;
    }

    async fn chunks(&mut self) -> Vec<pb::Chunk> {
        let request = pb::ListChunksRequest {
            page_size: 1_000,
            ..pb::ListChunksRequest::default()
        };
        let page = self.operations.list_chunks(request).await.unwrap();
        page.into_inner().chunks
    }

    /// Waits until so many chunks are in a state.
    async fn until(&mut self, count: usize, state: pb::ChunkState) -> Vec<pb::Chunk> {
        let mut last = Vec::new();
        for _ in 0..200 {
            last = self.chunks().await;
            let fitting: Vec<_> = last.iter().filter(|one| one.state() == state).collect();
            if fitting.len() == count {
                return fitting.into_iter().cloned().collect();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not {count} are {state:?}: {last:#?}");
    }

    /// Takes the meter of tokens out of use, or puts it back; Stripe goes on taking its events.
    fn turn_meter(&self, how: &str) {
        let meters = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let call = |method, path: String| Request {
            method,
            path,
            query: String::new(),
            body: String::new(),
            idempotency_key: None,
        };
        self.double.model(|model| {
            let all = model.handle(&call(Method::Get, "/v1/billing/meters".to_owned()));
            let all: serde_json::Value = serde_json::from_slice(&all.body).unwrap();
            for meter in all["data"].as_array().unwrap() {
                if meter["event_name"] == event_name(0) {
                    let path =
                        format!("/v1/billing/meters/{}/{how}", meter["id"].as_str().unwrap());
                    let turned = model.handle(&call(Method::Post, path));
                    meters.lock().push(turned.status);
                }
            }
        });
        assert_eq!(*meters.lock(), [200]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stripe_drops_is_seen_with_its_reason_and_can_be_sent_again() {
    // More than Stripe names.
    let customers = 14;
    let mut site = Site::begin(customers).await;
    site.turn_meter("deactivate");
    for customer in 0..customers {
        site.consume(customer, 7).await;
    }
    site.pass(61).await;
    site.until(customers, pb::ChunkState::Delivered).await;
    // Stripe looks at them a minute later. It names ten.
    site.pass(2).await;
    let named = site.until(10, pb::ChunkState::Failed).await;
    assert!(
        named
            .iter()
            .all(|chunk| chunk.fault.contains("archived_meter"))
    );
    site.until(customers - 10, pb::ChunkState::InDoubt).await;
    // Its sums say that the others are not there either.
    site.pass(11).await;
    let failed = site.until(customers, pb::ChunkState::Failed).await;
    assert!(
        failed
            .iter()
            .all(|chunk| chunk.fault.contains("archived_meter"))
    );
    assert_eq!(site.double.effect_count(&event_name(0)), 0);
    // Once the cause is gone, an operator has them sent again.
    site.turn_meter("reactivate");
    for chunk in failed {
        let request = pb::RequeueChunkRequest {
            chunk_id: chunk.chunk_id,
        };
        site.operations.requeue_chunk(request).await.unwrap();
    }
    site.until(customers, pb::ChunkState::Delivered).await;
    assert_eq!(site.double.effect_count(&event_name(0)), customers);
    let all = i64::try_from(customers).unwrap() * 7;
    assert_eq!(site.double.effective_total(&event_name(0)), all);
}
