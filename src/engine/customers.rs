//! Customers: created, found, created by their first use where the catalog says so.

use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::error::{Error, Thing};
use super::mutation::{Applied, Mutation};
use super::step::Step;
use super::{Engine, OVERLOAD_WAIT};
use crate::domain::account::Account;
use crate::domain::catalog::RateSpec;
use crate::domain::customer::Customer;
use crate::domain::id::{CustomerId, FeatureId, RequestId};
use crate::domain::rating::Percent;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::storage::AccountRows;

/// Names the quota of customers that first use creates, where it is what is exhausted.
pub(super) const CREATION_QUOTA: &str = "auto_create_customers";

/// What a customer is called and found by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name for people.
    pub display_name: Box<str>,
    /// Where it is reached.
    pub email: Box<str>,
    /// Free text.
    pub metadata: Labels,
    /// From where its windows step while it has no subscription; `None`: from its creation.
    pub billing_anchor: Option<Timestamp>,
}

impl Engine {
    /// Creates a customer; one that exists with the same profile is returned as it is.
    ///
    /// # Errors
    /// When it exists with another profile.
    pub async fn create_customer(
        &self,
        caller: &str,
        request: RequestId,
        id: CustomerId,
        profile: Profile,
    ) -> Result<Customer, Error> {
        let content = (&id, &profile);
        let create = self.creation(id.clone(), profile.clone()).await?;
        self.submit_once(caller, request, &content, create).await
    }

    /// Returns a customer, created when the catalog lets first use do so; true when it was.
    pub(super) async fn find_or_create(&self, id: &CustomerId) -> Result<(Arc<Cell>, bool), Error> {
        if let Some(cell) = self.find(id).await? {
            return Ok((cell, false));
        }
        let missing = || Error::not_found(Thing::Customer, id);
        let per_minute = self
            .catalog()
            .catalog
            .auto_create_per_minute
            .ok_or_else(missing)?;
        self.take_creation(per_minute)?;
        let create = self.creation(id.clone(), Profile::default()).await?;
        self.submit(create).await?;
        Ok((self.customer(id).await?, true))
    }

    /// As [`Engine::find_or_create`], unless what is asked for would be refused to a customer that has nothing yet: then
    /// none is created, and `refused` says what to answer.
    pub(super) async fn find_or_create_for<R>(
        &self,
        id: &CustomerId,
        refused: impl FnOnce(&Account, Timestamp) -> Option<R>,
    ) -> Result<Result<(Arc<Cell>, bool), R>, Error> {
        if let Some(cell) = self.find(id).await? {
            return Ok(Ok((cell, false)));
        }
        if self.catalog().catalog.auto_create_per_minute.is_some() {
            let now = self.now();
            let customer = new_customer(id.clone(), &Profile::default(), now);
            let account = self.shared.loader.fresh_account(rows_of(customer), now);
            if let Some(refused) = refused(&account, now) {
                return Ok(Err(refused));
            }
        }
        self.find_or_create(id).await.map(Ok)
    }

    fn take_creation(&self, per_minute: u32) -> Result<(), Error> {
        let feature = FeatureId::new("auto_create_customers").map_err(|_| Error::Internal)?;
        let amount = NonZeroU32::new(per_minute).map_or(1, NonZeroU32::get);
        let spec = RateSpec {
            amount,
            per: Span::from_minutes(1),
            burst: amount,
        };
        // Shared out evenly: it protects the database, not a customer.
        let parts = self.shared.shares.default_part();
        let taken =
            self.shared
                .creations
                .lock()
                .take(&feature, (spec, parts), 1, &self.shared.rates);
        taken.map_err(|wait| Error::Overloaded {
            queue: CREATION_QUOTA,
            retry_after: wait.unwrap_or(OVERLOAD_WAIT).max(OVERLOAD_WAIT),
        })
    }

    async fn creation(&self, id: CustomerId, profile: Profile) -> Result<Create, Error> {
        // Reading first fills the place with what exists, which the mutation must not overwrite.
        let found = self.shared.load(&id).await?;
        let cell = found.unwrap_or_else(|| self.shared.accounts.place(&id));
        cell.lock().absent = true;
        Ok(Create {
            cells: [cell],
            id,
            profile,
        })
    }
}

/// Creates a customer.
struct Create {
    cells: [Arc<Cell>; 1],
    id: CustomerId,
    profile: Profile,
}

impl Mutation for Create {
    const METHOD: &'static str = "CreateCustomer";
    type Answer = Customer;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Customer>, Error> {
        let now = step.now();
        let existing = step.with(&self.cells[0], |account, _| account.customer.clone());
        if let Ok(customer) = existing {
            let same = customer.display_name == self.profile.display_name
                && customer.email == self.profile.email
                && customer.metadata == self.profile.metadata
                && self
                    .profile
                    .billing_anchor
                    .is_none_or(|anchor| anchor == customer.anchor);
            return if customer.delete_time.is_some() {
                let id = self.id.to_string();
                Err(Error::CustomerDeleted { id })
            } else if same {
                Ok(Applied::Done(customer))
            } else {
                Err(Error::Exists {
                    kind: Thing::Customer,
                    id: self.id.to_string(),
                })
            };
        }
        let customer = new_customer(self.id.clone(), &self.profile, now);
        let account = step
            .batch
            .loader
            .fresh_account(rows_of(customer.clone()), now);
        step.create(&self.cells[0], account);
        Ok(Applied::Done(customer))
    }
}

/// Returns the rows of a customer that has nothing yet.
fn rows_of(customer: Customer) -> AccountRows {
    AccountRows {
        no: 0,
        version: 0,
        customer,
        subscription: None,
        overrides: Vec::new(),
        tracked: Vec::new(),
        counters: Vec::new(),
        adjustments: Vec::new(),
        reservations: Vec::new(),
        allocations: Vec::new(),
        subaccounts: Vec::new(),
        wallets: Vec::new(),
        draws: Vec::new(),
    }
}

fn new_customer(id: CustomerId, profile: &Profile, now: Timestamp) -> Customer {
    Customer {
        id,
        display_name: profile.display_name.clone(),
        email: profile.email.clone(),
        metadata: profile.metadata.clone(),
        anchor: profile.billing_anchor.unwrap_or(now),
        discount: Percent::ZERO,
        payer: None,
        create_time: now,
        update_time: now,
        delete_time: None,
    }
}
