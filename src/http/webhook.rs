//! Webhooks of Stripe: limits first, then the signature, then storage; only then an answer that Stripe takes for success.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use crate::stripe::{NotTaken, WebhookDoor};

/// Largest body that is read, in bytes: Stripe's are a few thousand.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a body may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Where the signature stands.
const SIGNATURE: &str = "stripe-signature";

/// Returns where webhooks come in.
pub(super) fn routes((door, paths): (WebhookDoor, Vec<String>)) -> Router {
    let mut router = Router::new();
    for path in paths {
        router = router.route(&path, post(take));
    }
    router.with_state(door)
}

/// Takes a webhook. What is refused is not told why: whoever signs wrongly is not Stripe.
async fn take(State(door): State<WebhookDoor>, headers: HeaderMap, body: Body) -> StatusCode {
    let mut signatures = headers.get_all(SIGNATURE).iter();
    let (Some(signature), None) = (signatures.next(), signatures.next()) else {
        return StatusCode::BAD_REQUEST;
    };
    let Ok(signature) = signature.to_str() else {
        return StatusCode::BAD_REQUEST;
    };
    let reading = to_bytes(body, BODY_BYTES_MAX);
    let body = match tokio::time::timeout(BODY_TIME_MAX, reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE,
        Err(_) => return StatusCode::REQUEST_TIMEOUT,
    };
    match door.take(&body, signature).await {
        Ok(()) => StatusCode::OK,
        Err(NotTaken::Unsigned(why)) => {
            tracing::debug!(%why, "a webhook is not signed as it should be");
            StatusCode::BAD_REQUEST
        }
        Err(NotTaken::NotStored(error)) => {
            tracing::warn!(%error, "a webhook cannot be stored; Stripe sends it again");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
