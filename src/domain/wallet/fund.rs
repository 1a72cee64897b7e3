//! How credits come, go back, and run out.

use super::ledger::{Account, Cause, Transaction};
use super::spend::in_range;
use super::{AMOUNT_MAX, Category, GRANTS_MAX, Grant, Refusal, Source, Wallet};
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;

/// Credits that are to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// The id it gets.
    pub id: GrantId,
    /// Micro-units.
    pub amount: i64,
    /// Lower is used first.
    pub priority: i32,
    /// Whether money stands behind it.
    pub category: Category,
    /// Where it comes from.
    pub source: Source,
    /// Names the payment or the reason at its source.
    pub reference: Box<str>,
    /// The first instant at which it can no longer be spent.
    pub expire_time: Option<Timestamp>,
}

impl Wallet {
    /// Adds credits. Those that were paid for first pay what is owed.
    ///
    /// # Errors
    /// When the amount is out of range, the wallet would hold too much, the id is taken, or its time is over already.
    pub fn grant(&mut self, new: NewGrant, now: Timestamp) -> Result<Transaction, Refusal> {
        in_range(new.amount)?;
        self.check_room(&new, now)?;
        let mut done = Transaction::new(Cause::Grant);
        let from = Account::Funding(new.source);
        self.take_in(new, &from, &mut done, now);
        Ok(done)
    }

    /// Takes credits in from an account; those that were paid for first pay what is owed. Returns how much of them does.
    pub(super) fn take_in(
        &mut self,
        new: NewGrant,
        from: &Account,
        done: &mut Transaction,
        now: Timestamp,
    ) -> i64 {
        let settled = match new.category {
            Category::Paid => self.head.receivable.min(new.amount),
            Category::Promotional => 0,
        };
        done.shift(from.clone(), Account::Receivable, settled);
        let to = Account::Available(new.id.clone());
        done.shift(from.clone(), to, new.amount - settled);
        self.head.receivable -= settled;
        self.insert(new, settled, now);
        settled
    }

    /// Refuses a grant that the wallet has no place for.
    pub(super) fn check_room(&self, new: &NewGrant, now: Timestamp) -> Result<(), Refusal> {
        if self.grants.iter().any(|grant| grant.id == new.id) {
            return Err(Refusal::GrantExists(new.id.clone()));
        }
        let is_same =
            |grant: &&Grant| grant.source == new.source && *grant.reference == *new.reference;
        if new.source.is_payment()
            && !new.reference.is_empty()
            && let Some(before) = self.grants.iter().find(is_same)
        {
            return Err(Refusal::PaymentGranted {
                reference: new.reference.clone(),
                grant: before.id.clone(),
            });
        }
        if let Some(expire_time) = new.expire_time
            && expire_time <= now
        {
            return Err(Refusal::GrantExpired { expire_time });
        }
        if self.open_grants() >= GRANTS_MAX {
            return Err(Refusal::TooManyGrants);
        }
        let all = self.grants.iter().map(Grant::available);
        let sum: i128 = all.map(i128::from).sum();
        let holds = sum + i128::from(self.held());
        if holds + i128::from(new.amount) > i128::from(AMOUNT_MAX) {
            return Err(Refusal::WalletFull {
                amount: new.amount,
                holds: i64::try_from(holds).unwrap_or(i64::MAX),
            });
        }
        Ok(())
    }

    /// How many grants have something left, set aside or not.
    pub(super) fn open_grants(&self) -> usize {
        let open = self.grants.iter().filter(|grant| !grant.is_used_up());
        open.count()
    }

    /// Puts a grant in its place in the order of use.
    fn insert(&mut self, new: NewGrant, settled: i64, now: Timestamp) {
        let grant = Grant {
            id: new.id,
            amount: new.amount,
            used: settled,
            moved: 0,
            settled,
            held: 0,
            lapsed: 0,
            expired: 0,
            returned: 0,
            priority: new.priority,
            category: new.category,
            source: new.source,
            reference: new.reference,
            create_time: now,
            change_time: now,
            expire_time: new.expire_time,
            dirty: true,
        };
        let place = self
            .grants
            .partition_point(|other| other.order() < grant.order());
        self.grants.insert(place, grant);
    }

    /// Ends what is left of grants whose time is over; what is set aside stays until its hold ends.
    pub fn expire_grants(&mut self, now: Timestamp) -> Transaction {
        let is_over = |grant: &&Grant| grant.is_expired(now) && grant.available() > 0;
        let over = self.grants.iter().filter(is_over);
        let over: Vec<(GrantId, i64)> = over
            .map(|grant| (grant.id.clone(), grant.available()))
            .collect();
        let mut done = Transaction::new(Cause::GrantExpiry);
        for (id, rest) in over {
            let from = Account::Available(id.clone());
            done.shift(from, Account::Expired, rest);
            self.change(&id, now, |grant| grant.expire(rest));
        }
        done
    }

