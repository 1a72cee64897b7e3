//! The naive wallets of one customer: piles of credits, what is set aside of them, what is owed; sums in plain integers.
//! Owners are numbers: 0 the customer, 1 and 2 its subaccounts. Times are seconds.

use super::caps::Cap;

/// Why wallets refuse, with the numbers behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Insufficient { needed: i64, available: i64 },
    Cap { needed: i64, cap: i64, left: i64 },
    Blocked { owed: i64 },
    GrantExpired,
    PaidBefore { grant: usize },
    ClawbackTooLarge { amount: i64, left: i64 },
    Transferred { origin: usize },
    HoldResolved { state: Ended, captured: i64 },
    CaptureTooLarge { amount: i64, held: i64 },
    OutOfRange,
    OneWallet,
}

/// How a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Captured,
    Released,
    Expired,
}

/// Credits that came at once.
#[derive(Debug, Clone)]
pub struct Pile {
    pub owner: usize,
    pub amount: i64,
    pub used: i64,
    /// What of that went to another wallet.
    pub moved: i64,
    /// What of it paid what was owed.
    pub settled: i64,
    pub held: i64,
    pub lapsed: i64,
    /// What of that expired, and whose money is still there.
    pub expired: i64,
    pub returned: i64,
    pub priority: i32,
    pub paid: bool,
    /// The payment that brought it.
    pub payment: Option<u8>,
    pub made: i64,
    pub end: Option<i64>,
    /// Which part of a transfer it is, as written at the end of its name.
    pub leg: String,
    /// The pile of another wallet that it came from.
    pub origin: Option<usize>,
    /// The operation that made it.
    pub serial: usize,
}

impl Pile {
    /// What was spent of it, or else what paid what was owed.
    pub fn drawn(&self, is_settled: bool) -> i64 {
        if is_settled {
            self.settled
        } else {
            self.used - self.moved - self.settled
        }
    }

    /// Ends a part that nobody spent.
    pub fn expire(&mut self, part: i64) {
        self.lapsed += part;
        self.expired += part;
    }

    pub fn free(&self) -> i64 {
        self.amount - self.used - self.held - self.lapsed
    }

    pub fn is_over(&self, now: i64) -> bool {
        self.end.is_some_and(|end| end <= now)
    }

    pub fn order(&self) -> impl Ord {
        let end = self.end.unwrap_or(i64::MAX);
        (self.priority, end, self.made, self.serial, self.leg.clone())
    }
}

#[derive(Debug, Clone)]
pub struct Hold {
    pub payer: usize,
    pub spender: usize,
    pub amount: i64,
    pub captured: i64,
    /// What each pile still holds for it.
    pub legs: Vec<(usize, i64)>,
    pub made: i64,
    pub end: i64,
    pub ended: Option<Ended>,
}

impl Hold {
    pub fn left(&self) -> i64 {
        self.legs.iter().map(|leg| leg.1).sum()
    }
}

/// Where all credits of a wallet went that ever came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub granted: i64,
    pub returned: i64,
    pub revenue: i64,
    pub expired: i64,
    /// Given to other wallets, less what came from them.
    pub sent: i64,
}

/// One wallet beside its piles and holds.
#[derive(Debug, Clone, Default)]
pub struct Purse {
    pub owed: i64,
    /// Whether anything ever moved.
    pub opened: bool,
    pub cap: Option<Cap>,
    /// What reservations hold together, by feature: pile and amount.
    pub pools: [Vec<(usize, i64)>; 3],
    pub totals: Totals,
}

impl Purse {
    pub fn pool(&self, feature: usize) -> i64 {
        self.pools[feature].iter().map(|leg| leg.1).sum()
    }
}

/// The wallets of one customer.
#[derive(Debug, Clone, Default)]
pub struct Vault {
    pub purses: Vec<Purse>,
    pub piles: Vec<Pile>,
    pub holds: Vec<Hold>,
}

impl Vault {
    pub fn payer(&self, spender: usize) -> usize {
        if self.purses[spender].opened {
            spender
        } else {
            0
        }
    }

