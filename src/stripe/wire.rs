//! A call to Stripe and its answer, as they cross a wire or stay in this process.

/// One call of Stripe's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is done.
    pub method: Method,
    /// The path from the root of the API on: `/v1/customers`.
    pub path: String,
    /// What stands behind the question mark, form-encoded; empty: nothing.
    pub query: String,
    /// The form-encoded body; empty: none.
    pub body: String,
    /// Names the attempt, so that repeats of it happen once; `None`: a repeat happens again.
    pub idempotency_key: Option<String>,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or changes.
    Post,
    /// Ends.
    Delete,
}

impl Method {
    /// Returns its name in HTTP.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// An answer of Stripe's, good or bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status of HTTP.
    pub status: u16,
    /// `Stripe-Should-Retry`.
    pub should_retry: Option<bool>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// `Stripe-Rate-Limited-Reason`.
    pub rate_limited_reason: Option<String>,
    /// `Request-Id`.
    pub request_id: Option<String>,
    /// The body: JSON, unless something between here and Stripe answered.
    pub body: Vec<u8>,
}
