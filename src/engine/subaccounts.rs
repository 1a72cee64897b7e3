//! Subaccounts: created, changed, read, listed, deleted.

use std::sync::Arc;

use serde::Serialize;

use super::Engine;
use super::cell::Cell;
use super::error::{Bounded, Error, Thing};
use super::load::Loader;
use super::mutation::{Applied, Mutation};
use super::profiles::check_live;
use super::step::Step;
use crate::domain::account::Account;
use crate::domain::customer::{SUBACCOUNTS_EVER_MAX, SUBACCOUNTS_MAX, Subaccount};
use crate::domain::id::{CustomerId, RequestId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::storage::Page;

/// What a subaccount is called and found by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SubaccountProfile {
    /// Its name for people.
    pub display_name: Box<str>,
    /// Free text.
    pub metadata: Labels,
}

/// What of a subaccount is to be changed; `None`: stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SubaccountChange {
    /// Its name for people.
    pub display_name: Option<Box<str>>,
    /// Free text, replaced as a whole.
    pub metadata: Option<Labels>,
}

/// Asks for subaccounts.
#[derive(Debug, Clone)]
pub struct SubaccountQuery {
    /// Whose.
    pub customer: CustomerId,
    /// Only those whose metadata has these values.
    pub metadata: Labels,
    /// Where to go on: the last id before.
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

impl Engine {
    /// Creates a subaccount; one that exists with the same profile is returned as it is.
    ///
    /// # Errors
    /// When the customer is unknown or deleted, it exists with another profile or existed before, or there are too
    /// many.
    pub async fn create_subaccount(
        &self,
        caller: &str,
        request: RequestId,
        customer: &CustomerId,
        id: SubaccountId,
        profile: SubaccountProfile,
    ) -> Result<Subaccount, Error> {
        let cells = [self.customer(customer).await?];
        let content = (customer, id.clone(), profile.clone());
        let create = Create { cells, id, profile };
        self.submit_once(caller, request, &content, create).await
    }

    /// Changes what a subaccount is called and found by.
    ///
    /// # Errors
    /// When there is no such customer or subaccount.
    pub async fn update_subaccount(
        &self,
        caller: &str,
        request: RequestId,
        customer: &CustomerId,
        id: SubaccountId,
        change: SubaccountChange,
    ) -> Result<Subaccount, Error> {
        let cells = [self.customer(customer).await?];
        let content = (customer, id.clone(), change.clone());
        let update = Update { cells, id, change };
        self.submit_once(caller, request, &content, update).await
    }

    /// Deletes a subaccount with its overrides and gives its reservations back; its usage stays. Returns when.
    ///
    /// # Errors
    /// When there is no such customer or subaccount.
    pub async fn delete_subaccount(
        &self,
        caller: &str,
        request: RequestId,
        customer: &CustomerId,
        id: SubaccountId,
    ) -> Result<Timestamp, Error> {
        let cells = [self.customer(customer).await?];
        let content = (customer, id.clone());
        let delete = Delete { cells, id };
        self.submit_once(caller, request, &content, delete).await
    }

    /// Returns a subaccount.
    ///
    /// # Errors
    /// When there is no such customer or subaccount.
    pub async fn get_subaccount(
        &self,
        customer: &CustomerId,
        id: &SubaccountId,
    ) -> Result<Subaccount, Error> {
        self.look(customer, |account| live(account, id)).await?
    }

    /// Lists subaccounts that are not deleted, by id.
    ///
    /// # Errors
    /// When there is no such customer.
    pub async fn list_subaccounts(
        &self,
        query: SubaccountQuery,
    ) -> Result<Page<Subaccount>, Error> {
        let wanted = |part: &Subaccount| {
            let labelled = query
                .metadata
                .iter()
                .all(|(key, value)| part.metadata.get(key) == Some(value));
            let behind = query
                .after
                .as_deref()
                .is_none_or(|after| part.id.as_str() > after);
            part.delete_time.is_none() && labelled && behind
        };
        let limit = query.limit.max(1);
        let found = |account: &Account| {
            let parts = account.subaccounts.values().map(|state| &state.subaccount);
            let found = parts.filter(|part| wanted(part)).take(limit + 1).cloned();
            found.collect::<Vec<_>>()
        };
        let items = self.look(&query.customer, found).await?;
        Ok(page(items, limit, |part| part.id.to_string()))
    }
}

/// Makes a page of items of which one more than the page holds was taken, if there were as many.
pub(super) fn page<T>(
    mut items: Vec<T>,
    limit: usize,
    place: impl FnOnce(&T) -> String,
) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(place);
    Page { items, next }
}

