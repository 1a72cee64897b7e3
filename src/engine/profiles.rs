//! Customers after their creation: changed, read, listed, deleted.

use std::sync::Arc;

use serde::Serialize;

use super::cell::Cell;
use super::error::{Error, Thing};
use super::mutation::{Applied, Mutation};
use super::step::Step;
use super::{Engine, OVERLOAD_WAIT};
use crate::domain::account::Account;
use crate::domain::customer::Customer;
use crate::domain::id::{CustomerId, PlanId, RequestId};
use crate::domain::subscription::{Subscription, SubscriptionStatus};
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::storage::{CustomerQuery, Page, PlanInForce};

/// How often an account is looked for that others let go of meanwhile.
const LOOKS_MAX: usize = 8;

/// What of a customer is to be changed; `None`: stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProfileChange {
    /// Its name for people.
    pub display_name: Option<Box<str>>,
    /// Where it is reached.
    pub email: Option<Box<str>>,
    /// Free text, replaced as a whole.
    pub metadata: Option<Labels>,
}

impl Engine {
    /// Changes what a customer is called and found by.
    ///
    /// # Errors
    /// When there is no such customer, or it is deleted.
    pub async fn update_customer(
        &self,
        caller: &str,
        request: RequestId,
        id: &CustomerId,
        change: ProfileChange,
    ) -> Result<Customer, Error> {
        let cells = [self.customer(id).await?];
        let content = (id, change.clone());
        let update = Update { cells, change };
        self.submit_once(caller, request, &content, update).await
    }

    /// Erases a customer's personal data and gives its reservations back; its usage stays. Returns when.
    ///
    /// # Errors
    /// When there is no such customer, or it is deleted.
    pub async fn delete_customer(
        &self,
        caller: &str,
        request: RequestId,
        id: &CustomerId,
    ) -> Result<Timestamp, Error> {
        let cells = [self.customer(id).await?];
        self.submit_once(caller, request, id, Delete { cells })
            .await
    }

    /// Returns a customer and its subscription, as they are stored.
    ///
    /// # Errors
    /// When there is no such customer, or it is deleted.
    pub async fn get_customer(
        &self,
        id: &CustomerId,
    ) -> Result<(Customer, Option<Subscription>), Error> {
        let query = CustomerQuery {
            id: Some(id.clone()),
            limit: 1,
            ..CustomerQuery::default()
        };
        let page = self.shared.store.customers(query).await?;
        let found = page.items.into_iter().next();
        found.ok_or_else(|| Error::not_found(Thing::Customer, id))
    }

    /// Lists customers that are not deleted, with their subscriptions, by id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_customers(
        &self,
        query: CustomerQuery,
    ) -> Result<Page<(Customer, Option<Subscription>)>, Error> {
        Ok(self.shared.store.customers(query).await?)
    }

    /// Returns how to ask for customers that have a plan in force.
    #[must_use]
    pub fn plan_in_force(&self, plan: PlanId) -> PlanInForce {
        let is_default = self.catalog().catalog.default_plan.as_ref() == Some(&plan);
        PlanInForce { plan, is_default }
    }

    /// Returns the plan that a customer with this subscription has: the subscription's, else the default one.
    #[must_use]
    pub fn plan_of(&self, subscription: Option<&Subscription>) -> Option<PlanId> {
        match subscription.filter(|held| held.status != SubscriptionStatus::Canceled) {
            Some(held) => Some(held.plan.clone()),
            None => self.catalog().catalog.default_plan.clone(),
        }
    }

    /// Looks at the account of a customer that is not deleted.
    pub(super) async fn look<R>(
        &self,
        id: &CustomerId,
        look: impl Fn(&Account) -> R,
    ) -> Result<R, Error> {
        let live = |account: &Account| {
            let live = account.customer.delete_time.is_none();
            live.then(|| look(account))
        };
        let seen = self.look_at_books(id, live).await?;
        seen.ok_or_else(|| Error::not_found(Thing::Customer, id))
    }

    /// As [`Engine::look`], also at a customer that was deleted: it keeps its books.
    pub(super) async fn look_at_books<R>(
        &self,
        id: &CustomerId,
        look: impl Fn(&Account) -> R,
    ) -> Result<R, Error> {
        for _ in 0..LOOKS_MAX {
            let cell = self.customer(id).await?;
            let seen = cell.lock().look(self.now(), &look);
            if let Some(seen) = seen {
                return Ok(seen);
            }
        }
        Err(Error::Overloaded {
            queue: "writes",
            retry_after: OVERLOAD_WAIT,
        })
    }
}

/// Refuses to change what a deleted customer has.
///
/// # Errors
/// When it is deleted.
pub(super) fn check_live(account: &Account) -> Result<(), Error> {
    if account.customer.delete_time.is_some() {
        let id = account.customer.id.to_string();
        return Err(Error::CustomerDeleted { id });
    }
    Ok(())
}

/// Changes a customer.
struct Update {
    cells: [Arc<Cell>; 1],
    change: ProfileChange,
}

impl Mutation for Update {
    const METHOD: &'static str = "UpdateCustomer";
    type Answer = Customer;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Customer>, Error> {
        let now = step.now();
        let change = self.change.clone();
        step.with(&self.cells[0], |account, effects| {
            check_live(account)?;
            let mut customer = account.customer.clone();
            customer.display_name = change.display_name.unwrap_or(customer.display_name);
            customer.email = change.email.unwrap_or(customer.email);
            customer.metadata = change.metadata.unwrap_or(customer.metadata);
            if customer != account.customer {
                customer.update_time = now;
                account.customer = customer;
                effects.customer = true;
            }
            Ok(Applied::Done(account.customer.clone()))
        })?
    }
}

/// Deletes a customer.
struct Delete {
    cells: [Arc<Cell>; 1],
}

impl Mutation for Delete {
    const METHOD: &'static str = "DeleteCustomer";
    type Answer = Timestamp;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Timestamp>, Error> {
        let now = step.now();
        step.with(&self.cells[0], |account, effects| {
            check_live(account)?;
            account.erase(now, effects)?;
            Ok(Applied::Done(now))
        })?
    }
}
