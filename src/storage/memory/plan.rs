//! What a batch will write: new values worked out and checked, then written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::billing;
use super::commit::no_such_number;
use super::rollups::Staged;
use super::state::{Books, CounterKey, EventName, State, Tallied};
use super::wallets::Wallets;
use crate::domain::counter::{CounterSpec, Ring};
use crate::domain::id::{CustomerId, SubaccountId};
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::time::Timestamp;
use crate::domain::window::Window;
use crate::storage::{
    Changes, CounterSet, CounterShift, CustomerNo, StoreError, SubaccountRows, Use,
};

/// All windows of one counter.
type Cleared = (CustomerId, Option<SubaccountId>, Arc<CounterSpec>);

/// What a batch will write, checked.
pub(super) struct Plan {
    created: Vec<(CustomerId, CustomerNo)>,
    cleared: BTreeSet<Cleared>,
    counters: BTreeMap<(CustomerId, CounterKey), Tallied>,
    rollups: Staged,
}

impl Plan {
    /// Works out new values and checks that all of it can be written.
    pub(super) fn check(
        state: &State,
        changes: &mut Changes,
        refused: &BTreeSet<(CustomerNo, EventName)>,
    ) -> Result<Self, StoreError> {
        let mut plan = Self {
            created: Vec::new(),
            cleared: std::mem::take(&mut changes.cleared).into_iter().collect(),
            counters: BTreeMap::new(),
            rollups: Staged::default(),
        };
        let mut next = state.books.last_key_value().map_or(1, |(no, _)| no + 1);
        for write in &changes.customers {
            let id = &write.customer.id;
            if !state.numbers.contains_key(id) && !plan.creates(id) {
                plan.created.push((id.clone(), next));
                next += 1;
            }
        }
        for id in named(changes) {
            if !state.numbers.contains_key(id) && !plan.creates(id) {
                return Err(StoreError::Constraint(format!("no customer {id}")));
            }
        }
        for (id, ..) in &plan.cleared {
            if !state.numbers.contains_key(id) && !plan.creates(id) {
                return Err(StoreError::Constraint(format!("no customer {id}")));
            }
        }
        check_new(state, changes, refused)?;
        check_books(state, changes)?;
        for set in std::mem::take(&mut changes.counters) {
            plan.set(state, set);
        }
        for shift in std::mem::take(&mut changes.shifts) {
            plan.shift(state, shift)?;
        }
        for shift in std::mem::take(&mut changes.rollups) {
            plan.rollups.add(state, shift)?;
        }
        Ok(plan)
    }

    /// Returns a counter as it is stored, unless it is cleared.
    fn kept<'a>(
        &self,
        state: &'a State,
        customer: &CustomerId,
        key: &CounterKey,
    ) -> Option<&'a Tallied> {
        let line = || {
            (
                customer.clone(),
                key.subaccount.clone(),
                Arc::clone(&key.spec),
            )
        };
        if !self.cleared.is_empty() && self.cleared.contains(&line()) {
            return None;
        }
        state.of(customer)?.1.counters.get(key)
    }

    fn creates(&self, id: &CustomerId) -> bool {
        self.created.iter().any(|created| created.0 == *id)
    }

    fn set(&mut self, state: &State, set: CounterSet) {
        let key = CounterKey {
            subaccount: set.row.subaccount,
            spec: set.row.spec,
            start: set.row.start,
        };
        let kept = self.kept(state, &set.customer, &key);
        let tallied = Tallied {
            end: set.row.end,
            used: set.row.used,
            reserved: set.row.reserved,
            dropped: kept.map_or(Milli::ZERO, |kept| kept.dropped),
        };
        self.counters.insert((set.customer, key), tallied);
    }

    fn shift(&mut self, state: &State, shift: CounterShift) -> Result<(), StoreError> {
        let rolling = matches!(shift.spec.window, Window::Rolling(_));
        let key = CounterKey {
            subaccount: shift.subaccount,
            spec: shift.spec,
            start: shift.start,
        };
        let kept = self.kept(state, &shift.customer, &key).cloned();
        let tallied = self.counters.entry((shift.customer, key));
        let tallied = tallied.or_insert_with(|| {
            kept.unwrap_or_else(|| Tallied {
                end: shift.end,
                used: if rolling {
                    Use::Rolling(Ring::default())
                } else {
                    Use::Fixed(Milli::ZERO)
                },
                reserved: Milli::ZERO,
                dropped: Milli::ZERO,
            })
        });
        let broken = |what: &str| StoreError::Constraint(format!("a counter {what}"));
        let overflow = |Overflow| broken("leaves the range of 64 bits");
        match &mut tallied.used {
            Use::Fixed(used) => *used = used.plus(shift.used).map_err(overflow)?,
            Use::Rolling(_) if shift.used == Milli::ZERO => {}
            Use::Rolling(_) => return Err(broken("of a rolling window was shifted")),
        }
        tallied.reserved = tallied.reserved.plus(shift.reserved).map_err(overflow)?;
        Ok(())
    }

    /// Writes everything. Nothing here can fail.
    pub(super) fn write(
        self,
        state: &mut State,
        mut changes: Changes,
        refused: BTreeSet<(CustomerNo, EventName)>,
        now: Timestamp,
    ) -> Vec<(CustomerId, CustomerNo)> {
        for (id, no) in &self.created {
            state.numbers.insert(id.clone(), *no);
        }
        for write in std::mem::take(&mut changes.customers) {
            let no = state.numbers[&write.customer.id];
            let books = state.books.entry(no);
            let books = books.or_insert_with(|| Books::new(write.customer.clone()));
            books.customer = write.customer;
            books.subscription = write.subscription;
            books.tracked = write.tracked;
        }
        for (customer, name) in refused {
            if let Some(books) = state.books.get_mut(&customer) {
                books.remove_event(&name);
            }
        }
        for row in std::mem::take(&mut changes.events) {
            if let Some(books) = state.books.get_mut(&row.customer) {
                books.insert_event(row);
            }
        }
        for (customer, subaccount, spec) in &self.cleared {
            let is_cleared = |key: &CounterKey| key.subaccount == *subaccount && key.spec == *spec;
            let counters = &mut books(state, customer).counters;
            counters.retain(|key, _| !is_cleared(key));
        }
        for ((customer, key), tallied) in self.counters {
            books(state, &customer).counters.insert(key, tallied);
        }
        self.rollups.write(state);
        if let Some(catalog) = changes.catalog.take() {
            state.catalogs.insert(catalog.version(), catalog);
        }
        for answer in std::mem::take(&mut changes.answers) {
            let key = &answer.key;
            let key = (key.caller.clone(), key.method, key.request.clone());
            state.answers.insert(key, (now, answer));
        }
        billing::write(&mut state.billing, &mut changes);
        write_rows(state, changes);
        self.created
    }
}

