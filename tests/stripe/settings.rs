//! How a double is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::DeliveryPlan;

/// Where events go, and what they are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    /// An address on this machine, without TLS.
    pub url: String,
    /// Every live secret; each gives a `v1` of its own. During a rollover there are two.
    pub secrets: Vec<String>,
}

/// Tells the time that a webhook is signed with, in seconds since 1970.
pub type SigningClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How a double is set up. `Settings { now_seconds, ..Settings::default() }` names what matters.
#[derive(Clone)]
pub struct Settings {
    /// Makes what is random in faults the same each time.
    pub seed: u64,
    /// Where the virtual clock starts, in seconds since 1970.
    pub now_seconds: i64,
    /// The port on the loopback interface; 0: one that is free.
    pub port: u16,
    /// The only key that is good; `None`: any that starts with `sk_test_`.
    pub key: Option<String>,
    /// How long a call takes before it has its effect. Above zero, calls overlap as they do at Stripe.
    pub latency: Duration,
    /// How many calls are remembered; of more, the oldest are forgotten.
    pub calls_kept: usize,
    /// Where events go; `None`: nowhere, and none are kept.
    pub webhook: Option<WebhookTarget>,
    /// Where thin events go; `None`: where the others go.
    pub thin_webhook: Option<WebhookTarget>,
    /// In what order and how often events are sent.
    pub delivery: DeliveryPlan,
    /// How long after a failed attempt the next one comes, in seconds of the virtual clock. After the last the event is
    /// given up.
    pub retry_after_seconds: Vec<i64>,
    /// How long a receiver may take to answer, in real time.
    pub webhook_timeout: Duration,
    /// The time that signatures carry; `None`: that of the virtual clock.
    pub signing_clock: Option<SigningClock>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            now_seconds: 1_800_000_000,
            port: 0,
            key: None,
            latency: Duration::ZERO,
            calls_kept: 100_000,
            webhook: None,
            thin_webhook: None,
            delivery: DeliveryPlan::in_order(),
            retry_after_seconds: vec![60, 300, 1_800, 7_200, 18_000, 36_000, 86_400],
            webhook_timeout: Duration::from_secs(10),
            signing_clock: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("seed", &self.seed)
            .field("now_seconds", &self.now_seconds)
            .field("port", &self.port)
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}
