//! What a change of an account writes besides dirty counters.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::counter::CounterSpec;
use crate::domain::id::{AllocationId, FeatureId, ReservationId, SubaccountId};
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::reservation::Reservation;
use crate::domain::time::Timestamp;

/// What must be written besides the counters that are marked as dirty.
#[derive(Debug, Default)]
pub struct Effects {
    /// Amounts for counters of windows that memory does not hold.
    pub shifts: Vec<Shift>,
    /// Open reservations that were made or changed.
    pub touched: BTreeSet<ReservationId>,
    /// Reservations that ended.
    pub ended: Vec<Reservation>,
    /// Things that were allocated.
    pub allocated: BTreeSet<(FeatureId, AllocationId)>,
    /// Things that were freed.
    pub deallocated: BTreeSet<(FeatureId, AllocationId)>,
    /// Whether the customer itself or its plan changed.
    pub customer: bool,
    /// Subaccounts that were made or changed.
    pub subaccounts: BTreeSet<SubaccountId>,
    /// Overrides that were set or removed, by feature and whom they are for.
    pub overrides: BTreeSet<(FeatureId, Option<SubaccountId>)>,
    /// Whether adjustments changed.
    pub adjustments: bool,
}

/// An amount for a counter of a window that memory does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// Whose counter; `None`: the customer's.
    pub subaccount: Option<SubaccountId>,
    /// What it counts.
    pub spec: Arc<CounterSpec>,
    /// The start of its window.
    pub start: Timestamp,
    /// The end of its window.
    pub end: Timestamp,
    /// To add to what was used.
    pub used: Milli,
    /// To add to what is reserved.
    pub reserved: Milli,
}

impl Effects {
    /// Adds an amount, joined with earlier ones for the same window.
    ///
    /// # Errors
    /// When a sum leaves the range of 64 bits.
    pub fn shift(&mut self, shift: Shift) -> Result<(), Overflow> {
        let same = self.shifts.iter_mut().find(|other| {
            other.start == shift.start
                && other.subaccount == shift.subaccount
                && other.spec == shift.spec
        });
        if let Some(other) = same {
            other.used = other.used.plus(shift.used)?;
            other.reserved = other.reserved.plus(shift.reserved)?;
        } else {
            self.shifts.push(shift);
        }
        Ok(())
    }
}
