//! Tokens of rate features, kept in memory by governor: this process's share of each rate.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::domain::catalog::RateSpec;
use crate::domain::id::FeatureId;
use crate::domain::rate_share::{WHOLE, burst_of};
use crate::domain::time::{Span, Timestamp};

/// How long to wait for a share of a rate that others hold.
const SHARE_WAIT: Span = Span::from_secs(1);

/// The engine's clock as governor sees it.
#[derive(Clone)]
pub(super) struct RateClock(pub(super) Arc<dyn Clock>);

/// An instant of the engine's clock as governor sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RateInstant(Timestamp);

impl Reference for RateInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        let micros = u64::try_from(self.0.since(earlier.0).as_micros()).unwrap_or(0);
        Nanos::from(Duration::from_micros(micros))
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        let micros = i64::try_from(duration.as_u64() / 1000).unwrap_or(i64::MAX);
        Self(self.0.minus(Span::from_micros_clamped(micros)))
    }
}

impl std::ops::Add<Nanos> for RateInstant {
    type Output = Self;

    #[expect(
        clippy::suspicious_arithmetic_impl,
        reason = "nanoseconds are added to microseconds"
    )]
    fn add(self, nanos: Nanos) -> Self {
        let micros = i64::try_from(nanos.as_u64() / 1000).unwrap_or(i64::MAX);
        Self(self.0.plus(Span::from_micros_clamped(micros)))
    }
}

impl governor::clock::Clock for RateClock {
    type Instant = RateInstant;

    fn now(&self) -> RateInstant {
        RateInstant(self.0.now())
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, RateClock, NoOpMiddleware<RateInstant>>;

/// The tokens of one customer, made on first use.
#[derive(Default)]
pub(super) struct Rates(Vec<Rate>);

/// The tokens of one feature.
struct Rate {
    feature: FeatureId,
    spec: RateSpec,
    /// The share of the rate that the limiter stands for.
    parts: u32,
    /// `None`: there is no share.
    limiter: Option<Box<Limiter>>,
    asked: Asked,
}

/// What was asked of a rate for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// From when on.
    pub(super) since: Timestamp,
    /// Tokens, whether they were had or not.
    pub(super) tokens: u64,
    /// The most at once.
    pub(super) largest: u32,
}

impl From<Timestamp> for Asked {
    fn from(since: Timestamp) -> Self {
        Self {
            since,
            tokens: 0,
            largest: 0,
        }
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|rate| (&rate.feature, &rate.spec)))
            .finish()
    }
}

impl Rates {
    /// Takes tokens of a share of a rate; on refusal says how long to wait, `None` when more are asked for than there
    /// ever are at once.
    pub(super) fn take(
        &mut self,
        feature: &FeatureId,
        (spec, parts): (RateSpec, u32),
        tokens: u32,
        clock: &RateClock,
    ) -> Result<(), Option<Span>> {
        let Some(tokens) = NonZeroU32::new(tokens) else {
            return Ok(());
        };
        let rate = self.rate(feature, spec, parts, clock);
        rate.asked.tokens += u64::from(tokens.get());
        rate.asked.largest = rate.asked.largest.max(tokens.get());
        let of_all = (tokens.get() <= spec.burst).then_some(SHARE_WAIT);
        let Some(limiter) = &rate.limiter else {
            return Err(of_all);
        };
        match limiter.check_n(tokens) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(clock.now());
                let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
                Err(Some(Span::from_micros_clamped(micros)))
            }
            // More than the share's burst.
            Err(_) => Err(of_all),
        }
    }

    /// Returns what was asked of a rate since this was last called, and the rate.
    pub(super) fn asked(
        &mut self,
        feature: &FeatureId,
        now: Timestamp,
    ) -> Option<(RateSpec, Asked)> {
        let rate = self.0.iter_mut().find(|rate| rate.feature == *feature)?;
        Some((
            rate.spec,
            std::mem::replace(&mut rate.asked, Asked::from(now)),
        ))
    }

    fn rate(
        &mut self,
        feature: &FeatureId,
        spec: RateSpec,
        parts: u32,
        clock: &RateClock,
    ) -> &mut Rate {
        let found = self.0.iter().position(|rate| rate.feature == *feature);
        let Some(index) = found else {
            self.0.push(Rate {
                feature: feature.clone(),
                spec,
                parts,
                limiter: limiter(spec, parts, clock),
                asked: Asked::from(clock.0.now()),
            });
            let last = self.0.len() - 1;
            return &mut self.0[last];
        };
        let rate = &mut self.0[index];
        if rate.spec != spec {
            rate.spec = spec;
            rate.parts = parts;
            rate.limiter = limiter(spec, parts, clock);
        } else if rate.parts != parts {
            let left = rate.limiter.as_deref().map_or(0, left);
            rate.parts = parts;
            rate.limiter = limiter(spec, parts, clock);
            // What was not taken of the share before is there still, as far as this one holds as much.
            if let Some(fresh) = &rate.limiter
                && let Some(gone) =
                    NonZeroU32::new(burst_of(spec.burst, parts).saturating_sub(left))
            {
                let _ = fresh.check_n(gone);
            }
        }
        rate
    }
}

/// Takes what is left of a limiter that is not used any more, and returns how much that was.
fn left(limiter: &Limiter) -> u32 {
    let mut sum: u32 = 0;
    for bit in (0..u32::BITS).rev() {
        if let Some(tokens) = NonZeroU32::new(1 << bit)
            && matches!(limiter.check_n(tokens), Ok(Ok(())))
        {
            sum = sum.saturating_add(tokens.get());
        }
    }
    sum
}

fn limiter(spec: RateSpec, parts: u32, clock: &RateClock) -> Option<Box<Limiter>> {
    let burst = NonZeroU32::new(burst_of(spec.burst, parts))?;
    let per = u128::try_from(spec.per.as_micros()).unwrap_or(1_000_000) * 1000;
    let share = u128::from(spec.amount.max(1)) * u128::from(parts);
    // Rounded up, so that shares never make more than the whole.
    let nanos = (per * u128::from(WHOLE)).checked_div(share)?;
    let exact = (per * u128::from(WHOLE)) % share == 0;
    let nanos = u64::try_from(nanos + u128::from(!exact)).unwrap_or(u64::MAX);
    let quota = Quota::with_period(Duration::from_nanos(nanos))?.allow_burst(burst);
    let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
    Some(Box::new(limiter))
}
