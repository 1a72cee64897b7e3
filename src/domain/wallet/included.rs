//! Credits that a plan includes: they come anew in each billing period, and what is left of them is carried into the next
//! as far as the plan lets it.

use serde::{Deserialize, Serialize};

use super::ledger::About;
use super::{Book, Category, NewGrant, Refusal, Source, Wallet, WalletKey};
use crate::domain::catalog::PlanCredits;
use crate::domain::id::{GrantId, PlanId};
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;

/// Included credits are used before those of priority 0, which is what credits come with unless it is said: they are what
/// a period ends first.
pub const INCLUDED_PRIORITY: i32 = -1;

/// What a wallet was given of the credits that a plan includes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Included {
    /// The billing period that they are of.
    pub period: TimeRange,
    /// What the period began with, and what a larger plan added since.
    pub amount: i64,
    /// The grants whose rest the next period takes over: those of this one, and earlier ones of which something was set
    /// aside when theirs ended.
    pub grants: Vec<GrantId>,
}

impl Book {
    /// Returns the customer's own wallets; they come first.
    fn own_wallets(&self) -> impl Iterator<Item = &Wallet> {
        self.wallets()
            .take_while(|wallet| wallet.key().owner.is_none())
    }

    /// Returns what the customer's own wallet of a unit was given of the credits that a plan includes.
    #[must_use]
    pub fn included(&self, unit: &str) -> Option<&Included> {
        let wallet = self
            .own_wallets()
            .find(|wallet| *wallet.key().unit == *unit);
        wallet.and_then(Wallet::included)
    }

    /// Returns when the periods end of what plans included.
    pub fn included_ends(&self) -> impl Iterator<Item = Timestamp> {
        let given = self.own_wallets().filter_map(Wallet::included);
        given.map(|given| given.period.end)
    }

    /// Begins a billing period with the credits that the plan includes in it: what the one before left, but at least and at
    /// most what the plan says.
    ///
    /// # Errors
    /// When the wallet has no place for them; it is then left as it is.
    pub fn renew_included(
        &mut self,
        (plan, credits): (&PlanId, &PlanCredits),
        period: TimeRange,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let key = WalletKey::own(credits.unit.clone());
        let wallet = self.wallet_mut(&key);
        let old = wallet.included().map(|given| given.grants.clone());
        let new = wallet.next_included(plan.as_str(), credits.amount_micros)?;
        let id = new.id.clone();
        let done = match &old {
            None => wallet.grant(new, now),
            Some(old) => {
                let range = (credits.amount_micros, credits.rollover_max_micros);
                wallet.roll_over(old, range, new, now)
            }
        };
        let done = done.inspect_err(|_| self.drop_if_new(&key))?;
        let wallet = self.wallet_mut(&key);
        let (mut grants, over): (Vec<GrantId>, Vec<GrantId>) =
            old.unwrap_or_default().into_iter().partition(|id| {
                let grant = wallet.grants().iter().find(|grant| grant.id == *id);
                grant.is_some_and(|grant| grant.held > 0)
            });
        wallet.end_grants(&over, now);
        grants.push(id.clone());
        let came = wallet.grants().iter().find(|grant| grant.id == id);
        let amount = came.map_or(0, |grant| grant.amount);
        wallet.terms_mut().included = Some(Included {
            period,
            amount,
            grants,
        });
        self.post(&key, done, about(id), now);
        Ok(())
    }

    /// Adds what a larger plan includes beyond what the running period was given.
    ///
    /// # Errors
    /// As [`Book::renew_included`].
    pub fn raise_included(
        &mut self,
        (plan, credits): (&PlanId, &PlanCredits),
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let key = WalletKey::own(credits.unit.clone());
        let wallet = self.wallet_mut(&key);
        let given = wallet.included().map_or(0, |given| given.amount);
        let new = wallet.next_included(plan.as_str(), credits.amount_micros - given)?;
        let id = new.id.clone();
        let done = wallet.grant(new, now)?;
        if let Some(given) = &mut wallet.terms_mut().included {
            given.amount = credits.amount_micros;
            given.grants.push(id.clone());
        }
        self.post(&key, done, about(id), now);
        Ok(())
    }