    /// The piles of a wallet that can be spent, the first to go first.
    pub fn in_order(&self, owner: usize, now: i64) -> Vec<usize> {
        let all = 0..self.piles.len();
        let mut piles: Vec<usize> = all
            .filter(|pile| self.piles[*pile].owner == owner && !self.piles[*pile].is_over(now))
            .collect();
        piles.sort_by_key(|pile| self.piles[*pile].order());
        piles
    }

    pub fn available(&self, owner: usize, now: i64) -> i64 {
        let piles = self.in_order(owner, now).into_iter();
        piles.map(|pile| self.piles[pile].free()).sum()
    }

    /// What the ledger has as available and as held.
    pub fn booked(&self, owner: usize) -> (i64, i64) {
        let piles = self.piles.iter().filter(|pile| pile.owner == owner);
        piles.fold((0, 0), |sum, pile| (sum.0 + pile.free(), sum.1 + pile.held))
    }

    /// What holds whose time is over will give back to be spent.
    pub fn overdue(&self, owner: usize, now: i64) -> i64 {
        let over = self.holds.iter();
        let over = over
            .filter(|hold| hold.payer == owner && hold.ended.is_none() && hold.end <= now)
            .flat_map(|hold| &hold.legs);
        over.filter(|leg| !self.piles[leg.0].is_over(now))
            .map(|leg| leg.1)
            .sum()
    }

    /// Chooses what covers an amount.
    pub fn pick(&self, owner: usize, amount: i64, now: i64) -> Vec<(usize, i64)> {
        let mut left = amount;
        let mut legs = Vec::new();
        for pile in self.in_order(owner, now) {
            let part = self.piles[pile].free().min(left);
            if part > 0 {
                legs.push((pile, part));
                left -= part;
            }
        }
        legs
    }

    /// Refuses what is asked for before it is spent.
    pub fn check_spending(&self, payer: usize, needed: i64, now: i64) -> Result<(), Why> {
        let owed = self.purses[payer].owed;
        if owed > 0 {
            return Err(Why::Blocked { owed });
        }
        let available = self.available(payer, now);
        if needed > available {
            return Err(Why::Insufficient { needed, available });
        }
        Ok(())
    }

    /// Adds a pile, and pays with it what is owed if it was paid for.
    pub fn add(&mut self, mut pile: Pile, is_transfer: bool) {
        let purse = &mut self.purses[pile.owner];
        purse.opened = true;
        if is_transfer {
            purse.totals.sent -= pile.amount;
        } else {
            purse.totals.granted += pile.amount;
        }
        if pile.paid {
            pile.used = purse.owed.min(pile.amount);
            pile.settled = pile.used;
            purse.owed -= pile.used;
        }
        self.piles.push(pile);
    }

    /// Spends; returns what is owed of it.
    pub fn spend(&mut self, payer: usize, amount: i64, now: i64) -> i64 {
        let legs = self.pick(payer, amount, now);
        let short = amount - legs.iter().map(|leg| leg.1).sum::<i64>();
        for (pile, part) in legs {
            self.piles[pile].used += part;
        }
        let purse = &mut self.purses[payer];
        purse.opened |= amount > 0;
        purse.owed += short;
        purse.totals.revenue += amount;
        short
    }

    pub fn hold(&mut self, payer: usize, spender: usize, amount: i64, now: i64, end: i64) {
        let legs = self.set_aside(payer, amount, now);
        self.holds.push(Hold {
            payer,
            spender,
            amount,
            captured: 0,
            legs,
            made: now,
            end,
            ended: None,
        });
    }

    fn set_aside(&mut self, payer: usize, amount: i64, now: i64) -> Vec<(usize, i64)> {
        let legs = self.pick(payer, amount, now);
        for (pile, part) in &legs {
            self.piles[*pile].held += part;
        }
        legs
    }

