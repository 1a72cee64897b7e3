//! Things that exist: allocated, freed, listed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::error::{Bounded, Error, Thing};
use super::load::Loader;
use super::mutation::{Applied, Mutation};
use super::profiles::check_live;
use super::step::Step;
use super::{Engine, Shared};
use crate::domain::account::{Account, Allocated, Ask};
use crate::domain::catalog::{Feature, FeatureKind};
use crate::domain::customer::{ALLOCATIONS_MAX, Allocation};
use crate::domain::decision::Decision;
use crate::domain::id::{AllocationId, CustomerId, FeatureId, RequestId, SubaccountId};
use crate::domain::usage::Labels;
use crate::storage::{AllocationQuery, Page};

/// A call to take up an allocation.
#[derive(Debug, Clone, Serialize)]
pub struct AllocateCall {
    /// Who.
    pub customer: CustomerId,
    /// Of what.
    pub feature: FeatureId,
    /// Its id, unique within customer and feature.
    pub id: AllocationId,
    /// The subaccount it belongs to.
    pub subaccount: Option<SubaccountId>,
    /// Free text; that of the first call stays.
    pub metadata: Labels,
}

/// What a call to take up an allocation came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocateAnswer {
    /// The decision, with the numbers as they stand after the call.
    pub decision: Decision,
    /// The allocation; `None`: there is no room.
    pub allocation: Option<Allocation>,
}

impl Engine {
    /// Takes up an allocation; one that exists succeeds without a change.
    ///
    /// # Errors
    /// When customer, subaccount or feature is unknown or the feature is of another kind. A denial is in the answer.
    pub async fn allocate(
        &self,
        caller: &str,
        request: RequestId,
        call: AllocateCall,
    ) -> Result<AllocateAnswer, Error> {
        let cells = [self.customer(&call.customer).await?];
        let content = call.clone();
        let shared = Arc::clone(&self.shared);
        let allocate = Allocate {
            cells,
            call,
            shared,
        };
        let answer = self
            .submit_once(caller, request, &content, allocate)
            .await?;
        if !answer.decision.allowed {
            let (customer, sub) = (&content.customer, content.subaccount.as_ref());
            self.shared
                .note_denial(customer, sub, &content.feature, 1, &answer.decision);
        }
        Ok(answer)
    }

    /// Frees an allocation and returns it as it was.
    ///
    /// # Errors
    /// When customer or feature is unknown, or nothing of this id is allocated.
    pub async fn deallocate(
        &self,
        caller: &str,
        request: RequestId,
        customer: &CustomerId,
        feature: FeatureId,
        id: AllocationId,
    ) -> Result<Allocation, Error> {
        let cells = [self.customer(customer).await?];
        let content = (customer, feature.clone(), id.clone());
        let deallocate = Deallocate { cells, feature, id };
        self.submit_once(caller, request, &content, deallocate)
            .await
    }

    /// Lists what a customer has allocated, by feature and id.
    ///
    /// # Errors
    /// When there is no such customer.
    pub async fn list_allocations(
        &self,
        query: AllocationQuery,
    ) -> Result<Page<Allocation>, Error> {
        self.look(&query.customer, |_| ()).await?;
        Ok(self.shared.store.allocations(query).await?)
    }
}

/// Returns a feature of the catalog that an account's plan is of.
pub(super) fn feature_of(
    account: &Account,
    loader: &Loader,
    id: &FeatureId,
) -> Result<Arc<Feature>, Error> {
    let subscription = account.subscription.as_deref();
    let (_, catalog) = loader.known_catalogs(subscription).plan(subscription);
    let feature = catalog.features.get(id).cloned();
    feature.ok_or_else(|| Error::not_found(Thing::Feature, id))
}

/// Takes up an allocation.
struct Allocate {
    cells: [Arc<Cell>; 1],
    call: AllocateCall,
    shared: Arc<Shared>,
}

impl Allocate {
    fn check(&self, account: &Account, loader: &Loader) -> Result<(), Error> {
        check_live(account)?;
        let feature = feature_of(account, loader, &self.call.feature)?;
        if feature.kind != FeatureKind::Allocation {
            return Err(Error::FeatureKind {
                id: self.call.feature.to_string(),
                kind: feature.kind.as_str(),
                wanted: "allocation",
            });
        }
        if let Some(id) = &self.call.subaccount
            && account.live_subaccount(id).is_none()
        {
            return Err(Error::not_found(Thing::Subaccount, id));
        }
        let held = account.allocations.get(&self.call.feature);
        let is_full = held
            .is_some_and(|held| held.len() >= ALLOCATIONS_MAX && !held.contains_key(&self.call.id));
        if is_full {
            return Err(Error::TooMany {
                things: Bounded::Allocations,
                most: ALLOCATIONS_MAX,
            });
        }
        Ok(())
    }
}

impl Mutation for Allocate {
    const METHOD: &'static str = "Allocate";
    type Answer = AllocateAnswer;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<AllocateAnswer>, Error> {
        let now = step.now();
        let loader: &Loader = step.batch.loader;
        step.with(&self.cells[0], |account, effects| {
            self.check(account, loader)?;
            let wanted = Allocation {
                feature: self.call.feature.clone(),
                id: self.call.id.clone(),
                subaccount: self.call.subaccount.clone(),
                metadata: self.call.metadata.clone(),
                create_time: now,
            };
            Ok(match account.allocate(wanted, now, effects) {
                Allocated::New(decision, allocation)
                | Allocated::Existing(decision, allocation) => Applied::Done(AllocateAnswer {
                    decision,
                    allocation: Some(allocation),
                }),
                Allocated::Denied(mut decision) => {
                    let nothing = Labels::new();
                    let ask = Ask {
                        feature: &self.call.feature,
                        quantity: 1,
                        min_quantity: 1,
                        subaccount: self.call.subaccount.as_ref(),
                        dimensions: &nothing,
                        verbose: false,
                    };
                    self.shared.suggest_plan(account, &ask, &mut decision);
                    Applied::Refused(AllocateAnswer {
                        decision,
                        allocation: None,
                    })
                }
            })
        })?
    }
}

/// Frees an allocation.
struct Deallocate {
    cells: [Arc<Cell>; 1],
    feature: FeatureId,
    id: AllocationId,
}

impl Mutation for Deallocate {
    const METHOD: &'static str = "Deallocate";
    type Answer = Allocation;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Allocation>, Error> {
        let loader: &Loader = step.batch.loader;
        step.with(&self.cells[0], |account, effects| {
            check_live(account)?;
            if let Some(freed) = account.deallocate(&self.feature, &self.id, effects) {
                return Ok(Applied::Done(freed));
            }
            // What was allocated of a feature can be freed when the catalog has it no longer.
            feature_of(account, loader, &self.feature)?;
            Err(Error::not_found(Thing::Allocation, &self.id))
        })?
    }
}
