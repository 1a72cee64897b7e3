//! How fast calls may go, and how long to wait before one is repeated.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::DefaultDirectRateLimiter;
use governor::clock::{Clock as _, DefaultClock};
use governor::{Quota, RateLimiter};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;

/// What may pass at once, as a part of what may pass in a second: in any second one part more than
/// the rate passes at most, so that rates stay under Stripe's, which count whole seconds.
const BURST_PART: u32 = 8;

/// How many calls a second the account allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// All calls that are not meter events.
    pub calls: NonZeroU32,
    /// Meter events; `None`: they count with the others.
    pub meter_events: Option<NonZeroU32>,
}

impl Rates {
    /// An account in live mode: Stripe allows 100, and 1000 meter events beside them.
    pub const LIVE: Self = Self {
        calls: per_second(80),
        meter_events: Some(per_second(800)),
    };
    /// A sandbox: Stripe allows 25, meter events among them.
    pub const TEST: Self = Self {
        calls: per_second(20),
        meter_events: None,
    };
}

const fn per_second(calls: u32) -> NonZeroU32 {
    match NonZeroU32::new(calls) {
        Some(calls) => calls,
        None => NonZeroU32::MIN,
    }
}

/// Lets calls pass at the account's rates.
pub(super) struct Pace {
    clock: DefaultClock,
    calls: DefaultDirectRateLimiter,
    meter_events: Option<DefaultDirectRateLimiter>,
}

impl Pace {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            clock: DefaultClock::default(),
            calls: RateLimiter::direct(quota(rates.calls)),
            meter_events: rates
                .meter_events
                .map(|rate| RateLimiter::direct(quota(rate))),
        }
    }

    /// Waits for the turn of a call.
    pub(super) async fn turn(&self, meter_event: bool) {
        let limiter = match &self.meter_events {
            Some(limiter) if meter_event => limiter,
            Some(_) | None => &self.calls,
        };
        while let Err(early) = limiter.check() {
            tokio::time::sleep(early.wait_time_from(self.clock.now())).await;
        }
    }
}

fn quota(rate: NonZeroU32) -> Quota {
    let burst = NonZeroU32::new(rate.get() / BURST_PART).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(rate).allow_burst(burst)
}

/// How often and after what pauses a call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The longest first pause; each further one may be twice as long.
    pub base: Duration,
    /// The longest pause, unless Stripe asks for a longer one.
    pub cap: Duration,
    /// The longest pause that Stripe can ask for; when it asks for more, the call fails at once.
    pub patience: Duration,
}

impl Default for Repeats {
    fn default() -> Self {
        Self {
            attempts: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            patience: Duration::from_secs(30),
        }
    }
}

/// Draws the pauses before repeats evenly from nothing up to a bound that doubles, so that those
/// who failed together do not come back together.
pub(super) struct Pauses {
    repeats: Repeats,
    random: Mutex<Pcg64>,
}

impl Pauses {
    pub(super) fn new(repeats: Repeats, seed: u64) -> Self {
        Self {
            repeats,
            random: Mutex::new(Pcg64::seed_from_u64(seed)),
        }
    }

    /// Returns the pause after an attempt, counted from 1; `None`: it was the last.
    pub(super) fn after(&self, attempt: u32, retry_after: Option<u64>) -> Option<Duration> {
        let asked = Duration::from_secs(retry_after.unwrap_or_default());
        if attempt >= self.repeats.attempts || asked > self.repeats.patience {
            return None;
        }
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let bound = self
            .repeats
            .base
            .saturating_mul(doubled)
            .min(self.repeats.cap);
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        Some(asked.max(bound.mul_f64(random.random())))
    }
}

#[cfg(test)]
mod tests;