/// Returns a subaccount that is not deleted.
fn live(account: &Account, id: &SubaccountId) -> Result<Subaccount, Error> {
    let state = account.live_subaccount(id);
    state
        .map(|state| state.subaccount.clone())
        .ok_or_else(|| Error::not_found(Thing::Subaccount, id))
}

/// Creates a subaccount.
struct Create {
    cells: [Arc<Cell>; 1],
    id: SubaccountId,
    profile: SubaccountProfile,
}

impl Create {
    /// Returns the subaccount if it exists as it is asked for; refuses when it cannot be created.
    fn existing(&self, account: &Account) -> Result<Option<Subaccount>, Error> {
        check_live(account)?;
        if let Some(state) = account.subaccounts.get(&self.id) {
            let part = &state.subaccount;
            let same = part.delete_time.is_none()
                && part.display_name == self.profile.display_name
                && part.metadata == self.profile.metadata;
            let id = self.id.to_string();
            let kind = Thing::Subaccount;
            return if same {
                Ok(Some(part.clone()))
            } else {
                Err(Error::Exists { kind, id })
            };
        }
        let live = |state: &&crate::domain::account::SubaccountState| {
            state.subaccount.delete_time.is_none()
        };
        let ever = account.subaccounts.len();
        let too_many = |most| Error::TooMany {
            things: Bounded::Subaccounts,
            most,
        };
        if ever >= SUBACCOUNTS_EVER_MAX {
            return Err(too_many(SUBACCOUNTS_EVER_MAX));
        }
        if ever >= SUBACCOUNTS_MAX
            && account.subaccounts.values().filter(live).count() >= SUBACCOUNTS_MAX
        {
            return Err(too_many(SUBACCOUNTS_MAX));
        }
        Ok(None)
    }
}

impl Mutation for Create {
    const METHOD: &'static str = "CreateSubaccount";
    type Answer = Subaccount;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Subaccount>, Error> {
        let now = step.now();
        let loader: &Loader = step.batch.loader;
        step.with(&self.cells[0], |account, effects| {
            if let Some(existing) = self.existing(account)? {
                return Ok(Applied::Done(existing));
            }
            let part = Subaccount {
                id: self.id.clone(),
                display_name: self.profile.display_name.clone(),
                metadata: self.profile.metadata.clone(),
                create_time: now,
                update_time: now,
                delete_time: None,
            };
            let state = loader.fresh_subaccount(account, part.clone(), now);
            account.subaccounts.insert(self.id.clone(), state);
            effects.subaccounts.insert(self.id.clone());
            Ok(Applied::Done(part))
        })?
    }
}

/// Changes a subaccount.
struct Update {
    cells: [Arc<Cell>; 1],
    id: SubaccountId,
    change: SubaccountChange,
}

impl Mutation for Update {
    const METHOD: &'static str = "UpdateSubaccount";
    type Answer = Subaccount;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Subaccount>, Error> {
        let now = step.now();
        let change = self.change.clone();
        step.with(&self.cells[0], |account, effects| {
            check_live(account)?;
            let before = live(account, &self.id)?;
            let mut part = before.clone();
            part.display_name = change.display_name.unwrap_or(part.display_name);
            part.metadata = change.metadata.unwrap_or(part.metadata);
            if part != before
                && let Some(state) = account.subaccounts.get_mut(&self.id)
            {
                part.update_time = now;
                state.subaccount = part.clone();
                effects.subaccounts.insert(self.id.clone());
            }
            Ok(Applied::Done(part))
        })?
    }
}

/// Deletes a subaccount.
struct Delete {
    cells: [Arc<Cell>; 1],
    id: SubaccountId,
}

impl Mutation for Delete {
    const METHOD: &'static str = "DeleteSubaccount";
    type Answer = Timestamp;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Timestamp>, Error> {
        let now = step.now();
        step.with(&self.cells[0], |account, effects| {
            check_live(account)?;
            match account.erase_subaccount(&self.id, now, effects)? {
                Some(_) => Ok(Applied::Done(now)),
                None => Err(Error::not_found(Thing::Subaccount, &self.id)),
            }
        })?
    }
}
