//! Listing everything that a customer is entitled to.

use std::sync::Arc;

use super::Engine;
use super::error::{Error, Thing};
use crate::domain::account::{Account, Ask};
use crate::domain::catalog::{EntitlementSpec, Feature};
use crate::domain::customer::Override;
use crate::domain::decision::Decision;
use crate::domain::id::{CustomerId, FeatureId, SubaccountId};
use crate::domain::rights::Right;
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::storage::Page;

/// A customer's right to one feature, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitled {
    /// The feature.
    pub feature: Arc<Feature>,
    /// What is granted.
    pub spec: EntitlementSpec,
    /// Whether an override grants it, not the plan.
    pub overridden: bool,
    /// What a check of quantity 0 answers.
    pub decision: Decision,
}

/// Whose entitlements are looked at, and how.
#[derive(Debug, Clone)]
pub struct EntitledAsk {
    /// Who.
    pub customer: CustomerId,
    /// As seen by this part.
    pub subaccount: Option<SubaccountId>,
    /// Only these; empty: all.
    pub features: Vec<FeatureId>,
    /// Whether decisions list each limit.
    pub verbose: bool,
}

/// Entitlements at one instant.
pub(super) struct Snapshot {
    /// The instant.
    pub(super) now: Timestamp,
    /// By feature.
    pub(super) entitled: Vec<Entitled>,
    /// When they may be others even if nothing happens until then.
    pub(super) until: Timestamp,
}

impl Engine {
    /// Lists entitlements by feature, at most `limit`, those after the feature `after`. Takes no rate token.
    ///
    /// # Errors
    /// When the customer or the subaccount does not exist.
    pub async fn entitlements(
        &self,
        ask: &EntitledAsk,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Entitled>, Error> {
        let mut items = self.snapshot(ask).await?.entitled;
        if let Some(after) = after {
            items.retain(|item| item.feature.id.as_str() > after);
        }
        let more = items.len() > limit.max(1);
        items.truncate(limit.max(1));
        let last = items.last().filter(|_| more);
        let next = last.map(|item| item.feature.id.to_string());
        Ok(Page { items, next })
    }

    /// Returns entitlements as they stand now.
    pub(super) async fn snapshot(&self, ask: &EntitledAsk) -> Result<Snapshot, Error> {
        let cell = self.customer(&ask.customer).await?;
        let now = self.now();
        let outage = self.shared.outage.since();
        let mut inner = cell.lock();
        self.shared.refresh_rights(&mut inner, now);
        let seen = inner.look(now, |account| {
            check_known(account, ask)?;
            let wanted = |right: &&Right| {
                ask.features.is_empty() || ask.features.contains(&right.feature.id)
            };
            let rights = account.rights.all().iter().filter(wanted);
            let entitled = rights.map(|right| self.entitled(account, right, ask, (now, outage)));
            Ok(Snapshot {
                now,
                entitled: entitled.collect(),
                until: account.stands_until(now),
            })
        });
        // Memory let go of it in this moment.
        seen.unwrap_or(Err(Error::Overloaded {
            queue: "writes",
            retry_after: super::OVERLOAD_WAIT,
        }))
    }

    fn entitled(
        &self,
        account: &Account,
        right: &Right,
        ask: &EntitledAsk,
        (now, outage): (Timestamp, Option<Timestamp>),
    ) -> Entitled {
        let check = Ask {
            feature: &right.feature.id,
            quantity: 0,
            min_quantity: 0,
            subaccount: ask.subaccount.as_ref(),
            dimensions: &Labels::new(),
            verbose: ask.verbose,
        };
        let decision = account.check(&check, now);
        let sub = ask.subaccount.as_ref();
        let holds = |set: &&Override| {
            set.feature == right.feature.id
                && set.expire_time.is_none_or(|expire| now < expire)
                && (set.subaccount.is_none() || set.subaccount.as_ref() == sub)
        };
        let own = account
            .overrides
            .iter()
            .filter(holds)
            .max_by_key(|set| set.subaccount.is_some());
        Entitled {
            feature: Arc::clone(&right.feature),
            spec: own.map_or_else(|| right.spec.clone(), |set| set.spec.clone()),
            overridden: own.is_some(),
            decision: self.finish(account, &check, decision, outage),
        }
    }
}

fn check_known(account: &Account, ask: &EntitledAsk) -> Result<(), Error> {
    if account.customer.delete_time.is_some() {
        return Err(Error::not_found(Thing::Customer, &ask.customer));
    }
    match &ask.subaccount {
        Some(sub) if account.live_subaccount(sub).is_none() => {
            Err(Error::not_found(Thing::Subaccount, sub))
        }
        Some(_) | None => Ok(()),
    }
}
