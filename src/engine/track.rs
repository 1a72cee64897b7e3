//! Beginning to keep counters that a customer needs and does not have: they are built from its stored events.

use std::sync::Arc;

use super::cell::Cell;
use super::collect::{counter_row, customer_row};
use super::error::Error;
use super::load::Loader;
use super::mutation::{Applied, Mutation};
use super::step::Step;
use crate::domain::account::Account;
use crate::domain::counter::{Counter, CounterSpec, Tally};
use crate::domain::customer::Override;
use crate::domain::id::SubaccountId;
use crate::domain::quantity::Milli;
use crate::domain::reservation::LIFE_MAX;
use crate::domain::rights::{Owner, needed};
use crate::domain::subscription::Subscription;
use crate::domain::time::Timestamp;
use crate::domain::usage::EVENT_AGE_MAX;
use crate::storage::{Changes, CounterRow, CounterSet, Fold, FoldResult, Use, WindowUse};

/// Begins to keep the counters that one customer needs.
pub(super) struct Track {
    cell: Arc<Cell>,
    missing: Vec<Missing>,
}

/// A counter that is needed and not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) subaccount: Option<SubaccountId>,
    pub(super) spec: CounterSpec,
}

impl Track {
    pub(super) fn new(cell: Arc<Cell>) -> Self {
        Self {
            cell,
            missing: Vec::new(),
        }
    }
}

impl Mutation for Track {
    const METHOD: &'static str = "Track";
    type Answer = ();

    fn cells(&self) -> &[Arc<Cell>] {
        // Not entered into the batch: it would be found not to be ready, which is what this is for.
        &[]
    }

