//! Which counters open reservations hold.

use super::{Account, Effects};
use crate::domain::counter::{Counter, CounterSpec, Tally};
use crate::domain::id::{FeatureId, SubaccountId};
use crate::domain::quantity::Overflow;
use crate::domain::reservation::{HeldWindow, ItemHold};
use crate::domain::rights::Rights;
use crate::domain::time::Timestamp;
use crate::domain::window::Anchor;

impl Account {
    /// Returns the counters that a metered feature holds which is reserved at `at`: those of its limits, and of the
    /// subaccount's own.
    pub(super) fn windows_of(
        &self,
        feature: &FeatureId,
        subaccount: Option<&SubaccountId>,
        at: Timestamp,
    ) -> Vec<HeldWindow> {
        let mut windows = Vec::new();
        let place = (self.anchor, at);
        add(
            &self.rights,
            &self.counters,
            feature,
            false,
            place,
            &mut windows,
        );
        if let Some(state) = subaccount.and_then(|id| self.subaccounts.get(id)) {
            add(
                &state.rights,
                &state.counters,
                feature,
                true,
                place,
                &mut windows,
            );
        }
        windows
    }

    /// Has open reservations hold the counters that limits count in now, beside those that they hold already: rights
    /// changed, or the windows of counters did. Each holds the windows of the instant at which it was made, since its
    /// usage counts there.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits.
    pub fn hold_windows(&mut self, effects: &mut Effects) -> Result<(), Overflow> {
        let mut raised = Vec::new();
        let mut reservations = std::mem::take(&mut self.reservations);
        for reservation in reservations.values_mut() {
            let (subaccount, at) = (reservation.subaccount.as_ref(), reservation.reserve_time);
            for item in &mut reservation.items {
                let ItemHold::Quota {
                    reserved, windows, ..
                } = &mut item.hold
                else {
                    continue;
                };
                for window in self.windows_of(&item.feature, subaccount, at) {
                    let is_it = |held: &HeldWindow| {
                        held.of_subaccount == window.of_subaccount && held.spec == window.spec
                    };
                    if !windows.iter().any(is_it) {
                        let sub = subaccount.filter(|_| window.of_subaccount).cloned();
                        raised.push((sub, window.clone(), *reserved));
                        windows.push(window);
                        effects.touched.insert(reservation.id.clone());
                    }
                }
            }
        }
        self.reservations = reservations;
        for (sub, window, reserved) in raised {
            self.shift_reserved(sub.as_ref(), &window.spec, window.start, reserved, effects)?;
        }
        Ok(())
    }

    /// Has open reservations let go of a counter whose windows are laid out anew; what it holds is not lowered.
    pub fn let_go(&mut self, subaccount: Option<&SubaccountId>, spec: &CounterSpec) {
        for reservation in self.reservations.values_mut() {
            let is_its = subaccount.is_none() || reservation.subaccount.as_ref() == subaccount;
            for item in reservation.items.iter_mut().filter(|_| is_its) {
                if let ItemHold::Quota { windows, .. } = &mut item.hold {
                    windows.retain(|held| {
                        held.of_subaccount != subaccount.is_some() || *held.spec != *spec
                    });
                }
            }
        }
    }
}

/// Adds the counters of one owner that a feature's limits count in.
fn add(
    rights: &Rights,
    counters: &[Counter],
    feature: &FeatureId,
    of_subaccount: bool,
    (anchor, at): (Anchor, Timestamp),
    windows: &mut Vec<HeldWindow>,
) {
    let slots = rights.get(feature.as_str()).into_iter();
    windows.extend(slots.flat_map(|right| &right.slots).map(|slot| {
        let spec = rights.tracked[*slot].clone();
        let start = match &counters[*slot].tally {
            Tally::Fixed { range, .. } if range.contains(at) => range.start,
            Tally::Fixed { .. } => spec.window.range(anchor, at).start,
            Tally::Rolling { .. } => Timestamp::MIN,
        };
        HeldWindow {
            of_subaccount,
            spec,
            start,
        }
    }));
}