    /// Ends a grant now, whatever its time.
    ///
    /// # Errors
    /// When there is no such grant, or its time is over already.
    pub fn expire_grant(&mut self, id: &GrantId, now: Timestamp) -> Result<Transaction, Refusal> {
        let grant = self.grant_mut(id);
        let grant = grant.ok_or_else(|| Refusal::UnknownGrant(id.clone()))?;
        if let Some(expire_time) = grant.expire_time
            && expire_time <= now
        {
            return Err(Refusal::GrantExpired { expire_time });
        }
        grant.expire_time = Some(now);
        grant.change_time = now;
        grant.dirty = true;
        // Its place in the order of use follows from its expiry.
        self.grants
            .sort_by(|one, other| one.order().cmp(&other.order()));
        Ok(self.expire_grants(now))
    }

    /// Takes back the money behind a grant: from what is left of it, then for what of it expired unspent, then from others
    /// that were paid for, in the order of use; the rest is owed. Of credits that were given, what is left is taken.
    ///
    /// # Errors
    /// When there is no such grant, it came from another wallet, more is taken back than it brought, or than can be owed.
    pub fn claw_back(
        &mut self,
        id: &GrantId,
        amount: i64,
        now: Timestamp,
    ) -> Result<Transaction, Refusal> {
        in_range(amount)?;
        let grant = self.grants.iter().find(|grant| grant.id == *id);
        let grant = grant.ok_or_else(|| Refusal::UnknownGrant(id.clone()))?;
        if grant.source == Source::Transfer {
            return Err(Refusal::GrantTransferred {
                grant: id.clone(),
                origin: grant.reference.clone(),
            });
        }
        let (left, source) = (grant.amount - grant.returned, grant.source);
        if amount > left {
            return Err(Refusal::ClawbackTooLarge { amount, left });
        }
        let own = grant.available().min(amount);
        if grant.category == Category::Promotional {
            return Ok(self.take_given(id, (own, source), now));
        }
        let expired = grant.expired.min(amount - own);
        let others = self.grants.iter().filter(|other| {
            other.id != *id && other.category == Category::Paid && !other.is_expired(now)
        });
        let mut legs = vec![(id.clone(), own)];
        let mut missing = amount - own - expired;
        for other in others {
            let part = other.available().min(missing);
            legs.push((other.id.clone(), part));
            missing -= part;
        }
        let owed = self.owes(missing)?;
        let mut done = Transaction::new(Cause::Clawback);
        let to = || Account::Funding(source);
        for (from, part) in legs.into_iter().filter(|leg| leg.1 > 0) {
            done.shift(Account::Available(from.clone()), to(), part);
            self.change(&from, now, |grant| grant.lapsed += part);
        }
        done.shift(Account::Expired, to(), expired);
        done.shift(Account::Receivable, to(), missing);
        self.head.receivable = owed;
        self.change(id, now, |grant| {
            grant.returned += amount;
            grant.expired -= expired;
        });
        Ok(done)
    }

    /// Takes credits back that no money stands behind, so that nothing is owed for what of them is gone.
    fn take_given(
        &mut self,
        id: &GrantId,
        (part, source): (i64, Source),
        now: Timestamp,
    ) -> Transaction {
        let mut done = Transaction::new(Cause::Clawback);
        if part > 0 {
            let from = Account::Available(id.clone());
            done.shift(from, Account::Funding(source), part);
            self.change(id, now, |grant| {
                grant.lapsed += part;
                grant.returned += part;
            });
        }
        done
    }

    /// Ends a period of credits that come anew in each: what the grants of the old one have left goes into the new one,
    /// at least `min` and at most `max` of it. `new` is the grant of the new period; its amount is what comes of this.
    ///
    /// # Errors
    /// When `min` is more than `max`, an amount is out of range, or the new id is taken.
    pub fn roll_over(
        &mut self,
        old: &[GrantId],
        (min, max): (i64, i64),
        new: NewGrant,
        now: Timestamp,
    ) -> Result<Transaction, Refusal> {
        if !(0 <= min && min <= max && max <= AMOUNT_MAX) {
            return Err(Refusal::AmountOutOfRange);
        }
        let ending = self.grants.iter().filter(|grant| old.contains(&grant.id));
        let ending: Vec<(GrantId, i64)> = ending
            .map(|grant| (grant.id.clone(), grant.available()))
            .collect();
        let balance: i64 = ending.iter().map(|(_, rest)| rest).sum();
        let amount = balance.max(min).min(max);
        let new = NewGrant { amount, ..new };
        self.check_room(&new, now)?;
        let mut done = Transaction::new(Cause::Rollover);
        let mut carried = balance.min(amount);
        for (id, rest) in ending {
            let part = rest.min(carried);
            let from = || Account::Available(id.clone());
            done.shift(from(), Account::Available(new.id.clone()), part);
            done.shift(from(), Account::Expired, rest - part);
            self.change(&id, now, |grant| {
                grant.lapsed += part;
                grant.expire(rest - part);
            });
            carried -= part;
        }
        let fresh = (amount - balance).max(0);
        let to = Account::Available(new.id.clone());
        done.shift(Account::Funding(new.source), to, fresh);
        if amount > 0 {
            self.insert(new, 0, now);
        }
        Ok(done)
    }
}
