//! How much of use is included in what a plan gives, and how much lies beyond it and is charged.
//!
//! Use is judged when it is recorded, and what an event was charged never changes. So use that is recorded after the window
//! had ended in which it counts takes up what is included in the running window: units that nobody else can be given.
//! Use of the window to come takes up what that one includes.

use super::credit::Drawing;
use super::limits::Look;
use super::{Account, Counted, Overdue};
use crate::domain::catalog::{Limit, MeteredSpec};
use crate::domain::counter::Tally;
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::rights::Right;
use crate::domain::time::Timestamp;
use crate::domain::wallet::{Draw, LateKey};

impl Look<'_> {
    /// Returns how much of `more` lies beyond what is included if it counts at `at`: beyond any limit's amount.
    fn beyond(
        &self,
        (right, metered): (&Right, &MeteredSpec),
        draw: Option<&Draw>,
        (more, at): (Milli, Timestamp),
    ) -> Milli {
        let mut beyond = Milli::ZERO;
        for (limit, slot) in metered.limits.iter().zip(&right.slots) {
            let (amount, used) = self.included(right, (limit, *slot), draw, at);
            let Some(amount) = amount else {
                continue;
            };
            let over = |used: Milli| used.minus_saturating(amount).max(Milli::ZERO);
            let change = over(used.plus_saturating(more)).minus_saturating(over(used));
            beyond = if more < Milli::ZERO {
                beyond.min(change)
            } else {
                beyond.max(change)
            };
        }
        beyond
    }

    /// Returns what a limit includes in the window that use at `at` is judged by, and what of that is taken.
    fn included(
        &self,
        right: &Right,
        (limit, slot): (&Limit, usize),
        draw: Option<&Draw>,
        at: Timestamp,
    ) -> (Option<Milli>, Milli) {
        if let Tally::Fixed { range, ahead, .. } = &self.counters[slot].tally
            && range.end <= at
        {
            let amount = limit.amount.map(Milli::from_units_saturating);
            return (amount, ahead.as_deref().copied().unwrap_or_default());
        }
        let standing = self.standing(right, limit, slot);
        let key = self.late_key(right, slot, (Timestamp::MIN, self.now));
        let late = draw.zip(key);
        let late = late.map_or(Milli::ZERO, |(draw, key)| draw.late(limit.window, key));
        (standing.amount, standing.used.plus_saturating(late))
    }

    /// Says where use is kept that counts at `at`, and was recorded at `recorded` when that window had ended already;
    /// `None`: it had not, or the window has ended since in which it was recorded.
    fn late_key(
        &self,
        right: &Right,
        slot: usize,
        (at, recorded): (Timestamp, Timestamp),
    ) -> Option<LateKey> {
        match &self.counters[slot].tally {
            Tally::Fixed { range, .. } => {
                // A plan that came within the window, and begins anew, counts from there.
                let since = self.adjustment(right, slot).and_then(|change| change.since);
                let from = since.unwrap_or(range.start);
                (at < from && from <= recorded).then(|| LateKey::of_window(from))
            }
            Tally::Rolling { buckets, .. } => {
                let key = LateKey {
                    at: buckets.at(recorded),
                    oldest: buckets.oldest(self.now),
                };
                (buckets.at(at) < buckets.oldest(recorded) && key.oldest <= key.at).then_some(key)
            }
        }
    }

    /// Whether use is part of what the running window is judged by, or of what the window to come will be.
    fn is_judged(
        &self,
        right: &Right,
        slot: usize,
        (at, recorded): (Timestamp, Timestamp),
    ) -> bool {
        let counts = match &self.counters[slot].tally {
            Tally::Fixed { range, .. } => {
                let since = self.adjustment(right, slot).and_then(|change| change.since);
                since.unwrap_or(range.start) <= at
            }
            Tally::Rolling { buckets, .. } => buckets.oldest(self.now) <= buckets.at(at),
        };
        counts || self.late_key(right, slot, (at, recorded)).is_some()
    }
}

impl Account {
    /// Returns how much of `more` would be charged if it were used now.
    pub(super) fn charged_part(&self, terms: &Drawing<'_>, more: Milli, now: Timestamp) -> Milli {
        self.charged_part_at(terms, (more, now), now)
    }

    /// Returns how much of a quantity is charged that is recorded now and counts at another instant.
    pub(super) fn charged_part_at(
        &self,
        terms: &Drawing<'_>,
        (more, at): (Milli, Timestamp),
        now: Timestamp,
    ) -> Milli {
        if terms.from_first_unit {
            return more;
        }
        let draw = self.book.draw(&terms.right.feature.id);
        let overdue = Overdue::default();
        let look = self.look_at_own(&overdue, now);
        look.beyond((terms.right, terms.metered), draw, (more, at))
    }

    /// Returns how much less is charged once use is taken back that was recorded at `recorded`, of which `charged` was
    /// charged. Where all windows that it was judged by still run, that follows from what is left in them.
    pub(super) fn uncharged_part(
        &self,
        terms: &Drawing<'_>,
        usage: &Counted<'_>,
        (recorded, charged): (Timestamp, Milli),
        now: Timestamp,
    ) -> Milli {
        if terms.from_first_unit {
            return charged;
        }
        let overdue = Overdue::default();
        let look = self.look_at_own(&overdue, now);
        let slots = &terms.right.slots;
        let runs = |slot: &usize| look.is_judged(terms.right, *slot, (usage.at, recorded));
        if !slots.iter().all(runs) {
            return charged;
        }
        let less = self.charged_part_at(terms, (usage.weighted, usage.at), now);
        Milli(less.0.saturating_neg())
    }

    /// Notes use that was recorded after the window had ended in which it counts, or that such use is taken back.
    ///
    /// # Errors
    /// When what is late leaves the range of 64 bits.
    pub(super) fn note_late(
        &mut self,
        usage: &Counted<'_>,
        recorded: Timestamp,
        now: Timestamp,
    ) -> Result<(), Overflow> {
        let right = self.rights.drawing(usage.meter, usage.dimensions);
        let Some(terms) = right
            .and_then(Drawing::of)
            .filter(|terms| !terms.from_first_unit)
        else {
            return Ok(());
        };
        let (right, overdue) = (terms.right, Overdue::default());
        let look = self.look_at_own(&overdue, now);
        let mut late = Vec::new();
        for (limit, slot) in terms.metered.limits.iter().zip(&right.slots) {
            let known = late.iter().any(|(window, _)| *window == limit.window);
            let key = look.late_key(right, *slot, (usage.at, recorded));
            late.extend(key.filter(|_| !known).map(|key| (limit.window, key)));
        }
        if late.is_empty() {
            return Ok(());
        }
        let (feature, unit) = (right.feature.id.clone(), terms.unit);
        let mut draw = self.running_draw(&feature, unit, now);
        for (window, key) in late {
            draw.add_late(window, key, usage.weighted)?;
        }
        self.book.draws_mut().insert(feature, draw);
        Ok(())
    }

    fn look_at_own<'a>(&'a self, overdue: &'a Overdue, now: Timestamp) -> Look<'a> {
        Look {
            rights: &self.rights,
            counters: &self.counters,
            adjustments: &self.adjustments,
            subaccount: None,
            overdue,
            now,
        }
    }
}
