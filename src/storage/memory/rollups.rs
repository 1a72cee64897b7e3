//! Hourly rollups: adding to them, capping their combinations, reading maxima again after a void.

use std::collections::BTreeMap;

use super::state::{Books, State};
use crate::domain::id::{MeterId, SubaccountId};
use crate::domain::quantity::Overflow;
use crate::domain::rollup::{COMBINATIONS_MAX, Rollup};
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::domain::window::TimeRange;
use crate::storage::{CustomerNo, EventKind, RollupShift, StoreError};

/// Names the rollups of one hour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HourKey {
    pub meter: MeterId,
    pub hour: Timestamp,
    pub subaccount: Option<SubaccountId>,
}

/// The rollups of one hour.
#[derive(Debug, Default)]
pub(super) struct Hour {
    /// By combination of dimension values.
    pub rows: BTreeMap<Labels, Rollup>,
    /// Of all combinations beyond the cap.
    pub overflow: Option<Rollup>,
}

/// New values of rollups, worked out before anything is written.
#[derive(Default)]
pub(super) struct Staged(BTreeMap<(CustomerNo, HourKey), StagedHour>);

struct StagedHour {
    /// New values by combination; `None`: the overflow row.
    cells: BTreeMap<Option<Labels>, Cell>,
    /// Combinations with dimensions, new ones included.
    combinations: i64,
}

struct Cell {
    rollup: Rollup,
    recount: bool,
}

impl Staged {
    /// Works out what a shift makes of its row.
    pub(super) fn add(&mut self, state: &State, shift: RollupShift) -> Result<(), StoreError> {
        let books = state.books.get(&shift.customer).ok_or_else(|| {
            StoreError::Constraint(format!("rollup of unknown customer {}", shift.customer))
        })?;
        let key = HourKey {
            meter: shift.meter,
            hour: shift.hour,
            subaccount: shift.subaccount,
        };
        let kept = books.rollups.get(&key);
        let staged = self
            .0
            .entry((shift.customer, key))
            .or_insert_with(|| StagedHour {
                cells: BTreeMap::new(),
                combinations: kept.map_or(0, combinations),
            });
        let slot = Some(shift.dimensions);
        let known = slot.as_ref().is_some_and(|dimensions| {
            dimensions.is_empty() || kept.is_some_and(|hour| hour.rows.contains_key(dimensions))
        }) || staged.cells.contains_key(&slot);
        let slot = if known {
            slot
        } else if staged.combinations < COMBINATIONS_MAX {
            staged.combinations += 1;
            slot
        } else {
            None
        };
        let cell = staged.cells.entry(slot).or_insert_with_key(|slot| Cell {
            rollup: kept
                .and_then(|hour| match slot {
                    Some(dimensions) => hour.rows.get(dimensions).copied(),
                    None => hour.overflow,
                })
                .unwrap_or_default(),
            recount: false,
        });
        let sum = cell.rollup.merge(shift.add).map_err(|Overflow| {
            StoreError::Constraint(String::from("a rollup leaves the range of 64 bits"))
        })?;
        cell.rollup = sum;
        cell.recount |= shift.recount;
        Ok(())
    }

    /// Writes the new values. The events of the batch are written before, so that maxima are read from them too.
    pub(super) fn write(self, state: &mut State) {
        for ((customer, key), staged) in self.0 {
            let Some(books) = state.books.get_mut(&customer) else {
                continue;
            };
            let mut again = Vec::new();
            let hour = books.rollups.entry(key.clone()).or_default();
            for (slot, cell) in staged.cells {
                if cell.recount {
                    again.push(slot.clone());
                }
                match slot {
                    Some(dimensions) => {
                        hour.rows.insert(dimensions, cell.rollup);
                    }
                    None => hour.overflow = Some(cell.rollup),
                }
            }
            for slot in again {
                recount(books, &key, slot.as_ref());
            }
        }
    }
}

fn combinations(hour: &Hour) -> i64 {
    let count = hour.rows.keys().filter(|key| !key.is_empty()).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Reads the largest and the latest event of a rollup again.
fn recount(books: &mut Books, key: &HourKey, slot: Option<&Labels>) {
    let range = TimeRange {
        start: key.hour,
        end: key.hour.plus(Span::from_hours(1)),
    };
    let Some(hour) = books.rollups.get(key) else {
        return;
    };
    let (mut max, mut latest) = (None, None);
    for row in books.between(range) {
        let dimensions = &row.event.dimensions;
        let same_row = match slot {
            Some(slot) => slot == dimensions,
            None => !hour.rows.contains_key(dimensions),
        };
        if same_row
            && row.event.meter_id == key.meter
            && row.event.subaccount_id == key.subaccount
            && row.kind == EventKind::Usage
            && !books.is_voided(row)
        {
            max = max.max(Some(row.weighted));
            latest = latest.max(Some((row.count_time, row.weighted)));
        }
    }
    let rollup = books.rollups.get_mut(key).and_then(|hour| match slot {
        Some(dimensions) => hour.rows.get_mut(dimensions),
        None => hour.overflow.as_mut(),
    });
    if let Some(rollup) = rollup {
        rollup.max = max;
        rollup.latest = latest;
    }
}
