//! Time: the only file that reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

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
    /// How far ahead the database was said to be when that was last too far to be followed at once, and how often
    /// readings agreed on it.
    ahead: Mutex<(i64, u32)>,
}

/// How far the database's clock may be off before a single reading is taken for a fault and not followed.
pub const JUMP_MAX: Span = Span::from_minutes(1);
/// How long a thread may take from reading the clock to telling what it read, while another moves the clock back.
const MOVE_MAX: Span = Span::from_millis(100);
/// What is not worth moving for: databases tell whole milliseconds, and asking takes time.
const NOISE: Span = Span::from_millis(20);
/// How many readings in a row must agree that the clock stands far behind before it is moved on.
const AGREEING: u32 = 3;
/// How far readings may be apart and still agree.
const APART_MAX: Span = Span::from_secs(5);

impl AnchoredClock {
    /// Starts from the database's time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where time is read")]
    pub fn new(database_now: Timestamp) -> Self {
        Self {
            start: Instant::now(),
            base: AtomicI64::new(database_now.as_micros()),
            floor: AtomicI64::new(database_now.as_micros()),
            ahead: Mutex::default(),
        }
    }

    /// Follows the database's time; false when it is further off than [`JUMP_MAX`] and was not followed.
    ///
    /// A clock that stands far behind, as after a machine slept, is moved on when readings in a row say so. One that
    /// is far ahead stays: it cannot go back, and standing still for so long would hold up whatever waits for time to
    /// pass.
    pub fn follow(&self, database_now: Timestamp) -> bool {
        let off = database_now.as_micros() - self.running();
        if off.abs() > JUMP_MAX.as_micros() && !self.is_confirmed(off) {
            return false;
        }
        if off.abs() < NOISE.as_micros() {
            return true;
        }
        if off < 0 {
            // Waits until the time told before is reached again.
            let told = self.now().as_micros().saturating_add(MOVE_MAX.as_micros());
            self.floor.store(told, Ordering::Release);
        }
        self.base.fetch_add(off, Ordering::Release);
        true
    }

    /// Whether readings in a row agree that the database is so far ahead.
    fn is_confirmed(&self, off: i64) -> bool {
        let mut ahead = self.ahead.lock();
        let agrees = (off - ahead.0).abs() <= APART_MAX.as_micros();
        *ahead = (off, if agrees { ahead.1 + 1 } else { 1 });
        let is_confirmed = off > 0 && ahead.1 >= AGREEING;
        if is_confirmed {
            *ahead = (0, 0);
        }
        is_confirmed
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

/// Another clock's time, moved ahead by as much as somebody who tries things out has let pass.
pub struct MovedClock {
    inner: Arc<dyn Clock>,
    /// Microseconds.
    ahead: AtomicI64,
}

impl MovedClock {
    /// Tells a clock's time, so much ahead.
    #[must_use]
    pub fn new(inner: Arc<dyn Clock>, ahead: Span) -> Self {
        let ahead = AtomicI64::new(ahead.as_micros());
        Self { inner, ahead }
    }

    /// Returns how far it is ahead of the other one.
    #[must_use]
    pub fn ahead(&self) -> Span {
        Span::from_micros_clamped(self.ahead.load(Ordering::Acquire))
    }

    /// Moves it on, until it is so far ahead of the other one; it does not go back.
    pub fn move_ahead(&self, ahead: Span) {
        self.ahead.fetch_max(ahead.as_micros(), Ordering::AcqRel);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        self.inner.now().plus(self.ahead())
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
        let back = before.minus(Span::from_secs(30));
        for _ in 0..3 {
            // Told again while it waits, it does not go back again.
            assert!(clock.follow(back));
            let held = clock.now();
            assert!(held >= before && held.since(before) < Span::from_secs(1));
        }
        let ahead = back.plus(Span::from_secs(59));
        assert!(clock.follow(ahead) && clock.now() >= ahead);
    }

    #[test]
    fn a_moved_clock_goes_on_from_where_it_was_moved_to() {
        let inner = Arc::new(ManualClock::at(wall_clock()));
        let start = inner.now();
        let clock = MovedClock::new(Arc::clone(&inner) as Arc<dyn Clock>, Span::from_hours(1));
        assert_eq!(clock.now(), start.plus(Span::from_hours(1)));
        clock.move_ahead(Span::from_days(2));
        clock.move_ahead(Span::from_hours(3));
        inner.advance(Span::from_minutes(1));
        let passed = Span::from_minutes(2 * 24 * 60 + 1);
        assert_eq!(clock.now().since(start), passed);
    }

    #[test]
    fn a_clock_far_behind_moves_on_when_readings_agree_and_one_far_ahead_stays() {
        let clock = AnchoredClock::new(wall_clock());
        let minutes = |count| Span::from_minutes(count);
        let later = clock.now().plus(minutes(10));
        assert!(!clock.follow(later));
        assert!(
            !clock.follow(clock.now().plus(minutes(50))),
            "it does not agree"
        );
        assert!(!clock.follow(later) && !clock.follow(later));
        assert!(clock.follow(later) && clock.now() >= later);
        for _ in 0..5 {
            assert!(!clock.follow(later.minus(minutes(10))));
        }
        assert!(clock.now() >= later);
    }
}
