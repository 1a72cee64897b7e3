//! What a test holds of the double.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::account::Account;
use super::faults::Faults;
use super::listener::{self, Door};
use super::webhooks::{Attempt, plan::Sending};
use super::{DeliveryPlan, Model, Recorded, Settings, WebhookTarget};

/// A double of Stripe that listens on the loopback interface. It needs a runtime of tokio with timers; it ends when it
/// is dropped.
#[derive(Debug)]
pub struct Double {
    account: Arc<Account>,
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    door: watch::Sender<Door>,
    state: watch::Receiver<Door>,
    listener: Option<JoinHandle<io::Result<()>>>,
    sender: JoinHandle<()>,
}

impl Double {
    /// Starts one: an empty account.
    ///
    /// # Errors
    /// When the port is not free.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await?;
        let address = listener.local_addr()?;
        let account = Arc::new(Account::new(settings));
        let connections = Arc::new(AtomicU64::new(0));
        let (door, wanted) = watch::channel(Door::Open);
        let (told, state) = watch::channel(Door::Open);
        let listening = listener::listen(
            Arc::clone(&account),
            Arc::clone(&connections),
            listener,
            wanted,
            told,
        );
        let sending = Arc::clone(&account);
        Ok(Self {
            account,
            address,
            connections,
            door,
            state,
            listener: Some(tokio::spawn(listening)),
            sender: tokio::spawn(async move { send_as_they_come(&sending).await }),
        })
    }

    /// Returns where it listens: `http://127.0.0.1:PORT`, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does what people do and the API does not (completes a checkout, takes another card), or looks at what is there.
    /// Events that come of it are sent. Inside, nothing else may be asked of the double.
    pub fn model<R>(&self, change: impl FnOnce(&mut Model) -> R) -> R {
        self.account.with_model(change)
    }

    /// Returns the time on the virtual clock, in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.account.now()
    }

    /// Moves the clock. Where events are sent as they come, those that come of it, and second attempts that are due,
    /// have been sent when this returns.
    pub async fn advance(&self, to: i64) {
        self.account.with_model(|model| model.advance(to));
        if self.account.webhooks.sending() == Sending::AsTheyCome {
            self.account.webhooks.deliver_due(|| self.now()).await;
        }
    }

    /// Returns what goes wrong, to be changed.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.account.faults
    }

    /// Says what becomes of connections from now on; it is so when this returns. Anything but [`Door::Open`] ends those
    /// that stand, whatever is on them.
    pub async fn door(&self, door: Door) {
        self.door.send_replace(door);
        let mut state = self.state.clone();
        // An error would say that the listener has ended, and then nobody listens.
        let _ = state.wait_for(|state| *state == door).await;
    }

    /// Returns the calls so far, oldest first; of many, the last ones.
    #[must_use]
    pub fn calls(&self) -> Vec<Recorded> {
        self.account.records.all()
    }

    /// Returns how many calls came so far.
    #[must_use]
    pub fn call_count(&self) -> u64 {
        self.account.records.count()
    }

    /// Returns how many connections were taken so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Returns how many calls were under way at the same time, at most.
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        self.account.in_flight.most()
    }

    /// Returns what a customer will be billed for: the sum of the events that counted, with timestamps in `[from, to)`.
    #[must_use]
    pub fn effective_sum(&self, event_name: &str, customer: &str, from: i64, to: i64) -> i64 {
        self.account
            .with_effects(|effects| effects.sum(event_name, customer, from, to))
    }

    /// Returns what all customers will be billed for together, whenever it counts.
    #[must_use]
    pub fn effective_total(&self, event_name: &str) -> i64 {
        self.account
            .with_effects(|effects| effects.total(event_name))
    }

    /// Returns how many meter events counted.
    #[must_use]
    pub fn effect_count(&self, event_name: &str) -> usize {
        self.account
            .with_effects(|effects| effects.count_of(event_name))
    }

    /// Returns how often an identifier of a meter event counted. More than once is what must never happen.
    #[must_use]
    pub fn effects_of(&self, identifier: &str) -> u32 {
        self.account
            .with_effects(|effects| effects.times(identifier))
    }

    /// Returns the identifiers that counted more than once, in order.
    #[must_use]
    pub fn doubled_identifiers(&self) -> Vec<String> {
        self.account.with_effects(super::effects::Effects::doubled)
    }

    /// Says where events go from now on, those that wait among them; `None`: nowhere. So the receiver can be started
    /// after the double, and its secrets can change.
    pub fn send_events_to(&self, target: Option<WebhookTarget>) {
        self.account.webhooks.send_to(target);
    }

    /// Changes how events that come from now on are sent.
    pub fn plan_delivery(&self, plan: DeliveryPlan) {
        self.account.webhooks.plan(plan);
    }

    /// Sends what waits, whenever it would be due, and again what was not acknowledged, until nothing waits.
    pub async fn deliver_all(&self) {
        self.account.webhooks.deliver_all(|| self.now()).await;
    }

    /// Returns how many sendings wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.account.webhooks.pending()
    }

    /// Returns the ids of the events that were lost or given up without ever being acknowledged.
    #[must_use]
    pub fn undelivered(&self) -> Vec<String> {
        self.account.webhooks.undelivered()
    }

    /// Returns each attempt to send an event, oldest first.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.account.webhooks.attempts()
    }

    /// Stops listening and sending; connections that stand end.
    pub async fn stop(mut self) {
        self.door(Door::Shut).await;
        if let Some(listener) = self.listener.take() {
            // It ends by itself once the door is shut.
            let _ = listener.await;
        }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.door.send_replace(Door::Shut);
        self.sender.abort();
    }
}

async fn send_as_they_come(account: &Account) {
    loop {
        account.webhooks.woken().await;
        account.webhooks.deliver_due(|| account.now()).await;
    }
}
