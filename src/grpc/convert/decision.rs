//! Decisions.

use super::{to_duration, to_timestamp};
use crate::domain::catalog::{Limit, Mode};
use crate::domain::decision::{CreditStatus, Decision, LimitStatus, Reason, Warning};
use crate::domain::id::SubaccountId;
use crate::domain::quantity::Milli;
use crate::domain::time::{Span, Timestamp};
use crate::grpc::pb;

/// Writes a decision; `subaccount` is whom it was made for, whose own limits bear its id.
pub(in crate::grpc) fn decision(made: Decision, subaccount: Option<&SubaccountId>) -> pb::Decision {
    let status = |limit: &LimitStatus| limit_status(limit, subaccount);
    pb::Decision {
        allowed: made.allowed,
        reason: pb::DecisionReason::from(made.reason).into(),
        limit: made.limit,
        used: made.used.units_up(),
        reserved: made.reserved.units_up(),
        remaining: made.remaining.map(Milli::units_down),
        overage: made.overage.units_up(),
        percent_used: made.percent_used.max(0),
        warning_level: pb::WarningLevel::from(made.warning).into(),
        window_start: made.window.and_then(|range| start(range.start)),
        window_end: made.window.and_then(|range| end(range.end)),
        evaluate_time: Some(to_timestamp(made.evaluate_time)),
        cache_ttl: (made.cache_ttl > Span::ZERO).then(|| to_duration(made.cache_ttl)),
        granted_quantity: made.granted,
        retry_after: made.retry_after.map(to_duration),
        upgrade_plan_id: super::or_empty(made.upgrade_plan),
        degraded: made.degraded,
        observed_reason: made.observed.map_or_else(
            || pb::DecisionReason::Unspecified.into(),
            |reason| pb::DecisionReason::from(reason).into(),
        ),
        static_value: made.static_value.map(Into::into),
        approximate: made.approximate,
        limits: made.limits.iter().map(status).collect(),
        credits: made.credits.map(|held| credits(*held, subaccount)),
    }
}

fn credits(held: CreditStatus, subaccount: Option<&SubaccountId>) -> pb::CreditStatus {
    let payer = subaccount.filter(|_| held.of_subaccount);
    pb::CreditStatus {
        credit_unit: held.unit.into(),
        subaccount_id: super::or_empty(payer.cloned()),
        needed_micros: held.needed,
        available_micros: held.available,
        receivable_micros: held.owed,
        cap_micros: held.cap.map(|cap| cap.0),
        cap_left_micros: held.cap.map(|cap| cap.1),
        cap_window_end: held.cap.and_then(|cap| end(cap.2.end)),
    }
}

/// The beginning of time is no start.
fn start(time: Timestamp) -> Option<prost_types::Timestamp> {
    (time != Timestamp::MIN).then(|| to_timestamp(time))
}

/// The end of time is no end.
fn end(time: Timestamp) -> Option<prost_types::Timestamp> {
    (time != Timestamp::MAX).then(|| to_timestamp(time))
}

fn limit_status(limit: &LimitStatus, subaccount: Option<&SubaccountId>) -> pb::LimitStatus {
    let amount = limit.amount.map(Milli::from_units_saturating);
    let taken = limit.used.plus_saturating(limit.reserved);
    let remaining = amount.map(|amount| amount.minus_saturating(taken).max(Milli::ZERO));
    let overage = amount.map_or(Milli::ZERO, |amount| {
        limit.used.minus_saturating(amount).max(Milli::ZERO)
    });
    let mode = if limit.enforced {
        Mode::Enforce
    } else {
        Mode::Observe
    };
    let reason = match (limit.is_short, limit.of_subaccount) {
        (false, _) => pb::DecisionReason::Unspecified,
        (true, true) => pb::DecisionReason::SubaccountLimitExceeded,
        (true, false) => pb::DecisionReason::LimitExceeded,
    };
    let shown = Limit {
        amount: limit.amount,
        window: limit.window,
        on_limit: limit.on_limit,
        mode,
    };
    pb::LimitStatus {
        limit: Some(pb::Limit::from(&shown)),
        subaccount_id: super::or_empty(subaccount.filter(|_| limit.of_subaccount).cloned()),
        window_start: start(limit.range.start),
        window_end: end(limit.range.end),
        used: limit.used.units_up(),
        reserved: limit.reserved.units_up(),
        remaining: remaining.map(Milli::units_down),
        overage: overage.units_up(),
        percent_used: limit.percent_used,
        warning_level: pb::WarningLevel::from(limit.warning).into(),
        used_milli: limit.used.0,
        reserved_milli: limit.reserved.0,
        remaining_milli: remaining.map(|rest| rest.0),
        reason: reason.into(),
    }
}

