//! Answering checks from memory.

use std::sync::Arc;

use super::cell::{Cell, Inner};
use super::error::Error;
use super::reserve::{rate_tokens, take};
use super::{Engine, Outage};
use crate::domain::account::{Account, Ask, smallest_plan};
use crate::domain::catalog::FeatureKind;
use crate::domain::decision::{Decision, Reason};
use crate::domain::id::{CustomerId, FeatureId, SubaccountId};
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::storage::StoreError;

/// How long an answer about what only changes with the plan may be reused.
const CACHE_FIXED: Span = Span::from_secs(10);

/// A check of one feature.
#[derive(Debug, Clone)]
pub struct CheckAsk {
    /// The feature.
    pub feature: FeatureId,
    /// Units; 0 asks for nothing and looks.
    pub quantity: i64,
    /// Dimensions of the usage to come.
    pub dimensions: Labels,
}

/// How a check is to be made.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckMode {
    /// Take no rate token.
    pub dry_run: bool,
    /// List each limit.
    pub verbose: bool,
    /// Several asks are one request: each is decided as if those before it were granted.
    pub all_or_none: bool,
}

impl Engine {
    /// Checks one feature from memory; `None`: memory does not hold the customer, see [`Engine::check`].
    #[must_use]
    pub fn check_in_memory(
        &self,
        customer: &CustomerId,
        subaccount: Option<&SubaccountId>,
        ask: &CheckAsk,
        mode: CheckMode,
    ) -> Option<Decision> {
        let cell = self.shared.accounts.get(customer.as_str())?;
        if !cell.is_ready() {
            return None;
        }
        cell.touch();
        Some(self.check_cell(&cell, subaccount, ask, mode))
    }

    /// Checks features of one customer on one state.
    ///
    /// # Errors
    /// Never for a denial; when the store fails in a way that has nothing to do with the customer.
    pub async fn check(
        &self,
        customer: &CustomerId,
        subaccount: Option<&SubaccountId>,
        asks: &[CheckAsk],
        mode: CheckMode,
    ) -> Result<Vec<Decision>, Error> {
        let found = match self.find_to_check(customer).await {
            Ok(found) => found,
            Err(Error::Store(_)) => {
                let mut decision = Decision::denied(Reason::StorageUnavailable, self.now());
                decision.degraded = true;
                return Ok(vec![decision; asks.len()]);
            }
            Err(other) => return Err(other),
        };
        let Some(cell) = found else {
            let decision = Decision::denied(Reason::CustomerUnknown, self.now());
            for ask in asks {
                self.shared.note_denial(
                    customer,
                    subaccount,
                    &ask.feature,
                    ask.quantity,
                    &decision,
                );
            }
            return Ok(vec![decision; asks.len()]);
        };
        if mode.all_or_none {
            return self.check_together(&cell, subaccount, asks, mode);
        }
        Ok(asks
            .iter()
            .map(|ask| self.check_cell(&cell, subaccount, ask, mode))
            .collect())
    }

    /// Returns the customer to be checked. While the store cannot be read, what memory last knew will do: what a batch
    /// left that could not be committed, or what others have changed since.
    async fn find_to_check(&self, customer: &CustomerId) -> Result<Option<Arc<Cell>>, Error> {
        let known = || self.shared.accounts.get(customer.as_str());
        // While nothing is heard of the database, asking it would only take time.
        if self.shared.outage.is_silent() {
            match known() {
                Some(cell) if cell.is_ready() || cell.is_stale() => return Ok(Some(cell)),
                Some(cell) if cell.is_loaded() => {}
                _ => {
                    let silent = StoreError::Unavailable("nothing is heard of it".to_owned());
                    return Err(Error::Store(silent));
                }
            }
        }
        match self.find(customer).await {
            Err(Error::Store(error)) => match known().filter(|cell| cell.is_stale()) {
                Some(cell) => Ok(Some(cell)),
                None => Err(Error::Store(error)),
            },
            found => found,
        }
    }

