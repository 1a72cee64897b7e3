//! The naive customer: usage that is taken back.

use super::caps::DAY;
use super::market::{PAGES, period, price};
use super::usage::{Charge, Customer, Stored, Voided};

impl Customer {
    pub fn void(&mut self, id: usize, now: i64) -> Voided {
        let Some(stored) = self.events.get(&id) else {
            return Voided::Never;
        };
        if stored.is_void {
            return Voided::Before;
        }
        if stored.count_time < now - 35 * DAY {
            return Voided::TooOld;
        }
        let stored = stored.clone();
        let uncharge = self.uncharge(&stored, now);
        let kept = self.events.get_mut(&id).expect("it is stored");
        kept.is_void = true;
        kept.uncharge = uncharge;
        if uncharge.is_some() {
            self.fill_pools(stored.sent.feature, None, now);
        }
        Voided::Now
    }

    /// Gives back what is charged no longer: the price of the last units, if it was judged by what still runs.
    fn uncharge(&mut self, stored: &Stored, now: i64) -> Option<Charge> {
        let feature = stored.sent.feature;
        let (own, mut draw) = (stored.charge, self.draw(feature, now));
        let charged = own.map_or(0, |own| own.quantity);
        let running = self.draws[feature].filter(|draw| draw.period == period(now));
        let is_now = running.is_some() && period(stored.record_time) == period(now);
        let less = if is_now {
            self.less(stored, charged, now).min(draw.base)
        } else {
            charged
        };
        let is_own = !is_now || (less == charged && (feature != PAGES || less == 0));
        if is_own && own.is_none() {
            return None;
        }
        let exact = match own {
            Some(own) if is_own => -own.amount,
            _ => price(feature, draw.base - less) - price(feature, draw.base),
        };
        let wallet = own.map_or_else(|| self.vault.payer(stored.sent.by), |own| own.wallet);
        let due = if is_own { exact } else { draw.rest + exact };
        let before = self.vault.purses[wallet].owed;
        let amount = if due > 0 {
            self.vault.spend(wallet, due, now);
            due
        } else {
            -self.vault.refund(wallet, -due, now)
        };
        let by = stored.sent.by;
        self.vault
            .give_back_caps(by, wallet, -amount, stored.record_time);
        let charge = Charge {
            wallet,
            quantity: -less,
            amount,
            owed: self.vault.purses[wallet].owed - before,
            period: own.map_or(draw.period, |own| own.period),
        };
        if charge.period == draw.period {
            draw.base = (draw.base - less).max(0);
        }
        draw.quantity -= less;
        draw.amount += amount;
        draw.rest += exact - amount;
        self.draws[feature] = Some(draw);
        Some(charge)
    }

    /// How much less is charged without a use that was recorded in the running period.
    fn less(&self, stored: &Stored, charged: i64, now: i64) -> i64 {
        match stored.takes_included() {
            Some(window) if window >= period(now) => {
                -self.charged(1, -stored.sent.quantity, stored.count_time, now)
            }
            Some(_) | None => charged,
        }
    }
}
