//! Adding up the rollups of a batch, so that each row is written once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, btree_map};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::domain::catalog::Meter;
use crate::domain::quantity::Overflow;
use crate::domain::rollup::Rollup;
use crate::domain::time::Timestamp;
use crate::storage::{CustomerNo, EventKind, EventRow, RollupShift};

/// The rollups of a batch.
#[derive(Default)]
pub(super) struct RollupSums {
    sums: HashMap<Key, RollupShift, FixedState>,
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
    /// Adds an event.
    pub(super) fn add(&mut self, row: &EventRow, meter: &Arc<Meter>) {
        let add = Rollup::of_event(row.weighted, row.count_time);
        self.add_at(row, Arc::as_ptr(meter) as usize, add);
    }

    /// Adds a void, whose meter the catalog may no longer declare.
    pub(super) fn take_back(&mut self, void: &EventRow) {
        self.voids = true;
        let add = Rollup {
            count: -1,
            sum: void.weighted,
            max: None,
            latest: None,
        };
        self.add_at(void, 0, add);
    }

    fn add_at(&mut self, row: &EventRow, meter: usize, add: Rollup) {
        let hour = Rollup::hour_of(row.count_time);
        let labels = if row.event.subaccount_id.is_none() && row.event.dimensions.is_empty() {
            0
        } else {
            let state = FixedState::default();
            state.hash_one((&row.event.subaccount_id, &row.event.dimensions))
        };
        let mut key = Key {
            customer: row.customer,
            meter,
            hour,
            labels,
        };
        loop {
            match self.sums.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(RollupShift {
                        customer: row.customer,
                        subaccount: row.event.subaccount_id.clone(),
                        meter: row.event.meter_id.clone(),
                        hour,
                        dimensions: row.event.dimensions.clone(),
                        add,
                        recount: row.kind == EventKind::Void,
                    });
                    return;
                }
                Entry::Occupied(mut taken) => {
                    let sum = taken.get_mut();
                    if sum.meter == row.event.meter_id
                        && sum.dimensions == row.event.dimensions
                        && sum.subaccount == row.event.subaccount_id
                    {
                        match sum.add.merge(add) {
                            Ok(merged) => sum.add = merged,
                            Err(Overflow) => self.overflow = true,
                        }
                        sum.recount |= row.kind == EventKind::Void;
                        return;
                    }
                }
            }
            key.labels = key.labels.wrapping_add(1);
        }
    }

    /// Returns what to add to each row.
    pub(super) fn finish(self) -> Result<Vec<RollupShift>, Overflow> {
        if self.overflow {
            return Err(Overflow);
        }
        if !self.voids {
            return Ok(self.sums.into_values().collect());
        }
        let mut rows: BTreeMap<_, RollupShift> = BTreeMap::new();
        for shift in self.sums.into_values() {
            let row = (
                shift.customer,
                shift.hour,
                shift.meter.clone(),
                shift.subaccount.clone(),
                shift.dimensions.clone(),
            );
            match rows.entry(row) {
                btree_map::Entry::Vacant(free) => {
                    free.insert(shift);
                }
                btree_map::Entry::Occupied(mut taken) => {
                    let sum = taken.get_mut();
                    sum.add = sum.add.merge(shift.add)?;
                    sum.recount |= shift.recount;
                }
            }
        }
        Ok(rows.into_values().collect())
    }
}
