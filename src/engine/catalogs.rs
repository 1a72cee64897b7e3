//! Catalogs: applied as a whole, read by version.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::error::{Error, Rule, Thing};
use super::mutation::{Applied, Mutation};
use super::step::Step;
use super::subaccounts::page;
use super::{Engine, Shared};
use crate::domain::account::Account;
use crate::domain::catalog::{Catalog, CatalogChange, CatalogVersion, Plan, diff, parse_catalog};
use crate::domain::id::RequestId;
use crate::domain::subscription::SubscriptionStatus;
use crate::storage::{Page, StoredCatalog};

/// A call to make a catalog the current one.
#[derive(Debug, Clone, Serialize)]
pub struct CatalogCall {
    /// The catalog, as TOML.
    pub source: Box<str>,
    /// Only the version that is expected to be current is replaced; `None`: any.
    pub expected_version: Option<CatalogVersion>,
}

/// What a call to make a catalog the current one came to, or would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogAnswer {
    /// The version that is current then.
    pub version: CatalogVersion,
    /// What differs from the version before, by path.
    pub changes: Vec<CatalogChange>,
}

impl Engine {
    /// Makes a catalog the current one; one that is equal to it changes nothing.
    ///
    /// # Errors
    /// When the catalog has faults, or another version is current than the one expected.
    pub async fn apply_catalog(
        &self,
        caller: &str,
        request: RequestId,
        call: CatalogCall,
    ) -> Result<CatalogAnswer, Error> {
        let catalog = parse_catalog(&call.source).map_err(Error::CatalogInvalid)?;
        let content = call.clone();
        let apply = Apply {
            call,
            catalog,
            applied: None,
        };
        self.submit_once(caller, request, &content, apply).await
    }

    /// Says what [`Engine::apply_catalog`] would come to, and changes nothing.
    ///
    /// # Errors
    /// As there.
    pub fn compare_catalog(&self, call: &CatalogCall) -> Result<CatalogAnswer, Error> {
        let catalog = parse_catalog(&call.source).map_err(Error::CatalogInvalid)?;
        compare(&self.catalog(), &catalog, call.expected_version)
    }

    /// Returns a version of the catalog; `None` asks for the current one.
    ///
    /// # Errors
    /// When there is no such version.
    pub async fn get_catalog(
        &self,
        version: Option<CatalogVersion>,
    ) -> Result<StoredCatalog, Error> {
        let current = self.catalog();
        let Some(version) = version.filter(|version| *version != current.version()) else {
            return Ok(current);
        };
        let found = self.shared.store.catalog(Some(version)).await?;
        found.ok_or_else(|| Error::not_found(Thing::CatalogVersion, &version))
    }

    /// Lists the plans of a version of the catalog by rank and id, after the plan that the token names.
    ///
    /// # Errors
    /// When there is no such version, or the token is not of this list.
    pub async fn list_plans(
        &self,
        version: Option<CatalogVersion>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(StoredCatalog, Page<Arc<Plan>>), Error> {
        let stored = self.get_catalog(version).await?;
        let mut plans: Vec<&Arc<Plan>> = stored.catalog.plans.values().collect();
        plans.sort_by(|a, b| (a.rank, &a.id).cmp(&(b.rank, &b.id)));
        let from = match after {
            None => 0,
            Some(after) => {
                let last = plans.iter().position(|plan| plan.id.as_str() == after);
                let last = last.ok_or_else(|| Error::Invalid {
                    field: "page_token".to_owned(),
                    rule: Rule::PageToken,
                })?;
                last + 1
            }
        };
        let limit = limit.max(1);
        let rest = plans.into_iter().skip(from).take(limit + 1);
        let plans = page(rest.cloned().collect(), limit, |plan: &Arc<Plan>| {
            plan.id.to_string()
        });
        Ok((stored, plans))
    }
}

/// Checks that the version that is expected to be current is; `None`: any.
pub(super) fn check_version(
    current: &StoredCatalog,
    expected: Option<CatalogVersion>,
) -> Result<(), Error> {
    let actual = current.version();
    match expected.filter(|expected| *expected != actual) {
        Some(expected) => Err(Error::CatalogVersion { actual, expected }),
        None => Ok(()),
    }
}

/// Compares a catalog with the current one and says what applying it comes to.
pub(super) fn compare(
    current: &StoredCatalog,
    catalog: &Catalog,
    expected: Option<CatalogVersion>,
) -> Result<CatalogAnswer, Error> {
    check_version(current, expected)?;
    let actual = current.version();
    let changes = diff(&current.catalog, catalog);
    // Version 0 was never stored, so that it becomes the first version even when nothing differs.
    let is_new = actual == 0 || !changes.is_empty();
    let version = actual + CatalogVersion::from(is_new);
    Ok(CatalogAnswer { version, changes })
}

/// Makes a catalog the current one.
struct Apply {
    call: CatalogCall,
    catalog: Catalog,
    /// What is stored once the batch is durable.
    applied: Option<StoredCatalog>,
}

impl Mutation for Apply {
    const METHOD: &'static str = "ApplyCatalog";
    type Answer = CatalogAnswer;

    fn cells(&self) -> &[Arc<Cell>] {
        &[]
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn changes_catalog(&self) -> bool {
        true
    }

    fn weight(&self) -> usize {
        4 * self.call.source.len()
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<CatalogAnswer>, Error> {
        self.applied = None;
        let current = step.batch.loader.current();
        let answer = compare(&current, &self.catalog, self.call.expected_version)?;
        if answer.version != current.version() {
            let stored = step.put_catalog(&self.catalog, &self.call.source, answer.version);
            self.applied = Some(stored);
        }
        Ok(Applied::Done(answer))
    }

    fn committed(&mut self, shared: &Shared) {
        if let Some(applied) = self.applied.take() {
            shared.take_applied(applied);
        }
    }
}

impl Step<'_, '_> {
    /// Has a catalog stored under a version, and returns it as it will be.
    pub(super) fn put_catalog(
        &mut self,
        catalog: &Catalog,
        source: &str,
        version: CatalogVersion,
    ) -> StoredCatalog {
        let mut catalog = catalog.clone();
        catalog.version = version;
        let stored = StoredCatalog {
            catalog: Arc::new(catalog),
            source: Arc::from(source),
            apply_time: self.now(),
        };
        self.batch.changes.catalog = Some(stored.clone());
        stored
    }
}

impl Shared {
    /// Reads the newest catalog, which another process applied.
    pub(super) async fn renew_catalog(&self) -> Result<(), Error> {
        if let Some(newest) = self.store.catalog(None).await? {
            self.take_catalog(newest);
        }
        Ok(())
    }

    /// Makes a catalog that was stored just now the current one.
    pub(super) fn take_applied(&self, applied: StoredCatalog) {
        let version = applied.version();
        self.take_catalog(applied);
        tracing::info!(version, "catalog applied");
    }

    /// Makes a catalog the current one, unless it is older.
    fn take_catalog(&self, newest: StoredCatalog) {
        if self.loader.set_current(newest) {
            // They follow the new default plan; the others are on the version that they were assigned.
            self.accounts.forget_where(follows_default);
        }
    }
}

/// Whether a customer has what the catalog's default plan grants.
fn follows_default(account: &Account) -> bool {
    account
        .subscription
        .as_ref()
        .is_none_or(|held| held.status == SubscriptionStatus::Canceled)
}