    /// Spends what is held, from the first leg on.
    fn use_legs(&mut self, legs: &mut Vec<(usize, i64)>, amount: i64) {
        let mut left = amount;
        for (pile, part) in legs.iter_mut() {
            let taken = left.min(*part);
            let owner = self.piles[*pile].owner;
            self.piles[*pile].held -= taken;
            self.piles[*pile].used += taken;
            self.purses[owner].totals.revenue += taken;
            *part -= taken;
            left -= taken;
        }
        assert_eq!(left, 0, "no more is used than is held");
        legs.retain(|leg| leg.1 > 0);
    }

    pub fn capture(&mut self, hold: usize, amount: i64, is_last: bool, now: i64) {
        let mut legs = std::mem::take(&mut self.holds[hold].legs);
        self.use_legs(&mut legs, amount);
        self.holds[hold].captured += amount;
        self.holds[hold].legs = legs;
        let of = &self.holds[hold];
        let (spender, payer, made) = (of.spender, of.payer, of.made);
        if is_last || self.holds[hold].legs.is_empty() {
            let captured = self.holds[hold].captured;
            let how = if captured > 0 {
                Ended::Captured
            } else {
                Ended::Released
            };
            self.end_hold(hold, how, now);
        }
        // What was set aside counts when it is spent.
        self.give_back_caps(spender, payer, amount, made);
        self.count_caps(spender, payer, amount, now);
    }

    pub fn end_hold(&mut self, hold: usize, how: Ended, now: i64) {
        for (pile, part) in std::mem::take(&mut self.holds[hold].legs) {
            self.free(pile, part, now);
        }
        let of = &mut self.holds[hold];
        of.ended = Some(how);
        let (spender, payer, rest, made) = (of.spender, of.payer, of.amount - of.captured, of.made);
        self.give_back_caps(spender, payer, rest, made);
    }

    /// Gives back what was held; it expires if its time is over, else it pays what is owed if it was paid for.
    fn free(&mut self, pile: usize, part: i64, now: i64) {
        let pile = &mut self.piles[pile];
        let purse = &mut self.purses[pile.owner];
        pile.held -= part;
        if pile.is_over(now) {
            pile.expire(part);
            purse.totals.expired += part;
        } else if pile.paid {
            let settled = purse.owed.min(part);
            purse.owed -= settled;
            pile.used += settled;
            pile.settled += settled;
        }
    }

    pub fn raise_pool(&mut self, owner: usize, feature: usize, amount: i64, now: i64) {
        for (pile, part) in self.set_aside(owner, amount, now) {
            let pool = &mut self.purses[owner].pools[feature];
            match pool.iter_mut().find(|leg| leg.0 == pile) {
                Some(leg) => leg.1 += part,
                None => pool.push((pile, part)),
            }
        }
    }

    pub fn lower_pool(&mut self, owner: usize, feature: usize, target: i64, now: i64) {
        let mut over = self.purses[owner].pool(feature) - target;
        while over > 0
            && let Some((pile, part)) = self.purses[owner].pools[feature].pop()
        {
            let freed = part.min(over);
            if freed < part {
                self.purses[owner].pools[feature].push((pile, part - freed));
            }
            self.free(pile, freed, now);
            over -= freed;
        }
    }

    pub fn use_pool(&mut self, owner: usize, feature: usize, amount: i64) {
        let mut legs = std::mem::take(&mut self.purses[owner].pools[feature]);
        self.use_legs(&mut legs, amount);
        self.purses[owner].pools[feature] = legs;
    }

    /// Ends holds and piles whose time is over; true when there were any.
    pub fn sweep(&mut self, now: i64) -> bool {
        let mut changed = false;
        for hold in 0..self.holds.len() {
            if self.holds[hold].ended.is_none() && self.holds[hold].end <= now {
                self.end_hold(hold, Ended::Expired, now);
                changed = true;
            }
        }
        for pile in self.piles.iter_mut().filter(|pile| pile.is_over(now)) {
            let rest = pile.free();
            pile.expire(rest);
            self.purses[pile.owner].totals.expired += rest;
            changed |= rest > 0;
        }
        changed
    }
}
