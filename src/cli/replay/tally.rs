//! What came of a replay, as it goes.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest delay that is told apart, in microseconds: ten minutes.
const DELAY_MAX_MICROS: u64 = 600_000_000;

/// How long answers took, in microseconds with three digits.
#[derive(Debug, Clone)]
pub struct Delays(Histogram<u64>);

impl Default for Delays {
    fn default() -> Self {
        let bounds = "one microsecond to ten minutes with three digits are bounds that it takes";
        Self(Histogram::new_with_bounds(1, DELAY_MAX_MICROS, 3).expect(bounds))
    }
}

impl Delays {
    /// Counts an answer that `events` waited for.
    pub fn add(&mut self, delay: Duration, events: usize) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record_n(micros.max(1), events as u64);
    }

    /// Returns whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what this many thousandths of all answers took no longer than.
    #[must_use]
    pub fn at_permille(&self, permille: u32) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(f64::from(permille) / 1_000.0))
    }
}

/// What came of a replay.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Events with a final outcome.
    pub events: u64,
    /// Of those, how many the server had before.
    pub duplicates: u64,
    /// Events that were sent again because a connection ended before they were acknowledged.
    pub resent: u64,
    /// Events that were rejected, by reason.
    pub rejects: BTreeMap<String, u64>,
    /// Requests that were denied, by reason; none of their events were sent.
    pub denials: BTreeMap<String, u64>,
    /// What the denied requests would have used, by column.
    pub denied_tokens: [i128; 2],
    /// Events that used more than was left of their reservation.
    pub beyond_reservation: u64,
    /// How long events waited for their durable acknowledgement.
    pub acks: Delays,
    /// How long reservations took.
    pub reserves: Delays,
    /// How long all of it took.
    pub elapsed: Duration,
}

impl Tally {
    /// Counts rejected events.
    pub fn reject(&mut self, reason: String, events: u64) {
        *self.rejects.entry(reason).or_default() += events;
    }

    /// Returns how many events were rejected.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejects.values().sum()
    }

    /// Returns how many events had their outcome per second.
    #[must_use]
    pub fn events_per_second(&self) -> u64 {
        let micros = self.elapsed.as_micros().max(1);
        u64::try_from(u128::from(self.events) * 1_000_000 / micros).unwrap_or(u64::MAX)
    }
}
