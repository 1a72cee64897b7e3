//! Where customers stand with their plans.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::error::Error;
use super::load::Catalogs;
use crate::domain::catalog::{CatalogVersion, Commitment};
use crate::domain::customer::Customer;
use crate::domain::id::{CustomerId, PlanId};
use crate::domain::subscription::{Subscription, SubscriptionStatus, anchor_of};
use crate::domain::time::Timestamp;
use crate::domain::window::{Anchor, TimeRange, Window, months_later};
use crate::storage::{CustomerQuery, Page, PlanInForce};

/// Where a customer stands with its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStanding {
    /// Who.
    pub customer: CustomerId,
    /// The subscription; `None`: it was never assigned a plan.
    pub subscription: Option<Subscription>,
    /// The plan in force; `None`: it has none.
    pub plan: Option<PlanId>,
    /// The catalog version that the plan is of.
    pub catalog_version: CatalogVersion,
    /// From where its windows step, and how long a billing period is.
    pub anchor: Anchor,
    /// The running billing period.
    pub period: TimeRange,
    /// When this was looked at.
    #[serde(default = "Timestamp::default")]
    pub as_of: Timestamp,
    /// What it committed to; `None`: nothing.
    pub commitment: Option<RunningCommitment>,
}

/// A running promise to stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningCommitment {
    /// What was promised.
    pub terms: Commitment,
    /// From when until when.
    pub range: TimeRange,
}

/// Asks for subscriptions.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionQuery {
    /// Only those with this plan in force.
    pub plan: Option<PlanInForce>,
    /// Only those in this status.
    pub status: Option<SubscriptionStatus>,
    /// Where to go on.
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

impl PlanStanding {
    /// Puts together where a customer stands.
    pub(super) fn of(
        customer: &Customer,
        subscription: Option<&Subscription>,
        catalogs: &Catalogs,
        now: Timestamp,
    ) -> Self {
        let (plan, catalog) = catalogs.plan(subscription);
        let anchor = anchor_of(customer, subscription);
        let running = subscription.filter(|held| held.status != SubscriptionStatus::Canceled);
        let commitment = running.zip(plan.as_ref()).and_then(|(held, plan)| {
            let terms = plan.commitment?;
            let range = TimeRange {
                start: held.start_time,
                end: months_later(held.start_time, terms.months_delivered),
            };
            Some(RunningCommitment { terms, range })
        });
        Self {
            customer: customer.id.clone(),
            subscription: subscription.cloned(),
            plan: plan.map(|plan| plan.id.clone()),
            catalog_version: catalog.version,
            anchor,
            period: Window::BillingPeriod.range(anchor, now),
            as_of: now,
            commitment,
        }
    }
}

impl Engine {
    /// Returns where a customer stands with its plan.
    ///
    /// # Errors
    /// When there is no such customer.
    pub async fn get_subscription(&self, customer: &CustomerId) -> Result<PlanStanding, Error> {
        let (customer, subscription) = self.get_customer(customer).await?;
        self.standing(&customer, subscription.as_ref()).await
    }

    /// Lists subscriptions by customer.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_subscriptions(
        &self,
        query: SubscriptionQuery,
    ) -> Result<Page<PlanStanding>, Error> {
        let query = CustomerQuery {
            subscribed: true,
            plan: query.plan,
            status: query.status,
            after: query.after,
            limit: query.limit,
            ..CustomerQuery::default()
        };
        let page = self.shared.store.customers(query).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for (customer, subscription) in page.items {
            items.push(self.standing(&customer, subscription.as_ref()).await?);
        }
        let next = page.next;
        Ok(Page { items, next })
    }

    async fn standing(
        &self,
        customer: &Customer,
        subscription: Option<&Subscription>,
    ) -> Result<PlanStanding, Error> {
        let store = &*self.shared.store;
        let catalogs = self.shared.loader.catalogs(subscription, store).await?;
        let now = self.now();
        Ok(PlanStanding::of(customer, subscription, &catalogs, now))
    }
}
