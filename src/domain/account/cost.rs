//! What use of a feature costs that draws on a wallet.

use super::Account;
use super::credit::Drawing;
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::rating::{Amount, dearest, price};
use crate::domain::time::Timestamp;

impl Account {
    /// Returns the exact price of a quantity that is charged next in the billing period of `now`, once `before` more was
    /// charged, in micro-units of the credit unit. Discounts are for what is billed after use.
    ///
    /// # Errors
    /// When an amount leaves its range.
    pub(super) fn exact_price(
        &self,
        terms: &Drawing<'_>,
        (before, quantity): (Milli, Milli),
        now: Timestamp,
    ) -> Result<Amount, Overflow> {
        let base = self.base(terms, now).plus(before)?;
        let (from, to) = (
            price(terms.pricing, base)?,
            price(terms.pricing, base.plus(quantity)?)?,
        );
        in_credits(terms, to.minus(from)?)
    }

    /// Returns how far the price was charged in the billing period of `now`.
    fn base(&self, terms: &Drawing<'_>, now: Timestamp) -> Milli {
        let draw = self.book.draw(&terms.right.feature.id);
        let running = draw.filter(|draw| draw.period.contains(now));
        running.map_or(Milli::ZERO, |draw| draw.base)
    }

    /// Returns what a quantity draws at most that is used once `before` more was charged, in micro-units: what others
    /// pledged may be used before it or in between, which takes what is included and moves where the price stands.
    ///
    /// # Errors
    /// When an amount leaves its range.
    pub(super) fn cost_after(
        &self,
        terms: &Drawing<'_>,
        (before, others, quantity): (Milli, Milli, Milli),
        now: Timestamp,
    ) -> Result<i64, Overflow> {
        let of_others = self.charged_part(terms, others, now);
        let all = self.charged_part(terms, others.plus(quantity)?, now);
        let charged = all.minus(of_others)?;
        if charged == Milli::ZERO {
            return Ok(0);
        }
        let most = if of_others == Milli::ZERO {
            self.exact_price(terms, (before, charged), now)?
        } else {
            let base = self.base(terms, now).plus(before)?;
            in_credits(terms, dearest(terms.pricing, base, all, charged)?)?
        };
        Ok(most.ceil()?.max(0))
    }

    /// Returns what use draws at most that a wallet pays beside what others pledged; what cannot be said is more than any
    /// wallet has.
    pub(super) fn cost(
        &self,
        terms: &Drawing<'_>,
        (others, quantity): (Milli, Milli),
        now: Timestamp,
    ) -> i64 {
        self.cost_after(terms, (Milli::ZERO, others, quantity), now)
            .unwrap_or(i64::MAX)
    }
}

/// Converts dollars at the rate of the credit unit.
fn in_credits(terms: &Drawing<'_>, dollars: Amount) -> Result<Amount, Overflow> {
    let rate = terms.right.unit.as_ref().map_or(1, |unit| unit.per_dollar);
    dollars.times(i128::from(rate), 1)
}
