//! Taking customers and subaccounts out of use: personal data goes, what was used stays.

use super::{Account, Effects, Ended};
use crate::domain::customer::Subaccount;
use crate::domain::id::{ReservationId, SubaccountId};
use crate::domain::quantity::Overflow;
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;

impl Account {
    /// Deletes the customer: erases its personal data and that of its subaccounts, and gives its reservations back.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits.
    pub fn erase(&mut self, now: Timestamp, effects: &mut Effects) -> Result<(), Overflow> {
        self.release_where(None, now, effects)?;
        self.book.end_top_ups();
        self.customer.display_name = Box::default();
        self.customer.email = Box::default();
        self.customer.metadata = Labels::new();
        self.customer.update_time = now;
        self.customer.delete_time = Some(now);
        effects.customer = true;
        for (id, state) in &mut self.subaccounts {
            if erase_names(&mut state.subaccount) {
                effects.subaccounts.insert(id.clone());
            }
        }
        Ok(())
    }

    /// Deletes a subaccount with its overrides and gives its reservations back; `None`: there is none of this id.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits.
    pub fn erase_subaccount(
        &mut self,
        id: &SubaccountId,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<Option<Subaccount>, Overflow> {
        if self.live_subaccount(id).is_none() {
            return Ok(None);
        }
        self.release_where(Some(id), now, effects)?;
        let Some(state) = self.subaccounts.get_mut(id) else {
            return Ok(None);
        };
        erase_names(&mut state.subaccount);
        state.subaccount.update_time = now;
        state.subaccount.delete_time = Some(now);
        effects.subaccounts.insert(id.clone());
        self.overrides.retain(|set| {
            let goes = set.subaccount.as_ref() == Some(id);
            if goes {
                let key = (set.feature.clone(), set.subaccount.clone());
                effects.overrides.insert(key);
            }
            !goes
        });
        Ok(Some(self.subaccounts[id].subaccount.clone()))
    }

    /// Gives open reservations back: those of a subaccount, or all.
    fn release_where(
        &mut self,
        subaccount: Option<&SubaccountId>,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), Overflow> {
        let held = self.reservations.values().filter(|held| {
            held.is_open(now) && (subaccount.is_none() || held.subaccount.as_ref() == subaccount)
        });
        let ids: Vec<ReservationId> = held.map(|held| held.id.clone()).collect();
        for id in ids {
            // Each is open, so there is nothing to be told.
            let _ = self.end(&id, Ended::Released, now, effects)?;
        }
        Ok(())
    }
}

/// Erases what a subaccount is called and found by; false when there was nothing.
fn erase_names(subaccount: &mut Subaccount) -> bool {
    let named = !subaccount.display_name.is_empty() || !subaccount.metadata.is_empty();
    subaccount.display_name = Box::default();
    subaccount.metadata = Labels::new();
    named
}
