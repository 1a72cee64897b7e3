//! Overrides: what a customer or a subaccount is granted in place of what its plan grants.

use std::sync::Arc;

use serde::Serialize;

use super::Engine;
use super::allocations::feature_of;
use super::cell::Cell;
use super::error::{Bounded, Error, Rule, Thing};
use super::load::Loader;
use super::mutation::{Applied, Mutation};
use super::profiles::check_live;
use super::recount::Recount;
use super::step::Step;
use super::subaccounts::page;
use crate::domain::account::{Account, Effects};
use crate::domain::catalog::{EntitlementSpec, FeatureKind, GrantFault, Grantee};
use crate::domain::customer::{OVERRIDES_MAX, Override};
use crate::domain::id::{CustomerId, FeatureId, RequestId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::storage::{Changes, Fold, FoldResult, Page};

/// A call to set an override.
#[derive(Debug, Clone, Serialize)]
pub struct OverrideCall {
    /// Whose plan is overridden.
    pub customer: CustomerId,
    /// The subaccount it is for; `None`: the customer as a whole.
    pub subaccount: Option<SubaccountId>,
    /// The feature.
    pub feature: FeatureId,
    /// What is granted.
    pub spec: EntitlementSpec,
    /// The first instant at which it no longer holds.
    pub expire_time: Option<Timestamp>,
    /// Why, for people.
    pub note: Box<str>,
}

/// Asks for overrides.
#[derive(Debug, Clone)]
pub struct OverrideQuery {
    /// Whose.
    pub customer: CustomerId,
    /// Only those of this subaccount.
    pub subaccount: Option<SubaccountId>,
    /// Only those of this feature.
    pub feature: Option<FeatureId>,
    /// Where to go on.
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

type Key = (FeatureId, Option<SubaccountId>);

impl Engine {
    /// Sets an override, in place of one for the same feature and the same part of the customer.
    ///
    /// # Errors
    /// When customer, subaccount or feature is unknown, or the value does not fit the feature.
    pub async fn set_override(
        &self,
        caller: &str,
        request: RequestId,
        call: OverrideCall,
    ) -> Result<Override, Error> {
        let cells = [self.customer(&call.customer).await?];
        let content = call.clone();
        let recount = Recount::default();
        let set = Set {
            cells,
            call,
            recount,
        };
        self.submit_once(caller, request, &content, set).await
    }

    /// Removes an override, so that the plan decides again.
    ///
    /// # Errors
    /// When there is none.
    pub async fn delete_override(
        &self,
        caller: &str,
        request: RequestId,
        customer: &CustomerId,
        feature: FeatureId,
        subaccount: Option<SubaccountId>,
    ) -> Result<(), Error> {
        let cells = [self.customer(customer).await?];
        let key = (feature, subaccount);
        let content = (customer, key.clone());
        self.submit_once(caller, request, &content, Remove { cells, key })
            .await
    }

    /// Lists the overrides that hold, by feature and subaccount.
    ///
    /// # Errors
    /// When there is no such customer, or the token is not of this list.
    pub async fn list_overrides(&self, query: OverrideQuery) -> Result<Page<Override>, Error> {
        let now = self.now();
        let after = query.after.as_deref().map(read_place).transpose()?;
        let wanted = |set: &&Override| {
            let sub = set.subaccount.as_ref().map_or("", SubaccountId::as_str);
            holds(set, now)
                && (query.subaccount.is_none() || query.subaccount == set.subaccount)
                && query
                    .feature
                    .as_ref()
                    .is_none_or(|only| *only == set.feature)
                && after.is_none_or(|after| (set.feature.as_str(), sub) > after)
        };
        let limit = query.limit.max(1);
        let found = |account: &Account| {
            let sets = account.overrides.iter().filter(wanted);
            let mut sets: Vec<Override> = sets.cloned().collect();
            sets.sort_by(|a, b| (&a.feature, &a.subaccount).cmp(&(&b.feature, &b.subaccount)));
            sets.truncate(limit + 1);
            sets
        };
        let items = self.look(&query.customer, found).await?;
        Ok(page(items, limit, |set| {
            let (feature, sub) = (&set.feature, &set.subaccount);
            let sub = sub.as_ref().map_or("", SubaccountId::as_str);
            format!("{}/{feature}{sub}", feature.as_str().len())
        }))
    }
}

/// Splits a page token into feature and subaccount; ids may hold any separator, so it says how long the first is.
fn read_place(token: &str) -> Result<(&str, &str), Error> {
    let read = || {
        let (length, ids) = token.split_once('/')?;
        ids.split_at_checked(length.parse().ok()?)
    };
    read().ok_or_else(|| Error::Invalid {
        field: "page_token".to_owned(),
        rule: Rule::PageToken,
    })
}

fn holds(set: &Override, now: Timestamp) -> bool {
    set.expire_time.is_none_or(|expire| now < expire)
}

fn key(set: &Override) -> Key {
    (set.feature.clone(), set.subaccount.clone())
}

/// Sets an override.
struct Set {
    cells: [Arc<Cell>; 1],
    call: OverrideCall,
    recount: Recount,
}

impl Set {
    fn row(&self, now: Timestamp) -> Override {
        Override {
            feature: self.call.feature.clone(),
            subaccount: self.call.subaccount.clone(),
            spec: self.call.spec.clone(),
            expire_time: self.call.expire_time,
            note: self.call.note.clone(),
            create_time: now,
        }
    }

    /// Returns the overrides once this one is set; those that ended go.
    fn after(&self, account: &Account, now: Timestamp) -> Vec<Override> {
        let row = self.row(now);
        let stays = |set: &&Override| holds(set, now) && key(set) != key(&row);
        let mut sets: Vec<Override> = account.overrides.iter().filter(stays).cloned().collect();
        sets.push(row);
        sets
    }

    fn check(&self, account: &Account, loader: &Loader, now: Timestamp) -> Result<(), Error> {
        check_live(account)?;
        if let Some(id) = &self.call.subaccount
            && account.live_subaccount(id).is_none()
        {
            return Err(Error::not_found(Thing::Subaccount, id));
        }
        let feature = feature_of(account, loader, &self.call.feature)?;
        let subscription = account.subscription.as_deref();
        let (_, catalog) = loader.known_catalogs(subscription).plan(subscription);
        let meter = match &feature.kind {
            FeatureKind::Metered { meter, .. } => catalog.meters.get(meter),
            FeatureKind::Boolean
            | FeatureKind::Static
            | FeatureKind::Allocation
            | FeatureKind::Concurrency
            | FeatureKind::Rate => None,
        };
        let to = match self.call.subaccount {
            Some(_) => Grantee::Subaccount,
            None => Grantee::Customer,
        };
        let fits = self
            .call
            .spec
            .check_grant(&feature.kind, meter.map(AsRef::as_ref), to);
        fits.map_err(|fault| match fault {
            GrantFault::Kind(wanted) => Error::FeatureKind {
                id: feature.id.to_string(),
                kind: feature.kind.as_str(),
                wanted,
            },
            GrantFault::Rule { field, rule } => Error::invalid(format!("value.{field}"), rule),
        })?;
        if self.call.expire_time.is_some_and(|expire| expire <= now) {
            return Err(Error::invalid("expire_time", "must lie ahead"));
        }
        if self.after(account, now).len() > OVERRIDES_MAX {
            return Err(Error::TooMany {
                things: Bounded::Overrides,
                most: OVERRIDES_MAX,
            });
        }
        Ok(())
    }

    fn change(
        &self,
        account: &mut Account,
        folded: &[FoldResult],
        (loader, now): (&Loader, Timestamp),
        effects: &mut Effects,
        changes: &mut Changes,
    ) -> Result<Override, Error> {
        self.check(account, loader, now)?;
        self.recount.check(folded)?;
        let sets = self.after(account, now);
        effects.overrides.extend(
            account
                .overrides
                .iter()
                .filter(|set| !holds(set, now))
                .map(key),
        );
        effects.overrides.insert(key(&self.row(now)));
        account.overrides = sets;
        if self.call.subaccount.is_none() {
            forget_amounts(account, &self.call.feature, effects);
        }
        self.recount
            .take(account, folded, (loader, now), effects, changes)?;
        Ok(self.row(now))
    }
}

/// Forgets amounts that a change of plan shared out: the override's amount holds instead.
fn forget_amounts(account: &mut Account, feature: &FeatureId, effects: &mut Effects) {
    for change in &mut account.adjustments {
        if change.feature == *feature && change.amount.take().is_some() {
            effects.adjustments = true;
        }
    }
    account
        .adjustments
        .retain(|change| change.amount.is_some() || change.since.is_some());
}

impl Mutation for Set {
    const METHOD: &'static str = "SetOverride";
    type Answer = Override;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn folds(&mut self, loader: &Loader, now: Timestamp) -> Vec<Fold> {
        let cell = Arc::clone(&self.cells[0]);
        let inner = cell.lock();
        let Some(account) = &inner.account else {
            return Vec::new();
        };
        let sets = self.after(account, now);
        let terms = (account.subscription.as_deref(), sets.as_slice());
        self.recount.ask((account, cell.no()), loader, terms, now)
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Override>, Error> {
        let (now, loader, folded) = (step.now(), step.batch.loader, step.folded());
        let mut changes = Changes::default();
        let set = step.with(&self.cells[0], |account, effects| {
            self.change(account, folded, (loader, now), effects, &mut changes)
        })??;
        step.absorb(changes);
        Ok(Applied::Done(set))
    }
}

/// Removes an override. Its counters are kept, and the plan's were kept all along.
struct Remove {
    cells: [Arc<Cell>; 1],
    key: Key,
}

impl Mutation for Remove {
    const METHOD: &'static str = "DeleteOverride";
    type Answer = ();

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        let (now, loader) = (step.now(), step.batch.loader);
        step.with(&self.cells[0], |account, effects| {
            check_live(account)?;
            let is_it = |set: &Override| key(set) == self.key && holds(set, now);
            let Some(index) = account.overrides.iter().position(is_it) else {
                return Err(Error::not_found(Thing::Override, &self.key.0));
            };
            account.overrides.remove(index);
            effects.overrides.insert(self.key.clone());
            loader.refresh(account, now);
            Ok(Applied::Done(()))
        })?
    }
}
