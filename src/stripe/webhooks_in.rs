//! The inbox worked on, customer by customer, by asking Stripe how things stand now. What a webhook says of its object is
//! never applied.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::concern::Concern;
use super::meter_errors::MeterErrors;
use super::payments::Payments;
use super::rounds::rounds;
use super::subscriptions::{Follower, NotFollowed};
use crate::domain::billing::InboundState;
use crate::engine::{Engine, Error, InboundView};

/// Most webhooks that are worked on in one go; those of one customer take one question to Stripe.
const SLICE: usize = 1024;
/// Most customers that Stripe is asked about at a time.
const IN_FLIGHT: usize = 16;
/// Between looks when there was nothing to do.
const PAUSE: Duration = Duration::from_millis(500);
/// How long more webhooks of the same customers are waited for: what happens to a customer comes in several.
const SETTLE: Duration = Duration::from_millis(200);
/// How long a question about one customer may hold up the next look at the inbox.
const QUESTION_MAX: Duration = Duration::from_secs(30);

/// Works on the inbox.
#[derive(Clone)]
pub struct WebhooksIn {
    engine: Engine,
    follower: Follower,
    payments: Payments,
    meter_errors: MeterErrors,
}

/// Webhooks that something is to be done about, by what that is.
#[derive(Default)]
struct Sorted {
    /// They were remembered for long enough.
    old: Vec<Box<str>>,
    /// They are about nothing that is asked about.
    idle: Vec<Box<str>>,
    /// They tell of usage that Stripe took and did not count.
    reports: Vec<Box<str>>,
    /// By the customer of Stripe's that is to be asked about; `None`: only about payments, which nobody of them made.
    by_payer: BTreeMap<Option<Box<str>>, Questions>,
    /// By the payment or invoice that says which customer that is.
    by_way: BTreeMap<Box<str>, Questions>,
}

/// What is asked about together, and the webhooks that want it.
#[derive(Default)]
struct Questions {
    ids: Vec<Box<str>>,
    payments: BTreeSet<Box<str>>,
}

impl Questions {
    fn add(&mut self, other: Self) {
        self.ids.extend(other.ids);
        self.payments.extend(other.payments);
    }
}

impl Sorted {
    fn of(due: Vec<InboundView>) -> Self {
        let mut sorted = Self::default();
        for (id, inbound) in due {
            if inbound.is_ended() {
                sorted.old.push(id);
                continue;
            }
            if MeterErrors::tells(&inbound.kind) {
                sorted.reports.push(id);
                continue;
            }
            let (payer, way) = match Concern::of(&inbound.kind) {
                Concern::Customer => (inbound.payer, inbound.through),
                Concern::Catalog | Concern::Nothing => (None, None),
            };
            let questions = Questions {
                ids: vec![id],
                payments: inbound.payment.into_iter().collect(),
            };
            match (payer, way) {
                (None, None) if questions.payments.is_empty() => sorted.idle.extend(questions.ids),
                (None, Some(way)) => sorted.by_way.entry(way).or_default().add(questions),
                (payer, _) => sorted.by_payer.entry(payer).or_default().add(questions),
            }
        }
        sorted
    }
}

impl WebhooksIn {
    /// Works by asking how subscriptions and payments stand.
    #[must_use]
    pub const fn new(
        engine: Engine,
        follower: Follower,
        payments: Payments,
        meter_errors: MeterErrors,
    ) -> Self {
        Self {
            engine,
            follower,
            payments,
            meter_errors,
        }
    }

