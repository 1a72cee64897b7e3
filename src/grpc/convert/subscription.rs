//! Subscriptions.

use super::{to_duration, to_timestamp};
use crate::domain::subscription::SubscriptionStatus;
use crate::engine::{Error, PlanStanding, RunningCommitment};
use crate::grpc::pb;

/// Reads where a subscription is to stand; `None`: not said.
pub(in crate::grpc) fn status(
    field: &str,
    number: i32,
) -> Result<Option<SubscriptionStatus>, Error> {
    Ok(Some(match super::known(field, number)? {
        pb::SubscriptionStatus::Unspecified => return Ok(None),
        pb::SubscriptionStatus::None => {
            let rule = "must not be SUBSCRIPTION_STATUS_NONE";
            return Err(Error::invalid(field, rule));
        }
        pb::SubscriptionStatus::Active => SubscriptionStatus::Active,
        pb::SubscriptionStatus::Trialing => SubscriptionStatus::Trialing,
        pb::SubscriptionStatus::PastDue => SubscriptionStatus::PastDue,
        pb::SubscriptionStatus::Paused => SubscriptionStatus::Paused,
        pb::SubscriptionStatus::Unpaid => SubscriptionStatus::Unpaid,
        pb::SubscriptionStatus::Canceled => SubscriptionStatus::Canceled,
        pb::SubscriptionStatus::Incomplete => SubscriptionStatus::Incomplete,
    }))
}

impl From<SubscriptionStatus> for pb::SubscriptionStatus {
    fn from(status: SubscriptionStatus) -> Self {
        match status {
            SubscriptionStatus::Active => Self::Active,
            SubscriptionStatus::Trialing => Self::Trialing,
            SubscriptionStatus::PastDue => Self::PastDue,
            SubscriptionStatus::Paused => Self::Paused,
            SubscriptionStatus::Unpaid => Self::Unpaid,
            SubscriptionStatus::Canceled => Self::Canceled,
            SubscriptionStatus::Incomplete => Self::Incomplete,
        }
    }
}

impl From<PlanStanding> for pb::Subscription {
    fn from(standing: PlanStanding) -> Self {
        let held = standing.subscription;
        let status = held
            .as_ref()
            .map_or(pb::SubscriptionStatus::None, |held| held.status.into());
        let stripe = held.as_ref().and_then(|held| held.stripe.as_deref());
        let interval = pb::BillingInterval::from(standing.anchor.interval);
        Self {
            customer_id: standing.customer.into(),
            plan_id: super::or_empty(standing.plan),
            catalog_version: standing.catalog_version,
            status: status.into(),
            interval: interval.into(),
            current_period_start: Some(to_timestamp(standing.period.start)),
            current_period_end: Some(to_timestamp(standing.period.end)),
            billing_anchor: Some(to_timestamp(standing.anchor.start)),
            commitment: standing.commitment.map(Into::into),
            data_age: stripe.map(|link| to_duration(standing.as_of.since(link.sync_time))),
            trial_end: held
                .as_ref()
                .and_then(|held| held.trial_end)
                .map(to_timestamp),
            grace_end: held
                .as_ref()
                .and_then(|held| held.grace_end)
                .map(to_timestamp),
            stripe_subscription_id: stripe.map_or_else(String::new, |link| link.id.to_string()),
            cancel_time: stripe.and_then(|link| link.cancel_at).map(to_timestamp),
            assign_time: held.as_ref().map(|held| to_timestamp(held.start_time)),
        }
    }
}

impl From<RunningCommitment> for pb::SubscriptionCommitment {
    fn from(promise: RunningCommitment) -> Self {
        let months = |months: u32| i32::try_from(months).unwrap_or(i32::MAX);
        Self {
            months_paid: months(promise.terms.months_paid),
            months_delivered: months(promise.terms.months_delivered),
            start_time: Some(to_timestamp(promise.range.start)),
            end_time: Some(to_timestamp(promise.range.end)),
        }
    }
}
