//! The HTTP edge: whether the server is alive and ready, its metrics, and webhooks of Stripe.

pub mod metrics;
mod webhook;

use std::io;
use std::net::TcpListener;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use self::metrics::Metrics;
use crate::engine::Engine;
use crate::stripe::WebhookDoor;

/// What the pages are made of.
#[derive(Clone)]
pub struct Pages {
    /// The engine, asked whether it can commit.
    pub engine: Engine,
    /// Cancelled when the server is told to stop.
    pub draining: CancellationToken,
    /// The metrics of this process.
    pub metrics: Metrics,
    /// Where webhooks of Stripe come in, and at which paths; `None`: nowhere, nothing signs them.
    pub webhooks: Option<(WebhookDoor, Vec<String>)>,
}

/// Serves until `stop` is cancelled. The listener must not block.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(metrics::keep(pages.metrics.clone(), stop.clone()));
    let webhooks = pages.webhooks.clone().map(webhook::routes);
    let router = Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(pages)
        .merge(webhooks.unwrap_or_default());
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

async fn ready(State(pages): State<Pages>) -> (StatusCode, &'static str) {
    if pages.draining.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if pages.engine.fails_since().is_some() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database takes no writes\n",
        )
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn render(State(pages): State<Pages>) -> String {
    pages.metrics.render()
}