    /// Works on what comes in until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let round = || {
            let this = self.clone();
            async move { this.once().await }
        };
        rounds("webhooks of Stripe", PAUSE, stop, round).await;
    }

    /// Works on what waits now; returns how many webhooks that was.
    ///
    /// # Errors
    /// When the inbox cannot be read; what waits goes on waiting.
    pub async fn once(&self) -> Result<usize, Error> {
        let due = self.engine.due_webhooks(SLICE).await?;
        if due.iter().any(|(_, inbound)| !inbound.is_ended()) {
            tokio::time::sleep(SETTLE).await;
        }
        self.at_once().await
    }

    /// As [`WebhooksIn::once`], without waiting for more.
    ///
    /// # Errors
    /// As [`WebhooksIn::once`].
    pub(super) async fn at_once(&self) -> Result<usize, Error> {
        let due = self.engine.due_webhooks(SLICE).await?;
        let mut sorted = Sorted::of(due);
        let mut done = noted(self.engine.forget_webhooks(&sorted.old).await);
        done += self.find_payers(&mut sorted).await;
        done += self.end(&sorted.idle, InboundState::Ignored).await;
        done += self.look_into(&sorted.reports).await;
        let mut running = JoinSet::new();
        for (payer, questions) in sorted.by_payer {
            while running.len() >= IN_FLIGHT {
                done += joined(running.join_next().await);
            }
            let this = self.clone();
            running.spawn(async move { this.work(payer.as_deref(), &questions).await });
        }
        while !running.is_empty() {
            done += joined(running.join_next().await);
        }
        Ok(done)
    }

    /// Looks into what Stripe says of usage that it did not count.
    async fn look_into(&self, reports: &[Box<str>]) -> usize {
        let mut done = 0;
        for id in reports {
            let ids = std::slice::from_ref(id);
            done += match in_time(self.meter_errors.look_into(id)).await {
                Ok(true) => self.end(ids, InboundState::Done).await,
                Ok(false) => self.end(ids, InboundState::Ignored).await,
                Err(why) => self.fail("usage that was not counted", ids, &why).await,
            };
        }
        done
    }

    /// Finds the customers of webhooks that name them in a roundabout way, so that they share a question with the others of
    /// the same customer. Returns how many could not be, and are worked on later.
    async fn find_payers(&self, sorted: &mut Sorted) -> usize {
        let mut failed = 0;
        for (way, questions) in std::mem::take(&mut sorted.by_way) {
            match in_time(self.follower.payer_through(&way)).await {
                Ok(None) if questions.payments.is_empty() => sorted.idle.extend(questions.ids),
                Ok(payer) => sorted.by_payer.entry(payer).or_default().add(questions),
                Err(why) => failed += self.fail(&way, &questions.ids, &why).await,
            }
        }
        failed
    }

    /// Asks Stripe about one customer and payments, for all webhooks that want it; returns how many of them were moved on.
    async fn work(&self, payer: Option<&str>, questions: &Questions) -> usize {
        let ids = &questions.ids;
        match in_time(self.ask(payer, &questions.payments)).await {
            Ok(true) => self.end(ids, InboundState::Done).await,
            Ok(false) => self.end(ids, InboundState::Ignored).await,
            Err(why) => self.fail(payer.unwrap_or("payments"), ids, &why).await,
        }
    }

    /// Takes over how a customer's subscriptions and payments stand; false: they concern nobody that we know.
    async fn ask(
        &self,
        payer: Option<&str>,
        payments: &BTreeSet<Box<str>>,
    ) -> Result<bool, NotFollowed> {
        let mut concerns_us = match payer {
            Some(payer) => self.follower.follow(payer).await?,
            None => false,
        };
        for payment in payments {
            concerns_us |= self.payments.follow(payment).await?.is_some();
        }
        Ok(concerns_us)
    }

    async fn fail(&self, about: &str, ids: &[Box<str>], why: &str) -> usize {
        tracing::warn!(about, why, "webhooks are worked on again later");
        noted(self.engine.fail_webhooks(ids, why).await)
    }

    async fn end(&self, ids: &[Box<str>], state: InboundState) -> usize {
        noted(self.engine.end_webhooks(ids, state).await)
    }
}

/// Returns how many webhooks were moved on; those that could not be come up again.
fn noted(changed: Result<usize, Error>) -> usize {
    changed.unwrap_or_else(|error| {
        tracing::warn!(%error, "what became of webhooks cannot be stored");
        0
    })
}

fn joined(worked: Option<Result<usize, JoinError>>) -> usize {
    worked.map_or(0, Result::unwrap_or_default)
}

/// Gives a question its time.
async fn in_time<T>(asking: impl Future<Output = Result<T, NotFollowed>>) -> Result<T, String> {
    match tokio::time::timeout(QUESTION_MAX, asking).await {
        Ok(answer) => answer.map_err(|why| why.to_string()),
        Err(_) => Err("Stripe did not answer in time".to_owned()),
    }
}
