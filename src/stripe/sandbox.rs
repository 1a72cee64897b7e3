//! The sandbox: a model of Stripe in this process, asked through the same requests as Stripe itself, so that all that works
//! in it has the shape that Stripe wants. Money is not moved; webhooks go straight into our own inbox.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::gateway::{Transport, TransportFault};
use super::inbound::read;
use super::mirrored::{at, seconds};
use super::model::{Model, Refused};
use super::wire::{Method, Request, Response};
use crate::clock::MovedClock;
use crate::domain::time::Timestamp;
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
    clock: Arc<MovedClock>,
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

/// Why the sandbox did not do it.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// What it remembers cannot be read; nothing happened.
    #[error(transparent)]
    NotBegun(Error),
    /// It was done, and whether that was kept is not known.
    #[error("the sandbox cannot say whether it was kept: {0}")]
    Unknown(Error),
}

impl From<NotDone> for Error {
    fn from(why: NotDone) -> Self {
        match why {
            NotDone::NotBegun(error) => error,
            NotDone::Unknown(error) => BillingFault::OutcomeUnknown(error.to_string()).into(),
        }
    }
}

impl Sandbox {
    /// Remembers by an engine, whose time is that of the clock.
    #[must_use]
    pub fn new(engine: Engine, clock: Arc<MovedClock>) -> Self {
        let memory = Mutex::default();
        Self {
            engine,
            clock,
            memory,
        }
    }

    /// Returns the clock that time is moved by.
    pub(super) const fn clock(&self) -> &Arc<MovedClock> {
        &self.clock
    }

    /// Lets happen what becomes due, and writes what is kept later, from time to time, until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(FLUSH) => false,
            };
            if let Err(error) = self.look_after().await {
                tracing::warn!(%error, "the sandbox is kept later");
            }
            if stopped {
                return;
            }
        }
    }

    /// As [`Sandbox::catch_up`]; where others may have changed what is remembered, only what this process has still to keep,
    /// since reading all of it each time costs more than it brings.
    async fn look_after(&self) -> Result<(), Error> {
        let is_ahead = self.memory.lock().await.is_ahead;
        if is_ahead || !self.engine.store().is_shared() {
            self.catch_up().await?;
        }
        Ok(())
    }

    /// Lets happen what is due by now, tells of all that happened, and keeps it.
    pub(super) async fn catch_up(&self) -> Result<(), Error> {
        let mut memory = self.memory.lock().await;
        let now = seconds(self.engine.now());
        self.load(&mut memory, now).await?;
        let Some(model) = &memory.model else {
            return Ok(());
        };
        if model.next_due().is_some_and(|due| due <= now) {
            self.change(&mut memory, false, |_| ()).await?;
        }
        self.deliver(&mut memory).await;
        if memory.is_ahead {
            self.keep(&mut memory).await?;
        }
        Ok(())
    }

    /// Returns when something happens next by itself; `None`: nothing will.
    pub(super) async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let mut memory = self.memory.lock().await;
        self.load(&mut memory, seconds(self.engine.now())).await?;
        let due = memory.model.as_ref().and_then(Model::next_due);
        Ok(due.map(at))
    }

    /// Lets something happen in the sandbox.
    ///
    /// # Errors
    /// When what it remembers can be neither read nor kept.
    pub async fn act<R>(
        &self,
        is_frequent: bool,
        act: impl Fn(&mut Model) -> R,
    ) -> Result<R, NotDone> {
        let mut memory = self.memory.lock().await;
        self.change(&mut memory, is_frequent, act).await
    }

    /// Looks something up in the sandbox. Nothing of it is copied, and nothing kept.
    ///
    /// # Errors
    /// When what it remembers can be neither read nor kept.
    async fn look<R>(&self, look: impl Fn(&mut Model) -> R) -> Result<R, NotDone> {
        let mut memory = self.memory.lock().await;
        let now = seconds(self.engine.now());
        let loaded = self.load(&mut memory, now).await;
        loaded.map_err(NotDone::NotBegun)?;
        match &mut memory.model {
            Some(model) if model.next_due().is_none_or(|due| due > now) => {
                model.advance(now);
                Ok(look(model))
            }
            // What becomes due meanwhile happens first, and is kept.
            Some(_) | None => self.change(&mut memory, false, look).await,
        }
    }

    /// Makes a change, and tells of what it caused. What is frequent is kept a little later, unless others may change the
    /// same.
    async fn change<R>(
        &self,
        memory: &mut Memory,
        is_frequent: bool,
        act: impl Fn(&mut Model) -> R,
    ) -> Result<R, NotDone> {
        let may_wait = is_frequent && !self.engine.store().is_shared();
        for _ in 0..TRIES {
            let now = seconds(self.engine.now());
            let loaded = self.load(memory, now).await;
            loaded.map_err(NotDone::NotBegun)?;
            // A copy: when it cannot be kept, the change did not happen here either.
            let mut model = memory.model.clone().unwrap_or_else(|| Model::new(now));
            model.advance(now.max(model.now()));
            let result = act(&mut model);
            let told = !model.events().is_empty();
            memory.model = Some(model);
            memory.is_ahead = true;
            if may_wait && !told {
                return Ok(result);
            }
            // Events are kept with what they tell of, so that each comes, however this ends.
            if self.keep(memory).await.map_err(NotDone::Unknown)? {
                self.deliver(memory).await;
                return Ok(result);
            }
        }
        Err(NotDone::NotBegun(Error::Internal))
    }

    /// Reads what the sandbox remembers, if this process does not know it.
    async fn load(&self, memory: &mut Memory, now: i64) -> Result<(), Error> {
        // Others on the same database may have changed it; when this one is ahead, keeping it tells.
        let is_old = self.engine.store().is_shared() && !memory.is_ahead;
        if memory.model.is_some() && !is_old {
            return Ok(());
        }
        let kept = self.engine.sandbox_memory().await?;
        if memory.model.is_some() && memory.version == kept.version {
            return Ok(());
        }
        memory.version = kept.version;
        memory.is_ahead = false;
        let model = if kept.text.is_empty() {
            Model::new(now)
        } else {
            serde_json::from_str(&kept.text).map_err(|error| {
                tracing::error!(%error, "what the sandbox remembers cannot be read");
                Error::Internal
            })?
        };
        memory.model = Some(model);
        Ok(())
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

    /// Puts what happened into the inbox, as webhooks would come. What cannot be stored now comes later; what came before
    /// is known there by its id.
    async fn deliver(&self, memory: &mut Memory) {
        let Some(model) = &mut memory.model else {
            return;
        };
        for event in model.events() {
            let Some((id, inbound)) = read(event, self.engine.now()) else {
                continue;
            };
            if let Err(error) = self.engine.receive_webhook(&id, inbound).await {
                tracing::warn!(%error, "an event of the sandbox comes later");
                return;
            }
        }
        memory.is_ahead |= !model.take_events().is_empty();
    }
}

