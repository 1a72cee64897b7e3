//! Caps on what the naive wallets may spend in a window.

use super::purse::{Vault, Why};

pub const DAY: i64 = 86_400;

/// The first end of a day after an instant; days step from when the customer began.
pub fn day_end(at: i64) -> i64 {
    (at.div_euclid(DAY) + 1) * DAY
}

#[derive(Debug, Clone)]
pub struct Cap {
    pub amount: i64,
    is_lifetime: bool,
    window: i64,
    spent: i64,
    since: i64,
}

impl Cap {
    fn window(&self, at: i64) -> i64 {
        if self.is_lifetime {
            0
        } else {
            at.div_euclid(DAY)
        }
    }

    pub fn spent(&self, now: i64) -> i64 {
        if self.window == self.window(now) {
            self.spent
        } else {
            0
        }
    }
}

impl Vault {
    pub fn check_caps(
        &self,
        spender: usize,
        payer: usize,
        needed: i64,
        now: i64,
    ) -> Result<(), Why> {
        for owner in capped(spender, payer) {
            if let Some(cap) = &self.purses[owner].cap {
                let left = (cap.amount - cap.spent(now)).max(0);
                if needed > left {
                    let cap = cap.amount;
                    return Err(Why::Cap { needed, cap, left });
                }
            }
        }
        Ok(())
    }

    pub fn count_caps(&mut self, spender: usize, payer: usize, amount: i64, now: i64) {
        for owner in capped(spender, payer) {
            if let Some(cap) = &mut self.purses[owner].cap {
                cap.spent = cap.spent(now) + amount;
                cap.window = cap.window(now);
            }
        }
    }

    pub fn give_back_caps(&mut self, spender: usize, payer: usize, amount: i64, at: i64) {
        for owner in capped(spender, payer) {
            if let Some(cap) = &mut self.purses[owner].cap
                && cap.window == cap.window(at)
                && cap.since <= at
            {
                cap.spent = (cap.spent - amount).max(0);
            }
        }
    }

    pub fn set_cap(&mut self, owner: usize, amount: Option<i64>, is_lifetime: bool, now: i64) {
        let before = self.purses[owner].cap.take();
        self.purses[owner].cap = amount.map(|amount| {
            let mut cap = Cap {
                amount,
                is_lifetime,
                window: 0,
                spent: 0,
                since: now,
            };
            cap.window = cap.window(now);
            if let Some(before) = before.filter(|before| before.is_lifetime == is_lifetime) {
                (cap.spent, cap.since) = (before.spent(now), before.since);
            }
            cap
        });
    }
}

/// Whose caps bound what is spent, each once.
fn capped(spender: usize, payer: usize) -> impl Iterator<Item = usize> {
    std::iter::once(spender).chain((spender != payer).then_some(payer))
}
