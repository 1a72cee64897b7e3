//! Whether the store can be reached, and since when it cannot.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::catalog::OnOutage;
use crate::domain::time::Timestamp;
use crate::storage::StoreError;

/// Since when the store fails; 0: it does not.
#[derive(Debug, Default)]
pub(super) struct Outage(AtomicI64);

impl Outage {
    /// Notes that the store failed in a way that concerns everyone.
    pub(super) fn failed(&self, now: Timestamp, error: &StoreError) {
        let concerns_all = match error {
            StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::Unknown(_) => true,
            StoreError::Constraint(_) | StoreError::Corrupt { .. } => false,
        };
        if concerns_all
            && self
                .0
                .compare_exchange(
                    0,
                    now.as_micros().max(1),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
        {
            tracing::error!(%error, "the store fails; checks follow on_outage");
        }
    }

    /// Notes that the store works.
    pub(super) fn succeeded(&self) {
        if self.0.load(Ordering::Relaxed) != 0 && self.0.swap(0, Ordering::Relaxed) != 0 {
            tracing::info!("the store works again");
        }
    }

    /// Returns since when the store fails.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let since = self.0.load(Ordering::Relaxed);
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
