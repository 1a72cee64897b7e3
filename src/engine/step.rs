//! What a mutation may do while its batch is decided.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cell::{Cell, Inner, give_included};
use super::collect::{collect_book, collect_counters, collect_effects};
use super::decide::Touch;
use super::documents::Documents;
use super::error::{Error, Thing};
use super::load::Loader;
use super::mutation::Write;
use super::sums::RollupSums;
use crate::domain::account::{Account, Effects};
use crate::domain::catalog::Meter;
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;
use crate::storage::{
    Changes, CustomerNo, EventKey, EventKind, EventRow, FoldResult, Found, RequestKey,
    StoredAnswer, StoredEvent,
};

/// Numbers decisions; 0 is none.
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A batch while it is decided.
pub(super) struct Deciding<'f> {
    /// Unlike that of any other decision of this process.
    serial: u64,
    pub(super) now: Timestamp,
    pub(super) loader: &'f Loader,
    pub(super) found: &'f Found<'f>,
    duplicates: HashMap<(usize, usize), &'f StoredEvent>,
    pub(super) changes: Changes,
    touched: Vec<Touched>,
    pub(super) rollups: RollupSums,
    pub(super) answers: HashMap<RequestKey, StoredAnswer>,
    pub(super) documents: Documents,
    refused: HashSet<(CustomerNo, EventId)>,
    /// Where events stand in the changes.
    added: HashMap<EventKey, usize>,
    /// How many chunks of plain events belong to mutations that are decided or being decided.
    chunks_decided: usize,
    /// The chunks of the plain events that the store inserted; made when first asked for.
    inserted: Option<HashMap<(CustomerNo, &'f EventId), usize>>,
}

/// An account that the batch touches.
struct Touched {
    cell: Arc<Cell>,
    effects: Effects,
    /// Where its last event was added up.
    rollup: usize,
}

/// Where a mutation finds what was asked on its behalf.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) chunk: Option<usize>,
    pub(super) probes: Range<usize>,
    pub(super) folds: Range<usize>,
    pub(super) request: Option<usize>,
    pub(super) documents: Range<usize>,
}

/// One mutation's view of the batch.
pub(super) struct Step<'d, 'f> {
    pub(super) batch: &'d mut Deciding<'f>,
    pub(super) place: Place,
}

impl<'f> Deciding<'f> {
    pub(super) fn new(now: Timestamp, loader: &'f Loader, found: &'f Found<'f>) -> Self {
        let duplicates = found
            .duplicates
            .iter()
            .map(|dup| ((dup.chunk, dup.index), &dup.stored))
            .collect();
        Self {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            now,
            loader,
            found,
            duplicates,
            changes: Changes::default(),
            touched: Vec::new(),
            rollups: RollupSums::default(),
            answers: HashMap::new(),
            documents: Documents::default(),
            refused: HashSet::new(),
            added: HashMap::new(),
            chunks_decided: 0,
            inserted: None,
        }
    }

    /// Takes the accounts of all mutations into the batch; false when some must be made ready first.
    pub(super) fn enter_all(&mut self, writes: &[Box<dyn Write>]) -> bool {
        writes
            .iter()
            .all(|write| write.cells().iter().all(|cell| self.enter(cell)))
    }

    /// Runs one mutation.
    pub(super) fn run(&mut self, write: &mut dyn Write, place: Place) {
        // A mutation counts its own plain events before it looks at what it probed.
        if let Some(chunk) = place.chunk {
            self.chunks_decided = chunk + 1;
        }
        write.run(&mut Step { batch: self, place });
    }

    /// Whether an event that a probe found is there for the mutation that is decided: it was stored before, or an
    /// earlier mutation of the batch had the store insert it and did not have it taken out again.
    fn is_there(&mut self, key: &EventKey) -> bool {
        // Plain events are usage.
        if key.kind == EventKind::Void || self.found.plain.is_empty() {
            return true;
        }
        let (found, duplicates) = (self.found, &self.duplicates);
        let inserted = self.inserted.get_or_insert_with(|| {
            let mut inserted = HashMap::new();
            for (chunk, rows) in found.plain.iter().enumerate() {
                for (index, row) in rows.iter().enumerate() {
                    if !duplicates.contains_key(&(chunk, index)) {
                        inserted.insert((row.customer, &row.event.event_id), chunk);
                    }
                }
            }
            inserted
        });
        inserted
            .get(&(key.customer, &key.event))
            .is_none_or(|chunk| {
                *chunk < self.chunks_decided
                    && !self.refused.contains(&(key.customer, key.event.clone()))
            })
    }

