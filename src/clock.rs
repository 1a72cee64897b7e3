//! Time: the only file that reads it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::{Span, Timestamp};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Returns an instant that never goes back.
    fn now(&self) -> Timestamp;
}

/// Database time plus monotonic time elapsed since it was last read, so that a jump of this machine's clock
/// moves nothing.
#[derive(Debug)]
pub struct AnchoredClock {
    start: Instant,
    /// What to add to microseconds since `start`.
    base: AtomicI64,
    /// No earlier instant is told: where the clock stood when it was last moved back. Written then only, so that
    /// threads which ask for the time share what they read.
    floor: AtomicI64,
}

/// How far the database's clock may be ahead of ours before it is taken for a fault and not followed.
pub const JUMP_MAX: Span = Span::from_minutes(1);
/// How long a thread may take from reading the clock to telling what it read, while another moves the clock back.
const MOVE_MAX: Span = Span::from_millis(1);

impl AnchoredClock {
    /// Starts from the database's time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where time is read")]
    pub fn new(database_now: Timestamp) -> Self {
        Self {
            start: Instant::now(),
            base: AtomicI64::new(database_now.as_micros()),
            floor: AtomicI64::new(database_now.as_micros()),
        }
    }

    /// Follows the database's time; false when it is further off than [`JUMP_MAX`] and was not followed.
    pub fn follow(&self, database_now: Timestamp) -> bool {
        let off = database_now.as_micros() - self.running();
        if off.abs() > JUMP_MAX.as_micros() {
            return false;
        }
        if off < 0 {
            // Waits until the time told before is reached again.
            let told = self.now().as_micros().saturating_add(MOVE_MAX.as_micros());
            self.floor.store(told, Ordering::Release);
        }
        self.base.fetch_add(off, Ordering::Release);
        true
    }

    /// Returns the database's time, which may have been moved back, in microseconds. It is read before the floor:
    /// whoever sees it moved back sees the floor that was set before.
    fn running(&self) -> i64 {
        let elapsed = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.base.load(Ordering::Acquire).saturating_add(elapsed)
    }
}

impl Clock for AnchoredClock {
    fn now(&self) -> Timestamp {
        let now = self.running();
        let floor = self.floor.load(Ordering::Relaxed);
        Timestamp::from_micros_clamped(now.max(floor))
    }
}

/// Returns this machine's wall clock time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where time is read")]
pub fn wall_clock() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    Timestamp::from_micros_clamped(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where time is read")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts at an instant.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_micros()))
    }

    /// Moves on.
    pub fn advance(&self, span: Span) {
        self.0.fetch_add(span.as_micros(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros_clamped(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_follows_never_goes_back() {
        let start = wall_clock();
        let clock = AnchoredClock::new(start);
        let before = clock.now();
        assert!(clock.follow(before.minus(Span::from_secs(30))));
        let held = clock.now();
        assert!(held >= before && held.since(before) < Span::from_secs(1));
        let ahead = before.plus(Span::from_secs(30));
        assert!(clock.follow(ahead) && clock.now() >= ahead);
        assert!(
            !clock.follow(ahead.plus(Span::from_minutes(2))),
            "a fault is not followed"
        );
    }
}
