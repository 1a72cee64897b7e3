//! Spending: at once, or set aside first.

use super::grant::Grant;
use super::ledger::{Account, Cause, Transaction};
use super::{AMOUNT_MAX, Category, Hold, HoldState, Refusal, SPENT_GRANTS_MAX, Wallet};
use crate::domain::id::{GrantId, HoldId, SubaccountId};
use crate::domain::time::Timestamp;

/// What becomes of a debit that credits do not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// It is refused, as is one while more than this is owed: the work has not begun.
    Full {
        /// The most that may be owed.
        owed_max: i64,
    },
    /// The rest is owed: the use has happened.
    Owe,
}

/// Credits that are to be set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// The id of the hold.
    pub id: HoldId,
    /// Micro-units.
    pub amount: i64,
    /// Who spends it; `None`: the customer.
    pub spender: Option<SubaccountId>,
    /// The first instant at which it holds nothing any more.
    pub expire_time: Timestamp,
}

impl Wallet {
    /// Spends credits.
    ///
    /// # Errors
    /// When the amount is out of range or more than can be owed, or by [`Cover::Full`].
    pub fn debit(
        &mut self,
        amount: i64,
        cover: Cover,
        now: Timestamp,
    ) -> Result<Transaction, Refusal> {
        in_range(amount)?;
        if let Cover::Full { owed_max } = cover {
            self.check_spending(amount, owed_max, now)?;
        }
        let (legs, short) = self.pick(amount, now);
        let owed = self.owes(short)?;
        let mut done = Transaction::new(Cause::Debit);
        for (id, part) in legs {
            let from = Account::Available(id.clone());
            done.shift(from, Account::Revenue, part);
            self.change(&id, now, |grant| grant.used += part);
        }
        done.shift(Account::Receivable, Account::Revenue, short);
        self.head.receivable = owed;
        Ok(done)
    }

    /// Sets credits aside, of grants that are chosen now, once.
    ///
    /// # Errors
    /// When the amount is out of range or not covered, more than `owed_max` is owed, or the id is taken.
    pub fn hold(
        &mut self,
        new: NewHold,
        owed_max: i64,
        now: Timestamp,
    ) -> Result<Transaction, Refusal> {
        if self.holds.contains_key(&new.id) {
            return Err(Refusal::HoldExists(new.id));
        }
        let (legs, done) = self.set_aside(new.amount, owed_max, now)?;
        let hold = Hold {
            amount: new.amount,
            captured: 0,
            legs,
            spender: new.spender,
            is_pool: false,
            create_time: now,
            expire_time: new.expire_time,
            state: HoldState::Open,
            end_time: None,
            dirty: true,
        };
        self.holds.insert(new.id, hold);
        Ok(done)
    }

    /// Moves credits from what can be spent to what is set aside.
    fn set_aside(
        &mut self,
        amount: i64,
        owed_max: i64,
        now: Timestamp,
    ) -> Result<(Vec<(GrantId, i64)>, Transaction), Refusal> {
        in_range(amount)?;
        self.check_spending(amount, owed_max, now)?;
        let (legs, _) = self.pick(amount, now);
        let mut done = Transaction::new(Cause::Hold);
        for (grant, part) in &legs {
            let (from, to) = (
                Account::Available(grant.clone()),
                Account::Held(grant.clone()),
            );
            done.shift(from, to, *part);
            self.change(grant, now, |grant| grant.held += part);
        }
        Ok((legs, done))
    }

    /// Sets more credits aside in a pool, which is made when there is none: what reservations of one feature hold
    /// together.
    ///
    /// # Errors
    /// When the amount is out of range or not covered, or more than `owed_max` is owed.
    pub fn raise_pool(
        &mut self,
        id: &HoldId,
        amount: i64,
        owed_max: i64,
        now: Timestamp,
    ) -> Result<Transaction, Refusal> {
        let (legs, done) = self.set_aside(amount, owed_max, now)?;
        let pool = self.holds.entry(id.clone()).or_insert_with(|| Hold {
            amount: 0,
            captured: 0,
            legs: Vec::new(),
            spender: None,
            is_pool: true,
            create_time: now,
            expire_time: Timestamp::MAX,
            state: HoldState::Open,
            end_time: None,
            dirty: true,
        });
        pool.dirty = true;
        pool.amount = pool.amount.saturating_add(amount);
        for (grant, part) in legs {
            match pool.legs.iter_mut().find(|leg| leg.0 == grant) {
                Some(leg) => leg.1 += part,
                None => pool.legs.push((grant, part)),
            }
        }
        Ok(done)
    }

