//! One message in HTTP, and the answer to it: whole, cut off, or none.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming as Inbound, SizeHint};
use tokio::time::{Sleep, sleep};

use super::account::{Account, Incoming, Outcome};
use super::{Recorded, Response};

/// Largest body that is read, in bytes.
const BODY_MAX: usize = 1024 * 1024;
/// How long the first half of a cut-off body has to get out before the connection ends.
const CUT_OFF_AFTER: Duration = Duration::from_millis(20);

/// The connection is to end without an answer.
#[derive(Debug)]
pub(super) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection was cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// The body of an answer.
pub(super) enum AnswerBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// Some of it, and then the connection ends.
    CutOff(Option<Bytes>, Pin<Box<Sleep>>),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(left) => Poll::Ready(left.take().map(|all| Ok(Frame::data(all)))),
            Self::CutOff(left, pause) => match left.take() {
                Some(part) => Poll::Ready(Some(Ok(Frame::data(part)))),
                None => pause.as_mut().poll(context).map(|()| Some(Err(Cut))),
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(Some(all)) => u64::try_from(all.len())
                .map(SizeHint::with_exact)
                .unwrap_or_default(),
            Self::Whole(None) => SizeHint::with_exact(0),
            Self::CutOff(..) => SizeHint::default(),
        }
    }
}

/// Answers a message. What it asks for happens even if the client does not wait for it.
pub(super) async fn answer(
    account: Arc<Account>,
    connection: u64,
    reset: Arc<AtomicBool>,
    message: http::Request<Inbound>,
) -> Result<http::Response<AnswerBody>, Cut> {
    let incoming = read(connection, message).await?;
    let key = incoming.call.idempotency_key.clone();
    let version = incoming.call.version.clone();
    let outcome = tokio::spawn(async move { account.take(incoming).await })
        .await
        .map_err(|_| Cut)?;
    let mut answer = match outcome {
        Outcome::Answer { response, replayed } => {
            let mut answer = written(
                &response,
                AnswerBody::Whole(Some(response.body.clone().into())),
            );
            if replayed {
                let yes = HeaderValue::from_static("true");
                answer.headers_mut().insert("idempotent-replayed", yes);
            }
            answer
        }
        Outcome::Page(response) => {
            let mut page = http::Response::new(AnswerBody::Whole(Some(response.body.into())));
            *page.status_mut() = http::StatusCode::BAD_GATEWAY;
            let html = HeaderValue::from_static("text/html");
            page.headers_mut().insert(header::CONTENT_TYPE, html);
            return Ok(page);
        }
        Outcome::CutOff(response) => cut_off(&response),
        Outcome::Silence => std::future::pending().await,
        Outcome::Close => return Err(Cut),
        Outcome::Reset => {
            reset.store(true, Ordering::Relaxed);
            return Err(Cut);
        }
    };
    let headers = answer.headers_mut();
    put(headers, "idempotency-key", key);
    put(headers, "stripe-version", version);
    Ok(answer)
}

async fn read(connection: u64, message: http::Request<Inbound>) -> Result<Incoming, Cut> {
    let (head, body) = message.into_parts();
    let body = Limited::new(body, BODY_MAX)
        .collect()
        .await
        .map_err(|_| Cut)?;
    let text = |name: &str| head.headers.get(name)?.to_str().ok().map(str::to_owned);
    Ok(Incoming {
        authorization: text("authorization"),
        call: Recorded {
            number: 0,
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            version: text("stripe-version"),
            idempotency_key: text("idempotency-key"),
            content_type: text("content-type"),
            user_agent: text("user-agent"),
            connection,
            fault: None,
            status: None,
        },
    })
}

fn written(response: &Response, body: AnswerBody) -> http::Response<AnswerBody> {
    let mut answer = http::Response::new(body);
    *answer.status_mut() =
        http::StatusCode::from_u16(response.status).unwrap_or(http::StatusCode::BAD_GATEWAY);
    let headers = answer.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if response.status == 401 {
        let realm = HeaderValue::from_static("Basic realm=\"Stripe\"");
        headers.insert(header::WWW_AUTHENTICATE, realm);
    }
    put(headers, "request-id", response.request_id.clone());
    let should_retry = response.should_retry.map(|retry| retry.to_string());
    put(headers, "stripe-should-retry", should_retry);
    let retry_after = response.retry_after.map(|seconds| seconds.to_string());
    put(headers, "retry-after", retry_after);
    let reason = response.rate_limited_reason.clone();
    put(headers, "stripe-rate-limited-reason", reason);
    answer
}

/// Returns an answer that promises all of its body and holds half of it.
fn cut_off(response: &Response) -> http::Response<AnswerBody> {
    let half = response
        .body
        .get(..response.body.len() / 2)
        .unwrap_or_default();
    let half = Bytes::copy_from_slice(half);
    let body = AnswerBody::CutOff(Some(half), Box::pin(sleep(CUT_OFF_AFTER)));
    let mut answer = written(response, body);
    let length = HeaderValue::from(response.body.len());
    answer.headers_mut().insert(header::CONTENT_LENGTH, length);
    answer
}

fn put(headers: &mut HeaderMap, name: &'static str, value: Option<String>) {
    let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
    if let Some(value) = value {
        headers.insert(HeaderName::from_static(name), value);
    }
}
