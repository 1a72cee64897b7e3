//! The same as a wallet, slowly: every micro-unit is a coin that lies somewhere.

mod back;

use std::collections::BTreeMap;

use super::super::{Category, NewGrant, Source};
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    Held(usize),
    Used,
    /// It went to another wallet.
    Moved,
    /// It paid what was owed.
    Settled,
    /// It expired, and its money is still there.
    Lapsed,
    /// It was taken back or carried on, or its money was taken back.
    Gone,
}

#[derive(Debug)]
struct Pile {
    grant: NewGrant,
    made: Timestamp,
    returned: i64,
    coins: Vec<Place>,
}

#[derive(Debug)]
struct Held {
    end: Timestamp,
    is_open: bool,
    /// The piles that its coins came from, in turn.
    piles: Vec<GrantId>,
}

#[derive(Debug, Default)]
pub struct Coins {
    /// Whether anything ever moved.
    opened: bool,
    piles: Vec<Pile>,
    holds: BTreeMap<usize, Held>,
    pooled: Vec<(GrantId, i64)>,
    pub owed: i64,
}

impl Pile {
    fn is_over(&self, now: Timestamp) -> bool {
        self.grant.expire_time.is_some_and(|end| end <= now)
    }

    fn order(&self) -> (i32, Timestamp, Timestamp, GrantId) {
        let end = self.grant.expire_time.unwrap_or(Timestamp::MAX);
        (self.grant.priority, end, self.made, self.grant.id.clone())
    }

    fn count(&self, is: impl Fn(Place) -> bool) -> i64 {
        let found = self.coins.iter().filter(|place| is(**place));
        i64::try_from(found.count()).unwrap()
    }

    /// Moves up to `most` coins; returns how many.
    fn shift(&mut self, from: Place, to: Place, most: i64) -> i64 {
        let mut moved = 0;
        for place in &mut self.coins {
            if moved < most && *place == from {
                *place = to;
                moved += 1;
            }
        }
        moved
    }

    /// Gives up to `most` coins back that are held; returns how many of them paid what is owed.
    fn free(&mut self, hold: usize, most: i64, owed: i64, now: Timestamp) -> i64 {
        let from = Place::Held(hold);
        if self.is_over(now) {
            self.shift(from, Place::Lapsed, most);
            return 0;
        }
        let pays = self.grant.category == Category::Paid;
        let due = if pays { owed.min(most) } else { 0 };
        let settled = self.shift(from, Place::Settled, due);
        self.shift(from, Place::Here, most - settled);
        settled
    }
}

impl Coins {
    pub fn is_opened(&self) -> bool {
        self.opened
    }

    pub fn has(&self, hold: usize) -> bool {
        self.holds.contains_key(&hold)
    }

    /// Holds so many coins in a pool; what it holds of which pile does not matter to anybody but the pile.
    pub fn pool(&mut self, pool: usize, target: i64, now: Timestamp) -> bool {
        let order = self.pooled.clone();
        let held: i64 = order.iter().map(|leg| leg.1).sum();
        if target > held {
            if !self.may_spend(target - held, now) {
                return false;
            }
            self.opened = true;
            for (grant, part) in self.take(target - held, Place::Held(pool), now) {
                match self.pooled.iter_mut().find(|leg| leg.0 == grant) {
                    Some(leg) => leg.1 += part,
                    None => self.pooled.push((grant, part)),
                }
            }
            return true;
        }
        let mut over = held - target;
        while over > 0 {
            let (grant, part) = self.pooled.pop().unwrap();
            let freed = part.min(over);
            if freed < part {
                self.pooled.push((grant.clone(), part - freed));
            }
            let pile = self.piles.iter_mut().find(|pile| pile.grant.id == grant);
            self.owed -= pile.unwrap().free(pool, freed, self.owed, now);
            over -= freed;
        }
        true
    }

    pub fn available(&self, now: Timestamp) -> i64 {
        let alive = self.piles.iter().filter(|pile| !pile.is_over(now));
        alive
            .map(|pile| pile.count(|place| place == Place::Here))
            .sum()
    }

    /// Used, held and lapsed coins of a grant.
    pub fn counts(&self, id: &GrantId) -> (i64, i64, i64) {
        let pile = self.piles.iter().find(|pile| pile.grant.id == *id).unwrap();
        (
            pile.count(|place| matches!(place, Place::Used | Place::Moved | Place::Settled)),
            pile.count(|place| matches!(place, Place::Held(_))),
            pile.count(|place| matches!(place, Place::Lapsed | Place::Gone)),
        )
    }

    /// The piles that can be spent, the first to go first.
    fn in_order(&mut self, now: Timestamp) -> Vec<&mut Pile> {
        let mut piles: Vec<&mut Pile> = self
            .piles
            .iter_mut()
            .filter(|pile| !pile.is_over(now))
            .collect();
        piles.sort_by_key(|pile| pile.order());
        piles
    }

    /// Takes coins in order; returns how many came from which grant.
    fn take(&mut self, amount: i64, to: Place, now: Timestamp) -> Vec<(GrantId, i64)> {
        let mut left = amount;
        let mut taken = Vec::new();
        for pile in self.in_order(now) {
            let moved = pile.shift(Place::Here, to, left);
            left -= moved;
            if moved > 0 {
                taken.push((pile.grant.id.clone(), moved));
            }
        }
        taken
    }

    fn put(&mut self, grant: &NewGrant, made: Timestamp) -> &mut Pile {
        self.opened = true;
        self.piles.push(Pile {
            coins: vec![Place::Here; usize::try_from(grant.amount).unwrap()],
            grant: grant.clone(),
            made,
            returned: 0,
        });
        self.piles.last_mut().unwrap()
    }

