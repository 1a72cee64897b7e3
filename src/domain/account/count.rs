//! Counting usage in every counter that it falls in, and raising and lowering what is reserved.

use std::sync::Arc;

use super::{Account, Effects, Shift, SubaccountState};
use crate::domain::counter::{Counter, CounterSpec, Tally};
use crate::domain::id::{MeterId, SubaccountId};
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::rights::Rights;
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::domain::window::{Anchor, Window};

/// One amount of usage, as counters see it.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// The part of the customer that used it.
    pub subaccount: Option<&'a SubaccountId>,
    /// What was used.
    pub meter: &'a MeterId,
    /// Declared dimensions.
    pub dimensions: &'a Labels,
    /// How much; negative takes back.
    pub weighted: Milli,
    /// The instant at which it counts.
    pub at: Timestamp,
}

impl Account {
    /// Counts usage in the counters of the customer and of the subaccount.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits; [`Account::fits`] tells before anything is changed.
    pub fn count(
        &mut self,
        usage: &Counted<'_>,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), Overflow> {
        self.count_before_changes(usage, effects)?;
        let Self {
            rights,
            counters,
            subaccounts,
            anchor,
            ..
        } = self;
        count_all(rights, counters, None, usage, (*anchor, now), effects)?;
        let below = usage.subaccount.and_then(|id| subaccounts.get_mut(id));
        match below {
            Some(state) => {
                let SubaccountState {
                    rights, counters, ..
                } = state;
                count_all(
                    rights,
                    counters,
                    usage.subaccount,
                    usage,
                    (*anchor, now),
                    effects,
                )
            }
            None => Ok(()),
        }
    }

    /// Counts usage of the time before a change of plan as such, where the new plan began anew.
    fn count_before_changes(
        &mut self,
        usage: &Counted<'_>,
        effects: &mut Effects,
    ) -> Result<(), Overflow> {
        for change in &mut self.adjustments {
            let is_before = change
                .since
                .is_some_and(|since| (change.start..since).contains(&usage.at));
            let spec = &change.spec;
            if is_before && spec.meter == *usage.meter && spec.filter.accepts(usage.dimensions) {
                change.baseline = change.baseline.plus(usage.weighted)?;
                effects.adjustments = true;
            }
        }
        Ok(())
    }

