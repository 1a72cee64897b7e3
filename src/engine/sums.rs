//! Adding up the rollups of a batch, so that each row is written once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::domain::catalog::Meter;
use crate::domain::quantity::Overflow;
use crate::domain::rollup::Rollup;
use crate::domain::time::Timestamp;
use crate::storage::{CustomerNo, EventRow, RollupShift};

/// The rollups of a batch.
#[derive(Default)]
pub(super) struct RollupSums {
    shifts: Vec<RollupShift>,
    places: HashMap<Key, usize, FixedState>,
    overflow: bool,
    /// Whether a void was added, which does not know the place of its meter: rows may stand twice then.
    voids: bool,
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
        let add = Rollup::of_event(row.weighted, row.count_time);
        self.add_at(row, Arc::as_ptr(meter) as usize, add, hint);
    }

    /// Adds a void, whose meter the catalog may no longer declare.
    /// Its largest and latest event are read again where they are reported, as that takes a walk through the hour.
    pub(super) fn take_back(&mut self, void: &EventRow, recount: bool) {
        self.voids = true;
        let add = Rollup {
            count: -1,
            sum: void.weighted,
            max: None,
            latest: None,
        };
        let mut nowhere = usize::MAX;
        self.add_at(void, 0, add, &mut nowhere);
        if let Some(sum) = self.shifts.get_mut(nowhere) {
            sum.recount |= recount;
        }
    }

    fn add_at(&mut self, row: &EventRow, meter: usize, add: Rollup, hint: &mut usize) {
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
    }

    /// Returns where an event is added up.
    fn place(&mut self, row: &EventRow, meter: usize, hour: Timestamp) -> usize {
        let labels = if row.event.subaccount_id.is_none() && row.event.dimensions.is_empty() {
            0
        } else {
            FixedState::default().hash_one((&row.event.subaccount_id, &row.event.dimensions))
        };
        let mut key = Key {
            customer: row.customer,
            meter,
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
        if self.voids {
            self.join()?;
        }
        self.shifts
            .sort_unstable_by_key(|shift| (shift.customer, shift.hour));
        Ok(self.shifts)
    }

    /// Joins rows that stand twice.
    fn join(&mut self) -> Result<(), Overflow> {
        let mut rows: BTreeMap<_, RollupShift> = BTreeMap::new();
        for shift in std::mem::take(&mut self.shifts) {
            let row = (
                shift.customer,
                shift.hour,
                shift.meter.clone(),
                shift.subaccount.clone(),
                shift.dimensions.clone(),
            );
            match rows.entry(row) {
                Entry::Vacant(free) => {
                    free.insert(shift);
                }
                Entry::Occupied(mut taken) => {
                    let sum = taken.get_mut();
                    sum.add = sum.add.merge(shift.add)?;
                    sum.recount |= shift.recount;
                }
            }
        }
        self.shifts.extend(rows.into_values());
        Ok(())
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
