//! How a request gets to Stripe and its answer back, whatever lies between.

use async_trait::async_trait;
use thiserror::Error;

use super::wire::{Request, Response};

/// Carries requests: over a network, or to something in this process that answers like Stripe.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Carries one request, once, and returns what came back, good or bad.
    ///
    /// # Errors
    /// When nothing that can be read came back.
    async fn send(&self, request: &Request) -> Result<Response, TransportFault>;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransportFault {
    /// Nothing of the request left, so nothing happened at Stripe.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may have arrived and been carried out.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}