    /// Gives back what a pool holds beyond `target`, the last of it first.
    pub fn lower_pool(&mut self, id: &HoldId, target: i64, now: Timestamp) -> Transaction {
        let mut done = Transaction::new(Cause::Release);
        let Some(pool) = self
            .holds
            .get(id)
            .filter(|hold| hold.state == HoldState::Open)
        else {
            return done;
        };
        let mut pool = pool.clone();
        let mut over = pool.held().saturating_sub(target.max(0));
        while over > 0
            && let Some((grant, part)) = pool.legs.pop()
        {
            let freed = part.min(over);
            if freed < part {
                pool.legs.push((grant.clone(), part - freed));
            }
            self.free(&grant, freed, now, &mut done);
            pool.amount -= freed;
            over -= freed;
        }
        pool.dirty = true;
        self.holds.insert(id.clone(), pool);
        done
    }

    /// Spends what is set aside, all or part; `is_last` gives the rest back and ends the hold, as capturing all of it
    /// does. Capturing nothing for the last time is a release.
    ///
    /// # Errors
    /// When there is no such hold, it has ended, or more is captured than it holds.
    pub fn capture(
        &mut self,
        id: &HoldId,
        amount: i64,
        is_last: bool,
        now: Timestamp,
    ) -> Result<Transaction, Refusal> {
        let mut hold = self.open_hold(id, now)?.clone();
        if !(0..=AMOUNT_MAX).contains(&amount) || (amount == 0 && !is_last) {
            return Err(Refusal::AmountOutOfRange);
        }
        let rest = hold.held();
        if amount > rest {
            return Err(Refusal::CaptureTooLarge { amount, held: rest });
        }
        let mut done = Transaction::new(Cause::Capture);
        let mut left = amount;
        for (grant, part) in &mut hold.legs {
            let taken = left.min(*part);
            let from = Account::Held(grant.clone());
            done.shift(from, Account::Revenue, taken);
            self.change(grant, now, |grant| {
                grant.held -= taken;
                grant.used += taken;
            });
            *part -= taken;
            left -= taken;
        }
        hold.captured += amount;
        hold.dirty = true;
        hold.legs.retain(|(_, part)| *part > 0);
        // An empty pool stays, since the next reservation fills it again.
        if is_last || (hold.legs.is_empty() && !hold.is_pool) {
            let state = if hold.captured == 0 {
                HoldState::Released
            } else {
                HoldState::Captured
            };
            self.give_back(&mut hold, state, now, &mut done);
        }
        self.holds.insert(id.clone(), hold);
        Ok(done)
    }

    /// Gives back what is set aside.
    ///
    /// # Errors
    /// When there is no such hold, or it has ended.
    pub fn release(&mut self, id: &HoldId, now: Timestamp) -> Result<Transaction, Refusal> {
        let mut hold = self.open_hold(id, now)?.clone();
        let mut done = Transaction::new(Cause::Release);
        self.give_back(&mut hold, HoldState::Released, now, &mut done);
        self.holds.insert(id.clone(), hold);
        Ok(done)
    }

    /// Ends a hold whose time is over, if there is one.
    pub fn expire_hold(&mut self, now: Timestamp) -> Option<(HoldId, Transaction)> {
        let is_over = |hold: &Hold| hold.is_open() && hold.expire_time <= now;
        let (id, hold) = self.holds.iter().find(|(_, hold)| is_over(hold))?;
        let (id, mut hold) = (id.clone(), hold.clone());
        let mut done = Transaction::new(Cause::HoldExpiry);
        self.give_back(&mut hold, HoldState::Expired, now, &mut done);
        self.holds.insert(id.clone(), hold);
        Some((id, done))
    }

    /// Forgets holds that ended, and grants of which nothing was left for long; whoever asks for one is told by what is
    /// stored of it.
    pub fn forget(&mut self, now: Timestamp) {
        self.holds.retain(|_, hold| hold.state == HoldState::Open);
        self.grants.retain(|grant| !grant.is_forgotten(now));
        self.forget_spent();
    }

