//! When each row is due.

use std::time::Duration;

use super::script::Script;
use crate::clock::Stopwatch;

/// How long to pause before trying again, by how often it failed in a row: 0.1 s, doubled up to 3 s.
#[must_use]
pub fn pause(failures: u32) -> Duration {
    Duration::from_millis(100 << failures.min(5)).min(Duration::from_secs(3))
}

/// Lets rows out at the speed of the plan.
#[derive(Debug)]
pub struct Pace {
    start: Stopwatch,
    speed: Option<f64>,
}

impl Pace {
    /// Starts; without a speed every row is due at once.
    #[must_use]
    pub fn start(speed: Option<f64>) -> Self {
        Self {
            start: Stopwatch::start(),
            speed,
        }
    }

    /// Returns how long it is until a row is due; zero when it is.
    #[must_use]
    pub fn until(&self, script: &Script, row: usize) -> Duration {
        let Some(speed) = self.speed else {
            return Duration::ZERO;
        };
        let micros = script.after_start(row).as_micros().unsigned_abs();
        let due = Duration::from_micros(micros).div_f64(speed);
        due.saturating_sub(self.start.elapsed())
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