    /// Takes an account into the batch: moved on to `now`, overdue reservations ended. False when memory does
    /// not hold it, or not all of its counters are kept yet.
    fn enter(&mut self, cell: &Arc<Cell>) -> bool {
        if cell.entered.load(Ordering::Relaxed) == self.serial {
            return true;
        }
        let mut inner = cell.lock();
        if inner.in_batch.is_some() {
            return true;
        }
        if inner.account.is_none() {
            return inner.absent;
        }
        if inner.untracked {
            return false;
        }
        let mut effects = Effects::default();
        let Some(account) = inner.account.as_mut() else {
            return false;
        };
        account.advance(self.now);
        if self.now >= account.rights_until {
            self.loader.refresh(account, self.now);
        }
        if account.expire(self.now, &mut effects).is_err() {
            tracing::error!(customer.id = %cell.id, "a counter left 64 bits while reservations expired");
        }
        give_included(account, self.now);
        inner.in_batch = u32::try_from(self.touched.len()).ok();
        inner.generation = inner.generation.wrapping_add(1);
        drop(inner);
        cell.entered.store(self.serial, Ordering::Relaxed);
        cell.place.store(self.touched.len(), Ordering::Relaxed);
        self.touched.push(Touched {
            cell: Arc::clone(cell),
            effects,
            rollup: usize::MAX,
        });
        true
    }

    /// Gathers what must be written, and lets the accounts out of the batch.
    pub(super) fn collect(mut self) -> Result<Changes, crate::domain::quantity::Overflow> {
        let mut all = std::mem::take(&mut self.touched);
        // In the order of the store's keys, so that it finds neighbours together.
        all.sort_unstable_by_key(|touched| touched.cell.no());
        self.changes.counters.reserve(all.len() * 4); // Mostly a few of each.
        let touched = all.iter().map(|touched| touched.effects.touched.len());
        self.changes.reservations.reserve(touched.sum());
        for touched in all {
            let mut inner = touched.cell.lock();
            inner.in_batch = None;
            let Some(account) = inner.account.as_mut() else {
                continue;
            };
            collect_counters(account, &touched.cell.id, &mut self.changes.counters);
            collect_book(account, &touched.cell.id, self.now, &mut self.changes);
            collect_effects(
                account,
                &touched.cell.id,
                touched.effects,
                &mut self.changes,
            );
        }
        self.changes.rollups = self.rollups.finish()?;
        self.documents.collect(&mut self.changes);
        Ok(self.changes)
    }

    /// Returns the accounts that were taken in.
    pub(super) fn touched_cells(&self) -> Vec<Touch> {
        let touch = |touched: &Touched| Touch {
            cell: Arc::clone(&touched.cell),
            generation: touched.cell.lock().generation,
        };
        self.touched.iter().map(touch).collect()
    }
}

