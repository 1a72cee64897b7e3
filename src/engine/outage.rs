//! Whether the store can be reached, and since when it cannot.

use std::sync::atomic::{AtomicI64, Ordering};

use super::error::Error;
use crate::domain::catalog::OnOutage;
use crate::domain::time::Timestamp;
use crate::storage::StoreError;

/// Since when the store fails.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Since when it cannot be written to or read.
    work: Mark,
    /// Since when it is not known what other processes did.
    feed: Mark,
}

/// An instant; 0: none.
#[derive(Debug, Default)]
struct Mark(AtomicI64);

impl Mark {
    /// Sets it, unless it is set; true when it was not.
    fn set(&self, now: Timestamp) -> bool {
        let micros = now.as_micros().max(1);
        self.0
            .compare_exchange(0, micros, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Clears it; true when it was set.
    fn clear(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0 && self.0.swap(0, Ordering::Relaxed) != 0
    }

    fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Outage {
    /// Notes that the store failed in a way that concerns everyone.
    pub(super) fn failed(&self, now: Timestamp, error: &StoreError) {
        if concerns_all(error) && self.work.set(now) {
            tracing::error!(%error, "the store fails; checks follow on_outage");
        }
    }

    /// Notes that the store works.
    pub(super) fn succeeded(&self) {
        if self.work.clear() {
            tracing::info!("the store works again");
        }
    }

    /// Notes that what others did cannot be learned.
    pub(super) fn lost(&self, now: Timestamp, error: &StoreError) {
        if concerns_all(error) && self.feed.set(now) {
            tracing::error!(%error, "what others do is not known; checks follow on_outage");
        }
    }

    /// Notes that it is known what others did.
    pub(super) fn follows(&self) {
        if self.feed.clear() {
            tracing::info!("what others do is known again");
        }
    }

    /// Whether it is not known what others did: nothing is heard of a shared database.
    pub(super) fn is_silent(&self) -> bool {
        self.feed.get() != 0
    }

    /// Returns since when the store fails.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let since = match (self.work.get(), self.feed.get()) {
            (0, feed) => feed,
            (work, 0) => work,
            (work, feed) => work.min(feed),
        };
        (since != 0).then(|| Timestamp::from_micros_clamped(since))
    }

    /// Whether a feature of this policy may still be answered from memory.
    pub(super) fn allows(since: Timestamp, policy: OnOutage, now: Timestamp) -> bool {
        match policy {
            OnOutage::Deny => false,
            OnOutage::AllowFor(span) => now < since.plus(span),
        }
    }
}

impl Error {
    /// Whether nothing can be done now, whatever was asked for: another thing that is tried fails alike.
    #[must_use]
    pub fn concerns_all(&self) -> bool {
        if let Self::Store(error) = self {
            return concerns_all(error);
        }
        matches!(self, Self::Draining)
    }
}

fn concerns_all(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::Unknown(_) => true,
        StoreError::Constraint(_)
        | StoreError::Corrupt { .. }
        | StoreError::Conflict(_)
        | StoreError::Outdated
        | StoreError::Fenced => false,
    }
}
