//! What the double answers by itself, where the model is not asked.

use serde_json::json;

use super::Response;

/// Returns an answer in the form of Stripe's errors.
pub(super) fn refusal(status: u16, class: &str, code: Option<&str>, message: &str) -> Response {
    let mut error = json!({"type": class, "message": message});
    if let Some(code) = code {
        error["code"] = code.into();
    }
    Response {
        status,
        should_retry: None,
        retry_after: None,
        rate_limited_reason: None,
        request_id: None,
        body: json!({"error": error}).to_string().into_bytes(),
    }
}

pub(super) fn unauthorized(message: &str) -> Response {
    refusal(401, "invalid_request_error", None, message)
}

pub(super) fn unknown_method(method: &str, path: &str) -> Response {
    let message = format!("Unrecognized request URL ({method}: {path}).");
    refusal(404, "invalid_request_error", None, &message)
}

/// Another call holds what this one wants: there is no reason header, which tells it from a rate.
pub(super) fn lock_timeout() -> Response {
    refusal(
        429,
        "invalid_request_error",
        Some("lock_timeout"),
        "Another request is using this object at the moment. Try again in a moment.",
    )
}

/// A call with the same idempotency key is under way.
pub(super) fn key_in_use(key: &str) -> Response {
    let message = format!("Another request with the idempotency key '{key}' is still running.");
    refusal(
        409,
        "idempotency_error",
        Some("idempotency_key_in_use"),
        &message,
    )
}

pub(super) fn rate_limited(reason: Option<String>, retry_after: Option<u64>) -> Response {
    let mut response = refusal(
        429,
        "invalid_request_error",
        Some("rate_limit"),
        "Too many requests came in a short time.",
    );
    response.rate_limited_reason = reason;
    response.retry_after = retry_after;
    response
}

pub(super) fn error_500() -> Response {
    refusal(500, "api_error", None, "Something went wrong at our end.")
}

/// What something between here and Stripe answers: no JSON, and none of Stripe's headers.
pub(super) fn html_bad_gateway() -> Response {
    let page = "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>";
    Response {
        status: 502,
        should_retry: None,
        retry_after: None,
        rate_limited_reason: None,
        request_id: None,
        body: page.as_bytes().to_vec(),
    }
}
