//! Usage that draws on a wallet: charged when it is recorded, given back when it is taken back, and pledged before.

use super::credit::{Drawing, Pledged, pool_id};
use super::{Account, Counted, Effects};
use crate::domain::id::{FeatureId, ReservationId};
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::rating::Amount;
use crate::domain::reservation::{Pledge, Reservation};
use crate::domain::time::Timestamp;
use crate::domain::wallet::{
    About, Cause, Cover, Draw, Refusal, Transaction, UsageCharge, WalletKey,
};

/// What is to be charged for one event, before it is counted.
struct Due {
    feature: FeatureId,
    unit: Box<str>,
    quantity: Milli,
    exact: Amount,
}

impl Account {
    /// Counts usage, charges what of it draws on a wallet, and uses up the reservation that it names, if that is open.
    /// Returns what was charged, and whether it is more than the reservation had left.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits, or an amount its own.
    pub fn record(
        &mut self,
        usage: &Counted<'_>,
        reservation: Option<&ReservationId>,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(Option<UsageCharge>, bool), Overflow> {
        let due = self.due(usage, now)?;
        self.count(usage, now, effects)?;
        let charge = match due {
            Some(due) => self.charge(usage, due, reservation, now)?,
            None => None,
        };
        let Some(id) = reservation else {
            if let Some(charge) = &charge {
                self.fill_pool(&charge.feature, &charge.wallet, now);
            }
            return Ok((charge, false));
        };
        let is_beyond = self.use_up(id, usage.meter, usage.weighted, effects)?;
        if let Some(charge) = &charge {
            self.fill_pool(&charge.feature, &charge.wallet, now);
        }
        Ok((charge, is_beyond))
    }

    /// Returns what usage is to be charged; `None`: it draws on no wallet.
    fn due(&self, usage: &Counted<'_>, now: Timestamp) -> Result<Option<Due>, Overflow> {
        let Some(right) = self.rights.drawing(usage.meter, usage.dimensions) else {
            return Ok(None);
        };
        let Some(terms) = Drawing::of(right) else {
            return Ok(None);
        };
        let quantity = self.charged_part(&terms, usage.weighted, now);
        Ok(Some(Due {
            feature: right.feature.id.clone(),
            unit: terms.unit.into(),
            quantity,
            exact: self.exact_price(&terms, quantity, now)?,
        }))
    }

    /// Takes what is due: from the pool if a reservation pledged it, then from what can be spent; the rest is owed.
    fn charge(
        &mut self,
        usage: &Counted<'_>,
        due: Due,
        reservation: Option<&ReservationId>,
        now: Timestamp,
    ) -> Result<Option<UsageCharge>, Overflow> {
        if due.quantity == Milli::ZERO {
            return Ok(None);
        }
        let pledged = reservation.and_then(|id| self.pledged_wallet(id, &due.feature));
        // A catalog may have given the feature another unit since.
        let pledged = pledged.filter(|wallet| wallet.unit == due.unit);
        let wallet = pledged
            .clone()
            .unwrap_or_else(|| self.book.payer(usage.subaccount, &due.unit));
        let mut draw = self.running_draw(&due.feature, &due.unit, now);
        let mut amount = draw.due(due.exact)?;
        let pool = match pledged {
            Some(_) => self.pool(&due.feature, &wallet).min(amount).max(0),
            None => 0,
        };
        // What rounding alone lacks is charged with what comes next.
        let spendable = self
            .book
            .wallet(&wallet)
            .map_or(0, |wallet| wallet.available(now));
        let short = amount.saturating_sub(pool).saturating_sub(spendable);
        if short > 0 && short <= draw.carried().saturating_add(1) && amount > short {
            amount -= short;
        }
        draw.charge(due.quantity, due.exact, amount)?;
        let owed = self
            .take(&due.feature, &wallet, (amount, pool), usage, now)
            .map_err(|_| Overflow)?;
        let counted = reservation.map_or(0, |id| self.use_counted(id, &due.feature, amount));
        if amount > counted {
            let caps = (usage.subaccount, &wallet);
            self.book.count_caps(caps, amount - counted, now);
        }
        let charge = UsageCharge {
            feature: due.feature.clone(),
            wallet,
            quantity: due.quantity,
            amount,
            owed,
            period_start: draw.period.start,
        };
        self.book.draws_mut().insert(due.feature, draw);
        Ok(Some(charge))
    }

    /// Returns what usage of a feature drew in the billing period of `now`.
    fn running_draw(&self, feature: &FeatureId, unit: &str, now: Timestamp) -> Draw {
        let period = self.billing_period(now);
        match self.book.draw(feature) {
            Some(draw) if draw.period == period && *draw.unit == *unit => draw.clone(),
            Some(_) | None => Draw::new(feature.clone(), period, unit.into()),
        }
    }

    /// Moves an amount from a wallet to revenue, as much of it as `pool` from what is set aside; one below zero comes
    /// back. Returns what is owed of it.
    fn take(
        &mut self,
        feature: &FeatureId,
        key: &WalletKey,
        (amount, pool): (i64, i64),
        usage: &Counted<'_>,
        now: Timestamp,
    ) -> Result<i64, Refusal> {
        let wallet = self.book.wallet_mut(key);
        let owed = wallet.receivable();
        let mut done = Transaction::new(Cause::Usage);
        if pool > 0
            && let Some(id) = pool_id(feature)
        {
            done.join(wallet.capture(&id, pool, false, now)?);
        }
        if amount > pool {
            done.join(wallet.debit(amount - pool, Cover::Owe, now)?);
        }
        if amount < 0 {
            done = wallet.refund(-amount, now)?;
        }
        let owed = (wallet.receivable() - owed).max(0);
        let about = About {
            meter: Some(usage.meter.clone()),
            ..About::default()
        };
        self.book.post(key, done, about, now);
        Ok(owed)
    }

    /// Counts usage off that is taken back, and gives back what it had drawn. Returns the charge of the void.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits, or an amount its own.
    pub fn take_back(
        &mut self,
        usage: &Counted<'_>,
        drawn: Option<&UsageCharge>,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<Option<Box<UsageCharge>>, Overflow> {
        self.count(usage, now, effects)?;
        let refund = |charge| self.refund(charge, usage, now).map(Box::new);
        drawn.map(refund).transpose()
    }

    /// Gives back what an event had drawn that is taken back. Returns the charge of the void.
    ///
    /// # Errors
    /// When an amount leaves its range.
    pub fn refund(
        &mut self,
        charge: &UsageCharge,
        usage: &Counted<'_>,
        now: Timestamp,
    ) -> Result<UsageCharge, Overflow> {
        let wallet = &charge.wallet;
        let done = match charge.amount {
            0 => Ok(Transaction::new(Cause::Refund)),
            back @ 1.. => self.book.wallet_mut(wallet).refund(back, now),
            taken => self.book.wallet_mut(wallet).debit(-taken, Cover::Owe, now),
        };
        let about = About {
            meter: Some(usage.meter.clone()),
            ..About::default()
        };
        self.book
            .post(wallet, done.map_err(|_| Overflow)?, about, now);
        let caps = (usage.subaccount, wallet);
        self.book.give_back_caps(caps, charge.amount, usage.at);
        let mut draw = self.running_draw(&charge.feature, &wallet.unit, now);
        let is_own = draw.period.start == charge.period_start;
        draw.take_back(charge.quantity, charge.amount, is_own)?;
        self.book.draws_mut().insert(charge.feature.clone(), draw);
        Ok(UsageCharge {
            quantity: Milli::ZERO.minus(charge.quantity)?,
            amount: charge.amount.checked_neg().ok_or(Overflow)?,
            owed: 0,
            ..charge.clone()
        })
    }

    /// Returns the wallet in which a reservation has pledged use of a feature.
    fn pledged_wallet(&self, id: &ReservationId, feature: &FeatureId) -> Option<WalletKey> {
        let mut items = self.reservations.get(id)?.items.iter();
        let item = items.find(|item| item.feature == *feature && item.pledge.is_some())?;
        item.pledge.as_ref().map(|pledge| pledge.wallet.clone())
    }

    /// Takes from what a reservation counted under caps what is spent now; returns how much that covers.
    fn use_counted(&mut self, id: &ReservationId, feature: &FeatureId, amount: i64) -> i64 {
        let Some(reservation) = self.reservations.get_mut(id) else {
            return 0;
        };
        let items = reservation.items.iter_mut();
        let mut left = amount.max(0);
        for item in items.filter(|item| item.feature == *feature) {
            if let Some(pledge) = &mut item.pledge {
                let part = pledge.counted.min(left);
                pledge.counted -= part;
                left -= part;
            }
        }
        amount.max(0) - left
    }

    /// Puts what items pledge into their pools, and notes it with them.
    ///
    /// # Errors
    /// When a wallet does not cover it after all; the caller looked before.
    pub(super) fn pledge(
        &mut self,
        reservation: &mut Reservation,
        pledged: &[Option<Pledged>],
        now: Timestamp,
    ) -> Result<(), Overflow> {
        let spender = reservation.subaccount.clone();
        for (item, pledged) in reservation.items.iter_mut().zip(pledged) {
            let Some(pledged) = pledged else {
                continue;
            };
            self.shift_pledge(&pledged.feature, &pledged.wallet, pledged.quantity);
            item.pledge = Some(Pledge {
                wallet: pledged.wallet.clone(),
                counted: pledged.cost,
            });
            let caps = (spender.as_ref(), &pledged.wallet);
            self.book.count_caps(caps, pledged.cost, now);
            let about = About {
                reservation: Some(reservation.id.clone()),
                ..About::default()
            };
            if !self.raise_pool(pledged, about, now) {
                return Err(Overflow);
            }
        }
        Ok(())
    }

    /// Raises a pool by what it lacks for one item; false when the wallet does not cover that. What it lacks for earlier
    /// ones, whose use came to be charged for since, is not this item's to bring.
    fn raise_pool(&mut self, pledged: &Pledged, about: About, now: Timestamp) -> bool {
        if pledged.extra == 0 {
            return true;
        }
        let right = self.rights.get(pledged.feature.as_str());
        let owed_max = right
            .and_then(Drawing::of)
            .map_or(0, |terms| terms.owed_max());
        let Some(id) = pool_id(&pledged.feature) else {
            return false;
        };
        let wallet = self.book.wallet_mut(&pledged.wallet);
        let Ok(done) = wallet.raise_pool(&id, pledged.extra, owed_max, now) else {
            return false;
        };
        self.book.post(&pledged.wallet, done, about, now);
        true
    }

    /// Returns what a pool lacks for what is pledged, below zero what it has too much; and how much may be owed.
    fn lacks(&self, feature: &FeatureId, key: &WalletKey, now: Timestamp) -> (i64, i64) {
        let right = self.rights.get(feature.as_str());
        let terms = right.and_then(Drawing::of);
        let pledged = self.pledged(feature, key);
        let target = terms.map_or(0, |terms| self.cost(&terms, pledged, now));
        let owed_max = terms.map_or(0, |terms| terms.owed_max());
        (target.saturating_sub(self.pool(feature, key)), owed_max)
    }

    /// Raises a pool as far as the wallet covers what it lacks: other use has brought pledged use beyond what is
    /// included.
    fn fill_pool(&mut self, feature: &FeatureId, key: &WalletKey, now: Timestamp) {
        if self.pledged(feature, key) == Milli::ZERO {
            return;
        }
        let (lacks, owed_max) = self.lacks(feature, key, now);
        let wallet = self.book.wallet(key);
        let spendable = wallet.map_or(0, |wallet| wallet.available(now));
        let more = lacks.min(spendable);
        if more > 0
            && let Some(id) = pool_id(feature)
            && let Ok(done) = self
                .book
                .wallet_mut(key)
                .raise_pool(&id, more, owed_max, now)
        {
            self.book.post(key, done, About::default(), now);
        }
    }

    /// Gives back what a reservation pledged that has ended, save what others need.
    pub(super) fn unpledge(&mut self, reservation: &mut Reservation, now: Timestamp) {
        for item in &mut reservation.items {
            let left = item.hold.reserved();
            let Some(pledge) = &mut item.pledge else {
                continue;
            };
            let (feature, key) = (item.feature.clone(), pledge.wallet.clone());
            let counted = std::mem::take(&mut pledge.counted);
            self.shift_pledge(&feature, &key, Milli(left.0.saturating_neg()));
            let caps = (reservation.subaccount.as_ref(), &key);
            self.book
                .give_back_caps(caps, counted, reservation.reserve_time);
            let (lacks, _) = self.lacks(&feature, &key, now);
            let Some(id) = pool_id(&feature).filter(|_| lacks < 0) else {
                continue;
            };
            let target = self.pool(&feature, &key).saturating_add(lacks);
            let done = self.book.wallet_mut(&key).lower_pool(&id, target, now);
            let about = About {
                reservation: Some(reservation.id.clone()),
                ..About::default()
            };
            self.book.post(&key, done, about, now);
        }
    }
}
