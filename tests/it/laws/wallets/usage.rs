//! The naive customer: usage that draws on wallets, and what reservations pledge of them.
//!
//! Three features: calls, from the first unit; tokens, beyond what is included; pages, graduated. A price is a whole
//! number of micro-units.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::market::{INCLUDED, period, price};
use super::purse::Vault;

/// One use of a feature, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub id: usize,
    pub by: usize,
    pub feature: usize,
    pub quantity: i64,
    pub time: Option<i64>,
    pub reservation: Option<usize>,
}

/// An event that is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    pub sent: Use,
    pub count_time: i64,
    pub record_time: i64,
    pub is_void: bool,
    pub charge: Option<Charge>,
    /// What its void changed in what is charged.
    pub uncharge: Option<Charge>,
}

impl Stored {
    /// The period whose included units it takes up: that in which it counts, or was recorded if that was later.
    pub fn takes_included(&self) -> Option<i64> {
        let period = period(self.count_time).max(period(self.record_time));
        (self.sent.feature == 1).then_some(period)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    pub wallet: usize,
    pub quantity: i64,
    pub amount: i64,
    pub owed: i64,
    pub period: i64,
}

#[derive(Debug, Clone)]
pub struct Item {
    pub feature: usize,
    pub left: i64,
    pub wallet: usize,
    /// What of it counts under caps and was not spent yet.
    pub counted: i64,
}

#[derive(Debug, Clone)]
pub struct Reserved {
    pub by: usize,
    pub items: Vec<Item>,
    pub made: i64,
    pub end: i64,
    pub state: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Open,
    Expired,
    Committed,
    Released,
}

/// What usage of a feature drew in a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Draw {
    pub period: i64,
    pub base: i64,
    pub quantity: i64,
    pub amount: i64,
    /// What was priced and could not be charged.
    pub rest: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Recorded,
    Duplicate,
    Reused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voided {
    Now,
    Before,
    Never,
    TooOld,
}

#[derive(Debug, Clone, Default)]
pub struct Customer {
    pub vault: Vault,
    pub events: BTreeMap<usize, Stored>,
    pub reservations: Vec<Reserved>,
    pub draws: [Option<Draw>; 3],
}

impl Customer {
    pub fn draw(&self, feature: usize, now: i64) -> Draw {
        let period = period(now);
        let fresh = Draw {
            period,
            ..Draw::default()
        };
        self.draws[feature]
            .filter(|draw| draw.period == period)
            .unwrap_or(fresh)
    }

    /// How much of more use would be charged that is recorded now and counts at an instant.
    pub fn charged(&self, feature: usize, more: i64, at: i64, now: i64) -> i64 {
        if feature != 1 {
            return more;
        }
        let window = period(at).max(period(now));
        let events = self.events.values();
        let counts = |event: &&Stored| !event.is_void && event.takes_included() == Some(window);
        let used: i64 = events.filter(counts).map(|event| event.sent.quantity).sum();
        (used + more - INCLUDED).max(0) - (used - INCLUDED).max(0)
    }

    /// What was recorded in the running period after that had ended in which it counts.
    pub fn late(&self, feature: usize, now: i64) -> i64 {
        let late = self.events.values().filter(|event| {
            let is_late = period(event.count_time) < period(event.record_time);
            !event.is_void && is_late && event.takes_included() == Some(period(now))
        });
        let of = late.filter(|event| event.sent.feature == feature);
        of.map(|event| event.sent.quantity).sum()
    }

    /// What use would cost at most in a wallet: the dearest of the units that it and what others pledged come to.
    pub fn cost(&self, (feature, wallet): (usize, usize), units: i64, now: i64) -> i64 {
        let others = self.pledged_by_others(feature, wallet);
        let base = self.draw(feature, now).base;
        let charged = |more: i64| self.charged(feature, more, now, now);
        let (before, all) = (charged(others), charged(others + units));
        let each = |nth: i64| price(feature, base + nth + 1) - price(feature, base + nth);
        let mut each: Vec<i64> = (0..all).map(each).collect();
        if before > 0 {
            each.sort_unstable_by_key(|unit| Reverse(*unit));
        }
        let mine = usize::try_from(all - before).expect("others are a part");
        each.into_iter().take(mine).sum()
    }

    /// What open reservations may still use.
    pub fn pledged(&self, feature: usize, wallet: usize) -> i64 {
        let open = self.reservations.iter();
        let items = open.flat_map(|held| &held.items);
        items
            .filter(|item| item.feature == feature && item.wallet == wallet)
            .map(|item| item.left)
            .sum()
    }

    pub fn pledged_by_others(&self, feature: usize, wallet: usize) -> i64 {
        let wallets = (0..self.vault.purses.len()).filter(|other| *other != wallet);
        wallets.map(|other| self.pledged(feature, other)).sum()
    }

    fn open(&self, reservation: Option<usize>, now: i64) -> Option<usize> {
        reservation.filter(|id| {
            let held = &self.reservations[*id];
            held.state == Standing::Open && now < held.end
        })
    }