    fn check_cell(
        &self,
        cell: &Arc<Cell>,
        subaccount: Option<&SubaccountId>,
        ask: &CheckAsk,
        mode: CheckMode,
    ) -> Decision {
        let now = self.now();
        let domain_ask = Ask {
            feature: &ask.feature,
            quantity: ask.quantity,
            min_quantity: ask.quantity,
            subaccount,
            dimensions: &ask.dimensions,
            verbose: mode.verbose,
        };
        let mut inner = cell.lock();
        self.shared.refresh_rights(&mut inner, now);
        let outage = self.shared.outage.since();
        let seen = inner.look(now, |account| {
            let decision = account.check(&domain_ask, now);
            let rate = account.rate_of(&ask.feature);
            let tokens = rate_tokens(account, &ask.feature, ask.quantity);
            let rate = rate.map(|rate| (rate, tokens));
            (self.finish(account, &domain_ask, decision, outage), rate)
        });
        let Some((mut decision, rate)) = seen else {
            return Decision::denied(Reason::CustomerUnknown, now);
        };
        if let (Some((rate, tokens)), true, false) = (rate, decision.allowed, mode.dry_run) {
            let rates = &mut inner.rates;
            let feature = &ask.feature;
            let of = (&cell.id, feature);
            take(rates, of, rate, tokens, &self.shared, &mut decision);
        }
        drop(inner);
        self.shared.note_check(&cell.id, subaccount, ask, &decision);
        decision
    }

    /// Returns how long an answer about what is counted may be reused: as far as other processes may be behind.
    fn cache_counted(&self) -> Span {
        let micros = self.shared.limits.refresh.as_micros();
        Span::from_micros_clamped(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Adds to a decision what the account alone does not tell.
    pub(super) fn finish(
        &self,
        account: &Account,
        ask: &Ask<'_>,
        mut decision: Decision,
        outage: Option<Timestamp>,
    ) -> Decision {
        if let Some(since) = outage {
            decision.degraded = true;
            let right = account.rights.get(ask.feature.as_str());
            let policy = right.map(|right| right.feature.on_outage);
            let allowed =
                policy.is_none_or(|policy| Outage::allows(since, policy, decision.evaluate_time));
            if decision.allowed && !allowed {
                decision.deny(Reason::StorageUnavailable);
            }
        }
        if decision.allowed {
            decision.cache_ttl = match account.rights.get(ask.feature.as_str()) {
                Some(right) => match right.feature.kind {
                    FeatureKind::Boolean | FeatureKind::Static => CACHE_FIXED,
                    FeatureKind::Metered { .. }
                    | FeatureKind::Allocation
                    | FeatureKind::Concurrency => self.cache_counted(),
                    FeatureKind::Rate => Span::ZERO,
                },
                None => Span::ZERO,
            };
        } else {
            self.shared.suggest_plan(account, ask, &mut decision);
        }
        decision
    }
}

impl super::Shared {
    /// Counts a check, and logs it when it is denied.
    pub(super) fn note_check(
        &self,
        customer: &CustomerId,
        subaccount: Option<&SubaccountId>,
        ask: &CheckAsk,
        decision: &Decision,
    ) {
        if decision.allowed {
            self.gauges.checks_allowed.increment(1);
        } else {
            self.gauges.checks_denied.increment(1);
            self.note_denial(customer, subaccount, &ask.feature, ask.quantity, decision);
        }
    }

    /// Names the smallest plan that would allow what a plan's limits deny.
    pub(super) fn suggest_plan(&self, account: &Account, ask: &Ask<'_>, decision: &mut Decision) {
        match decision.reason {
            Reason::FeatureNotInPlan
            | Reason::LimitExceeded
            | Reason::AllocationLimitExceeded
            | Reason::ConcurrencyLimitExceeded => {
                let catalog = self.loader.current().catalog;
                let now = decision.evaluate_time;
                decision.upgrade_plan = smallest_plan(&catalog, account, ask, now);
            }
            Reason::Allowed
            | Reason::CustomerUnknown
            | Reason::SubscriptionInactive
            | Reason::SubaccountUnknown
            | Reason::SubaccountLimitExceeded
            | Reason::SpendCapExceeded
            | Reason::WalletBlocked
            | Reason::WalletFrozen
            | Reason::CreditsInsufficient
            | Reason::RateLimited
            | Reason::StorageUnavailable => {}
        }
    }

    /// Compiles rights again when an override ended since.
    pub(super) fn refresh_rights(&self, inner: &mut Inner, now: Timestamp) {
        if let Some(account) = &mut inner.account
            && now >= account.rights_until
        {
            self.loader.refresh(account, now);
        }
    }
}
