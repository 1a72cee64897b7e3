//! Sends events: by a plan that says in what order and how often, signed, and again until they are acknowledged.

pub(super) mod plan;
mod post;
pub(super) mod signature;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use serde_json::Value;
use tokio::sync::Notify;

use super::settings::SigningClock;
use super::{DeliveryPlan, Settings, WebhookTarget};
use plan::Sending;
use post::Post;
use signature::stripe_signature;

/// One attempt to send an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The id of the event.
    pub event: String,
    /// Its type.
    pub kind: String,
    /// Counts the attempts of one sending, from 1 on.
    pub number: usize,
    /// What the receiver answered; `None`: nothing in time.
    pub status: Option<u16>,
    /// What was sent.
    pub body: String,
}

/// What is sent.
#[derive(Debug)]
struct Letter {
    event: String,
    kind: String,
    body: String,
    thin: bool,
}

#[derive(Debug, Clone)]
struct Delivery {
    letter: Arc<Letter>,
    /// How many attempts there were.
    attempts: usize,
    /// The time on the virtual clock from which on it may be sent.
    due: i64,
}

#[derive(Debug)]
struct State {
    target: Option<WebhookTarget>,
    thin: Option<WebhookTarget>,
    plan: DeliveryPlan,
    random: Pcg64,
    waiting: VecDeque<Delivery>,
    acknowledged: BTreeSet<String>,
    given_up: Vec<String>,
    attempts: Vec<Attempt>,
}

impl State {
    fn target_of(&self, letter: &Letter) -> Option<&WebhookTarget> {
        let thin = self.thin.as_ref().filter(|_| letter.thin);
        thin.or(self.target.as_ref())
    }
}

/// The events on their way.
pub(super) struct Webhooks {
    clock: Option<SigningClock>,
    retry_after: Vec<i64>,
    post: Post,
    state: Mutex<State>,
    wake: Notify,
    /// One sends at a time, so that the order is that of the plan.
    sender: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Webhooks")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Webhooks {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            clock: settings.signing_clock.clone(),
            retry_after: settings.retry_after_seconds.clone(),
            post: Post::new(settings.webhook_timeout),
            state: Mutex::new(State {
                target: settings.webhook.clone(),
                thin: settings.thin_webhook.clone(),
                random: random_of(&settings.delivery, settings.seed),
                plan: settings.delivery,
                waiting: VecDeque::new(),
                acknowledged: BTreeSet::new(),
                given_up: Vec::new(),
                attempts: Vec::new(),
            }),
            wake: Notify::new(),
            sender: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn plan(&self, plan: DeliveryPlan) {
        let mut state = self.state.lock();
        if plan.shuffled.is_some() {
            state.random = random_of(&plan, 0);
        }
        state.plan = plan;
        drop(state);
        self.wake.notify_one();
    }

    pub(super) fn send_to(&self, target: Option<WebhookTarget>) {
        self.state.lock().target = target;
    }

    pub(super) fn sending(&self) -> Sending {
        self.state.lock().plan.sending
    }