    /// Records a use; with `at`, it counts then.
    pub fn record(&mut self, sent: &Use, at: Option<i64>, now: i64) -> Fate {
        if let Some(stored) = self.events.get(&sent.id) {
            return if stored.sent == *sent {
                Fate::Duplicate
            } else {
                Fate::Reused
            };
        }
        let open = self.open(sent.reservation, now);
        let made = open.map(|id| self.reservations[id].made);
        let is_set_aside = open.is_some_and(|id| self.is_set_aside(sent, id, now));
        let count_time = at.or(made).or(sent.time).unwrap_or(now);
        let quantity = self.charged(sent.feature, sent.quantity, count_time, now);
        let stored = Stored {
            sent: sent.clone(),
            count_time,
            record_time: now,
            is_void: false,
            charge: None,
            uncharge: None,
        };
        self.events.insert(sent.id, stored);
        let charge = (quantity > 0).then(|| self.charge(sent, quantity, open, now));
        let owed = charge.map_or(0, |charge| charge.owed);
        assert!(
            owed <= 0 || !is_set_aside,
            "what was set aside is covered: {sent:?}"
        );
        self.events.get_mut(&sent.id).expect("it is stored").charge = charge;
        if let Some(id) = open {
            let mut left = sent.quantity;
            let items = self.reservations[id].items.iter_mut();
            for item in items.filter(|item| item.feature == sent.feature) {
                let moved = left.min(item.left);
                item.left -= moved;
                left -= moved;
            }
        }
        self.fill_pools(sent.feature, None, now);
        Fate::Recorded
    }

    fn left(&self, id: usize, feature: usize) -> i64 {
        let items = self.reservations[id].items.iter();
        let of = items.filter(|item| item.feature == feature);
        of.map(|item| item.left).sum()
    }

    /// Whether a reservation has as much left as is used, and the credits for it lie in the pool.
    fn is_set_aside(&self, sent: &Use, id: usize, now: i64) -> bool {
        let items = self.reservations[id].items.iter();
        let items = items.filter(|item| item.feature == sent.feature);
        let left: i64 = items.clone().map(|item| item.left).sum();
        let lacks = |item: &Item| self.lacks(item.feature, item.wallet, now);
        sent.quantity <= left && !items.clone().any(lacks)
    }

    /// Takes what is due: of what is pledged, then of what can be spent; the rest is owed.
    fn charge(&mut self, sent: &Use, quantity: i64, open: Option<usize>, now: i64) -> Charge {
        let feature = sent.feature;
        let mut draw = self.draw(feature, now);
        let exact = price(feature, draw.base + quantity) - price(feature, draw.base);
        let item = open.and_then(|id| {
            let mut items = self.reservations[id].items.iter();
            items
                .find(|item| item.feature == feature)
                .map(|item| item.wallet)
        });
        let wallet = item.unwrap_or_else(|| self.vault.payer(sent.by));
        let mut amount = draw.rest + exact;
        draw.base += quantity;
        draw.quantity += quantity;
        self.draws[feature] = Some(draw);
        let spendable = self.vault.available(wallet, now);
        let pool = self.vault.purses[wallet].pool(feature);
        let own = open.map_or(0, |id| self.left(id, feature));
        // What others pledged costs less now: what that frees pays before anything is owed.
        let rest = self.pledged(feature, wallet) - own;
        let spare = pool - self.cost((feature, wallet), rest, now);
        let pooled = if own == 0 {
            (amount - spendable).min(spare)
        } else if sent.quantity <= own {
            pool.min(amount)
        } else {
            amount.min(spare)
        };
        let pooled = pooled.max(0);
        let short = amount - pooled - spendable;
        // A micro-unit that only rounding lacks, or what was put off so before.
        if short > 0 && short <= draw.rest.max(0) + 1 && amount > short {
            amount -= short;
        }
        let owed = if amount < 0 {
            // What could not be given back before lowers what is charged now.
            let before = self.vault.purses[wallet].owed;
            amount = -self.vault.refund(wallet, -amount, now);
            self.vault.purses[wallet].owed - before
        } else {
            self.vault.use_pool(wallet, feature, pooled);
            self.vault.spend(wallet, amount - pooled, now)
        };
        draw.rest += exact - amount;
        draw.amount += amount;
        self.draws[feature] = Some(draw);
        if let Some(id) = open {
            self.use_counted(id, feature, amount.max(0));
        }
        self.vault.count_caps(sent.by, wallet, amount.max(0), now);
        Charge {
            wallet,
            quantity,
            amount,
            owed,
            period: draw.period,
        }
    }

    /// Gives back what a reservation counted of what is spent: it counts when it is spent.
    fn use_counted(&mut self, id: usize, feature: usize, amount: i64) {
        let mut left = amount;
        let held = &mut self.reservations[id];
        for item in held.items.iter_mut().filter(|item| item.feature == feature) {
            let part = item.counted.min(left);
            item.counted -= part;
            left -= part;
            self.vault
                .give_back_caps(held.by, item.wallet, part, held.made);
        }
    }

    /// Raises pools as far as wallets cover what they lack, save one.
    pub fn fill_pools(&mut self, feature: usize, except: Option<usize>, now: i64) {
        for wallet in (0..self.vault.purses.len()).filter(|wallet| except != Some(*wallet)) {
            let pledged = self.pledged(feature, wallet);
            if pledged == 0 || self.vault.purses[wallet].owed > 0 {
                continue;
            }
            let lacks = self.cost((feature, wallet), pledged, now)
                - self.vault.purses[wallet].pool(feature);
            let more = lacks.min(self.vault.available(wallet, now));
            if more > 0 {
                self.vault.raise_pool(wallet, feature, more, now);
            }
        }
    }

    /// Whether a reservation in a wallet has less in its pool than its use would cost.
    pub fn lacks(&self, feature: usize, wallet: usize, now: i64) -> bool {
        let pledged = self.pledged(feature, wallet);
        self.cost((feature, wallet), pledged, now) > self.vault.purses[wallet].pool(feature)
    }

    /// Ends what is over; true when there was any.
    pub fn sweep(&mut self, now: i64) -> bool {
        let over = |held: &Reserved| held.state == Standing::Open && held.end <= now;
        let ids: Vec<usize> = (0..self.reservations.len())
            .filter(|id| over(&self.reservations[*id]))
            .collect();
        for id in &ids {
            self.close(*id, Standing::Expired, now);
        }
        self.vault.sweep(now) || !ids.is_empty()
    }
}
