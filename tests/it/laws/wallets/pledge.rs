//! The naive customer: what is asked for before it is used, and what reservations pledge.

use bursar::domain::decision::Reason;

use super::purse::Why;
use super::usage::{Customer, Fate, Item, Reserved, Standing, Use};

/// What one item of a reservation that is being decided will pledge.
struct Pledged {
    feature: usize,
    wallet: usize,
    quantity: i64,
    cost: i64,
    extra: i64,
}

impl Customer {
    fn quote(
        &self,
        by: usize,
        feature: usize,
        units: i64,
        pending: &[Pledged],
        now: i64,
    ) -> Pledged {
        let wallet = self.vault.payer(by);
        let same = pending.iter();
        let same = same.filter(|item| item.feature == feature && item.wallet == wallet);
        let before = self.pledged(feature, wallet) + same.map(|item| item.quantity).sum::<i64>();
        let pool = self.vault.purses[wallet].pool(feature);
        let lacks = |cost: i64| (cost - pool).max(0);
        let (old, new) = (
            self.cost((feature, wallet), before, now),
            self.cost((feature, wallet), before + units, now),
        );
        Pledged {
            feature,
            wallet,
            quantity: units,
            cost: new - old,
            extra: lacks(new) - lacks(old),
        }
    }

    fn covers(
        &self,
        by: usize,
        asked: &Pledged,
        pending: &[Pledged],
        now: i64,
    ) -> Result<(), Reason> {
        if asked.cost == 0 {
            return Ok(());
        }
        let same = || pending.iter().filter(|item| item.wallet == asked.wallet);
        let counted: i64 = same().map(|item| item.cost).sum();
        let caps = self
            .vault
            .check_caps(by, asked.wallet, asked.cost + counted, now);
        caps.map_err(|_| Reason::SpendCapExceeded)?;
        let taken: i64 = same().map(|item| item.extra).sum();
        let spending = self
            .vault
            .check_spending(asked.wallet, asked.extra + taken, now);
        spending.map_err(|why| match why {
            Why::Blocked { .. } => Reason::WalletBlocked,
            _ => Reason::CreditsInsufficient,
        })
    }

    /// How much of what is wanted is granted.
    fn ask(
        &self,
        (by, feature): (usize, usize),
        (want, least): (i64, i64),
        pending: &[Pledged],
        now: i64,
    ) -> Result<i64, Reason> {
        let covered = |units: i64| {
            let quote = self.quote(by, feature, units, pending, now);
            self.covers(by, &quote, pending, now)
        };
        let Err(reason) = covered(want) else {
            return Ok(want);
        };
        if self.vault.purses[self.vault.payer(by)].owed > 0 {
            return Err(reason);
        }
        let less = (least.max(1)..want).rev();
        less.into_iter()
            .find(|units| covered(*units).is_ok())
            .ok_or(reason)
    }

    pub fn consume(&mut self, sent: &Use, now: i64) -> Result<Fate, Reason> {
        if !self.events.contains_key(&sent.id) {
            let wanted = (sent.quantity, sent.quantity);
            self.ask((sent.by, sent.feature), wanted, &[], now)?;
        }
        Ok(self.record(sent, Some(now), now))
    }

    pub fn reserve(
        &mut self,
        by: usize,
        asked: &[(usize, i64, i64)],
        (now, end): (i64, i64),
    ) -> Vec<Result<i64, Reason>> {
        let alone = asked.iter();
        let alone: Vec<_> = alone
            .map(|(of, want, least)| self.ask((by, *of), (*want, *least), &[], now))
            .collect();
        if alone.iter().any(Result::is_err) {
            return alone;
        }
        let mut pending = Vec::new();
        let mut granted = Vec::new();
        for (of, want, least) in asked {
            let units = self.ask((by, *of), (*want, *least), &pending, now);
            if let Ok(units) = units {
                pending.push(self.quote(by, *of, units, &pending, now));
            }
            granted.push(units);
        }
        if granted.iter().any(Result::is_err) {
            return granted;
        }
        let id = self.reservations.len();
        self.reservations.push(Reserved {
            by,
            items: Vec::new(),
            made: now,
            end,
            state: Standing::Open,
        });
        for pledged in pending {
            let (feature, wallet) = (pledged.feature, pledged.wallet);
            self.vault.count_caps(by, wallet, pledged.cost, now);
            if pledged.extra > 0 {
                self.vault.raise_pool(wallet, feature, pledged.extra, now);
            }
            self.reservations[id].items.push(Item {
                feature,
                left: pledged.quantity,
                wallet,
                counted: pledged.cost,
            });
            // What others pledged may come after this.
            self.fill_pools(feature, Some(wallet), now);
        }
        granted
    }

    pub fn close(&mut self, id: usize, state: Standing, now: i64) {
        for item in 0..self.reservations[id].items.len() {
            let held = &mut self.reservations[id];
            let (by, made) = (held.by, held.made);
            let item = &mut held.items[item];
            let counted = std::mem::take(&mut item.counted);
            let (feature, wallet) = (item.feature, item.wallet);
            item.left = 0;
            self.vault.give_back_caps(by, wallet, counted, made);
            for other in 0..self.vault.purses.len() {
                let pledged = self.pledged(feature, other);
                if other == wallet || pledged > 0 {
                    let target = self.cost((feature, other), pledged, now);
                    self.vault.lower_pool(other, feature, target, now);
                }
            }
        }
        self.reservations[id].state = state;
    }

    /// Commits with the last of its uses, or gives back; false when it ended otherwise before.
    pub fn settle(&mut self, id: usize, commits: bool, last: &[Use], now: i64) -> bool {
        let state = self.reservations[id].state;
        let is_open = state == Standing::Open;
        let is_late = state == Standing::Expired || (!commits && state == Standing::Released);
        if !is_open && !is_late {
            return false;
        }
        for sent in last {
            self.record(sent, None, now);
        }
        if is_open {
            let how = if commits {
                Standing::Committed
            } else {
                Standing::Released
            };
            self.close(id, how, now);
        }
        true
    }
}