    /// Takes events in, in the order in which they came.
    pub(super) fn queue(&self, events: &[Value], now: i64) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut again = Vec::new();
        for event in events {
            let letter = letter(event);
            if state.target_of(&letter).is_none() {
                continue;
            }
            for copy in 0..state.plan.copies {
                if state.random.random_range(0..1_000) < state.plan.lost_per_mille {
                    state.given_up.push(letter.event.clone());
                    continue;
                }
                let delivery = Delivery {
                    letter: Arc::clone(&letter),
                    attempts: 0,
                    due: now + state.plan.delay_seconds,
                };
                if copy == 0 {
                    state.waiting.push_back(delivery);
                } else {
                    again.push(delivery);
                }
            }
        }
        state.waiting.extend(again);
        let at_once = state.plan.sending == Sending::AsTheyCome;
        drop(guard);
        if at_once {
            self.wake.notify_one();
        }
    }

    /// Waits until there may be something to send without being asked.
    pub(super) async fn woken(&self) {
        loop {
            self.wake.notified().await;
            if self.sending() == Sending::AsTheyCome {
                return;
            }
        }
    }

    /// Sends what is due, and again what becomes due meanwhile.
    pub(super) async fn deliver_due(&self, now: impl Fn() -> i64) {
        let _turn = self.sender.lock().await;
        loop {
            let time = now();
            let batch = self.batch(|delivery| delivery.due <= time);
            if batch.is_empty() {
                return;
            }
            self.send(batch, &now).await;
        }
    }

    /// Sends what waits, due or not, until nothing waits.
    pub(super) async fn deliver_all(&self, now: impl Fn() -> i64) {
        let _turn = self.sender.lock().await;
        loop {
            let batch = self.batch(|_| true);
            if batch.is_empty() {
                return;
            }
            self.send(batch, &now).await;
        }
    }

    /// Counts what is being sent too, for as long as it is not answered.
    pub(super) fn pending(&self) -> usize {
        self.state.lock().waiting.len()
    }

    pub(super) fn undelivered(&self) -> Vec<String> {
        let state = self.state.lock();
        let waiting: BTreeSet<&str> = state
            .waiting
            .iter()
            .map(|one| one.letter.event.as_str())
            .collect();
        let lost: BTreeSet<&String> = state
            .given_up
            .iter()
            .filter(|event| !state.acknowledged.contains(*event))
            .filter(|event| !waiting.contains(event.as_str()))
            .collect();
        lost.into_iter().cloned().collect()
    }

    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.state.lock().attempts.clone()
    }

    /// Returns what is to be sent now, in order. It stays among what waits until it is answered.
    fn batch(&self, fits: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.plan.shuffled.is_some() {
            state.waiting.make_contiguous().shuffle(&mut state.random);
        }
        state
            .waiting
            .iter()
            .filter(|one| fits(one))
            .cloned()
            .collect()
    }

    /// Takes a sending off what waits.
    fn settle(&self, delivery: &Delivery) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        let place = state.waiting.iter().position(|one| {
            Arc::ptr_eq(&one.letter, &delivery.letter) && one.attempts == delivery.attempts
        });
        if let Some(place) = place {
            state.waiting.remove(place);
        }
        state
    }

    async fn send(&self, batch: Vec<Delivery>, now: &impl Fn() -> i64) {
        for mut delivery in batch {
            let letter = Arc::clone(&delivery.letter);
            let Some(target) = self.state.lock().target_of(&letter).cloned() else {
                // Nobody wants it any more.
                drop(self.settle(&delivery));
                continue;
            };
            let at = self.clock.as_ref().map_or_else(now, |clock| clock());
            let signature = stripe_signature(&target.secrets, at, &letter.body);
            let status = self.post.send(&target.url, &signature, &letter.body).await;
            let mut state = self.settle(&delivery);
            delivery.attempts += 1;
            state.attempts.push(Attempt {
                event: letter.event.clone(),
                kind: letter.kind.clone(),
                number: delivery.attempts,
                status,
                body: letter.body.clone(),
            });
            if status.is_some_and(|status| (200..300).contains(&status)) {
                state.acknowledged.insert(letter.event.clone());
            } else if let Some(wait) = self.retry_after.get(delivery.attempts - 1) {
                delivery.due = now() + wait;
                state.waiting.push_back(delivery);
            } else {
                state.given_up.push(letter.event.clone());
            }
        }
    }
}

fn random_of(plan: &DeliveryPlan, otherwise: u64) -> Pcg64 {
    Pcg64::seed_from_u64(plan.shuffled.unwrap_or(otherwise))
}

fn letter(event: &Value) -> Arc<Letter> {
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    Arc::new(Letter {
        event: text("id"),
        kind: text("type"),
        body: event.to_string(),
        thin: event["object"] == "v2.core.event",
    })
}
