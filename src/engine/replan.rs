//! What giving a customer another plan comes to, whoever says so.

use super::cell::Cell;
use super::error::Error;
use super::load::Loader;
use super::recount::Recount;
use super::subscriptions::PlanStanding;
use crate::domain::account::{Account, Effects, PlanTerms};
use crate::domain::subscription::{Subscription, anchor_of};
use crate::domain::time::Timestamp;
use crate::storage::{Changes, Fold, FoldResult};

/// A change of a customer's plan: what must be counted anew, and the change itself.
#[derive(Debug, Default)]
pub(super) struct Replan {
    recount: Recount,
}

impl Replan {
    /// Asks for the counters that an account lacks for a subscription.
    pub(super) fn ask(
        &mut self,
        cell: &Cell,
        (account, subscription): (&Account, &Subscription),
        (loader, now): (&Loader, Timestamp),
    ) -> Vec<Fold> {
        self.recount = Recount::default();
        let terms = (Some(subscription), account.overrides.as_slice());
        self.recount.ask((account, cell.no()), loader, terms, now)
    }

    /// Gives an account a subscription, of a catalog that is in memory.
    ///
    /// # Errors
    /// When what was asked for is not there; nothing is changed then.
    pub(super) fn change(
        &self,
        account: &mut Account,
        subscription: Subscription,
        (folded, loader, now): (&[FoldResult], &Loader, Timestamp),
        (effects, changes): (&mut Effects, &mut Changes),
    ) -> Result<PlanStanding, Error> {
        self.recount.check(folded)?;
        let before = loader.known_catalogs(account.subscription.as_deref());
        let before = before.plan(account.subscription.as_deref());
        let catalogs = loader.known_catalogs(Some(&subscription));
        let (plan, catalog) = catalogs.plan(Some(&subscription));
        account.anchor = anchor_of(&account.customer, Some(&subscription));
        account.subscription = Some(Box::new(subscription));
        account.plan.clone_from(&plan);
        self.recount
            .take(account, folded, (loader, now), effects, changes)?;
        let old = before.0.as_deref().map(|plan| PlanTerms {
            catalog: &before.1,
            plan,
        });
        let new = plan.as_deref().map(|plan| PlanTerms {
            catalog: &catalog,
            plan,
        });
        account.change_plan(old, new, now, effects);
        if let Err(refusal) = account.realign_credits(now) {
            tracing::debug!(customer.id = %account.customer.id, %refusal, "there is no place for included credits");
        }
        let subscription = account.subscription.as_deref();
        Ok(PlanStanding::of(
            &account.customer,
            subscription,
            &catalogs,
            now,
        ))
    }
}