impl From<Reason> for pb::DecisionReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Allowed => Self::Allowed,
            Reason::CustomerUnknown => Self::CustomerUnknown,
            Reason::SubscriptionInactive => Self::SubscriptionInactive,
            Reason::FeatureNotInPlan => Self::FeatureNotInPlan,
            Reason::SubaccountUnknown => Self::SubaccountUnknown,
            Reason::SubaccountLimitExceeded => Self::SubaccountLimitExceeded,
            Reason::LimitExceeded => Self::LimitExceeded,
            Reason::SpendCapExceeded => Self::SpendCapExceeded,
            Reason::WalletBlocked => Self::WalletBlocked,
            Reason::WalletFrozen => Self::WalletFrozen,
            Reason::CreditsInsufficient => Self::CreditsInsufficient,
            Reason::AllocationLimitExceeded => Self::AllocationLimitExceeded,
            Reason::ConcurrencyLimitExceeded => Self::ConcurrencyLimitExceeded,
            Reason::RateLimited => Self::RateLimited,
            Reason::StorageUnavailable => Self::StorageUnavailable,
        }
    }
}

/// Reads a reason to filter by; `None`: every reason.
pub(in crate::grpc) fn reason(reason: pb::DecisionReason) -> Option<Reason> {
    match reason {
        pb::DecisionReason::Unspecified => None,
        pb::DecisionReason::Allowed => Some(Reason::Allowed),
        pb::DecisionReason::CustomerUnknown => Some(Reason::CustomerUnknown),
        pb::DecisionReason::SubscriptionInactive => Some(Reason::SubscriptionInactive),
        pb::DecisionReason::FeatureNotInPlan => Some(Reason::FeatureNotInPlan),
        pb::DecisionReason::SubaccountUnknown => Some(Reason::SubaccountUnknown),
        pb::DecisionReason::SubaccountLimitExceeded => Some(Reason::SubaccountLimitExceeded),
        pb::DecisionReason::LimitExceeded => Some(Reason::LimitExceeded),
        pb::DecisionReason::SpendCapExceeded => Some(Reason::SpendCapExceeded),
        pb::DecisionReason::WalletBlocked => Some(Reason::WalletBlocked),
        pb::DecisionReason::WalletFrozen => Some(Reason::WalletFrozen),
        pb::DecisionReason::CreditsInsufficient => Some(Reason::CreditsInsufficient),
        pb::DecisionReason::AllocationLimitExceeded => Some(Reason::AllocationLimitExceeded),
        pb::DecisionReason::ConcurrencyLimitExceeded => Some(Reason::ConcurrencyLimitExceeded),
        pb::DecisionReason::RateLimited => Some(Reason::RateLimited),
        pb::DecisionReason::StorageUnavailable => Some(Reason::StorageUnavailable),
    }
}

impl From<Warning> for pb::WarningLevel {
    fn from(warning: Warning) -> Self {
        match warning {
            Warning::None => Self::None,
            Warning::Notice => Self::Notice,
            Warning::Critical => Self::Critical,
            Warning::Exceeded => Self::Exceeded,
        }
    }
}
