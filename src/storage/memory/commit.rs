//! One batch: everything is worked out and checked first and written after, so that a failure leaves nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::fold::fold;
use super::plan::Plan;
use super::state::{EventName, State};
use crate::storage::{
    Batch, Changes, Committed, CustomerNo, Duplicate, EventRow, Found, Reread, StoreError,
};

/// Decides and writes one batch.
pub(super) fn commit(state: &mut State, mut batch: Batch) -> Result<Committed, StoreError> {
    let mark = (batch.mark.epoch, batch.mark.number);
    if state.marks.contains(&mark) {
        return Ok(Committed {
            created: Vec::new(),
            repeated: true,
        });
    }
    let newest = state.catalogs.last_key_value();
    if batch.catalog != 0 && newest.is_some_and(|(version, _)| *version > batch.catalog) {
        return Err(StoreError::Outdated);
    }
    let mut pending = Pending {
        state,
        inserted: Vec::new(),
    };
    let duplicates = pending.insert(&batch.plain)?;
    let repeats: BTreeSet<(usize, usize)> = duplicates
        .iter()
        .map(|duplicate| (duplicate.chunk, duplicate.index))
        .collect();
    let decide = std::mem::replace(&mut batch.decide, Box::new(|_| Changes::default()));
    let found = find(pending.state, &batch, duplicates);
    let mut changes = decide(&found);
    if let Some(why) = changes.abort.take() {
        return Err(StoreError::Constraint(why));
    }
    let refused = refused(&batch.plain, &changes, &repeats)?;
    let plan = Plan::check(pending.state, &mut changes, &refused)?;

    pending.inserted.clear();
    let created = plan.write(pending.state, changes, refused, batch.now);
    pending.state.marks.insert(mark);
    pending.state.latest = pending.state.latest.max(batch.now);
    Ok(Committed {
        created,
        repeated: false,
    })
}

/// Plain events that are inserted so far; dropping it takes them out again, after a panic too.
struct Pending<'a> {
    state: &'a mut State,
    inserted: Vec<(CustomerNo, EventName)>,
}

impl Pending<'_> {
    fn insert(&mut self, plain: &[Arc<Vec<EventRow>>]) -> Result<Vec<Duplicate>, StoreError> {
        let mut duplicates = Vec::new();
        for (chunk, rows) in plain.iter().enumerate() {
            for (index, row) in rows.iter().enumerate() {
                let books = self.state.books.get_mut(&row.customer);
                let books = books.ok_or_else(|| no_such_number(row.customer))?;
                let name = (row.event.event_id.clone(), row.kind);
                if let Some(stored) = books.stored(&name) {
                    duplicates.push(Duplicate {
                        chunk,
                        index,
                        stored,
                    });
                } else {
                    books.insert_event(row.clone());
                    self.inserted.push((row.customer, name));
                }
            }
        }
        Ok(duplicates)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        for (customer, name) in self.inserted.drain(..) {
            if let Some(books) = self.state.books.get_mut(&customer) {
                books.remove_event(&name);
            }
        }
    }
}

pub(super) fn no_such_number(customer: CustomerNo) -> StoreError {
    StoreError::Constraint(format!("an event of unknown customer number {customer}"))
}

/// Reads what a batch asks for.
fn find<'a>(state: &State, batch: &'a Batch, duplicates: Vec<Duplicate>) -> Found<'a> {
    Found {
        plain: &batch.plain,
        duplicates,
        events: batch
            .probe_events
            .iter()
            .map(|key| {
                let books = state.books.get(&key.customer)?;
                books.stored(&(key.event.clone(), key.kind))
            })
            .collect(),
        requests: batch
            .probe_requests
            .iter()
            .map(|key| {
                let key = (key.caller.clone(), key.method, key.request.clone());
                state.answers.get(&key).map(|(_, answer)| answer.clone())
            })
            .collect(),
        billing: batch
            .probe_billing
            .iter()
            .map(|key| state.billing.get(key).cloned())
            .collect(),
        accounts: batch
            .customers
            .iter()
            .map(|named| match state.account(&named.id, batch.now) {
                None => Reread::Absent,
                // Only this process writes: what it holds is the newest.
                Some(_) if named.version != 0 => Reread::Same,
                Some(rows) => Reread::Rows(Box::new(rows)),
            })
            .collect(),
        folds: batch.folds.iter().map(|asked| fold(state, asked)).collect(),
    }
}

/// Names the plain events that are to be taken out again; a duplicate was never put in.
fn refused(
    plain: &[Arc<Vec<EventRow>>],
    changes: &Changes,
    repeats: &BTreeSet<(usize, usize)>,
) -> Result<BTreeSet<(CustomerNo, EventName)>, StoreError> {
    let mut names = BTreeSet::new();
    for place in &changes.refused {
        let row = plain.get(place.0).and_then(|rows| rows.get(place.1));
        let row = row.ok_or_else(|| {
            StoreError::Constraint(String::from("a refused event is not in the batch"))
        })?;
        if !repeats.contains(place) {
            names.insert((row.customer, (row.event.event_id.clone(), row.kind)));
        }
    }
    Ok(names)
}
