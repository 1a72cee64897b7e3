//! A receiver of webhooks that remembers what came and answers as it was told to.

use std::collections::VecDeque;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;

/// One message as it came.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) signature: String,
    pub(super) body: String,
}

impl Message {
    pub(super) fn id(&self) -> String {
        self.event()["id"].as_str().unwrap().to_owned()
    }

    pub(super) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Listens for as long as the runtime lives.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    pub(super) url: String,
    came: Arc<Mutex<Vec<Message>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            came: Arc::default(),
            answers: Arc::default(),
        };
        let serving = receiver.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = serving.clone();
                let service = service_fn(move |message| serving.clone().take(message));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        receiver
    }

    /// Answers so, one after the other, and with 200 afterwards.
    pub(super) fn answer(&self, statuses: impl IntoIterator<Item = u16>) {
        self.answers.lock().extend(statuses);
    }

    pub(super) fn came(&self) -> Vec<Message> {
        self.came.lock().clone()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.came().iter().map(Message::id).collect()
    }

    async fn take(
        self,
        message: http::Request<Incoming>,
    ) -> Result<http::Response<Full<bytes::Bytes>>, hyper::Error> {
        let (head, body) = message.into_parts();
        let body = body.collect().await?.to_bytes();
        self.came.lock().push(Message {
            signature: head.headers["stripe-signature"]
                .to_str()
                .unwrap()
                .to_owned(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        let status = self.answers.lock().pop_front().unwrap_or(200);
        let mut answer = http::Response::new(Full::default());
        *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
        Ok(answer)
    }
}