    pub fn grant(&mut self, new: &NewGrant, now: Timestamp) -> bool {
        let is_paid = new.category == Category::Paid;
        let owed = self.owed;
        let pile = self.put(new, now);
        let settled = if is_paid {
            pile.shift(Place::Here, Place::Settled, owed)
        } else {
            0
        };
        self.owed -= settled;
        true
    }

    fn may_spend(&self, amount: i64, now: Timestamp) -> bool {
        self.owed == 0 && amount <= self.available(now)
    }

    pub fn debit(&mut self, amount: i64, owes: bool, now: Timestamp) -> bool {
        if !owes && !self.may_spend(amount, now) {
            return false;
        }
        self.opened = true;
        let taken = self.take(amount, Place::Used, now);
        self.owed += amount - taken.iter().map(|one| one.1).sum::<i64>();
        true
    }

    pub fn hold(&mut self, hold: usize, amount: i64, end: Timestamp, now: Timestamp) -> bool {
        if !self.may_spend(amount, now) {
            return false;
        }
        let taken = self.take(amount, Place::Held(hold), now);
        let piles = taken.into_iter().map(|leg| leg.0).collect();
        let is_open = true;
        self.holds.insert(
            hold,
            Held {
                end,
                is_open,
                piles,
            },
        );
        true
    }

    fn is_open(&self, hold: usize, now: Timestamp) -> bool {
        let hold = self.holds.get(&hold);
        hold.is_some_and(|hold| hold.is_open && now < hold.end)
    }

    pub fn capture(&mut self, hold: usize, amount: i64, is_last: bool, now: Timestamp) -> bool {
        let rest: i64 = self
            .piles
            .iter()
            .map(|pile| pile.count(|place| place == Place::Held(hold)))
            .sum();
        if !self.is_open(hold, now) || amount > rest || (amount == 0 && !is_last) {
            return false;
        }
        // Coins of a hold are captured in the order in which they were taken, whatever became of their piles since.
        let mut left = amount;
        for id in &self.holds[&hold].piles {
            let pile = self.piles.iter_mut().find(|pile| pile.grant.id == *id);
            left -= pile.unwrap().shift(Place::Held(hold), Place::Used, left);
        }
        if is_last || amount == rest {
            self.end(hold, now);
        }
        true
    }

    pub fn release(&mut self, hold: usize, now: Timestamp) -> bool {
        let is_open = self.is_open(hold, now);
        if is_open {
            self.end(hold, now);
        }
        is_open
    }

    fn end(&mut self, hold: usize, now: Timestamp) {
        let ended = self.holds.get_mut(&hold).unwrap();
        ended.is_open = false;
        for id in &ended.piles {
            let pile = self.piles.iter_mut().find(|pile| pile.grant.id == *id);
            self.owed -= pile.unwrap().free(hold, i64::MAX, self.owed, now);
        }
    }

    pub fn sweep(&mut self, now: Timestamp) {
        let over = self
            .holds
            .iter()
            .filter(|(_, hold)| hold.is_open && hold.end <= now);
        let over: Vec<usize> = over.map(|(id, _)| *id).collect();
        for hold in over {
            self.end(hold, now);
        }
        for pile in self.piles.iter_mut().filter(|pile| pile.is_over(now)) {
            pile.shift(Place::Here, Place::Lapsed, i64::MAX);
        }
    }

    pub fn expire(&mut self, id: &GrantId, now: Timestamp) -> bool {
        let pile = self
            .piles
            .iter_mut()
            .find(|pile| pile.grant.id == *id && !pile.is_over(now));
        let Some(pile) = pile else {
            return false;
        };
        pile.grant.expire_time = Some(now);
        for pile in self.piles.iter_mut().filter(|pile| pile.is_over(now)) {
            pile.shift(Place::Here, Place::Lapsed, i64::MAX);
        }
        true
    }

    pub fn roll_over(
        &mut self,
        old: &GrantId,
        (min, max): (i64, i64),
        new: &NewGrant,
        now: Timestamp,
    ) -> bool {
        let mut pile = self.piles.iter_mut().find(|pile| pile.grant.id == *old);
        let here = |pile: &&mut Pile| pile.count(|place| place == Place::Here);
        let balance = pile.as_ref().map_or(0, here);
        self.opened |= balance > 0;
        let amount = max.min(balance.max(min));
        if let Some(pile) = &mut pile {
            pile.shift(Place::Here, Place::Gone, amount);
            pile.shift(Place::Here, Place::Lapsed, i64::MAX);
        }
        if amount > 0 {
            self.put(
                &NewGrant {
                    amount,
                    ..new.clone()
                },
                now,
            );
        }
        true
    }
}

pub fn transfer(
    wallets: &mut [Coins; 2],
    from: usize,
    id: &GrantId,
    amount: i64,
    now: Timestamp,
) -> bool {
    if !wallets[from].may_spend(amount, now) {
        return false;
    }
    let taken = wallets[from].take(amount, Place::Moved, now);
    for (number, (grant, part)) in taken.into_iter().enumerate() {
        let pile = wallets[from]
            .piles
            .iter()
            .find(|pile| pile.grant.id == grant);
        let new = NewGrant {
            id: GrantId::new(format!("{id}.{number}")).unwrap(),
            amount: part,
            source: Source::Transfer,
            ..pile.unwrap().grant.clone()
        };
        wallets[1 - from].grant(&new, now);
    }
    true
}
