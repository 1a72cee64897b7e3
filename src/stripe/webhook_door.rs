//! Where webhooks come in: checked, stored, and only then acknowledged.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;

use super::gateway::{BadSignature, TOLERANCE, verify};
use super::inbound::{malformed, read};
use super::mirrored::seconds;
use crate::domain::billing::{Inbound, InboundState};
use crate::domain::fingerprint::fingerprint;
use crate::domain::time::Timestamp;
use crate::engine::{Engine, Error};

/// Where webhooks come in.
#[derive(Clone)]
pub struct WebhookDoor {
    engine: Engine,
    secrets: Arc<[SecretString]>,
}

/// Why a webhook is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It is not signed by Stripe, or nobody can know.
    #[error(transparent)]
    Unsigned(#[from] BadSignature),
    /// It cannot be stored now; Stripe is to send it again.
    #[error(transparent)]
    NotStored(#[from] Error),
}

impl WebhookDoor {
    /// Takes what one of these secrets signed.
    #[must_use]
    pub fn new(engine: Engine, secrets: Vec<SecretString>) -> Self {
        let secrets = secrets.into();
        Self { engine, secrets }
    }

    /// Checks and stores a webhook; it is durable when this returns. What is signed and makes no sense is stored as well,
    /// so that Stripe does not send it again and again.
    ///
    /// # Errors
    /// When it is not signed, or cannot be stored.
    pub async fn take(&self, body: &[u8], signature: &str) -> Result<(), NotTaken> {
        let now = self.engine.now();
        verify(body, signature, &self.secrets, seconds(now), TOLERANCE)?;
        let event: Option<Value> = serde_json::from_slice(body).ok();
        let (id, inbound) = match event.as_ref().and_then(|event| read(event, now)) {
            Some((id, inbound)) => (id, self.of_this_money(inbound, now)),
            None => (named_by(body), malformed(now)),
        };
        self.engine.receive_webhook(&id, inbound).await?;
        Ok(())
    }

    /// Leaves aside, for all to see, what is about money of the other kind: real where ours is not, or the other way round.
    fn of_this_money(&self, mut inbound: Inbound, now: Timestamp) -> Inbound {
        let is_live = self.engine.billing_terms().is_live;
        if inbound.livemode != is_live {
            let (theirs, ours) = if is_live {
                ("test", "live")
            } else {
                ("live", "test")
            };
            let why = format!("it is of {theirs} mode, and this server's key is of {ours} mode");
            tracing::error!(event.kind = %inbound.kind, "a webhook is left aside: {why}");
            inbound.fault = Some(why.into());
            inbound.end(InboundState::Ignored, now);
        }
        inbound
    }
}

/// Names what has no name by what it says.
fn named_by(body: &[u8]) -> Box<str> {
    format!("malformed_{}", fingerprint(body, 12)).into()
}
