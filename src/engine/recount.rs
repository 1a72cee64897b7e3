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
use crate::storage::{Changes, CounterRow, CounterSet, Fold, FoldResult, Use};

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
            return Err(Error::Overflow(Overflow));
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
            return Ok(());
        }
        track::keep(account, &self.missing, built, (loader, now), changes)
    }

    /// Replaces the windows of counters by those that step from the account's new anchor. What open reservations
    /// hold stays with the windows that they were made in.
    fn lay_out(
        &self,
        account: &mut Account,
        folded: &[FoldResult],
        (loader, now): (&Loader, Timestamp),
        effects: &mut Effects,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let mut held = held(account)?;
        let customer = account.customer.id.clone();
        // Amounts that reservations gave back as they ended: `held` knows of them.
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
            let own = held
                .remove(&(one.subaccount.clone(), Arc::clone(&spec)))
                .unwrap_or_default();
            counter.reserved = own.get(&counter.start()).copied().unwrap_or_default();
            let rows = rows_of(rows, own, (sub, &spec), account.anchor);
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

/// Returns the rows of one counter under its new anchor: windows with use, and windows that are only held. One that
/// is no window of this anchor holds no use, and ends where it starts.
fn rows_of(
    folded: Vec<CounterRow>,
    held: BTreeMap<Timestamp, Milli>,
    (sub, spec): (Option<&SubaccountId>, &Arc<CounterSpec>),
    anchor: Anchor,
) -> Vec<CounterRow> {
    let is_window = |start: Timestamp| spec.window.range(anchor, start).start == start;
    let mut rows: BTreeMap<Timestamp, CounterRow> = folded
        .into_iter()
        // What was dropped with trimmed events is still told by windows of the anchor before.
        .filter(|row| is_window(row.start))
        .map(|row| (row.start, row))
        .collect();
    for (start, reserved) in held {
        let end = if is_window(start) {
            spec.window.range(anchor, start).end
        } else {
            start
        };
        let row = rows.entry(start).or_insert_with(|| CounterRow {
            subaccount: sub.cloned(),
            spec: Arc::clone(spec),
            start,
            end,
            used: Use::Fixed(Milli::ZERO),
            reserved: Milli::ZERO,
        });
        row.reserved = reserved;
    }
    rows.into_values().collect()
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
