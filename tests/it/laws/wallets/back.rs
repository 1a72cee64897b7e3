//! The naive wallets: what usage had drawn comes back, and money is taken back.

use std::cmp::Reverse;

use super::purse::Vault;

impl Vault {
    /// Gives back what usage cost, or as much of it as was ever spent here; returns how much.
    pub fn refund(&mut self, owner: usize, amount: i64, now: i64) -> i64 {
        let purse = &mut self.purses[owner];
        let waived = purse.owed.min(amount);
        purse.owed -= waived;
        let mut left = amount - waived;
        let all = 0..self.piles.len();
        let mut piles: Vec<usize> = all
            .filter(|pile| self.piles[*pile].owner == owner)
            .collect();
        // The last to be used up first, those whose time is over at the end; what paid a debt comes after all of them.
        piles.sort_by_key(|pile| Reverse(self.piles[*pile].order()));
        piles.sort_by_key(|pile| self.piles[*pile].is_over(now));
        for (is_settled, pile) in [false, true]
            .iter()
            .flat_map(|settled| piles.iter().map(move |pile| (*settled, *pile)))
        {
            let pile = &mut self.piles[pile];
            let part = pile.drawn(is_settled).min(left);
            left -= part;
            pile.used -= part;
            pile.settled -= if is_settled { part } else { 0 };
            if pile.is_over(now) {
                pile.expire(part);
                self.purses[owner].totals.expired += part;
            }
        }
        self.purses[owner].totals.revenue -= amount - left;
        amount - left
    }

    /// Takes money back: from the pile, for what of it expired, then from others that were paid for; the rest is owed. Of
    /// what was given, only what is left is taken.
    pub fn claw_back(&mut self, of: usize, amount: i64, now: i64) {
        let owner = self.piles[of].owner;
        let own = self.piles[of].free().min(amount);
        self.piles[of].lapsed += own;
        if !self.piles[of].paid {
            self.piles[of].returned += own;
            self.purses[owner].totals.returned += own;
            return;
        }
        let expired = self.piles[of].expired.min(amount - own);
        self.piles[of].expired -= expired;
        let mut left = amount - own - expired;
        for pile in self.in_order(owner, now) {
            if pile != of && self.piles[pile].paid {
                let part = self.piles[pile].free().min(left);
                self.piles[pile].lapsed += part;
                left -= part;
            }
        }
        self.piles[of].returned += amount;
        let purse = &mut self.purses[owner];
        purse.owed += left;
        purse.totals.expired -= expired;
        purse.totals.returned += amount;
    }
}
