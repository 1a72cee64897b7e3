//! Giving back what usage had drawn, when the usage is taken back.

use super::grant::Grant;
use super::ledger::{Account, Cause, Transaction};
use super::spend::in_range;
use super::{Refusal, Wallet};
use crate::domain::id::GrantId;
use crate::domain::time::Timestamp;

impl Wallet {
    /// Gives back what was spent: first what is owed, then into grants, the last to be used up first, those whose time
    /// is over at the end; what goes back into these expires now.
    ///
    /// # Errors
    /// When the amount is out of range, or more than was ever spent of what the wallet knows.
    pub fn refund(&mut self, amount: i64, now: Timestamp) -> Result<Transaction, Refusal> {
        in_range(amount)?;
        let waived = self.head.receivable.min(amount);
        let mut left = amount - waived;
        let (over, alive): (Vec<&Grant>, Vec<&Grant>) = self
            .grants
            .iter()
            .rev()
            .partition(|grant| grant.is_expired(now));
        let mut legs: Vec<(GrantId, i64, bool)> = Vec::new();
        for (grants, is_expired) in [(alive, false), (over, true)] {
            for grant in grants {
                let part = grant.used.min(left);
                if part > 0 {
                    legs.push((grant.id.clone(), part, is_expired));
                    left -= part;
                }
            }
        }
        if left > 0 {
            return Err(Refusal::RefundTooLarge {
                amount,
                left: amount - left,
            });
        }
        let mut done = Transaction::new(Cause::Refund);
        done.shift(Account::Revenue, Account::Receivable, waived);
        self.head.receivable -= waived;
        for (id, part, is_expired) in legs {
            let to = if is_expired {
                Account::Expired
            } else {
                Account::Available(id.clone())
            };
            done.shift(Account::Revenue, to, part);
            self.change(&id, now, |grant| {
                grant.used -= part;
                grant.expire(if is_expired { part } else { 0 });
            });
        }
        Ok(done)
    }
}