    /// Checks that no counter in memory would overflow, so that counting is all or nothing.
    ///
    /// # Errors
    /// When one would.
    pub fn fits(&self, usage: &Counted<'_>) -> Result<(), Overflow> {
        let own = self.counters.iter().zip(self.rights.tracked.iter());
        let sub = usage.subaccount.and_then(|id| self.subaccounts.get(id));
        let below = sub
            .iter()
            .flat_map(|s| s.counters.iter().zip(s.rights.tracked.iter()));
        // A quarter of the range is far beyond any use, and leaves room for what is reserved on top.
        let safe = Milli(i64::MAX / 4);
        if usage.weighted.0.abs() < safe.0 {
            let near = |counter: &Counter| match &counter.tally {
                Tally::Fixed { used, ahead, .. } => {
                    used.0.abs() > safe.0
                        || ahead.as_ref().is_some_and(|used| used.0.abs() > safe.0)
                }
                Tally::Rolling { ring, .. } => {
                    ring.0.iter().any(|entry| entry.1.0.abs() > safe.0 / 64)
                }
            };
            if !own.clone().any(|(counter, _)| near(counter))
                && !below.clone().any(|(counter, _)| near(counter))
            {
                return Ok(());
            }
        }
        for (counter, spec) in own.chain(below) {
            if spec.meter == *usage.meter {
                let held = match &counter.tally {
                    Tally::Fixed { used, .. } => *used,
                    Tally::Rolling { ring, .. } => ring.used(i64::MIN),
                };
                held.plus(usage.weighted)?.plus(counter.reserved)?;
                if let Tally::Fixed {
                    ahead: Some(ahead), ..
                } = &counter.tally
                {
                    ahead.plus(usage.weighted)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the slot of a counter if memory holds the window that starts at `start`.
    pub(super) fn slot_of(
        &self,
        subaccount: Option<&SubaccountId>,
        spec: &Arc<CounterSpec>,
        start: Timestamp,
    ) -> Option<usize> {
        let (rights, counters) = match subaccount {
            None => (&self.rights, &self.counters),
            Some(id) => {
                let state = self.subaccounts.get(id)?;
                (&state.rights, &state.counters)
            }
        };
        let same = |other: &Arc<CounterSpec>| Arc::ptr_eq(other, spec) || other == spec;
        let slot = rights.tracked.iter().position(same)?;
        (counters[slot].start() == start).then_some(slot)
    }

    /// Adds to what a counter holds as reserved, in memory or, for a window left behind, in its row.
    ///
    /// # Errors
    /// When it would leave the range of 64 bits.
    pub(super) fn shift_reserved(
        &mut self,
        subaccount: Option<&SubaccountId>,
        spec: &Arc<CounterSpec>,
        start: Timestamp,
        amount: Milli,
        effects: &mut Effects,
    ) -> Result<(), Overflow> {
        if amount == Milli::ZERO {
            return Ok(());
        }
        if let Some(slot) = self.slot_of(subaccount, spec, start) {
            let counter = match subaccount.and_then(|id| self.subaccounts.get_mut(id)) {
                Some(state) => &mut state.counters[slot],
                None => &mut self.counters[slot],
            };
            counter.reserved = counter.reserved.plus(amount)?;
            counter.dirty = true;
            return Ok(());
        }
        let end = match spec.window {
            Window::Rolling(_) => Timestamp::MAX,
            Window::Hour
            | Window::Day
            | Window::Week
            | Window::Month
            | Window::BillingPeriod
            | Window::Lifetime => spec.window.range(self.anchor, start).end,
        };
        effects.shift(Shift {
            subaccount: subaccount.cloned(),
            spec: Arc::clone(spec),
            start,
            end,
            used: Milli::ZERO,
            reserved: amount,
        })
    }
}

/// Counts usage in the counters of one owner that it falls in.
fn count_all(
    rights: &Rights,
    counters: &mut [Counter],
    subaccount: Option<&SubaccountId>,
    usage: &Counted<'_>,
    when: (Anchor, Timestamp),
    effects: &mut Effects,
) -> Result<(), Overflow> {
    for slot in rights.slots_of(usage.meter) {
        let spec = &rights.tracked[*slot];
        if spec.filter.accepts(usage.dimensions) {
            count_one(&mut counters[*slot], spec, subaccount, usage, when, effects)?;
        }
    }
    Ok(())
}

/// Counts usage in one counter.
fn count_one(
    counter: &mut Counter,
    spec: &Arc<CounterSpec>,
    subaccount: Option<&SubaccountId>,
    usage: &Counted<'_>,
    (anchor, now): (Anchor, Timestamp),
    effects: &mut Effects,
) -> Result<(), Overflow> {
    match &mut counter.tally {
        Tally::Rolling { buckets, ring } => {
            ring.add(buckets.at(usage.at), usage.weighted, buckets.oldest(now))?;
            counter.dirty = true;
        }
        Tally::Fixed { range, used, .. } if range.contains(usage.at) => {
            *used = used.plus(usage.weighted)?;
            counter.dirty = true;
        }
        Tally::Fixed { range, ahead, .. } => {
            let other = spec.window.range(anchor, usage.at);
            if other.start == range.end {
                let sum = ahead
                    .as_deref()
                    .copied()
                    .unwrap_or_default()
                    .plus(usage.weighted)?;
                *ahead = Some(Box::new(sum));
            }
            effects.shift(Shift {
                subaccount: subaccount.cloned(),
                spec: Arc::clone(spec),
                start: other.start,
                end: other.end,
                used: usage.weighted,
                reserved: Milli::ZERO,
            })?;
        }
    }
    Ok(())
}
