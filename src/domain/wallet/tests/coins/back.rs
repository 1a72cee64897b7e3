//! Coins that come back, and coins that are taken back.

use super::{Coins, Pile, Place};
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;
use crate::domain::wallet::Category;

impl Coins {
    /// Gives coins back: what is owed first, then into the piles that are used up last.
    pub fn refund(&mut self, amount: i64, now: Timestamp) -> bool {
        let used: i64 = self
            .piles
            .iter()
            .map(|pile| pile.count(|place| matches!(place, Place::Used | Place::Settled)))
            .sum();
        if amount > used + self.owed {
            return false;
        }
        self.opened = true;
        let waived = self.owed.min(amount);
        self.owed -= waived;
        let mut left = amount - waived;
        for from in [Place::Used, Place::Settled] {
            for pile in self.in_order(now).into_iter().rev() {
                left -= pile.shift(from, Place::Here, left);
            }
            let mut over: Vec<&mut Pile> = self
                .piles
                .iter_mut()
                .filter(|pile| pile.is_over(now))
                .collect();
            over.sort_by_key(|pile| pile.order());
            for pile in over.into_iter().rev() {
                left -= pile.shift(from, Place::Lapsed, left);
            }
        }
        true
    }

    pub fn claw_back(&mut self, id: &GrantId, amount: i64, now: Timestamp) -> bool {
        let pile = self.piles.iter_mut().find(|pile| pile.grant.id == *id);
        let Some(pile) = pile.filter(|pile| amount <= pile.grant.amount - pile.returned) else {
            return false;
        };
        let own = pile.shift(Place::Here, Place::Gone, amount);
        if pile.grant.category == Category::Promotional {
            pile.returned += own;
            return true;
        }
        pile.returned += amount;
        let mut left = amount - own;
        left -= pile.shift(Place::Lapsed, Place::Gone, left);
        for pile in self.in_order(now) {
            if pile.grant.category == Category::Paid {
                left -= pile.shift(Place::Here, Place::Gone, left);
            }
        }
        self.owed += left;
        true
    }
}
