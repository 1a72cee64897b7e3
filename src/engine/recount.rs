//! What must be counted anew when a customer gets another plan, other overrides or another anchor.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::Error;
use super::load::Loader;
use super::track::{self, Missing};
use crate::domain::account::{Account, Effects};
use crate::domain::counter::{Counter, CounterSpec};
use crate::domain::customer::Override;
use crate::domain::id::SubaccountId;
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::reservation::ItemHold;
use crate::domain::subscription::{Subscription, anchor_of};
use crate::domain::time::Timestamp;
use crate::domain::window::{Anchor, Window};
use crate::storage::{Changes, CounterSet, Fold, FoldResult};

/// Counters to be built from events for an account to go on under other terms.
#[derive(Debug, Default)]
pub(super) struct Recount {
    /// Those that it does not keep yet.
    missing: Vec<Missing>,
    /// Those that it keeps and whose windows move with the anchor.
    moved: Vec<Missing>,
}

impl Recount {
    /// Finds out what must be built if an account had this subscription and these overrides, and asks for it.
    pub(super) fn ask(
        &mut self,
        (account, no): (&Account, i64),
        loader: &Loader,
        (subscription, overrides): (Option<&Subscription>, &[Override]),
        now: Timestamp,
    ) -> Vec<Fold> {
        let anchor = anchor_of(&account.customer, subscription);
        self.missing = track::missing_under(account, loader, subscription, overrides);
        self.moved = moved(account, anchor);
        let mut folds = track::folds(&self.missing, account, no, now);
        folds.extend(track::folds(&self.moved, account, no, now));
        for fold in &mut folds {
            fold.anchor = anchor;
        }
        folds
    }

    /// Checks that what was asked for is there, before anything is changed.
    ///
    /// # Errors
    /// When a sum left the range of 64 bits, or the store answered something else.
    pub(super) fn check(&self, folded: &[FoldResult]) -> Result<(), Error> {
        let asked = self.missing.iter().chain(&self.moved);
        let fits = |(one, result): (&Missing, &FoldResult)| match result {
            FoldResult::Overflow => true,
            FoldResult::Ring(_) => matches!(one.spec.window, Window::Rolling(_)),
            FoldResult::Windows(_) => !matches!(one.spec.window, Window::Rolling(_)),
        };
        if folded.len() != self.missing.len() + self.moved.len() || !asked.zip(folded).all(fits) {
            tracing::error!("the store did not fold what was asked for");
            return Err(Error::Internal);
        }
        if folded.contains(&FoldResult::Overflow) {
            return Err(Error::Overflow(None));
        }
        Ok(())
    }

    /// Takes what was built, and checked, into an account that has its new terms already, and compiles its rights
    /// again. The customer is written with it.
    ///
    /// # Errors
    /// When a sum left the range of 64 bits: the batch must be taken back.
    pub(super) fn take(
        &self,
        account: &mut Account,
        folded: &[FoldResult],
        (loader, now): (&Loader, Timestamp),
        effects: &mut Effects,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let (built, laid_out) = folded.split_at(self.missing.len());
        self.lay_out(account, laid_out, (loader, now), effects, changes)?;
        if self.missing.is_empty() {
            loader.refresh(account, now);
            effects.customer = true;
        } else {
            track::keep(account, &self.missing, built, (loader, now), changes)?;
        }
        Ok(account.hold_windows(effects)?)
    }

    /// Replaces the windows of counters by those that step from the account's new anchor. Open reservations let go of
    /// the windows before, to hold those that come in their place.
    fn lay_out(
        &self,
        account: &mut Account,
        folded: &[FoldResult],
        (loader, now): (&Loader, Timestamp),
        effects: &mut Effects,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let customer = account.customer.id.clone();
        for one in &self.moved {
            account.let_go(one.subaccount.as_ref(), &one.spec);
        }
        // Amounts that reservations gave back as they ended: the windows before are gone.
        effects.shifts.retain(|shift| {
            let goes =
                |one: &Missing| one.subaccount == shift.subaccount && one.spec == *shift.spec;
            !self.moved.iter().any(goes)
        });
        for (one, result) in self.moved.iter().zip(folded) {
            let spec = loader.spec(&one.spec);
            let sub = one.subaccount.as_ref();
            let mut counter = Counter::empty(spec.window, account.anchor, now);
            let rows = track::fill(&mut counter, &spec, sub, result)?;
            let mut rows = track::behind(&mut counter, rows);
            // What was dropped with trimmed events is still told by windows of the anchor before.
            let anchor = account.anchor;
            rows.retain(|row| spec.window.range(anchor, row.start).start == row.start);
            let line = (customer.clone(), one.subaccount.clone(), Arc::clone(&spec));
            changes.cleared.push(line);
            let set = |row| CounterSet {
                customer: customer.clone(),
                row,
            };
            changes.counters.extend(rows.into_iter().map(set));
            replace(account, sub, &spec, counter);
        }
        Ok(())
    }
}

/// Returns the counters that an account keeps and whose windows are others under another anchor.
fn moved(account: &Account, to: Anchor) -> Vec<Missing> {
    let from = account.anchor;
    let moves = |window: Window| match window {
        Window::Hour | Window::Day | Window::Week | Window::Month => from.start != to.start,
        Window::BillingPeriod => from != to,
        Window::Lifetime | Window::Rolling(_) => false,
    };
    let pick = |subaccount: Option<&SubaccountId>, tracked: &[Arc<CounterSpec>]| {
        let of = |spec: &Arc<CounterSpec>| Missing {
            subaccount: subaccount.cloned(),
            spec: (**spec).clone(),
        };
        let picked = tracked.iter().filter(|spec| moves(spec.window)).map(of);
        picked.collect::<Vec<_>>()
    };
    let mut all = pick(None, &account.rights.tracked);
    for (id, state) in &account.subaccounts {
        all.extend(pick(Some(id), &state.rights.tracked));
    }
    all
}

/// Amounts by counter and window start.
pub(super) type Held =
    BTreeMap<(Option<SubaccountId>, Arc<CounterSpec>), BTreeMap<Timestamp, Milli>>;

/// Returns what open reservations hold of counters.
pub(super) fn held(account: &Account) -> Result<Held, Overflow> {
    let mut held = Held::new();
    for reservation in account.reservations.values() {
        for item in &reservation.items {
            let ItemHold::Quota {
                reserved, windows, ..
            } = &item.hold
            else {
                continue;
            };
            for window in windows {
                let sub = reservation
                    .subaccount
                    .clone()
                    .filter(|_| window.of_subaccount);
                let key = (sub, Arc::clone(&window.spec));
                let sum = held.entry(key).or_default().entry(window.start);
                let sum = sum.or_default();
                *sum = sum.plus(*reserved)?;
            }
        }
    }
    Ok(held)
}

fn replace(
    account: &mut Account,
    sub: Option<&SubaccountId>,
    spec: &Arc<CounterSpec>,
    counter: Counter,
) {
    let (tracked, counters) = match sub {
        None => (&account.rights.tracked, &mut account.counters),
        Some(id) => match account.subaccounts.get_mut(id) {
            Some(state) => (&state.rights.tracked, &mut state.counters),
            None => return,
        },
    };
    if let Some(slot) = tracked.iter().position(|kept| kept == spec) {
        counters[slot] = counter;
    }
}
