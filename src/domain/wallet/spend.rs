//! Spending: at once, or set aside first.

use super::grant::Grant;
use super::ledger::{Account, Cause, Transaction};
use super::{AMOUNT_MAX, Hold, HoldState, Refusal, Wallet};
use crate::domain::id::{GrantId, HoldId};
use crate::domain::time::Timestamp;

/// What becomes of a debit that credits do not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// It is refused, as is one beyond the cap or while something is owed: the work has not begun.
    Full,
    /// The rest is owed: the use has happened.
    Owe,
}

impl Wallet {
    /// Spends credits.
    ///
    /// # Errors
    /// When the amount is out of range, or by [`Cover::Full`].
    pub fn debit(
        &mut self,
        amount: i64,
        cover: Cover,
        now: Timestamp,
    ) -> Result<Transaction, Refusal> {
        in_range(amount)?;
        if cover == Cover::Full {
            self.check_spending(amount, now)?;
        }
        let (legs, short) = self.pick(amount, now);
        let owed = self.receivable.checked_add(short);
        let owed = owed.ok_or(Refusal::AmountOutOfRange)?;
        let mut done = Transaction::new(Cause::Debit);
        for (id, part) in legs {
            let from = Account::Available(id.clone());
            done.shift(self, from, Account::Revenue, part);
            self.change(&id, |grant| grant.used += part);
        }
        done.shift(self, Account::Receivable, Account::Revenue, short);
        self.receivable = owed;
        self.count_spending(amount, now);
        Ok(done)
    }

    /// Sets credits aside until `expire_time`, of grants that are chosen now, once.
    ///
    /// # Errors
    /// When the amount is out of range, not covered or beyond the cap, something is owed, or the id is taken.
    pub fn hold(
        &mut self,
        id: HoldId,
        amount: i64,
        expire_time: Timestamp,
        now: Timestamp,
    ) -> Result<Transaction, Refusal> {
        in_range(amount)?;
        if self.holds.contains_key(&id) {
            return Err(Refusal::HoldExists(id));
        }
        self.check_spending(amount, now)?;
        let (legs, _) = self.pick(amount, now);
        let mut done = Transaction::new(Cause::Hold);
        for (grant, part) in &legs {
            let (from, to) = (
                Account::Available(grant.clone()),
                Account::Held(grant.clone()),
            );
            done.shift(self, from, to, *part);
            self.change(grant, |grant| grant.held += part);
        }
        self.count_spending(amount, now);
        let hold = Hold {
            amount,
            captured: 0,
            legs,
            create_time: now,
            expire_time,
            state: HoldState::Open,
        };
        self.holds.insert(id, hold);
        Ok(done)
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
            done.shift(self, from, Account::Revenue, taken);
            self.change(grant, |grant| {
                grant.held -= taken;
                grant.used += taken;
            });
            *part -= taken;
            left -= taken;
        }
        hold.captured += amount;
        hold.legs.retain(|(_, part)| *part > 0);
        if is_last || hold.legs.is_empty() {
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

    /// Ends the holds whose time is over, each in a transaction of its own.
    pub fn expire_holds(&mut self, now: Timestamp) -> Vec<(HoldId, Transaction)> {
        let is_over = |hold: &Hold| hold.state == HoldState::Open && hold.expire_time <= now;
        let over = self.holds.iter().filter(|(_, hold)| is_over(hold));
        let over: Vec<(HoldId, Hold)> = over.map(|(id, hold)| (id.clone(), hold.clone())).collect();
        let mut ended = Vec::with_capacity(over.len());
        for (id, mut hold) in over {
            let mut done = Transaction::new(Cause::HoldExpiry);
            self.give_back(&mut hold, HoldState::Expired, now, &mut done);
            self.holds.insert(id.clone(), hold);
            ended.push((id, done));
        }
        ended
    }

    /// Forgets holds that ended; whoever asks for one is told by what is stored of it.
    pub fn forget_ended_holds(&mut self) {
        self.holds.retain(|_, hold| hold.state == HoldState::Open);
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

    /// Gives back what a hold still holds, and ends it. What came from a grant that has expired meanwhile expires now.
    fn give_back(
        &mut self,
        hold: &mut Hold,
        state: HoldState,
        now: Timestamp,
        done: &mut Transaction,
    ) {
        for (id, part) in std::mem::take(&mut hold.legs) {
            let is_expired = self
                .grant_mut(&id)
                .is_some_and(|grant| grant.is_expired(now));
            let to = if is_expired {
                Account::Expired
            } else {
                Account::Available(id.clone())
            };
            done.shift(self, Account::Held(id.clone()), to, part);
            self.change(&id, |grant| {
                grant.held -= part;
                grant.lapsed += if is_expired { part } else { 0 };
            });
            if let Some(cap) = &mut self.cap {
                cap.give_back(part, hold.create_time);
            }
        }
        hold.state = state;
    }

    /// Refuses what is asked for before it is spent.
    pub(super) fn check_spending(&self, needed: i64, now: Timestamp) -> Result<(), Refusal> {
        if self.receivable > 0 {
            return Err(Refusal::BlockedByReceivable {
                owed: self.receivable,
            });
        }
        if let Some(cap) = &self.cap {
            cap.check(needed, now)?;
        }
        let available = self.available(now);
        if needed > available {
            return Err(Refusal::InsufficientCredits { needed, available });
        }
        Ok(())
    }

    pub(super) fn count_spending(&mut self, amount: i64, now: Timestamp) {
        if let Some(cap) = &mut self.cap {
            cap.count(amount, now);
        }
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

    pub(super) fn change(&mut self, id: &GrantId, change: impl FnOnce(&mut Grant)) {
        if let Some(grant) = self.grant_mut(id) {
            change(grant);
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
