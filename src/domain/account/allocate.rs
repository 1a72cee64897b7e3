//! Things that exist: taking up and freeing allocations by id.

use super::{Account, Ask, Effects};
use crate::domain::customer::Allocation;
use crate::domain::decision::Decision;
use crate::domain::id::{AllocationId, FeatureId};
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;

/// What became of an allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allocated {
    /// It exists now.
    New(Decision, Allocation),
    /// It existed already; nothing changed.
    Existing(Decision, Allocation),
    /// There is no room.
    Denied(Decision),
}

impl Account {
    /// Takes up an allocation; one that exists succeeds without a change.
    #[must_use]
    pub fn allocate(
        &mut self,
        wanted: Allocation,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Allocated {
        let nothing = Labels::new();
        let mut ask = Ask {
            feature: &wanted.feature,
            quantity: 0,
            min_quantity: 0,
            subaccount: wanted.subaccount.as_ref(),
            dimensions: &nothing,
            verbose: false,
        };
        let held = self
            .allocations
            .get(&wanted.feature)
            .and_then(|held| held.get(&wanted.id));
        if let Some(existing) = held {
            let mut decision = self.check(&ask, now);
            // It exists, whatever a lowered limit says of new ones.
            decision.allowed = true;
            decision.reason = crate::domain::decision::Reason::Allowed;
            decision.granted = 1;
            return Allocated::Existing(decision, existing.clone());
        }
        ask.quantity = 1;
        ask.min_quantity = 1;
        let decision = self.check(&ask, now);
        if !decision.allowed {
            return Allocated::Denied(decision);
        }
        let key = (wanted.feature.clone(), wanted.id.clone());
        effects.deallocated.remove(&key);
        effects.allocated.insert(key);
        self.allocations
            .entry(wanted.feature.clone())
            .or_default()
            .insert(wanted.id.clone(), wanted.clone());
        ask.quantity = 0;
        ask.min_quantity = 0;
        let mut after = self.check(&ask, now);
        after.granted = 1;
        Allocated::New(after, wanted)
    }

    /// Frees an allocation and returns it; `None`: there was none.
    pub fn deallocate(
        &mut self,
        feature: &FeatureId,
        id: &AllocationId,
        effects: &mut Effects,
    ) -> Option<Allocation> {
        let held = self.allocations.get_mut(feature)?;
        let freed = held.remove(id)?;
        if held.is_empty() {
            self.allocations.remove(feature);
        }
        let key = (feature.clone(), id.clone());
        effects.allocated.remove(&key);
        effects.deallocated.insert(key);
        Some(freed)
    }
}