    /// Forgets those used up first of which nothing is left, where there are many: wallets that are paid into for each
    /// use would grow for as long as payments are disputed.
    pub(super) fn forget_spent(&mut self) {
        let spent = self.grants.iter().filter(|grant| grant.is_used_up());
        let mut spent: Vec<_> = spent.map(|grant| (grant.change_time, &grant.id)).collect();
        let Some(over) = spent.len().checked_sub(SPENT_GRANTS_MAX) else {
            return;
        };
        if over == 0 {
            return;
        }
        let (_, oldest, _) = spent.select_nth_unstable(over);
        let oldest = (oldest.0, oldest.1.clone());
        let is_kept = |grant: &Grant| (grant.change_time, &grant.id) >= (oldest.0, &oldest.1);
        self.grants
            .retain(|grant| !grant.is_used_up() || is_kept(grant));
    }

    /// Returns a hold that can still be captured; one whose time is over cannot, whether that was noted or not.
    fn open_hold(&self, id: &HoldId, now: Timestamp) -> Result<&Hold, Refusal> {
        let hold = self.holds.get(id);
        let hold = hold.ok_or_else(|| Refusal::UnknownHold(id.clone()))?;
        let state = match hold.state {
            HoldState::Open if hold.expire_time <= now => HoldState::Expired,
            state => state,
        };
        if state == HoldState::Open {
            return Ok(hold);
        }
        Err(Refusal::HoldResolved {
            state,
            captured: hold.captured,
        })
    }

    /// Gives back what a hold still holds, and ends it.
    fn give_back(
        &mut self,
        hold: &mut Hold,
        state: HoldState,
        now: Timestamp,
        done: &mut Transaction,
    ) {
        for (id, part) in std::mem::take(&mut hold.legs) {
            self.free(&id, part, now, done);
        }
        hold.state = state;
        hold.end_time = Some(match state {
            HoldState::Expired => hold.expire_time,
            HoldState::Open | HoldState::Captured | HoldState::Released => now,
        });
        hold.dirty = true;
    }

    /// Gives back what was set aside of a grant. If that has expired meanwhile, it expires now; if it was paid for, it pays
    /// what is owed first, as credits do that come.
    fn free(&mut self, id: &GrantId, part: i64, now: Timestamp, done: &mut Transaction) {
        let grant = self.grants.iter().find(|grant| grant.id == *id);
        let is_expired = grant.is_some_and(|grant| grant.is_expired(now));
        let is_paid = grant.is_some_and(|grant| grant.category == Category::Paid);
        let settled = if is_paid && !is_expired {
            self.head.receivable.min(part)
        } else {
            0
        };
        let to = if is_expired {
            Account::Expired
        } else {
            Account::Available(id.clone())
        };
        let from = || Account::Held(id.clone());
        done.shift(from(), Account::Receivable, settled);
        done.shift(from(), to, part - settled);
        self.head.receivable -= settled;
        self.change(id, now, |grant| {
            grant.held -= part;
            grant.used += settled;
            grant.settled += settled;
            grant.expire(if is_expired { part } else { 0 });
        });
    }

    /// Returns what is owed with so much more.
    pub(super) fn owes(&self, amount: i64) -> Result<i64, Refusal> {
        let owed = self.head.receivable;
        let sum = owed.checked_add(amount);
        sum.ok_or(Refusal::OwesTooMuch { amount, owed })
    }

    /// Refuses what is asked for before it is spent.
    pub(super) fn check_spending(
        &self,
        needed: i64,
        owed_max: i64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.check_frozen()?;
        let owed = self.head.receivable;
        if owed > owed_max {
            return Err(Refusal::BlockedByReceivable { owed });
        }
        let available = self.available(now);
        if needed > available {
            return Err(Refusal::InsufficientCredits { needed, available });
        }
        Ok(())
    }

    /// Chooses what covers an amount, in the order in which grants are used up; also returns what nothing covers.
    pub(super) fn pick(&self, amount: i64, now: Timestamp) -> (Vec<(GrantId, i64)>, i64) {
        let mut left = amount;
        let mut legs = Vec::new();
        for grant in self.grants.iter().filter(|grant| !grant.is_expired(now)) {
            let part = grant.available().min(left);
            if part > 0 {
                legs.push((grant.id.clone(), part));
                left -= part;
            }
        }
        (legs, left)
    }

    pub(super) fn change(&mut self, id: &GrantId, now: Timestamp, change: impl FnOnce(&mut Grant)) {
        if let Some(grant) = self.grant_mut(id) {
            change(grant);
            grant.change_time = now;
            grant.dirty = true;
        }
    }
}

pub(super) fn in_range(amount: i64) -> Result<(), Refusal> {
    if (1..=AMOUNT_MAX).contains(&amount) {
        Ok(())
    } else {
        Err(Refusal::AmountOutOfRange)
    }
}
