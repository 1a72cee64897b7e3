//! Usage that draws on a wallet is charged when it is recorded. Voids and pools have files of their own.

use smol_str::SmolStr;

use super::credit::{Drawing, pool_id};
use super::{Account, Counted, Effects};
use crate::domain::id::{FeatureId, ReservationId};
use crate::domain::quantity::{Excess, Milli, Overflow};
use crate::domain::rating::Amount;
use crate::domain::time::Timestamp;
use crate::domain::wallet::{
    AMOUNT_MAX, About, Cause, Cover, Draw, Refusal, Transaction, UsageCharge, WalletKey,
};

/// What is to be charged for one event, before it is counted.
struct Due {
    feature: FeatureId,
    unit: SmolStr,
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
    ) -> Result<(Option<UsageCharge>, bool), Excess> {
        let due = self.due(usage, now);
        let due = due.map_err(|Overflow| too_dear(None))?;
        self.count(usage, now, effects)?;
        self.note_late(usage, now, now)?;
        let drawing = due.as_ref().map(|due| due.feature.clone());
        let charge = match due {
            Some(due) => {
                let cost = due.exact.ceil().ok();
                let charged = self.charge(usage, due, reservation, now);
                charged.map_err(|Overflow| too_dear(cost))?
            }
            None => None,
        };
        let is_beyond = match reservation {
            Some(id) => self.use_up(id, usage.meter, usage.weighted, effects)?,
            None => false,
        };
        // What is included counts as well: it brings what is pledged closer to its price.
        if let Some(feature) = &drawing {
            self.fill_pools(feature, None, now);
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
        let quantity = self.charged_part_at(&terms, (usage.weighted, usage.at), now);
        Ok(Some(Due {
            feature: right.feature.id.clone(),
            unit: terms.unit.into(),
            quantity,
            exact: self.exact_price(&terms, (Milli::ZERO, quantity), now)?,
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
        let spendable = self
            .book
            .wallet(&wallet)
            .map_or(0, |wallet| wallet.available(now));
        let own = match (&pledged, reservation) {
            (Some(_), Some(id)) => self.left_of(id, &due.feature),
            _ => Milli::ZERO,
        };
        let pool = if own == Milli::ZERO {
            // What others pledged may cost less from here on: what that frees pays before anything is owed.
            (amount.saturating_sub(spendable)).min(self.spare(&due, &wallet, own, now)?)
        } else if usage.weighted <= own {
            self.pool(&due.feature, &wallet).min(amount)
        } else {
            // What goes beyond the reservation leaves to others what they pledged.
            amount.min(self.spare(&due, &wallet, own, now)?)
        };
        let pool = pool.max(0);
        // What rounding alone lacks is charged with what comes next.
        let short = amount.saturating_sub(pool).saturating_sub(spendable);
        if short > 0 && short <= draw.carried().saturating_add(1) && amount > short {
            amount -= short;
        }
        let owed = if amount < 0 {
            let (given, owed) = self.give_back(&wallet, -amount, usage, now)?;
            amount = -given;
            owed
        } else {
            self.take(&due.feature, &wallet, (amount, pool), usage, now)
                .map_err(|_| Overflow)?
        };
        draw.charge(due.quantity, due.exact, amount)?;
        if let Some(id) = reservation {
            self.use_counted(id, (&due.feature, &wallet), amount);
        }
        self.book
            .count_caps((usage.subaccount, &wallet), amount.max(0), now);
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

    /// Returns what a pool will have beyond what it is for, once this is charged, which uses up `own` of what is pledged.
    fn spare(
        &self,
        due: &Due,
        key: &WalletKey,
        own: Milli,
        now: Timestamp,
    ) -> Result<i64, Overflow> {
        let pool = self.pool(&due.feature, key);
        let right = self.rights.get(due.feature.as_str());
        let Some(terms) = right.and_then(Drawing::of).filter(|_| pool > 0) else {
            return Ok(0);
        };
        let pledged = self
            .pledges
            .quantity(&due.feature, key)
            .minus_saturating(own);
        let others = self.pledged_by_others(&due.feature, key);
        let needed = self.cost_after(&terms, (due.quantity, others, pledged), now)?;
        Ok(pool.saturating_sub(needed))
    }

    /// Returns what usage of a feature drew in the billing period of `now`.
    pub(super) fn running_draw(&self, feature: &FeatureId, unit: &str, now: Timestamp) -> Draw {
        let period = self.billing_period(now);
        match self.book.draw(feature) {
            Some(draw) if draw.period == period && *draw.unit == *unit => draw.clone(),
            before => Draw::new(feature.clone(), period, unit.into()).after(before),
        }
    }

    /// Moves an amount from a wallet to revenue, as much of it as `pool` from what is set aside. Returns what is owed of
    /// it.
    pub(super) fn take(
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
        let owed = (wallet.receivable() - owed).max(0);
        self.book.post(key, done, about(usage), now);
        Ok(owed)
    }

    /// Returns the wallet in which a reservation has pledged use of a feature.
    fn pledged_wallet(&self, id: &ReservationId, feature: &FeatureId) -> Option<WalletKey> {
        let mut items = self.reservations.get(id)?.items.iter();
        let item = items.find(|item| item.feature == *feature && item.pledge.is_some())?;
        item.pledge.as_ref().map(|pledge| pledge.wallet.clone())
    }

    /// Returns what a reservation has left of a feature.
    fn left_of(&self, id: &ReservationId, feature: &FeatureId) -> Milli {
        let reservation = self.reservations.get(id);
        let items = reservation.iter().flat_map(|held| &held.items);
        let same = items.filter(|item| item.feature == *feature && item.pledge.is_some());
        same.fold(Milli::ZERO, |sum, item| {
            sum.plus_saturating(item.hold.reserved())
        })
    }

    /// Gives back what a reservation counted under caps of what is spent now: it counts when it is spent.
    fn use_counted(
        &mut self,
        id: &ReservationId,
        (feature, payer): (&FeatureId, &WalletKey),
        amount: i64,
    ) {
        let Some(reservation) = self.reservations.get_mut(id) else {
            return;
        };
        let spender = reservation.subaccount.as_ref();
        let items = reservation.items.iter_mut();
        let mut left = amount.max(0);
        for item in items.filter(|item| item.feature == *feature) {
            if let Some(pledge) = item.pledge.as_mut().filter(|of| of.wallet == *payer) {
                let part = pledge.counted.min(left);
                pledge.counted -= part;
                left -= part;
                let caps = (spender, &pledge.wallet);
                self.book
                    .give_back_caps(caps, part, reservation.reserve_time);
            }
        }
    }
}

/// Returns the bound that a charge goes beyond: that of one charge, or else of what is charged in sum.
pub(super) fn too_dear(cost: Option<i64>) -> Excess {
    let fits_alone = cost.is_some_and(|cost| cost <= AMOUNT_MAX);
    let limit = if fits_alone { i64::MAX } else { AMOUNT_MAX };
    Excess::Charged { cost, limit }
}

/// Says in a ledger what usage an entry is for.
pub(super) fn about(usage: &Counted<'_>) -> About {
    About {
        meter: Some(usage.meter.clone()),
        ..About::default()
    }
}
