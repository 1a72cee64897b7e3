//! What usage of a feature drew on wallets in a billing period: where the tiers of its price stand, and the fraction of a
//! micro-unit that no charge could take yet.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::WalletKey;
use crate::domain::counter::Ring;
use crate::domain::id::FeatureId;
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::rating::Amount;
use crate::domain::time::Timestamp;
use crate::domain::window::{TimeRange, Window};

/// What one event drew on a wallet. It is fixed when the event is recorded; the rest of the event is included in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageCharge {
    /// The feature that draws.
    pub feature: FeatureId,
    /// The wallet that paid.
    pub wallet: WalletKey,
    /// How much of the event was charged.
    pub quantity: Milli,
    /// What it cost, in micro-units of the credit unit.
    pub amount: i64,
    /// The part of `amount` that nothing covered, and that is owed.
    #[serde(default)]
    pub owed: i64,
    /// The start of the billing period in which it was charged.
    pub period_start: Timestamp,
}

/// What usage of one feature drew in one billing period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// The feature.
    pub feature: FeatureId,
    /// The billing period.
    pub period: TimeRange,
    /// The credit unit.
    pub unit: SmolStr,
    /// Up to where its price was charged: less what was taken back of the same period.
    pub base: Milli,
    /// What was charged for, less what was taken back, of whatever period.
    pub quantity: Milli,
    /// What was charged, less what came back, in micro-units.
    pub amount: i64,
    /// What was priced and not charged: a fraction, below zero where rounding took more, or where there was nowhere to
    /// give back to what use cost that was taken back.
    rest: Amount,
    /// What was recorded after its window had ended, by the kind of window: it takes up what the running one includes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    late: Vec<(Window, Ring)>,
    /// Whether it is to be written.
    #[serde(skip)]
    pub dirty: bool,
}

/// Where late use is kept: by the window in which it was recorded, or by that window's bucket if it is a rolling one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateKey {
    /// The window's start, or the bucket.
    pub at: i64,
    /// The oldest that still counts.
    pub oldest: i64,
}

impl LateKey {
    /// Returns the key of a window that is not a rolling one.
    #[must_use]
    pub const fn of_window(start: Timestamp) -> Self {
        Self {
            at: start.as_micros(),
            oldest: start.as_micros(),
        }
    }
}

impl Draw {
    /// Returns a period in which nothing was drawn yet.
    #[must_use]
    pub fn new(feature: FeatureId, period: TimeRange, unit: SmolStr) -> Self {
        Self {
            feature,
            period,
            unit,
            base: Milli::ZERO,
            quantity: Milli::ZERO,
            amount: 0,
            rest: Amount::ZERO,
            late: Vec::new(),
            dirty: false,
        }
    }

    /// Takes over what outlives a period: late use, in windows that do.
    #[must_use]
    pub fn after(mut self, before: Option<&Self>) -> Self {
        self.late = before.map_or_else(Vec::new, |before| before.late.clone());
        self
    }

    /// Returns what was recorded in a window after its own had ended.
    #[must_use]
    pub fn late(&self, window: Window, key: LateKey) -> Milli {
        let kept = self.late.iter().find(|kept| kept.0 == window);
        kept.map_or(Milli::ZERO, |(_, ring)| ring.used(key.oldest))
    }

    /// Adds use that was recorded in a window after its own had ended; below zero when it is taken back.
    ///
    /// # Errors
    /// When it leaves the range of 64 bits; nothing is added then.
    pub fn add_late(
        &mut self,
        window: Window,
        key: LateKey,
        quantity: Milli,
    ) -> Result<(), Overflow> {
        if !self.late.iter().any(|kept| kept.0 == window) {
            self.late.push((window, Ring::default()));
        }
        let kept = self.late.iter_mut().filter(|kept| kept.0 == window);
        for (_, ring) in kept {
            ring.0.retain(|entry| entry.0 >= key.oldest);
            ring.add(key.at, quantity, key.oldest)?;
        }
        self.dirty = true;
        Ok(())
    }

    /// Returns what is to be charged for a price, in whole micro-units: together with all that was charged before it is
    /// the exact price, rounded half to even.
    ///
    /// # Errors
    /// When an amount leaves its range.
    pub fn due(&self, exact: Amount) -> Result<i64, Overflow> {
        Ok(self.rest.plus(exact)?.round()?.micros)
    }

    /// Returns the most of what is due that stems from earlier charges, rounded up.
    #[must_use]
    pub fn carried(&self) -> i64 {
        self.rest.max(Amount::ZERO).ceil().unwrap_or(0)
    }

    /// Notes a charge: what was priced, and what of it was taken.
    ///
    /// # Errors
    /// When an amount leaves its range; nothing is noted then.
    pub fn charge(&mut self, quantity: Milli, exact: Amount, taken: i64) -> Result<(), Overflow> {
        let base = self.base.plus(quantity)?;
        let sum = self.quantity.plus(quantity)?;
        let amount = self.amount.checked_add(taken).ok_or(Overflow)?;
        // Fractions of many prices may have no common denominator that fits: then what is not a whole is let go.
        self.rest = self
            .rest
            .plus(exact)
            .and_then(|due| due.minus(Amount::from_micros(taken)))
            .unwrap_or(Amount::ZERO);
        (self.base, self.quantity, self.amount) = (base, sum, amount);
        self.dirty = true;
        Ok(())
    }

    /// Notes that use is taken back, as [`Draw::charge`] with numbers below zero; `is_own`: it was of this period.
    ///
    /// # Errors
    /// When an amount leaves its range; nothing is noted then.
    pub fn take_back(
        &mut self,
        quantity: Milli,
        exact: Amount,
        taken: i64,
        is_own: bool,
    ) -> Result<(), Overflow> {
        let base = self.base;
        self.charge(quantity, exact, taken)?;
        self.base = if is_own {
            self.base.max(Milli::ZERO)
        } else {
            base
        };
        Ok(())
    }
}
