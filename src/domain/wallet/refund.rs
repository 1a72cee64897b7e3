//! Giving back what usage had drawn, when the usage is taken back.

use super::grant::Grant;
use super::ledger::{Account, Cause, Transaction};
use super::spend::in_range;
use super::{Refusal, Wallet};
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;

/// A part of what is given back, and the grant that it goes into.
struct Leg {
    grant: GrantId,
    part: i64,
    is_expired: bool,
    /// Whether it had paid what was owed.
    is_settled: bool,
}

impl Wallet {
    /// Gives back what was spent: first what is owed; then into grants that it was spent of, the last to be used up first,
    /// those whose time is over at the end; then into those that paid for what had been owed. What goes into grants whose
    /// time is over expires now. What went to other wallets was not spent, and nothing comes back for it.
    ///
    /// # Errors
    /// When the amount is out of range, or more than was ever spent of what the wallet knows.
    pub fn refund(&mut self, amount: i64, now: Timestamp) -> Result<Transaction, Refusal> {
        in_range(amount)?;
        let waived = self.head.receivable.min(amount);
        let (legs, short) = self.pick_spent(amount - waived, now);
        if short > 0 {
            return Err(Refusal::RefundTooLarge {
                amount,
                left: amount - short,
            });
        }
        let mut done = Transaction::new(Cause::Refund);
        done.shift(Account::Revenue, Account::Receivable, waived);
        self.head.receivable -= waived;
        for leg in legs {
            let (part, is_expired) = (leg.part, leg.is_expired);
            let to = if is_expired {
                Account::Expired
            } else {
                Account::Available(leg.grant.clone())
            };
            done.shift(Account::Revenue, to, part);
            self.change(&leg.grant, now, |grant| {
                grant.used -= part;
                grant.settled -= if leg.is_settled { part } else { 0 };
                grant.expire(if is_expired { part } else { 0 });
            });
        }
        Ok(done)
    }

    /// Chooses where an amount goes back to; also returns what nothing was spent of.
    fn pick_spent(&self, amount: i64, now: Timestamp) -> (Vec<Leg>, i64) {
        let mut left = amount;
        let mut legs = Vec::new();
        for (is_settled, is_expired) in [(false, false), (false, true), (true, false), (true, true)]
        {
            let grants = self.grants.iter().rev();
            let of = |grant: &Grant| {
                if is_settled {
                    grant.settled
                } else {
                    grant.spent()
                }
            };
            for grant in grants.filter(|grant| grant.is_expired(now) == is_expired) {
                let part = of(grant).min(left);
                if part > 0 {
                    left -= part;
                    legs.push(Leg {
                        grant: grant.id.clone(),
                        part,
                        is_expired,
                        is_settled,
                    });
                }
            }
        }
        (legs, left)
    }
}
