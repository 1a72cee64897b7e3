//! A customer's plan over time.

use serde::{Deserialize, Serialize};

use super::catalog::{CatalogVersion, Interval};
use super::customer::Customer;
use super::id::PlanId;
use super::time::Timestamp;
use super::window::{Anchor, TimeRange};

/// Where a subscription stands; the words are Stripe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// Paid and running.
    Active,
    /// Running without pay until the trial ends.
    Trialing,
    /// A payment failed and is tried again; entitled until the grace ends.
    PastDue,
    /// Paused; not entitled.
    Paused,
    /// Payments failed for good; not entitled.
    Unpaid,
    /// Ended; the customer has the default plan.
    Canceled,
    /// The first payment is outstanding; not entitled.
    Incomplete,
}

/// A customer's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The plan.
    pub plan: PlanId,
    /// The catalog version that the plan is taken from.
    pub catalog_version: CatalogVersion,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// How often it is paid; also the length of its billing period.
    pub interval: Interval,
    /// From where its periods step.
    pub anchor: Timestamp,
    /// When the trial ends.
    pub trial_end: Option<Timestamp>,
    /// Until when a subscription that is past due is still entitled; `None`: not at all.
    pub grace_end: Option<Timestamp>,
    /// When the customer came to this plan.
    pub start_time: Timestamp,
    /// When it was last changed here.
    pub update_time: Timestamp,
    /// What Stripe has of it; `None`: it was assigned here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stripe: Option<Box<StripeLink>>,
}

/// What Stripe has of a subscription, beside what every subscription has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripeLink {
    /// Its id there.
    pub id: Box<str>,
    /// The billing period that runs there.
    pub period: TimeRange,
    /// When it ends, where that is settled.
    pub cancel_at: Option<Timestamp>,
    /// What changes it later: while there is one, changes go through it.
    pub schedule: Option<Box<str>>,
    /// When Stripe was last asked.
    pub sync_time: Timestamp,
}

/// Returns from where a customer's windows step: a subscription's anchor until it is canceled, else the customer's own
/// by months.
#[must_use]
pub fn anchor_of(customer: &Customer, subscription: Option<&Subscription>) -> Anchor {
    match subscription {
        Some(held) if held.status != SubscriptionStatus::Canceled => Anchor {
            start: held.anchor,
            interval: held.interval,
        },
        Some(_) | None => Anchor {
            start: customer.anchor,
            interval: Interval::Month,
        },
    }
}

impl Subscription {
    /// Whether it entitles the customer at this instant.
    #[must_use]
    pub fn is_in_good_standing(&self, now: Timestamp) -> bool {
        match self.status {
            SubscriptionStatus::Active => true,
            SubscriptionStatus::Trialing => self.trial_end.is_none_or(|end| now < end),
            SubscriptionStatus::PastDue => self.grace_end.is_some_and(|end| now < end),
            SubscriptionStatus::Paused
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Incomplete => false,
            SubscriptionStatus::Canceled => true,
        }
    }
}
