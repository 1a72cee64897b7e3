//! The answer to a check: allowed or denied, with the numbers behind it. A denial is data, never an error.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::catalog::OnLimit;
use super::id::PlanId;
use super::quantity::Milli;
use super::sparse::is_default;
use super::time::{Span, Timestamp};
use super::window::{TimeRange, Window};

/// Why a decision came out as it did. In the order in which the causes are looked at; the first denial wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nothing denies.
    Allowed,
    /// No customer has this id, or its data was erased.
    CustomerUnknown,
    /// The subscription is not in good standing.
    SubscriptionInactive,
    /// Neither plan nor override grants the feature.
    FeatureNotInPlan,
    /// No subaccount of the customer has this id.
    SubaccountUnknown,
    /// A limit of the subaccount itself denies.
    SubaccountLimitExceeded,
    /// A limit of the customer denies.
    LimitExceeded,
    /// The cap on spending denies.
    SpendCapExceeded,
    /// The wallet owes more than it may.
    WalletBlocked,
    /// A payment for the wallet's credits is disputed.
    WalletFrozen,
    /// The wallet does not cover it.
    CreditsInsufficient,
    /// As many things exist as may.
    AllocationLimitExceeded,
    /// As many things are in flight as may.
    ConcurrencyLimitExceeded,
    /// Calls come too fast.
    RateLimited,
    /// The store cannot be reached, and the feature denies then.
    StorageUnavailable,
}

impl Reason {
    /// Returns the reason as it is written in logs, metrics and the denial log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::CustomerUnknown => "customer_unknown",
            Self::SubscriptionInactive => "subscription_inactive",
            Self::FeatureNotInPlan => "feature_not_in_plan",
            Self::SubaccountUnknown => "subaccount_unknown",
            Self::SubaccountLimitExceeded => "subaccount_limit_exceeded",
            Self::LimitExceeded => "limit_exceeded",
            Self::SpendCapExceeded => "spend_cap_exceeded",
            Self::WalletBlocked => "wallet_blocked",
            Self::WalletFrozen => "wallet_frozen",
            Self::CreditsInsufficient => "credits_insufficient",
            Self::AllocationLimitExceeded => "allocation_limit_exceeded",
            Self::ConcurrencyLimitExceeded => "concurrency_limit_exceeded",
            Self::RateLimited => "rate_limited",
            Self::StorageUnavailable => "storage_unavailable",
        }
    }
}

/// How close to the limit a customer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Far from it.
    #[default]
    None,
    /// At the notice level or above.
    Notice,
    /// At the critical level or above.
    Critical,
    /// Beyond it.
    Exceeded,
}

/// The answer to a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether the work may be done.
    pub allowed: bool,
    /// Why not; [`Reason::Allowed`] when it may.
    pub reason: Reason,
    /// What would have denied if it were enforced.
    #[serde(default, skip_serializing_if = "is_default")]
    pub observed: Option<Reason>,
    /// The tightest limit, in units; `None`: unlimited.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limit: Option<i64>,
    /// What was used in its window.
    #[serde(default, skip_serializing_if = "is_default")]
    pub used: Milli,
    /// What open reservations hold in its window.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reserved: Milli,
    /// What is left of the limit's amount; `None`: unlimited.
    #[serde(default, skip_serializing_if = "is_default")]
    pub remaining: Option<Milli>,
    /// What was used beyond the limit's amount.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overage: Milli,
    /// Used and reserved in percent of the amount, rounded down; 0 when unlimited.
    #[serde(default, skip_serializing_if = "is_default")]
    pub percent_used: i32,
    /// How close that is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warning: Warning,
    /// The window of the tightest limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub window: Option<TimeRange>,
    /// How long to wait before it may be allowed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_after: Option<Span>,
    /// The smallest plan that would allow it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upgrade_plan: Option<PlanId>,
    /// The instant it was made for.
    pub evaluate_time: Timestamp,
    /// How long it may be reused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cache_ttl: Span,
    /// Whether it was made without the store.
    #[serde(default, skip_serializing_if = "is_default")]
    pub degraded: bool,
    /// Whether it rests on figures that are not exact (rates).
    #[serde(default, skip_serializing_if = "is_default")]
    pub approximate: bool,
    /// The value of a static feature.
    #[serde(default, skip_serializing_if = "is_default")]
    pub static_value: Option<Box<str>>,
    /// Units that were granted: what was asked, or less where less was acceptable; 0 when denied.
    #[serde(default, skip_serializing_if = "is_default")]
    pub granted: i64,
    /// Each limit by itself, when asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Vec<LimitStatus>,
    /// The wallet that it draws on; `None`: it draws on none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub credits: Option<Box<CreditStatus>>,
}

/// The wallet that a feature draws on, in micro-units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditStatus {
    /// The credit unit.
    pub unit: SmolStr,
    /// Whether it is the subaccount's own wallet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub of_subaccount: bool,
    /// What was asked for would draw at most this.
    #[serde(default, skip_serializing_if = "is_default")]
    pub needed: i64,
    /// What can be spent, less what reservations have pledged.
    #[serde(default, skip_serializing_if = "is_default")]
    pub available: i64,
    /// What is owed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owed: i64,
    /// The tightest cap on spending: its amount, what it leaves, and the window that runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cap: Option<(i64, i64, TimeRange)>,
}

/// One limit of a feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitStatus {
    /// Whether it is the subaccount's own.
    pub of_subaccount: bool,
    /// Its window.
    pub window: Window,
    /// The stretch of the window that holds now.
    pub range: TimeRange,
    /// Its amount in units, as it holds in this window; `None`: unlimited.
    pub amount: Option<i64>,
    /// What was used.
    pub used: Milli,
    /// What open reservations hold.
    pub reserved: Milli,
    /// Used and reserved in percent of the amount, rounded down; 0 when unlimited.
    pub percent_used: i32,
    /// How close that is.
    pub warning: Warning,
    /// What happens beyond its amount.
    pub on_limit: OnLimit,
    /// Whether it denies or only reports.
    pub enforced: bool,
    /// Whether what was asked for does not fit.
    pub is_short: bool,
}

impl Decision {
    /// Returns an allowance without numbers.
    #[must_use]
    pub fn allowed(now: Timestamp) -> Self {
        Self {
            allowed: true,
            reason: Reason::Allowed,
            observed: None,
            limit: None,
            used: Milli::ZERO,
            reserved: Milli::ZERO,
            remaining: None,
            overage: Milli::ZERO,
            percent_used: 0,
            warning: Warning::None,
            window: None,
            retry_after: None,
            upgrade_plan: None,
            evaluate_time: now,
            cache_ttl: Span::ZERO,
            degraded: false,
            approximate: false,
            static_value: None,
            granted: 0,
            limits: Vec::new(),
            credits: None,
        }
    }

    /// Returns a denial without numbers.
    #[must_use]
    pub fn denied(reason: Reason, now: Timestamp) -> Self {
        let mut decision = Self::allowed(now);
        decision.deny(reason);
        decision
    }

    /// Turns it into a denial.
    pub fn deny(&mut self, reason: Reason) {
        self.allowed = false;
        self.reason = reason;
        self.granted = 0;
        self.cache_ttl = Span::ZERO;
    }
}