/// Writes the rows that replace or remove one another whole.
fn write_rows(state: &mut State, changes: Changes) {
    for (customer, subaccount, tracked) in changes.subaccounts {
        let row = SubaccountRows {
            subaccount,
            tracked,
        };
        let held = &mut books(state, &customer).subaccounts;
        held.insert(row.subaccount.id.clone(), row);
    }
    for (customer, held) in changes.reservations {
        let reservations = &mut books(state, &customer).reservations;
        reservations.insert(held.id.clone(), held);
    }
    for (customer, feature, id) in changes.deallocations {
        books(state, &customer).allocations.remove(&(feature, id));
    }
    for (customer, row) in changes.allocations {
        let allocations = &mut books(state, &customer).allocations;
        allocations.insert((row.feature.clone(), row.id.clone()), row);
    }
    for (customer, feature, subaccount) in changes.removed_overrides {
        let overrides = &mut books(state, &customer).overrides;
        overrides.remove(&(feature, subaccount));
    }
    for (customer, row) in changes.overrides {
        let overrides = &mut books(state, &customer).overrides;
        overrides.insert((row.feature.clone(), row.subaccount.clone()), row);
    }
    for (customer, rows) in changes.adjustments {
        books(state, &customer).adjustments = rows;
    }
    for (customer, rows) in changes.books {
        books(state, &customer).wallets.write(rows);
    }
}

/// Returns the customers that changes name by id.
fn named(changes: &Changes) -> impl Iterator<Item = &CustomerId> {
    let counters = changes.counters.iter().map(|row| &row.customer);
    counters
        .chain(changes.shifts.iter().map(|row| &row.customer))
        .chain(changes.subaccounts.iter().map(|row| &row.0))
        .chain(changes.reservations.iter().map(|row| &row.0))
        .chain(changes.allocations.iter().map(|row| &row.0))
        .chain(changes.deallocations.iter().map(|row| &row.0))
        .chain(changes.overrides.iter().map(|row| &row.0))
        .chain(changes.removed_overrides.iter().map(|row| &row.0))
        .chain(changes.adjustments.iter().map(|row| &row.0))
        .chain(changes.books.iter().map(|row| &row.0))
        .chain(
            changes
                .billing
                .iter()
                .filter_map(|row| row.customer.as_ref()),
        )
}

/// Checks that rows which must be new are.
fn check_new(
    state: &State,
    changes: &Changes,
    refused: &BTreeSet<(CustomerNo, EventName)>,
) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    for row in &changes.events {
        let books = state.books.get(&row.customer);
        let books = books.ok_or_else(|| no_such_number(row.customer))?;
        let name = (row.customer, (row.event.event_id.clone(), row.kind));
        let stored = books.events.contains_key(&name.1) && !refused.contains(&name);
        if stored || !seen.insert(name) {
            let id = &row.event.event_id;
            return Err(StoreError::Constraint(format!("event {id} exists")));
        }
    }
    if let Some(catalog) = &changes.catalog
        && state.catalogs.contains_key(&catalog.version())
    {
        let version = catalog.version();
        return Err(StoreError::Constraint(format!("catalog {version} exists")));
    }
    for answer in &changes.answers {
        let key = &answer.key;
        let name = (key.caller.clone(), key.method, key.request.clone());
        if state.answers.contains_key(&name) {
            let request = &key.request;
            return Err(StoreError::Constraint(format!("answer {request} exists")));
        }
    }
    Ok(())
}

/// Checks that what changed in wallets may be written.
fn check_books(state: &State, changes: &Changes) -> Result<(), StoreError> {
    let none = Wallets::default();
    for (customer, rows) in &changes.books {
        let stored = state.of(customer).map(|(_, books)| &books.wallets);
        stored.unwrap_or(&none).check(rows)?;
    }
    Ok(())
}

fn books<'a>(state: &'a mut State, customer: &CustomerId) -> &'a mut Books {
    let no = state.numbers[customer];
    let books = state.books.get_mut(&no);
    books.expect("each number was given together with its books")
}
