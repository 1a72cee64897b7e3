//! Credits that the plan includes: given once in each billing period, whenever somebody looks.

use super::Account;
use crate::domain::time::Timestamp;
use crate::domain::wallet::Refusal;

impl Account {
    /// Whether credits come and go with periods at all: not while the customer is not entitled to anything.
    fn renews(&self, now: Timestamp) -> bool {
        let held = self.subscription.as_deref();
        self.customer.delete_time.is_none() && held.is_none_or(|held| held.is_in_good_standing(now))
    }

    /// Whether [`Account::renew_credits`] would do something: the plan includes credits that the period which holds `now`
    /// was not given, or a period of such credits is over.
    #[must_use]
    pub fn credits_due(&self, now: Timestamp) -> bool {
        let lacks = || {
            let plan = self.plan.as_deref();
            let credits = plan.and_then(|plan| plan.credits.as_ref());
            credits.is_some_and(|credits| {
                let given = self.book.included(&credits.unit);
                given.is_none_or(|given| given.amount < credits.amount_micros)
            })
        };
        self.renews(now) && (self.book.included_ends().any(|end| end <= now) || lacks())
    }

    /// Gives the credits that the plan includes in the billing period which holds `now`, once, and ends what a plan that is
    /// no longer in force left. Periods that nobody looked at are skipped.
    ///
    /// A change of plan takes nothing away before the period ends: a plan that includes more adds what is missing at once,
    /// one that includes less or nothing has its say in the next period. A moved anchor gives nothing by itself.
    ///
    /// # Errors
    /// When a wallet has no place for them; it is tried again the next time.
    pub fn renew_credits(&mut self, now: Timestamp) -> Result<(), Refusal> {
        if !self.credits_due(now) {
            self.book.defer_included(now);
            return Ok(());
        }
        let done = self.renew_due(now);
        if done.is_err() {
            self.book.defer_included(now);
        }
        done
    }

    fn renew_due(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        let plan = plan.as_deref();
        let credits = plan.and_then(|plan| Some((&plan.id, plan.credits.as_ref()?)));
        let unit = credits.map(|(_, credits)| &*credits.unit);
        self.book.end_included(unit, now)?;
        let Some((plan, credits)) = credits else {
            return Ok(());
        };
        let given = self.book.included(&credits.unit);
        let running = given.filter(|given| given.period.end > now);
        match running.map(|given| given.amount) {
            Some(given) if given >= credits.amount_micros => Ok(()),
            Some(_) => self.book.raise_included((plan, credits), now),
            None => {
                let period = self.billing_period(now);
                self.book.renew_included((plan, credits), period, now)
            }
        }
    }

    /// As [`Account::renew_credits`], after the plan or the anchor changed: what the running period was given counts for the
    /// period as it is laid out now.
    ///
    /// # Errors
    /// As [`Account::renew_credits`].
    pub fn realign_credits(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let period = self.billing_period(now);
        self.book.realign_included(period, now);
        self.renew_credits(now)
    }
}
