//! How much, and what happens beyond.

use serde::{Deserialize, Serialize};

use crate::domain::window::Window;

/// Largest amount of a limit, a buffer, an allocation or a tier.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;
/// Most limits of one feature, and of each of its subaccounts.
pub const LIMITS_MAX: usize = 16;
/// Most calls per second or minute, and at once.
pub const RATE_MAX: i64 = 1_000_000;

/// An amount within a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Units of the meter; `None` is unlimited, which is still counted.
    pub amount: Option<i64>,
    /// The window in which use counts.
    pub window: Window,
    /// What happens beyond the amount.
    pub on_limit: OnLimit,
    /// Whether it denies or only reports.
    pub mode: Mode,
}

/// What happens beyond a limit's amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// Denies.
    Block,
    /// Allows this many units more, as overage, then denies.
    AllowUpTo(i64),
    /// Allows without end, as overage.
    Allow,
}

/// Whether a limit denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It denies.
    Enforce,
    /// It allows and says that it would have denied.
    Observe,
}

/// How a plan's new amounts count in the window that runs when the plan changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnChange {
    /// The new amount applies to all use of the window.
    Carry,
    /// The new amount applies to use after the change.
    Reset,
    /// The old amount counts for the time before the change, the new one for the time after it.
    Prorate,
}

/// When a decision starts to warn, in percent of the tightest limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarningLevels {
    /// From here: notice. 1 to 100.
    pub notice_percent: i32,
    /// From here: critical. 1 to 100, at least `notice_percent`.
    pub critical_percent: i32,
}

impl Default for WarningLevels {
    fn default() -> Self {
        Self {
            notice_percent: 80,
            critical_percent: 95,
        }
    }
}