impl<'f> Step<'_, 'f> {
    pub(super) fn now(&self) -> Timestamp {
        self.batch.now
    }

    /// Changes an account.
    ///
    /// # Errors
    /// When there is no such customer.
    pub(super) fn with<R>(
        &mut self,
        cell: &Cell,
        change: impl FnOnce(&mut Account, &mut Effects) -> R,
    ) -> Result<R, Error> {
        self.with_inner(cell, |inner, effects| {
            let account = inner.account.as_mut()?;
            Some(change(account, effects))
        })
    }

    /// Changes what a cell holds, its rate tokens included; `None` from `change` says that there is no customer.
    pub(super) fn with_inner<R>(
        &mut self,
        cell: &Cell,
        change: impl FnOnce(&mut Inner, &mut Effects) -> Option<R>,
    ) -> Result<R, Error> {
        let mut inner = cell.lock();
        let missing = || Error::not_found(Thing::Customer, &cell.id);
        let slot = inner.in_batch.ok_or_else(missing)? as usize;
        let effects = &mut self.batch.touched[slot].effects;
        change(&mut inner, effects).ok_or_else(missing)
    }

    /// Adds an event of an account in the batch to its rollup.
    pub(super) fn add_up(&mut self, cell: &Cell, row: &EventRow, meter: &Arc<Meter>) {
        let place = cell.place.load(Ordering::Relaxed);
        let mut elsewhere = usize::MAX;
        let hint = match self.batch.touched.get_mut(place) {
            Some(touched) => &mut touched.rollup,
            None => &mut elsewhere,
        };
        self.batch.rollups.add(row, meter, hint);
    }

    /// Writes rows that a change of an account made beside its effects.
    pub(super) fn absorb(&mut self, rows: Changes) {
        let changes = &mut self.batch.changes;
        changes.customers.extend(rows.customers);
        changes.subaccounts.extend(rows.subaccounts);
        changes.cleared.extend(rows.cleared);
        changes.counters.extend(rows.counters);
    }

    /// Takes an account into the batch that lacks counters.
    pub(super) fn touch(&mut self, cell: &Arc<Cell>) {
        let mut inner = cell.lock();
        inner.generation = inner.generation.wrapping_add(1);
        inner.in_batch = u32::try_from(self.batch.touched.len()).ok();
        drop(inner);
        self.batch.touched.push(Touched {
            cell: Arc::clone(cell),
            effects: Effects::default(),
            rollup: usize::MAX,
        });
    }

    /// Takes a customer into the batch that this mutation creates.
    pub(super) fn create(&mut self, cell: &Arc<Cell>, account: Account) {
        let mut inner = cell.lock();
        inner.account = Some(account);
        inner.absent = false;
        inner.generation = inner.generation.wrapping_add(1);
        inner.in_batch = u32::try_from(self.batch.touched.len()).ok();
        drop(inner);
        let effects = Effects {
            customer: true,
            ..Effects::default()
        };
        let cell = Arc::clone(cell);
        self.batch.touched.push(Touched {
            cell,
            effects,
            rollup: usize::MAX,
        });
    }

    /// Returns the stored event that a plain event of this mutation repeats.
    pub(super) fn duplicate(&self, index: usize) -> Option<&'f StoredEvent> {
        if self.batch.duplicates.is_empty() {
            return None;
        }
        self.batch
            .duplicates
            .get(&(self.place.chunk?, index))
            .copied()
    }

    /// Takes a plain event of this mutation, which is no duplicate, out of the store again.
    pub(super) fn refuse_plain(&mut self, index: usize, row: &EventRow) {
        if let Some(chunk) = self.place.chunk {
            self.batch.changes.refused.push((chunk, index));
            self.batch
                .refused
                .insert((row.customer, row.event.event_id.clone()));
        }
    }

    /// Whether an earlier mutation of this batch had an event of this id refused, so that what repeats it was
    /// not stored either.
    pub(super) fn is_refused(&self, row: &EventRow) -> bool {
        !self.batch.refused.is_empty()
            && self
                .batch
                .refused
                .contains(&(row.customer, row.event.event_id.clone()))
    }

    /// Returns what is stored under this mutation's nth probe, this batch's own events included.
    pub(super) fn probed(&self, nth: usize) -> Option<StoredEvent> {
        self.batch
            .found
            .events
            .get(self.place.probes.start + nth)
            .cloned()
            .flatten()
    }

    /// Returns an event that an earlier mutation of this batch stores.
    pub(super) fn added(&self, key: &EventKey) -> Option<&EventRow> {
        let index = self.batch.added.get(key)?;
        self.batch.changes.events.get(*index)
    }

    /// Stores an event that is known to be new.
    pub(super) fn store(&mut self, row: EventRow) {
        let events = &mut self.batch.changes.events;
        self.batch.added.insert(EventKey::of(&row), events.len());
        events.push(row);
    }

    /// Returns an event as it stands for this mutation, earlier ones of the batch included. `nth` is the probe that
    /// asked for it.
    pub(super) fn event(&mut self, nth: usize, key: &EventKey) -> Option<EventRow> {
        if let Some(row) = self.added(key) {
            return Some(row.clone());
        }
        let stored = self.probed(nth)?;
        self.batch.is_there(key).then_some(stored.row)
    }

    /// Returns what was folded for this mutation.
    pub(super) fn folded(&self) -> &'f [FoldResult] {
        self.batch
            .found
            .folds
            .get(self.place.folds.clone())
            .unwrap_or(&[])
    }
}
