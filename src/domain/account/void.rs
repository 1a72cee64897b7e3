//! Usage that is taken back: counted off, and what is charged is again the price of what is left.
//!
//! So a void gives back what the last units cost, whichever they were: when included use is taken back, use that was
//! charged takes its place. What was recorded in another billing period, or in a window that has ended, gives back what
//! it had drawn itself.

use super::credit::Drawing;
use super::draw::{about, too_dear};
use super::{Account, Counted, Effects};
use crate::domain::catalog::Pricing;
use crate::domain::id::FeatureId;
use crate::domain::quantity::{Excess, Milli, Overflow};
use crate::domain::rating::Amount;
use crate::domain::time::Timestamp;
use crate::domain::wallet::{Cause, Refusal, Transaction, UsageCharge, WalletKey};

/// What is no longer charged.
struct Back {
    feature: FeatureId,
    wallet: WalletKey,
    quantity: Milli,
    /// What that changes in the price, mostly below zero.
    exact: Amount,
    /// Whether it is priced anew, and not what its event had been charged: then fractions are settled with it.
    is_priced: bool,
    period_start: Timestamp,
}

impl Account {
    /// Counts usage off that was recorded at `recorded`, and gives back what is charged no longer. Returns the charge of
    /// the void.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits, or an amount its own.
    pub fn take_back(
        &mut self,
        usage: &Counted<'_>,
        (drawn, recorded): (Option<&UsageCharge>, Timestamp),
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<Option<Box<UsageCharge>>, Excess> {
        let back = self.due_back(usage, drawn, recorded, now);
        let back = back.map_err(|Overflow| too_dear(None))?;
        self.count(usage, now, effects)?;
        self.note_late(usage, recorded, now)?;
        let Some(back) = back else {
            return Ok(None);
        };
        let feature = back.feature.clone();
        let charge = self.uncharge(back, usage, recorded, now);
        let charge = charge.map_err(|Overflow| too_dear(None))?;
        self.fill_pools(&feature, None, now);
        Ok(Some(Box::new(charge)))
    }

    /// Returns what is no longer charged once usage is taken back; `None`: nothing changes.
    fn due_back(
        &self,
        usage: &Counted<'_>,
        drawn: Option<&UsageCharge>,
        recorded: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Back>, Overflow> {
        let own = |charge: &UsageCharge| {
            Ok(Back {
                feature: charge.feature.clone(),
                wallet: charge.wallet.clone(),
                quantity: charge.quantity,
                exact: Amount::ZERO.minus(Amount::from_micros(charge.amount))?,
                is_priced: false,
                period_start: charge.period_start,
            })
        };
        let own = drawn.map(own).transpose()?;
        let right = self.rights.drawing(usage.meter, usage.dimensions);
        let Some(terms) = right.and_then(Drawing::of) else {
            return Ok(own);
        };
        let feature = &terms.right.feature.id;
        let period = self.billing_period(now);
        let draw = self.book.draw(feature).filter(|draw| {
            draw.period == period && *draw.unit == *terms.unit && period.contains(recorded)
        });
        let is_same =
            |charge: &UsageCharge| charge.feature == *feature && *charge.wallet.unit == *terms.unit;
        let Some(draw) = draw.filter(|_| drawn.is_none_or(is_same)) else {
            return Ok(own);
        };
        let charged = drawn.map_or(Milli::ZERO, |charge| charge.quantity);
        let quantity = self.uncharged_part(&terms, usage, (recorded, charged), now);
        let quantity = quantity.min(draw.base);
        let is_even = matches!(terms.pricing, Pricing::PerUnit { .. });
        if quantity == charged && (is_even || quantity == Milli::ZERO) {
            return Ok(own);
        }
        let less = Milli::ZERO.minus(quantity)?;
        Ok(Some(Back {
            feature: feature.clone(),
            wallet: own.map_or_else(
                || self.book.payer(usage.subaccount, terms.unit),
                |own| own.wallet,
            ),
            quantity,
            exact: self.exact_price(&terms, (Milli::ZERO, less), now)?,
            is_priced: true,
            period_start: period.start,
        }))
    }

    /// Takes off what is no longer charged, and gives it back.
    fn uncharge(
        &mut self,
        back: Back,
        usage: &Counted<'_>,
        recorded: Timestamp,
        now: Timestamp,
    ) -> Result<UsageCharge, Overflow> {
        let mut draw = self.running_draw(&back.feature, &back.wallet.unit, now);
        let amount = if back.is_priced {
            draw.due(back.exact)?
        } else {
            back.exact.round()?.micros
        };
        let (amount, owed) = if amount > 0 {
            let owed = self.take(&back.feature, &back.wallet, (amount, 0), usage, now);
            (amount, owed.map_err(|_| Overflow)?)
        } else {
            let (given, owed) = self.give_back(&back.wallet, -amount, usage, now)?;
            (-given, owed)
        };
        let caps = (usage.subaccount, &back.wallet);
        self.book.give_back_caps(caps, -amount, recorded);
        let quantity = Milli::ZERO.minus(back.quantity)?;
        let current = self.book.draw(&back.feature);
        // What another unit drew in this period stays where it is.
        let is_other = current.is_some_and(|of| of.period == draw.period && of.unit != draw.unit);
        if !is_other {
            let is_own = draw.period.start == back.period_start;
            draw.take_back(quantity, back.exact, amount, is_own)?;
            self.book.draws_mut().insert(back.feature.clone(), draw);
        }
        Ok(UsageCharge {
            feature: back.feature,
            wallet: back.wallet,
            quantity,
            amount,
            owed,
            period_start: back.period_start,
        })
    }

    /// Gives an amount back to a wallet, or as much of it as was ever spent from it. Returns how much, and how that
    /// changed what is owed.
    pub(super) fn give_back(
        &mut self,
        key: &WalletKey,
        amount: i64,
        usage: &Counted<'_>,
        now: Timestamp,
    ) -> Result<(i64, i64), Overflow> {
        if amount == 0 {
            return Ok((0, 0));
        }
        let wallet = self.book.wallet_mut(key);
        let before = wallet.receivable();
        let (given, done) = match wallet.refund(amount, now) {
            Ok(done) => (amount, done),
            Err(Refusal::RefundTooLarge { left, .. }) if left > 0 => {
                (left, wallet.refund(left, now).map_err(|_| Overflow)?)
            }
            Err(Refusal::RefundTooLarge { .. }) => (0, Transaction::new(Cause::Refund)),
            Err(_) => return Err(Overflow),
        };
        let owed = wallet.receivable() - before;
        self.book.post(key, done, about(usage), now);
        Ok((given, owed))
    }
}