    /// Ends what is left of credits whose period is over, in the wallets of units that the plan includes none of.
    ///
    /// # Errors
    /// When the ledger cannot say so.
    pub fn end_included(&mut self, plan_unit: Option<&str>, now: Timestamp) -> Result<(), Refusal> {
        let is_over = |wallet: &&Wallet| {
            let given = wallet.included();
            given.is_some_and(|given| given.period.end <= now)
                && plan_unit != Some(&*wallet.key().unit)
        };
        let keys = self.own_wallets().filter(is_over);
        let keys: Vec<WalletKey> = keys.map(|wallet| wallet.key().clone()).collect();
        for key in keys {
            let wallet = self.wallet_mut(&key);
            let old = wallet.included().map(|given| given.grants.clone());
            let old = old.unwrap_or_default();
            // Nothing is carried, so this grant never comes to be.
            let none = wallet.next_included("", 0)?;
            let done = wallet.roll_over(&old, (0, 0), none, now)?;
            wallet.end_grants(&old, now);
            wallet.terms_mut().included = None;
            self.post(&key, done, About::default(), now);
        }
        Ok(())
    }

    /// Lets what was given count for the billing period that holds `now` since the anchor moved: it is not given twice.
    pub fn realign_included(&mut self, period: TimeRange, now: Timestamp) {
        for wallet in self.wallets_mut() {
            let given = wallet.included().map(|given| given.period);
            if given.is_some_and(|given| given != period && given.contains(now))
                && let Some(given) = &mut wallet.terms_mut().included
            {
                given.period = period;
            }
        }
    }

    /// Has wallets be left alone whose period is over and could not be renewed, until somebody does something with them.
    pub fn defer_included(&mut self, now: Timestamp) {
        if self.own_wallets().any(|wallet| wallet.waits(now)) {
            for wallet in self.wallets_mut().filter(|wallet| wallet.waits(now)) {
                // When it comes up again is said when it is written.
                wallet.terms_mut();
            }
        }
    }

    /// Gives nothing anew any more; what there is stays.
    pub fn forget_included(&mut self) {
        let wallets = self.wallets_mut();
        for wallet in wallets.filter(|wallet| wallet.included().is_some()) {
            wallet.terms_mut().included = None;
        }
    }
}

impl Wallet {
    fn included(&self) -> Option<&Included> {
        self.head().terms.included.as_ref()
    }

    /// Whether it comes up because the period of its included credits is over.
    fn waits(&self, now: Timestamp) -> bool {
        let is_over = self.included().is_some_and(|given| given.period.end <= now);
        is_over && self.head().terms.due_time.is_some_and(|due| due <= now)
    }

    /// Ends grants that a period has taken over, so that what still comes back to them expires.
    fn end_grants(&mut self, ids: &[GrantId], now: Timestamp) {
        for id in ids {
            self.change(id, now, |grant| {
                grant.expire_time.get_or_insert(now);
            });
        }
        // Their place in the order of use follows from their expiry.
        self.grants
            .sort_by(|one, other| one.order().cmp(&other.order()));
    }

    /// Returns the grant of credits that a plan includes. Unit and number of its transaction name it, so that no other of
    /// the customer has its name, whatever memory has forgotten, and every process calls it the same.
    fn next_included(&self, plan: &str, amount: i64) -> Result<NewGrant, Refusal> {
        let number = self.head().number + 1;
        let id = GrantId::new(format!("plan:{}:{number}", self.key().unit));
        Ok(NewGrant {
            id: id.map_err(|_| Refusal::AmountOutOfRange)?,
            amount,
            priority: INCLUDED_PRIORITY,
            category: Category::Promotional,
            source: Source::Promotion,
            reference: plan.into(),
            expire_time: None,
        })
    }
}

fn about(grant: GrantId) -> About {
    About {
        grant: Some(grant),
        ..About::default()
    }
}
