//! Named stops and deliberate defects for the crash test. Without their features both are nothing.

/// Every name that [`hit`] is called with.
pub const ALL: &[&str] = &[
    "commit.begun",
    "commit.events_inserted",
    "commit.decided",
    "commit.rows_written",
    "commit.before_commit",
    "commit.after_commit",
    "engine.committed",
    "engine.answered",
    "usage_out.claimed",
    "usage_out.sent",
];

/// Every name that [`fault`] is called with.
pub const FAULTS: &[&str] = &[
    "dedupe_outside_transaction",
    "counter_outside_transaction",
    "ack_before_commit",
    "decision_outside_lock",
    "stale_epoch_writes",
    "unknown_commit_is_failure",
    "limit_from_memory",
    "feed_skips_late_commit",
    "debit_apart",
    "ledger_without_grants",
    "usage_named_by_attempt",
];

/// Stops here for ever when `BURSAR_FAILPOINT` is `NAME:N` and this is the `N`th hit of `NAME`; it says so on
/// standard error first, so that whoever watches can end the process at this very place.
#[cfg(feature = "failpoints")]
#[expect(
    clippy::disallowed_methods,
    reason = "not a setting: only test builds read it"
)]
pub fn hit(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);
    let armed = ARMED.get_or_init(|| {
        let text = std::env::var("BURSAR_FAILPOINT").ok()?;
        let (name, count) = text.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    let Some((wanted, count)) = armed else { return };
    if wanted == name && HITS.fetch_add(1, Ordering::Relaxed) + 1 == *count {
        eprintln!("failpoint: {name}");
        loop {
            std::thread::park();
        }
    }
}

/// Does nothing: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn hit(_name: &'static str) {}

/// Whether this build should have the defect of this name: `BURSAR_FAULT` says so.
#[cfg(feature = "faults")]
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "not a setting: only test builds read it"
)]
pub fn fault(name: &str) -> bool {
    use std::sync::OnceLock;

    static FAULT: OnceLock<Option<String>> = OnceLock::new();
    FAULT
        .get_or_init(|| std::env::var("BURSAR_FAULT").ok())
        .as_deref()
        == Some(name)
}

/// Never: the feature `faults` is off.
#[cfg(not(feature = "faults"))]
#[inline]
#[must_use]
pub fn fault(_name: &str) -> bool {
    false
}
