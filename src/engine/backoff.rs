//! Pauses between attempts, longer each time, never the same for two processes.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;

/// The longest first pause.
const FIRST: Duration = Duration::from_millis(20);

/// Pauses that double, each drawn evenly from nothing up to its bound, so that those who failed together do not come back
/// together.
pub(crate) struct Backoff {
    bound: Duration,
    most: Duration,
    random: Pcg64,
}

impl Backoff {
    pub(crate) fn new(most: Duration) -> Self {
        Self {
            bound: FIRST,
            most,
            random: Pcg64::seed_from_u64(seed()),
        }
    }

    /// Begins with short pauses again.
    pub(crate) fn reset(&mut self) {
        self.bound = FIRST;
    }

    pub(crate) async fn pause(&mut self) {
        let pause = self.bound.mul_f64(self.random.random());
        self.bound = (self.bound * 2).min(self.most);
        tokio::time::sleep(pause).await;
    }
}

/// Returns a number that another process hardly draws.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}
