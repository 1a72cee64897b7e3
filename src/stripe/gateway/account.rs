//! The calls that are made of Stripe, as methods; those of each thing stand in its file under
//! `calls`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use stripe_client_core::StripeRequest;

use super::caller::{Caller, Manner};
use super::fault::Fault;
use super::shape::shape;

/// What a call returns.
pub type Answer<T> = Result<T, Fault>;

/// Stripe, as bursar uses it.
///
/// Money is in cents of US dollars, times are in seconds of Unix time. A call that changes
/// something takes an idempotency key of the caller's, who makes it from what is to happen, never
/// from when it is tried: under the same key it happens once, for at least 24 hours, and a repeat
/// returns the first answer.
pub struct Gateway {
    pub(super) caller: Caller,
}

/// What stays of an object that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Deleted {
    /// Its id.
    pub id: String,
    /// Whether it is gone.
    #[serde(default)]
    pub deleted: bool,
}

impl Gateway {
    /// Makes it of what makes the calls.
    #[must_use]
    pub const fn new(caller: Caller) -> Self {
        Self { caller }
    }

    /// Makes a call that reads.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        request: &impl StripeRequest,
    ) -> Answer<T> {
        let request = shape(request.build(), None)?;
        self.caller.call(&request, Manner::Repeated).await
    }

    /// Makes a call that works something out and changes nothing, although it is a POST. It carries
    /// no key, under which it would return for a day what it first returned.
    pub(super) async fn work_out<T: DeserializeOwned>(
        &self,
        request: &impl StripeRequest,
    ) -> Answer<T> {
        let request = shape(request.build(), None)?;
        self.caller.call(&request, Manner::Harmless).await
    }

    /// Makes a call that changes something, once under its key.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        request: &impl StripeRequest,
        key: &str,
    ) -> Answer<T> {
        let request = shape(request.build(), Some(key))?;
        self.caller.call(&request, Manner::Repeated).await
    }

    /// Makes a call that ends something. Stripe knows no keys for these, so they are made once: a
    /// repeat of one that succeeded would say that there is nothing to end.
    pub(super) async fn end<T: DeserializeOwned>(&self, request: &impl StripeRequest) -> Answer<T> {
        let request = shape(request.build(), None)?;
        self.caller.call(&request, Manner::Repeated).await
    }
}
