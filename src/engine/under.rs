//! What costs depend on under a plan that is not in force any more: periods that have ended are charged under the plan that
//! they ran under, whatever the customer has now.

use std::sync::Arc;

use super::Engine;
use super::cost::Position;
use super::error::Error;
use super::load::Source;
use crate::domain::billing::PlanOf;
use crate::domain::id::CustomerId;
use crate::domain::rights::Owner;
use crate::domain::subscription::SubscriptionStatus;

impl Position {
    /// Returns the plan in force.
    pub(super) fn plan_of(&self) -> PlanOf {
        PlanOf {
            version: self.catalog.version,
            plan: self.plan.as_ref().map(|plan| plan.id.clone()),
        }
    }
}

impl Engine {
    /// Returns what a customer's costs depend on under a plan; `None`: under the one in force. Overrides hold as they are now.
    pub(super) async fn position_under(
        &self,
        customer: &CustomerId,
        under: Option<&PlanOf>,
    ) -> Result<Position, Error> {
        let position = self.position(customer).await?;
        let Some(under) = under.filter(|under| **under != position.plan_of()) else {
            return Ok(position);
        };
        let cell = self.customer(customer).await?;
        let now = self.now();
        let seen = cell
            .lock()
            .look(now, |account| account.subscription.clone());
        // Who never had a subscription has the default plan of the newest catalog, then as now.
        let Some(mut then) = seen.flatten().map(|held| (*held).clone()) else {
            return Ok(position);
        };
        then.catalog_version = under.version;
        then.status = SubscriptionStatus::Active;
        if let Some(plan) = &under.plan {
            then.plan = plan.clone();
        }
        let loader = &self.shared.loader;
        let catalogs = loader.catalogs(Some(&then), &*self.shared.store).await?;
        let (plan, catalog) = catalogs.plan(Some(&then));
        let plan = plan.filter(|_| under.plan.is_some());
        let rights = cell.lock().look(now, |account| {
            let source = Source {
                catalog: &catalog,
                plan: plan.as_ref(),
                overrides: &account.overrides,
            };
            let tracked = Arc::clone(&account.rights.tracked);
            loader.rights(Owner::Customer, &source, &tracked, now).0
        });
        let mut held = position.held;
        if let (Some(held), Some(rights)) = (&mut held, rights) {
            held.rights = rights;
        }
        Ok(Position {
            catalog,
            plan,
            held,
        })
    }
}