    fn named(&self) -> &[Arc<Cell>] {
        std::slice::from_ref(&self.cell)
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn folds(&mut self, loader: &Loader, now: Timestamp) -> Vec<Fold> {
        let inner = self.cell.lock();
        let Some(account) = &inner.account else {
            return Vec::new();
        };
        self.missing = missing(account, loader);
        folds(&self.missing, account, self.cell.no(), now)
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<()>, Error> {
        let (folded, sources) = (step.folded(), (step.batch.loader, step.now()));
        let mut changes = Changes::default();
        step.touch(&self.cell);
        step.with_inner(&self.cell, |inner, effects| {
            let account = inner.account.as_mut()?;
            let kept = keep(account, &self.missing, folded, sources, &mut changes)
                .and_then(|()| Ok(account.hold_windows(effects)?));
            match kept {
                Ok(()) => inner.untracked = false,
                // It may have some of the counters already.
                Err(_) => inner.forget(),
            }
            Some(kept)
        })??;
        step.absorb(changes);
        Ok(Applied::Done(()))
    }
}

/// Returns what an account needs and does not have.
pub(super) fn missing(account: &Account, loader: &Loader) -> Vec<Missing> {
    let subscription = account.subscription.as_deref();
    missing_under(account, loader, subscription, &account.overrides)
}

/// Returns what an account would need and does not have, if it had this plan and these overrides.
pub(super) fn missing_under(
    account: &Account,
    loader: &Loader,
    subscription: Option<&Subscription>,
    overrides: &[Override],
) -> Vec<Missing> {
    let catalogs = loader.known_catalogs(subscription);
    let (plan, catalog) = catalogs.plan(subscription);
    let find = |owner: Owner<'_>, id: Option<&SubaccountId>, kept: &[Arc<CounterSpec>]| {
        let mut specs = needed(owner, &catalog, plan.as_deref(), overrides);
        specs.retain(|spec| !kept.iter().any(|other| **other == *spec));
        let of = move |spec| Missing {
            subaccount: id.cloned(),
            spec,
        };
        specs.into_iter().map(of).collect::<Vec<_>>()
    };
    let mut all = find(Owner::Customer, None, &account.rights.tracked);
    for (id, state) in &account.subaccounts {
        all.extend(find(
            Owner::Subaccount(id.as_str()),
            Some(id),
            &state.rights.tracked,
        ));
    }
    all
}

/// Asks for counters to be built from events: each window that an event may still fall in.
pub(super) fn folds(missing: &[Missing], account: &Account, no: i64, now: Timestamp) -> Vec<Fold> {
    let fold = |one: &Missing| Fold {
        customer: no,
        subaccount: one.subaccount.clone(),
        spec: Arc::new(one.spec.clone()),
        anchor: account.anchor,
        since: now.minus(EVENT_AGE_MAX).minus(LIFE_MAX),
    };
    missing.iter().map(fold).collect()
}

/// Keeps counters that were built, from now on.
///
/// # Errors
/// When a sum left the range of 64 bits.
pub(super) fn keep(
    account: &mut Account,
    missing: &[Missing],
    folded: &[FoldResult],
    (loader, now): (&Loader, Timestamp),
    changes: &mut Changes,
) -> Result<(), Error> {
    account.advance(now);
    let mut own: Vec<Arc<CounterSpec>> = account.rights.tracked.to_vec();
    for (one, result) in missing.iter().zip(folded) {
        let spec = loader.spec(&one.spec);
        let mut counter = Counter::empty(spec.window, account.anchor, now);
        let rows = fill(&mut counter, &spec, one.subaccount.as_ref(), result)?;
        let rows = behind(&mut counter, rows);
        let customer = &account.customer.id;
        let set = |row| CounterSet {
            customer: customer.clone(),
            row,
        };
        changes.counters.extend(rows.into_iter().map(set));
        match &one.subaccount {
            None => {
                own.push(spec);
                account.counters.push(counter);
            }
            Some(id) => {
                let Some(state) = account.subaccounts.get_mut(id) else {
                    continue;
                };
                let mut kept = state.rights.tracked.to_vec();
                kept.push(spec);
                state.counters.push(counter);
                state.rights = loader.retrack(&state.rights, &kept);
            }
        }
    }
    account.rights = loader.retrack(&account.rights, &own);
    loader.refresh(account, now);
    write_tracked(account, changes);
    Ok(())
}

/// Writes down which counters an account keeps.
pub(super) fn write_tracked(account: &Account, changes: &mut Changes) {
    changes.customers.push(customer_row(account));
    for state in account.subaccounts.values() {
        changes.subaccounts.push((
            account.customer.id.clone(),
            state.subaccount.clone(),
            state.rights.tracked.to_vec(),
        ));
    }
}

/// Has a counter written with its account, once it holds all that it will, and returns the rows of its other windows.
pub(super) fn behind(counter: &mut Counter, mut rows: Vec<CounterRow>) -> Vec<CounterRow> {
    counter.dirty = true;
    rows.retain(|row| row.start != counter.start());
    rows
}

/// Puts what was folded into a counter and returns its rows.
pub(super) fn fill(
    counter: &mut Counter,
    spec: &Arc<CounterSpec>,
    subaccount: Option<&SubaccountId>,
    result: &FoldResult,
) -> Result<Vec<CounterRow>, Error> {
    match (result, &mut counter.tally) {
        (FoldResult::Overflow, _) => Err(Error::Overflow(None)),
        (FoldResult::Windows(windows), Tally::Fixed { range, used, ahead }) => {
            let row = |window: &WindowUse| CounterRow {
                subaccount: subaccount.cloned(),
                spec: Arc::clone(spec),
                start: window.start,
                end: window.end,
                used: Use::Fixed(window.used),
                reserved: Milli::ZERO,
            };
            for window in windows {
                if window.start == range.start {
                    *used = window.used;
                } else if window.start == range.end {
                    *ahead = Some(Box::new(window.used));
                }
            }
            Ok(windows.iter().map(row).collect())
        }
        (FoldResult::Ring(folded), Tally::Rolling { ring, .. }) => {
            **ring = folded.clone();
            Ok(vec![counter_row(subaccount, spec, counter)])
        }
        (FoldResult::Windows(_), Tally::Rolling { .. })
        | (FoldResult::Ring(_), Tally::Fixed { .. }) => {
            tracing::error!(window = %spec.window, "the store folded another kind of window");
            Err(Error::Internal)
        }
    }
}

impl Loader {
    /// Returns rights over other counters, to be compiled by [`Loader::refresh`].
    fn retrack(
        &self,
        rights: &crate::domain::rights::Rights,
        tracked: &[Arc<CounterSpec>],
    ) -> Arc<crate::domain::rights::Rights> {
        Arc::new(crate::domain::rights::Rights::bare(
            self.share(tracked),
            rights.warnings,
        ))
    }
}
