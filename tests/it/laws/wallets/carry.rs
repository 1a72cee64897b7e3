//! The naive customer: an operation carried out, or refused with nothing changed.

use super::model::{Balance, Outcome};
use super::purse::{Ended, Pile, Why};
use super::steps::Op;
use super::usage::{Customer, Fate};

impl Customer {
    pub fn balance(&self, owner: usize) -> Balance {
        let (available, held) = self.vault.booked(owner);
        (available, held, self.vault.purses[owner].owed)
    }

    /// Does what is asked, or refuses.
    pub fn carry_out(&mut self, op: &Op, serial: usize, now: i64) -> Outcome {
        match op {
            Op::Record(uses) => {
                let fates = uses.iter().map(|sent| self.record(sent, None, now));
                Outcome::Recorded(fates.collect())
            }
            Op::Consume(sent) => {
                let lacked: Vec<bool> = self.lacking(sent.feature, now);
                let consumed = self.consume(sent, now);
                if consumed == Ok(Fate::Recorded)
                    && let Some(charge) = self.events[&sent.id].charge
                {
                    let is_covered = charge.owed <= 0 || lacked[charge.wallet];
                    assert!(is_covered, "what was allowed is covered: {sent:?}");
                }
                Outcome::Consumed(consumed)
            }
            Op::Reserve(by, items, ttl) => {
                Outcome::Reserved(self.reserve(*by, items, (now, now + ttl)))
            }
            Op::Commit(id, uses) => Outcome::Settled(self.settle(*id, true, uses, now)),
            Op::Return(id) => Outcome::Settled(self.settle(*id, false, &[], now)),
            Op::Void(ids) => Outcome::Voided(ids.iter().map(|id| self.void(*id, now)).collect()),
            op => match self.move_credits(op, serial, now) {
                Ok(wallets) => {
                    let left = |owner: usize| (owner, self.balance(owner));
                    Outcome::Moved(wallets.into_iter().map(left).collect())
                }
                Err(why) => Outcome::Refused(why),
            },
        }
    }

    fn lacking(&self, feature: usize, now: i64) -> Vec<bool> {
        let wallets = 0..self.vault.purses.len();
        wallets
            .map(|wallet| self.lacks(feature, wallet, now))
            .collect()
    }

    /// Moves credits without usage; returns the wallets that the answer tells of.
    fn move_credits(&mut self, op: &Op, serial: usize, now: i64) -> Result<Vec<usize>, Why> {
        let vault = &mut self.vault;
        match *op {
            Op::Grant(ref pile) => {
                let same = |other: &Pile| pile.payment.is_some() && other.payment == pile.payment;
                if let Some(grant) = vault.piles.iter().position(same) {
                    return Err(Why::PaidBefore { grant });
                }
                if pile.end.is_some_and(|end| end <= now) {
                    return Err(Why::GrantExpired);
                }
                let made = now;
                vault.add(
                    Pile {
                        made,
                        serial,
                        ..pile.clone()
                    },
                    false,
                );
                Ok(vec![pile.owner])
            }
            Op::Debit(by, amount, owes) => {
                let payer = vault.payer(by);
                if !owes {
                    vault.check_caps(by, payer, amount, now)?;
                    vault.check_spending(payer, amount, now)?;
                }
                vault.spend(payer, amount, now);
                vault.count_caps(by, payer, amount, now);
                Ok(vec![payer])
            }
            Op::Transfer(from, to, amount) => self.transfer((from, to), amount, serial, now),
            Op::Expire(grant) => {
                let pile = &mut vault.piles[grant];
                if pile.end.is_some_and(|end| end <= now) {
                    return Err(Why::GrantExpired);
                }
                pile.end = Some(now);
                let owner = pile.owner;
                vault.sweep(now);
                Ok(vec![owner])
            }
            Op::ClawBack(grant, amount) => {
                let pile = &vault.piles[grant];
                let left = pile.amount - pile.returned;
                let owner = pile.owner;
                if let Some(origin) = pile.origin {
                    return Err(Why::Transferred { origin });
                }
                let amount = amount.unwrap_or(left);
                if amount > left || left == 0 {
                    return Err(Why::ClawbackTooLarge { amount, left });
                }
                vault.claw_back(grant, amount, now);
                Ok(vec![owner])
            }
            Op::Cap(of, amount, is_lifetime) => {
                vault.set_cap(of, amount, is_lifetime, now);
                Ok(vec![of])
            }
            _ => self.move_held(op, now),
        }
    }

    /// Sets credits aside and resolves holds.
    fn move_held(&mut self, op: &Op, now: i64) -> Result<Vec<usize>, Why> {
        let vault = &mut self.vault;
        match *op {
            Op::Hold(by, amount, ttl) => {
                let payer = vault.payer(by);
                vault.check_caps(by, payer, amount, now)?;
                vault.check_spending(payer, amount, now)?;
                vault.hold(payer, by, amount, now, now + ttl);
                vault.count_caps(by, payer, amount, now);
                Ok(vec![payer])
            }
            Op::Capture(hold, amount, keep) => {
                let payer = self.still_open(hold)?;
                let left = self.vault.holds[hold].left();
                let amount = amount.unwrap_or(left);
                if amount == 0 && keep {
                    return Err(Why::OutOfRange);
                }
                if amount > left {
                    return Err(Why::CaptureTooLarge { amount, held: left });
                }
                self.vault.capture(hold, amount, !keep, now);
                Ok(vec![payer])
            }
            Op::Release(hold) => {
                let payer = self.still_open(hold)?;
                self.vault.end_hold(hold, Ended::Released, now);
                Ok(vec![payer])
            }
            ref op => unreachable!("{op:?} is usage"),
        }
    }

    fn still_open(&self, hold: usize) -> Result<usize, Why> {
        let hold = &self.vault.holds[hold];
        match hold.ended {
            Some(state) => Err(Why::HoldResolved {
                state,
                captured: hold.captured,
            }),
            None => Ok(hold.payer),
        }
    }

    fn transfer(
        &mut self,
        (from, to): (usize, usize),
        amount: i64,
        serial: usize,
        now: i64,
    ) -> Result<Vec<usize>, Why> {
        if from == to {
            return Err(Why::OneWallet);
        }
        self.vault.check_caps(from, from, amount, now)?;
        self.vault.check_spending(from, amount, now)?;
        for (number, (pile, part)) in self.vault.pick(from, amount, now).into_iter().enumerate() {
            self.vault.piles[pile].used += part;
            self.vault.piles[pile].moved += part;
            let coming = Pile {
                owner: to,
                amount: part,
                used: 0,
                moved: 0,
                settled: 0,
                held: 0,
                lapsed: 0,
                expired: 0,
                returned: 0,
                payment: None,
                made: now,
                leg: number.to_string(),
                origin: Some(pile),
                serial,
                ..self.vault.piles[pile].clone()
            };
            self.vault.add(coming, true);
        }
        self.vault.purses[from].totals.sent += amount;
        self.vault.count_caps(from, from, amount, now);
        Ok(vec![from, to])
    }
}
