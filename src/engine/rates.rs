//! Tokens of rate features, kept in memory by governor.

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
use crate::domain::time::{Span, Timestamp};

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
pub(super) struct Rates(Vec<(FeatureId, RateSpec, Box<Limiter>)>);

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|entry| (&entry.0, &entry.1)))
            .finish()
    }
}

impl Rates {
    /// Takes tokens; on refusal says how long to wait, `None` when more are asked for than there ever are at once.
    pub(super) fn take(
        &mut self,
        feature: &FeatureId,
        spec: RateSpec,
        tokens: u32,
        clock: &RateClock,
    ) -> Result<(), Option<Span>> {
        let Some(tokens) = NonZeroU32::new(tokens) else {
            return Ok(());
        };
        let limiter = self.limiter(feature, spec, clock);
        match limiter.check_n(tokens) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(clock.now());
                let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
                Err(Some(Span::from_micros_clamped(micros)))
            }
            // More than the burst.
            Err(_) => Err(None),
        }
    }

    fn limiter(&mut self, feature: &FeatureId, spec: RateSpec, clock: &RateClock) -> &Limiter {
        let index = match self.0.iter().position(|entry| entry.0 == *feature) {
            Some(index) if self.0[index].1 == spec => index,
            Some(index) => {
                self.0[index] = (feature.clone(), spec, Box::new(limiter(spec, clock)));
                index
            }
            None => {
                self.0
                    .push((feature.clone(), spec, Box::new(limiter(spec, clock))));
                self.0.len() - 1
            }
        };
        &self.0[index].2
    }
}

fn limiter(spec: RateSpec, clock: &RateClock) -> Limiter {
    let amount = NonZeroU32::new(spec.amount).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(spec.burst).unwrap_or(NonZeroU32::MIN);
    let per = Duration::from_micros(u64::try_from(spec.per.as_micros()).unwrap_or(1_000_000));
    let quota = Quota::with_period(per / amount.get())
        .unwrap_or_else(|| Quota::per_second(amount))
        .allow_burst(burst);
    RateLimiter::direct_with_clock(quota, clock.clone())
}
