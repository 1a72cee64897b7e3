//! Carries requests over HTTP, on connections that are kept open.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use super::connect::Bounded;
use super::transport::{Transport, TransportFault};
use super::wire::{Method, Request, Response};

/// The version of the API that is spoken unless another is configured.
pub const API_VERSION: &str = "2026-01-28.clover";
/// Where Stripe is.
pub const STRIPE_URL: &str = "https://api.stripe.com";
/// Largest answer that is read, in bytes.
pub const ANSWER_MAX: usize = 8 * 1024 * 1024;

const AGENT: &str = concat!("bursar/", env!("CARGO_PKG_VERSION"));
const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How long an idle connection is kept: shorter than the servers keep it, so that hardly ever a
/// request is written to one that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(45);
const IDLE_CONNECTIONS: usize = 32;

/// What is configured of the way to Stripe.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Scheme, host and port, without a path. Without TLS only on this machine itself.
    pub base_url: String,
    /// The value of `Stripe-Version`.
    pub api_version: String,
    /// Within this a connection stands, its TLS included.
    pub connect_timeout: Duration,
    /// Within this a call is over, its answer read. At least twice `connect_timeout` is taken.
    pub call_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            base_url: STRIPE_URL.to_owned(),
            api_version: API_VERSION.to_owned(),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
        }
    }
}

/// Why no way to Stripe can be made of the settings.
#[derive(Debug, Error)]
pub enum HttpSettingsError {
    /// The base URL cannot be used.
    #[error("the base URL of Stripe {url:?} cannot be used: {reason}")]
    BaseUrl {
        /// It.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The API version is no value of a header.
    #[error("{0:?} is no version of Stripe's API")]
    ApiVersion(String),
    /// The key is no value of a header. It is not shown.
    #[error("the key for Stripe holds characters that no key has")]
    Key,
    /// The certificates that this system trusts cannot be read.
    #[error("the system's root certificates cannot be read: {0}")]
    Roots(#[from] std::io::Error),
}

/// The way to Stripe over a network.
pub struct Http {
    client: Client<Bounded<HttpsConnector<HttpConnector>>, Full<Bytes>>,
    base_url: String,
    /// What stands in each request, the key among it.
    headers: HeaderMap,
    call_timeout: Duration,
}

impl fmt::Debug for Http {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Http")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// Makes it; nothing is connected yet.
    ///
    /// # Errors
    /// When the settings or the key cannot be used, or no root certificates can be read.
    pub fn new(settings: &HttpSettings, key: &SecretString) -> Result<Self, HttpSettingsError> {
        let base_url = check_base_url(&settings.base_url)?;
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(Bounded::new(tls, settings.connect_timeout));
        Ok(Self {
            client,
            base_url,
            headers: standing_headers(&settings.api_version, key)?,
            call_timeout: settings.call_timeout.max(settings.connect_timeout * 2),
        })
    }

    fn message(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, TransportFault> {
        let unfit = |error: http::Error| TransportFault::NotSent(error.to_string());
        let mut uri = format!("{}{}", self.base_url, request.path);
        if !request.query.is_empty() {
            uri.push('?');
            uri.push_str(&request.query);
        }
        let mut message = http::Request::builder()
            .method(request.method.as_str())
            .uri(uri)
            .body(Full::new(Bytes::from(request.body.clone())))
            .map_err(unfit)?;
        let headers = message.headers_mut();
        headers.clone_from(&self.headers);
        if request.method == Method::Post {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form);
        }
        if let Some(key) = &request.idempotency_key {
            let key = HeaderValue::from_str(key).map_err(|error| unfit(error.into()))?;
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        Ok(message)
    }

    async fn exchange(
        &self,
        message: http::Request<Full<Bytes>>,
    ) -> Result<Response, TransportFault> {
        let answer = self.client.request(message).await.map_err(|error| {
            if error.is_connect() {
                TransportFault::NotSent(with_causes(&error))
            } else {
                TransportFault::Unknown(with_causes(&error))
            }
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_MAX)
            .collect()
            .await
            .map_err(|error| TransportFault::Unknown(with_causes(error.as_ref())))?;
        Ok(Response {
            status: head.status.as_u16(),
            should_retry: text(&head.headers, "stripe-should-retry").and_then(|t| t.parse().ok()),
            retry_after: text(&head.headers, RETRY_AFTER.as_str()).and_then(|t| t.parse().ok()),
            rate_limited_reason: text(&head.headers, "stripe-rate-limited-reason"),
            request_id: text(&head.headers, "request-id"),
            body: body.to_bytes().to_vec(),
        })
    }
}

#[async_trait]
impl Transport for Http {
    async fn send(&self, request: &Request) -> Result<Response, TransportFault> {
        let message = self.message(request)?;
        match tokio::time::timeout(self.call_timeout, self.exchange(message)).await {
            Ok(done) => done,
            Err(_) => Err(TransportFault::Unknown(format!(
                "no answer within {:?}",
                self.call_timeout
            ))),
        }
    }
}

fn standing_headers(version: &str, key: &SecretString) -> Result<HeaderMap, HttpSettingsError> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
        .map_err(|_| HttpSettingsError::Key)?;
    bearer.set_sensitive(true);
    let version = HeaderValue::from_str(version)
        .map_err(|_| HttpSettingsError::ApiVersion(version.to_owned()))?;
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(STRIPE_VERSION, version);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(headers)
}

/// Returns the base URL without a slash at its end. A key never crosses a network in the clear.
fn check_base_url(url: &str) -> Result<String, HttpSettingsError> {
    let wrong = |reason| HttpSettingsError::BaseUrl {
        url: url.to_owned(),
        reason,
    };
    let trimmed = url.strip_suffix('/').unwrap_or(url);
    let parsed: Uri = trimmed.parse().map_err(|_| wrong("it is no URL"))?;
    let Some(host) = parsed.host() else {
        return Err(wrong("it names no host"));
    };
    if parsed.path().len() > 1 || parsed.query().is_some() {
        return Err(wrong("it has a path"));
    }
    match parsed.scheme_str() {
        Some("https") => Ok(trimmed.to_owned()),
        Some("http") if matches!(host, "127.0.0.1" | "[::1]" | "localhost") => {
            Ok(trimmed.to_owned())
        }
        Some("http") => Err(wrong("without TLS only this machine itself can be called")),
        _ => Err(wrong("its scheme is neither https nor http")),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Writes an error with what caused it: the outer ones say only that a connection failed.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut written = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        written.push_str(": ");
        written.push_str(&inner.to_string());
        cause = inner.source();
    }
    written
}

#[cfg(test)]
mod tests;
