//! Making a batch of mutations, and deciding it: every mutation in order of arrival, on the accounts as they stand.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Shared;
use super::cell::{Cell, Inner};
use super::mutation::Write;
use super::step::{Deciding, Place};
use crate::domain::quantity::Overflow;
use crate::domain::time::Timestamp;
use crate::failpoint;
use crate::storage::{AccountRows, Batch, BatchMark, Changes, Fold, Found, Named, Reread};

pub(super) type Writes = Vec<Box<dyn Write>>;

/// What a decision leaves for the committer.
#[derive(Default)]
pub(super) struct Decided {
    pub(super) touched: Vec<Touch>,
    /// Accounts must be made ready first.
    pub(super) not_ready: bool,
    overflowed: bool,
}

/// An account that a batch touched.
pub(super) struct Touch {
    pub(super) cell: Arc<Cell>,
    /// Its generation since: it rises when anything else touches it.
    pub(super) generation: u32,
}

/// What was asked on behalf of mutations, and is needed again when they are decided.
struct Asked {
    places: Vec<Place>,
    named: Vec<Arc<Cell>>,
    folds: Vec<Fold>,
}

/// Returns a batch of these mutations.
pub(super) fn batch(
    shared: &Arc<Shared>,
    mark: BatchMark,
    writes: &Arc<Mutex<Writes>>,
    decided: &Arc<Mutex<Decided>>,
) -> Batch {
    let now = shared.clock.now();
    let changes_catalog = writes.lock().iter().any(|write| write.changes_catalog());
    let mut batch = Batch {
        mark,
        now,
        plain: Vec::new(),
        probe_events: Vec::new(),
        probe_requests: Vec::new(),
        probe_billing: Vec::new(),
        catalog: shared.loader.current().version(),
        customers: Vec::new(),
        folds: Vec::new(),
        changes_catalog,
        decide: Box::new(|_| Changes::default()),
    };
    let mut places = Vec::new();
    let mut named = Vec::new();
    {
        let mut writes = writes.lock();
        if shared.store.is_shared() {
            named = cells_of(&writes);
            batch.customers = named.iter().map(name).collect();
        }
        for write in writes.iter_mut() {
            places.push(ask(write.as_mut(), shared, &mut batch));
        }
    }
    let asked = Asked {
        places,
        named,
        folds: batch.folds.clone(),
    };
    let (writes, decided, shared) = (Arc::clone(writes), Arc::clone(decided), Arc::clone(shared));
    batch.decide = Box::new(move |found| {
        let (mut writes, mut decided) = (writes.lock(), decided.lock());
        decide(&shared, now, found, &mut writes, asked, &mut decided)
    });
    batch
}

/// Returns the accounts that mutations look at, each once.
fn cells_of(writes: &Writes) -> Vec<Arc<Cell>> {
    let mut seen = HashSet::new();
    let mut last = std::ptr::null();
    let mut cells = Vec::new();
    for cell in writes.iter().flat_map(|write| write.named()) {
        // Events mostly come in runs of one customer.
        let place = Arc::as_ptr(cell);
        if place != last && seen.insert(place) {
            cells.push(Arc::clone(cell));
        }
        last = place;
    }
    cells
}

fn name(cell: &Arc<Cell>) -> Named {
    let inner = cell.lock();
    Named {
        id: cell.id.clone(),
        version: match inner.account {
            Some(_) => inner.version,
            None => 0,
        },
    }
}

/// Asks what a mutation needs to know.
fn ask(write: &mut dyn Write, shared: &Shared, batch: &mut Batch) -> Place {
    let mut place = Place::default();
    if let Some(chunk) = write.plain() {
        place.chunk = Some(batch.plain.len());
        batch.plain.push(Arc::clone(chunk));
    }
    let start = batch.probe_events.len();
    batch.probe_events.extend(write.probes());
    place.probes = start..batch.probe_events.len();
    let start = batch.probe_billing.len();
    batch.probe_billing.extend(write.documents());
    place.documents = start..batch.probe_billing.len();
    let start = batch.folds.len();
    batch.folds.extend(write.folds(&shared.loader, batch.now));
    place.folds = start..batch.folds.len();
    if let Some(request) = write.request() {
        place.request = Some(batch.probe_requests.len());
        batch.probe_requests.push(request.key.clone());
    }
    place
}

fn decide(
    shared: &Shared,
    now: Timestamp,
    found: &Found<'_>,
    writes: &mut Writes,
    asked: Asked,
    decided: &mut Decided,
) -> Changes {
    let mut batch = Deciding::new(now, &shared.loader, found);
    decided.not_ready = !take_reread(shared, now, &asked.named, &found.accounts)
        || !is_asked_still(shared, now, writes, &asked.folds)
        || !batch.enter_all(writes);
    if decided.not_ready {
        decided.touched = batch.touched_cells();
        return abort("accounts are not in memory");
    }
    for (write, place) in writes.iter_mut().zip(asked.places) {
        batch.run(write.as_mut(), place);
        decided.overflowed |= write.overflowed();
        if failpoint::fault("ack_before_commit") {
            write.finish(Ok(()));
        }
    }
    decided.touched = batch.touched_cells();
    match batch.collect() {
        Ok(changes) if !decided.overflowed => changes,
        Ok(_) | Err(Overflow) => {
            decided.overflowed = true;
            abort("a sum would leave the range of 64 bits")
        }
    }
}

fn abort(why: &str) -> Changes {
    Changes {
        abort: Some(why.to_owned()),
        ..Changes::default()
    }
}

/// Replaces what memory holds of customers that others changed; false when some must be made ready first.
fn take_reread(shared: &Shared, now: Timestamp, named: &[Arc<Cell>], found: &[Reread]) -> bool {
    let mut ready = true;
    for (cell, found) in named.iter().zip(found) {
        match found {
            Reread::Same => {}
            Reread::Absent => {
                let mut inner = cell.lock();
                inner.forget();
                inner.absent = true;
            }
            Reread::Rows(rows) => {
                ready &= shared.take_rows(cell, &mut cell.lock(), (**rows).clone(), now);
            }
        }
    }
    ready
}

/// Whether what is to be built from events would be asked for on these accounts as well.
fn is_asked_still(shared: &Shared, now: Timestamp, writes: &mut Writes, asked: &[Fold]) -> bool {
    if asked.is_empty() || !shared.store.is_shared() {
        return true;
    }
    let again = writes.iter_mut();
    let again: Vec<Fold> = again
        .flat_map(|write| write.folds(&shared.loader, now))
        .collect();
    again == *asked
}

impl Shared {
    /// Puts an account in memory as it was read, whatever is there; false when its catalog is not in memory, and then
    /// nothing is there.
    pub(super) fn take_rows(
        &self,
        cell: &Cell,
        inner: &mut Inner,
        rows: AccountRows,
        now: Timestamp,
    ) -> bool {
        let is_known = rows
            .subscription
            .as_ref()
            .is_none_or(|held| self.loader.has(held.catalog_version));
        if !is_known {
            inner.forget();
            return false;
        }
        let catalogs = self.loader.known_catalogs(rows.subscription.as_ref());
        cell.set_no(rows.no);
        inner.forget();
        inner.version = rows.version;
        let (account, untracked) = self.loader.account(rows, &catalogs, now);
        inner.account = Some(account);
        inner.untracked = untracked;
        true
    }
}
