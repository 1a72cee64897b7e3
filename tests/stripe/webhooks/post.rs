//! Carries an event to its receiver.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Carries events, on connections that are kept open.
#[derive(Debug)]
pub(super) struct Post {
    client: Client<HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

impl Post {
    pub(super) fn new(timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(tcp),
            timeout,
        }
    }

    /// Sends a body and returns the status of the answer; `None`: none came in time.
    pub(super) async fn send(&self, url: &str, signature: &str, body: &str) -> Option<u16> {
        let message = http::Request::post(url)
            .header("content-type", "application/json; charset=utf-8")
            .header(
                "user-agent",
                "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            )
            .header("stripe-signature", signature)
            .body(Full::new(Bytes::from(body.to_owned())))
            .ok()?;
        let exchange = async {
            let (head, answer) = self.client.request(message).await.ok()?.into_parts();
            // Read to its end, so that the connection can carry the next one.
            answer.collect().await.ok()?;
            Some(head.status.as_u16())
        };
        tokio::time::timeout(self.timeout, exchange).await.ok()?
    }
}