#[async_trait]
impl Transport for Sandbox {
    async fn send(&self, request: &Request) -> Result<Response, TransportFault> {
        let done = match request.method {
            Method::Get => self.look(|model| model.handle(request)).await,
            Method::Post | Method::Delete => {
                let is_frequent = request.path == FREQUENT;
                self.act(is_frequent, |model| model.handle(request)).await
            }
        };
        done.map_err(|why| match why {
            NotDone::NotBegun(error) => TransportFault::NotSent(error.to_string()),
            NotDone::Unknown(_) => TransportFault::Unknown(why.to_string()),
        })
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

    /// Pays at the page of a payment link.
    ///
    /// # Errors
    /// When there is no such link, or the card does not pay.
    pub(super) async fn pay_link(&self, link: &str, card: &str) -> Result<(), Error> {
        let card = digits(card);
        let done = self.act(false, |model| model.pay_link(link, &card));
        let done = done.await?.map(drop);
        done.map_err(|why| not_done("link_id", &why))
    }

    /// Disputes some cents of a charge; returns the dispute.
    ///
    /// # Errors
    /// When it was not paid, is disputed, or is smaller.
    pub(super) async fn dispute(&self, charge: &str, cents: i64) -> Result<Box<str>, Error> {
        let done = self.act(false, |model| model.dispute(charge, cents));
        let done = done.await?.map(Into::into);
        done.map_err(|why| not_done("payment_id", &why))
    }

    /// Decides a dispute.
    ///
    /// # Errors
    /// When there is no such dispute, or it is decided.
    pub(super) async fn close_dispute(&self, dispute: &str, won: bool) -> Result<(), Error> {
        let done = self.act(false, |model| model.close_dispute(dispute, won));
        done.await?.map_err(|why| not_done("dispute_id", &why))
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
