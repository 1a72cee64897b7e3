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
    /// The latest instant that was told.
    last: AtomicI64,
}

/// How far the database's clock may be ahead of ours before it is taken for a fault and not followed.
pub const JUMP_MAX: Span = Span::from_minutes(1);

impl AnchoredClock {
    /// Starts from the database's time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where time is read")]
    pub fn new(database_now: Timestamp) -> Self {
        Self {
            start: Instant::now(),
            base: AtomicI64::new(database_now.as_micros()),
            last: AtomicI64::new(database_now.as_micros()),
        }
    }

    /// Follows the database's time; false when it is further off than [`JUMP_MAX`] and was not followed.
    pub fn follow(&self, database_now: Timestamp) -> bool {
        let off = database_now.as_micros() - self.now().as_micros();
        if off.abs() > JUMP_MAX.as_micros() {
            return false;
        }
        self.base.fetch_add(off, Ordering::Relaxed);
        true
    }
}

impl Clock for AnchoredClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
        let now = self.base.load(Ordering::Relaxed).saturating_add(elapsed);
        // A step back while following waits until the time told before is reached again.
        let last = self.last.load(Ordering::Relaxed);
        if now > last {
            self.last.store(now, Ordering::Relaxed);
        }
        Timestamp::from_micros_clamped(now.max(last))
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
