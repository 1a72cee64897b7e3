//! Adding up the rollups of a batch, so that each row is written once.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::domain::catalog::Meter;
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::rollup::Rollup;
use crate::domain::time::Timestamp;
use crate::storage::{CustomerNo, EventKind, EventRow, RollupShift};

/// The rollups of a batch.
#[derive(Default)]
pub(super) struct RollupSums {
    shifts: Vec<RollupShift>,
    places: HashMap<Key, usize, FixedState>,
    overflow: bool,
}

/// Names a rollup row within a batch: cheap to hash, told apart by what it stands for.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct Key {
    customer: CustomerNo,
    meter: usize,
    hour: Timestamp,
    /// A hash of subaccount and dimensions; on a clash the next number is taken.
    labels: u64,
}

impl RollupSums {
    /// Adds an event. `hint` is where the customer's event before it was added: mostly the same row.
    pub(super) fn add(&mut self, row: &EventRow, meter: &Arc<Meter>, hint: &mut usize) {
        let add = match row.kind {
            EventKind::Usage => Rollup::of_event(row.weighted, row.count_time),
            EventKind::Void => Rollup {
                count: -1,
                sum: row.weighted,
                max: None,
                latest: None,
            },
        };
        let hour = Rollup::hour_of(row.count_time);
        if !self
            .shifts
            .get(*hint)
            .is_some_and(|sum| is_of(sum, row, hour))
        {
            *hint = self.place(row, meter, hour);
        }
        let sum = &mut self.shifts[*hint];
        match sum.add.merge(add) {
            Ok(merged) => sum.add = merged,
            Err(Overflow) => self.overflow = true,
        }
        sum.recount |= row.kind == EventKind::Void;
    }

    /// Returns where an event is added up.
    fn place(&mut self, row: &EventRow, meter: &Arc<Meter>, hour: Timestamp) -> usize {
        let labels = if row.event.subaccount_id.is_none() && row.event.dimensions.is_empty() {
            0
        } else {
            FixedState::default().hash_one((&row.event.subaccount_id, &row.event.dimensions))
        };
        let mut key = Key {
            customer: row.customer,
            meter: Arc::as_ptr(meter) as usize,
            hour,
            labels,
        };
        while let Some(&place) = self.places.get(&key) {
            if is_of(&self.shifts[place], row, hour) {
                return place;
            }
            key.labels = key.labels.wrapping_add(1);
        }
        self.places.insert(key, self.shifts.len());
        self.shifts.push(RollupShift {
            customer: row.customer,
            subaccount: row.event.subaccount_id.clone(),
            meter: row.event.meter_id.clone(),
            hour,
            dimensions: row.event.dimensions.clone(),
            add: Rollup::default(),
            recount: false,
        });
        self.shifts.len() - 1
    }

    /// Returns what to add to each row, in the order of the rows.
    pub(super) fn finish(mut self) -> Result<Vec<RollupShift>, Overflow> {
        if self.overflow {
            return Err(Overflow);
        }
        self.shifts
            .sort_unstable_by(|a, b| (a.customer, a.hour).cmp(&(b.customer, b.hour)));
        Ok(self.shifts)
    }
}

/// Whether a sum is that of an event's row.
fn is_of(sum: &RollupShift, row: &EventRow, hour: Timestamp) -> bool {
    sum.customer == row.customer
        && sum.hour == hour
        && sum.meter == row.event.meter_id
        && sum.subaccount == row.event.subaccount_id
        && sum.dimensions == row.event.dimensions
}

/// What a void takes back: the same amount, negative.
pub(super) fn taken_back(weighted: Milli) -> Milli {
    Milli(-weighted.0)
}
