//! The rows of an account that a batch changed; each once, as it stands in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::account::{Account, Effects};
use crate::domain::counter::{Counter, CounterSpec, Tally};
use crate::domain::id::{CustomerId, SubaccountId};
use crate::domain::time::Timestamp;
use crate::domain::wallet::BookChanges;
use crate::failpoint;
use crate::storage::{Changes, CounterRow, CounterSet, CounterShift, CustomerWrite, Use};

/// Gathers the counters that changed.
pub(super) fn collect_counters(
    account: &mut Account,
    customer: &CustomerId,
    rows: &mut Vec<CounterSet>,
) {
    let mut collect =
        |sub: Option<&SubaccountId>, specs: &[Arc<CounterSpec>], counters: &mut [Counter]| {
            for (spec, counter) in specs.iter().zip(counters) {
                if counter.dirty {
                    counter.dirty = false;
                    let row = counter_row(sub, spec, counter);
                    rows.push(CounterSet {
                        customer: customer.clone(),
                        row,
                    });
                }
            }
        };
    collect(None, &account.rights.tracked, &mut account.counters);
    for (id, state) in &mut account.subaccounts {
        collect(Some(id), &state.rights.tracked, &mut state.counters);
    }
}

/// Returns the row of a counter as it stands in memory.
pub(super) fn counter_row(
    subaccount: Option<&SubaccountId>,
    spec: &Arc<CounterSpec>,
    counter: &Counter,
) -> CounterRow {
    let (start, end, used) = match &counter.tally {
        Tally::Fixed { range, used, .. } => (range.start, range.end, Use::Fixed(*used)),
        Tally::Rolling { ring, .. } => (
            Timestamp::MIN,
            Timestamp::MAX,
            Use::Rolling((**ring).clone()),
        ),
    };
    CounterRow {
        subaccount: subaccount.cloned(),
        spec: Arc::clone(spec),
        start,
        end,
        used,
        reserved: counter.reserved,
    }
}

/// Gathers what changed in the wallets of an account.
pub(super) fn collect_book(
    account: &mut Account,
    customer: &CustomerId,
    now: Timestamp,
    changes: &mut Changes,
) {
    let mut book = account.book.take_changes(now);
    spoil(customer, &mut book);
    if !book.is_empty() {
        changes.books.push((customer.clone(), book));
    }
}

/// Gathers what a batch did to an account beside its counters.
pub(super) fn collect_effects(
    account: &Account,
    customer: &CustomerId,
    effects: Effects,
    changes: &mut Changes,
) {
    collect_terms(account, customer, &effects, changes);
    changes
        .shifts
        .extend(effects.shifts.into_iter().map(|shift| CounterShift {
            customer: customer.clone(),
            subaccount: shift.subaccount,
            spec: shift.spec,
            start: shift.start,
            end: shift.end,
            used: shift.used,
            reserved: shift.reserved,
        }));
    for id in effects.touched {
        if let Some(open) = account.reservations.get(&id) {
            changes.reservations.push((customer.clone(), open.clone()));
        }
    }
    let ended = effects
        .ended
        .into_iter()
        .map(|ended| (customer.clone(), ended));
    changes.reservations.extend(ended);
    for (feature, id) in effects.allocated {
        let held = account
            .allocations
            .get(&feature)
            .and_then(|held| held.get(&id));
        if let Some(allocation) = held {
            changes
                .allocations
                .push((customer.clone(), allocation.clone()));
        }
    }
    let freed = effects.deallocated.into_iter();
    changes
        .deallocations
        .extend(freed.map(|(feature, id)| (customer.clone(), feature, id)));
}

/// Gathers what changed of who a customer is and what it is granted; each row once, as it stands in the end.
fn collect_terms(
    account: &Account,
    customer: &CustomerId,
    effects: &Effects,
    changes: &mut Changes,
) {
    if effects.customer {
        changes.customers.push(customer_row(account));
    }
    for id in &effects.subaccounts {
        if let Some(state) = account.subaccounts.get(id) {
            changes.subaccounts.push((
                customer.clone(),
                state.subaccount.clone(),
                state.rights.tracked.to_vec(),
            ));
        }
    }
    for (feature, subaccount) in &effects.overrides {
        let mut sets = account.overrides.iter();
        match sets.find(|set| set.feature == *feature && set.subaccount == *subaccount) {
            Some(set) => changes.overrides.push((customer.clone(), set.clone())),
            None => changes.removed_overrides.push((
                customer.clone(),
                feature.clone(),
                subaccount.clone(),
            )),
        }
    }
    if effects.adjustments {
        changes
            .adjustments
            .push((customer.clone(), account.adjustments.clone()));
    }
}

/// Returns the row of a customer as it stands in memory.
pub(super) fn customer_row(account: &Account) -> CustomerWrite {
    CustomerWrite {
        customer: account.customer.clone(),
        subscription: account.subscription.as_deref().cloned(),
        tracked: account.rights.tracked.to_vec(),
    }
}

/// What an injected defect has wait for the customer's next batch.
static APART: Mutex<BTreeMap<CustomerId, BookChanges>> = Mutex::new(BTreeMap::new());

/// Has wallets written otherwise than they should be, where an injected defect wants that.
fn spoil(customer: &CustomerId, book: &mut BookChanges) {
    if failpoint::fault("debit_apart") {
        let mut apart = APART.lock();
        std::mem::swap(book, apart.entry(customer.clone()).or_default());
    }
    if failpoint::fault("ledger_without_grants") {
        // They come as they should, and what is used of them is not noted.
        book.grants.retain(|(_, grant)| grant.used == 0);
    }
}
