//! The sandbox: a model of Stripe in this process, asked through the same requests as Stripe itself, so that all that works
//! in it has the shape that Stripe wants. Money is not moved; webhooks go straight into our own inbox.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::gateway::{Transport, TransportFault};
use super::inbound::read;
use super::mirrored::seconds;
use super::model::{Model, Refused};
use super::wire::{Method, Request, Response};
use crate::engine::{BillingFault, Engine, Error, SandboxMemory};

/// How often a change is made again that another process was faster with.
const TRIES: usize = 5;
/// Between writings of what need not be kept at once.
const FLUSH: Duration = Duration::from_secs(1);
/// What is called often and kept a little later: usage.
const FREQUENT: &str = "/v1/billing/meter_events";

/// Answers in Stripe's place.
pub struct Sandbox {
    engine: Engine,
    memory: Mutex<Memory>,
}

/// What the sandbox remembers, here.
#[derive(Default)]
struct Memory {
    model: Option<Model>,
    /// The version that is kept.
    version: i64,
    /// Whether there is more than is kept.
    is_ahead: bool,
}

impl Sandbox {
    /// Remembers by an engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        let memory = Mutex::default();
        Self { engine, memory }
    }

    /// Writes what is kept later from time to time, until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(FLUSH) => false,
            };
            let mut memory = self.memory.lock().await;
            if memory.is_ahead
                && let Err(error) = self.keep(&mut memory).await
            {
                tracing::warn!(%error, "the sandbox is kept later");
            }
            if stopped {
                return;
            }
        }
    }

    /// Lets something happen in the sandbox.
    ///
    /// # Errors
    /// When what it remembers can be neither read nor kept; nothing happened then.
    pub async fn act<R>(
        &self,
        is_frequent: bool,
        act: impl Fn(&mut Model) -> R,
    ) -> Result<R, Error> {
        let mut memory = self.memory.lock().await;
        for _ in 0..TRIES {
            let now = seconds(self.engine.now());
            let mut model = self.model(&mut memory, now).await?;
            model.advance(now.max(model.now()));
            let result = act(&mut model);
            let events = model.take_events();
            memory.model = Some(model);
            memory.is_ahead = true;
            if (is_frequent && events.is_empty()) || self.keep(&mut memory).await? {
                self.deliver(&events).await?;
                return Ok(result);
            }
        }
        Err(Error::Internal)
    }

    /// Returns what the sandbox remembers, to be changed.
    async fn model(&self, memory: &mut Memory, now: i64) -> Result<Model, Error> {
        // Others on the same database may have changed it; when this one is ahead, keeping it tells.
        let is_old = self.engine.store().is_shared() && !memory.is_ahead;
        if let Some(model) = memory.model.as_ref().filter(|_| !is_old) {
            return Ok(model.clone());
        }
        let kept = self.engine.sandbox_memory().await?;
        memory.version = kept.version;
        memory.is_ahead = false;
        if kept.text.is_empty() {
            return Ok(Model::new(now));
        }
        serde_json::from_str(&kept.text).map_err(|error| {
            tracing::error!(%error, "what the sandbox remembers cannot be read");
            Error::Internal
        })
    }

    /// Keeps what the sandbox remembers; false when another process was faster, and this one has forgotten.
    async fn keep(&self, memory: &mut Memory) -> Result<bool, Error> {
        let Some(model) = &memory.model else {
            return Ok(true);
        };
        let text = serde_json::to_string(model).map_err(|_| Error::Internal)?;
        let version = memory.version + 1;
        let kept = self
            .engine
            .keep_sandbox(SandboxMemory { version, text })
            .await;
        if matches!(kept, Ok(true)) {
            (memory.version, memory.is_ahead) = (version, false);
        } else {
            *memory = Memory::default();
        }
        kept
    }

    /// Puts events into the inbox, as webhooks would come.
    async fn deliver(&self, events: &[Value]) -> Result<(), Error> {
        for event in events {
            if let Some((id, inbound)) = read(event, self.engine.now()) {
                self.engine.receive_webhook(&id, inbound).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Transport for Sandbox {
    async fn send(&self, request: &Request) -> Result<Response, TransportFault> {
        let is_frequent = request.path == FREQUENT || request.method == Method::Get;
        self.act(is_frequent, |model| model.handle(request))
            .await
            .map_err(|error| TransportFault::NotSent(error.to_string()))
    }
}

impl Sandbox {
    /// Pays at a page with a test card.
    ///
    /// # Errors
    /// When there is no such page, it is not open, or the card does not pay.
    pub(super) async fn complete_checkout(&self, page: &str, card: &str) -> Result<(), Error> {
        let card = digits(card);
        let done = self.act(false, |model| model.complete_checkout(page, &card));
        done.await?.map_err(|why| not_done("session_id", &why))
    }

    /// Gives a customer another test card.
    ///
    /// # Errors
    /// When there is no such customer, or the number is no test card's.
    pub(super) async fn set_card(&self, payer: &str, card: &str) -> Result<(), Error> {
        let card = digits(card);
        let done = self.act(false, |model| model.set_card(payer, &card));
        done.await?.map_err(|why| not_done("customer_id", &why))
    }
}

/// Returns the number of a card as people write it, without what stands between.
fn digits(card: &str) -> String {
    let digits: String = card.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() {
        "4242424242424242".to_owned()
    } else {
        digits
    }
}

fn not_done(field: &str, why: &Refused) -> Error {
    match why {
        Refused::Declined { decline_code } => Error::Billing(BillingFault::Declined {
            code: decline_code.clone(),
            message: why.to_string(),
        }),
        Refused::NotFound(_) | Refused::NotOpen | Refused::Invalid(_) => {
            Error::invalid(field, why.to_string())
        }
        Refused::UnknownCard => Error::invalid("card_number", why.to_string()),
    }
}
