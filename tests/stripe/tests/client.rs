//! A client as any would be written: it keeps connections and believes what it reads.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::super::Double;

/// How long the client waits for an answer: longer than any takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits where no answer comes.
const IMPATIENCE: Duration = Duration::from_millis(200);

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(super) fn id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["id"].as_str().unwrap().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Why nothing came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Nothing {
    NotConnected,
    Broken,
    Late,
}

#[derive(Debug, Clone)]
pub(super) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    url: String,
    patience: Duration,
}

impl Client {
    pub(super) fn of(double: &Double) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        Self {
            // A call that failed is not repeated behind the test's back.
            pool: Pool::builder(TokioExecutor::new())
                .retry_canceled_requests(false)
                .build(tcp),
            url: double.url(),
            patience: PATIENCE,
        }
    }

    /// Returns one that gives up soon.
    pub(super) fn impatient(&self) -> Self {
        Self {
            patience: IMPATIENCE,
            ..self.clone()
        }
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Nothing> {
        let mut message = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            message = message.header(*name, *value);
        }
        let message = message
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let exchange = async {
            let answer = self.pool.request(message).await.map_err(|error| {
                if error.is_connect() {
                    Nothing::NotConnected
                } else {
                    Nothing::Broken
                }
            })?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(|_| Nothing::Broken)?;
            Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                text: String::from_utf8(body.to_bytes().to_vec()).unwrap(),
            })
        };
        tokio::time::timeout(self.patience, exchange)
            .await
            .unwrap_or(Err(Nothing::Late))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Nothing> {
        self.send("GET", path, &[("authorization", "Bearer sk_test_1")], "")
            .await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Result<Answer, Nothing> {
        self.send("POST", path, &[("authorization", "Bearer sk_test_1")], body)
            .await
    }

    /// Posts under an idempotency key.
    pub(super) async fn keyed(&self, key: &str, path: &str, body: &str) -> Result<Answer, Nothing> {
        let headers = [
            ("authorization", "Bearer sk_test_1"),
            ("idempotency-key", key),
        ];
        self.send("POST", path, &headers, body).await
    }

    /// Makes a meter for `calls` and a customer, and returns the customer's id.
    pub(super) async fn meter_and_customer(&self) -> String {
        let meter = "display_name=Calls&event_name=calls&default_aggregation[formula]=sum";
        self.post("/v1/billing/meters", meter).await.unwrap().id();
        self.post("/v1/customers", "name=Ann").await.unwrap().id()
    }

    pub(super) async fn meter_event(
        &self,
        customer: &str,
        identifier: &str,
        value: i64,
    ) -> Result<Answer, Nothing> {
        let body = format!(
            "event_name=calls&identifier={identifier}&payload[stripe_customer_id]={customer}\
             &payload[value]={value}"
        );
        self.post("/v1/billing/meter_events", &body).await
    }
}
