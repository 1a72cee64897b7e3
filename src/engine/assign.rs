//! Giving a customer a plan.

use std::sync::Arc;

use serde::Serialize;

use super::Engine;
use super::cell::Cell;
use super::error::{Error, Thing};
use super::load::Loader;
use super::mutation::{Applied, Mutation};
use super::profiles::check_live;
use super::replan::Replan;
use super::step::Step;
use super::subscriptions::PlanStanding;
use crate::domain::account::Account;
use crate::domain::catalog::{Catalog, Interval, Plan};
use crate::domain::id::{CustomerId, PlanId, RequestId};
use crate::domain::subscription::{Subscription, SubscriptionStatus};
use crate::domain::time::{Span, Timestamp};
use crate::storage::{Changes, Fold};

/// How far ahead an anchor may lie.
const ANCHOR_AHEAD_MAX: Span = Span::from_days(35);
/// How long a customer whose payment is late is still entitled, unless it is said.
const GRACE_DEFAULT: Span = Span::from_days(7);

/// A call to give a customer a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlanCall {
    /// Who.
    pub customer: CustomerId,
    /// The plan, of the current catalog.
    pub plan: PlanId,
    /// How often it is paid; `None`: each month.
    pub interval: Option<Interval>,
    /// Where it stands; `None`: active.
    pub status: Option<SubscriptionStatus>,
    /// When the trial ends; `None`: after the plan's trial.
    pub trial_end: Option<Timestamp>,
    /// Until when a late payer is entitled; `None`: for 7 days.
    pub grace_end: Option<Timestamp>,
    /// From where its windows step; `None`: as before, or from now without a running subscription.
    pub anchor: Option<Timestamp>,
}

impl PlanCall {
    /// Returns the subscription that the call makes of an account's.
    fn subscription(
        &self,
        account: &Account,
        catalog: &Catalog,
        now: Timestamp,
    ) -> Result<Subscription, Error> {
        let plan = catalog.plans.get(&self.plan);
        let plan = plan.ok_or_else(|| Error::not_found(Thing::Plan, &self.plan))?;
        let interval = self.interval.unwrap_or(Interval::Month);
        let is_sold = |price: &crate::domain::catalog::PlanPrice| price.interval == interval;
        if !plan.prices.is_empty() && !plan.prices.iter().any(is_sold) {
            return Err(Error::invalid(
                "interval",
                "must be one that the plan has a price for",
            ));
        }
        let limit = now.plus(ANCHOR_AHEAD_MAX);
        if self.anchor.is_some_and(|anchor| anchor > limit) {
            return Err(Error::invalid(
                "billing_anchor",
                "must lie at most 35 days ahead",
            ));
        }
        let running = account
            .subscription
            .as_deref()
            .filter(|held| held.status != SubscriptionStatus::Canceled);
        let same = running.filter(|held| held.plan == self.plan);
        let status = self.status.unwrap_or(SubscriptionStatus::Active);
        Ok(Subscription {
            plan: self.plan.clone(),
            catalog_version: catalog.version,
            status,
            interval,
            // The one that holds goes on: a change of plan keeps what was used.
            anchor: self.anchor.unwrap_or(account.anchor.start),
            trial_end: self.trial_end(plan, status, now)?,
            grace_end: self.grace_end(status, now)?,
            start_time: same.map_or(now, |held| held.start_time),
            update_time: now,
            stripe: None,
        })
    }

    fn trial_end(
        &self,
        plan: &Plan,
        status: SubscriptionStatus,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let is_trial = status == SubscriptionStatus::Trialing;
        match self.trial_end {
            Some(_) if !is_trial => Err(Error::invalid("trial_end", "is for trials only")),
            Some(end) if end <= now => Err(Error::invalid("trial_end", "must lie ahead")),
            Some(end) => Ok(Some(end)),
            None if is_trial && plan.trial_days == 0 => {
                let rule = "must be given, since the plan has no trial";
                Err(Error::invalid("trial_end", rule))
            }
            None => Ok(is_trial.then(|| now.plus(Span::from_days(plan.trial_days)))),
        }
    }

    fn grace_end(
        &self,
        status: SubscriptionStatus,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let is_late = status == SubscriptionStatus::PastDue;
        if self.grace_end.is_some() && !is_late {
            return Err(Error::invalid("grace_end", "is for late payments only"));
        }
        let default = is_late.then(|| now.plus(GRACE_DEFAULT));
        Ok(self.grace_end.or(default))
    }
}

impl Engine {
    /// Gives a customer a plan of the current catalog from now on.
    ///
    /// # Errors
    /// When customer or plan is unknown, or interval, trial or anchor do not fit.
    pub async fn assign_plan(
        &self,
        caller: &str,
        request: RequestId,
        call: PlanCall,
    ) -> Result<PlanStanding, Error> {
        let cells = [self.customer(&call.customer).await?];
        let content = call.clone();
        let replan = Replan::default();
        let assign = Assign {
            cells,
            call,
            replan,
        };
        self.submit_once(caller, request, &content, assign).await
    }
}

/// Gives a customer a plan.
struct Assign {
    cells: [Arc<Cell>; 1],
    call: PlanCall,
    replan: Replan,
}

impl Mutation for Assign {
    const METHOD: &'static str = "AssignPlan";
    type Answer = PlanStanding;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn folds(&mut self, loader: &Loader, now: Timestamp) -> Vec<Fold> {
        self.replan = Replan::default();
        let cell = Arc::clone(&self.cells[0]);
        let inner = cell.lock();
        let Some(account) = &inner.account else {
            return Vec::new();
        };
        let current = loader.current().catalog;
        // What is wrong with the call is said when it is applied.
        let Ok(subscription) = self.call.subscription(account, &current, now) else {
            return Vec::new();
        };
        self.replan
            .ask(&cell, (account, &subscription), (loader, now))
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<PlanStanding>, Error> {
        let (now, loader, folded) = (step.now(), step.batch.loader, step.folded());
        let mut changes = Changes::default();
        let (call, replan) = (&self.call, &self.replan);
        let standing = step.with(&self.cells[0], |account, effects| {
            check_live(account)?;
            let subscription = call.subscription(account, &loader.current().catalog, now)?;
            let facts = (folded, loader, now);
            replan.change(account, subscription, facts, (effects, &mut changes))
        })??;
        step.absorb(changes);
        Ok(Applied::Done(standing))
    }
}
