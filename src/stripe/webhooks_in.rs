//! Webhooks on their way in: checked, stored, acknowledged; then worked on, customer by customer, by asking Stripe how
//! things stand now. What a webhook says of its object is never applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::gateway::{BadSignature, TOLERANCE, verify};
use super::inbound::{malformed, read};
use super::mirrored::seconds;
use super::payments::Payments;
use super::subscriptions::{Follower, NotFollowed};
use crate::domain::billing::InboundState;
use crate::engine::{Engine, Error, InboundView};

/// Most webhooks that are worked on in one go; those of one customer take one question to Stripe.
const SLICE: usize = 256;
/// Between looks when there was nothing to do.
const PAUSE: Duration = Duration::from_millis(500);

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
            Some(read) => read,
            None => (named_by(body), malformed(now)),
        };
        self.engine.receive_webhook(&id, inbound).await?;
        Ok(())
    }
}

/// Names what has no name by what it says.
fn named_by(body: &[u8]) -> Box<str> {
    let digest = Sha256::digest(body);
    let hex: Vec<String> = digest[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("malformed_{}", hex.concat()).into()
}

/// Works on the inbox.
#[derive(Clone)]
pub struct WebhooksIn {
    engine: Engine,
    follower: Follower,
    payments: Payments,
}

impl WebhooksIn {
    /// Works by asking how subscriptions and payments stand.
    #[must_use]
    pub const fn new(engine: Engine, follower: Follower, payments: Payments) -> Self {
        Self {
            engine,
            follower,
            payments,
        }
    }

    /// Works on what comes in until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let done = self.once().await;
            let pause = if done == 0 { PAUSE } else { Duration::ZERO };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Works on what waits now; returns how many webhooks that was.
    pub async fn once(&self) -> usize {
        let due = match self.engine.due_webhooks(SLICE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "the inbox cannot be read");
                return 0;
            }
        };
        let count = due.len();
        let mut by_payer: BTreeMap<Option<Box<str>>, Vec<InboundView>> = BTreeMap::new();
        for view in due {
            let payer = view.1.payer.clone().filter(|_| concerns_us(&view.1.kind));
            by_payer.entry(payer).or_default().push(view);
        }
        for (payer, views) in by_payer {
            self.work(payer.as_deref(), &views).await;
        }
        count
    }

    /// Asks how things stand that webhooks of one customer are about; false: they concern nobody that we know.
    async fn follow(
        &self,
        payer: Option<&str>,
        views: &[InboundView],
    ) -> Result<bool, NotFollowed> {
        let mut concerns_us = match payer {
            Some(payer) => self.follower.follow(payer).await?,
            None => false,
        };
        let payments: BTreeSet<&str> = views
            .iter()
            .filter_map(|(_, inbound)| inbound.payment.as_deref())
            .collect();
        for payment in payments {
            concerns_us |= self.payments.follow(payment).await?.is_some();
        }
        Ok(concerns_us)
    }

    /// Works on the webhooks of one customer, or on those of none.
    async fn work(&self, payer: Option<&str>, views: &[InboundView]) {
        let waiting = views
            .iter()
            .any(|(_, inbound)| inbound.state == InboundState::Waiting);
        let outcome = if waiting {
            self.follow(payer, views).await
        } else {
            Ok(false)
        };
        for (id, _) in views {
            let noted = match &outcome {
                Ok(true) => self.engine.end_webhook(id, InboundState::Done).await,
                Ok(false) => self.engine.end_webhook(id, InboundState::Ignored).await,
                Err(why) => self.engine.fail_webhook(id, &why.to_string()).await,
            };
            if let Err(error) = noted {
                tracing::warn!(event.id = %id, %error, "a webhook is worked on again");
            }
        }
    }
}

/// Whether events of a type can change what a customer has.
fn concerns_us(kind: &str) -> bool {
    const GROUPS: [&str; 8] = [
        "customer.",
        "subscription_schedule.",
        "checkout.session.",
        "invoice.",
        "invoice_payment.",
        "payment_intent.",
        "charge.",
        "refund.",
    ];
    GROUPS.iter().any(|group| kind.starts_with(group))
}
