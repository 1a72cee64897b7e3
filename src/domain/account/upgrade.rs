//! The smallest plan that would allow what was denied.

use std::sync::Arc;

use super::{Account, Ask};
use crate::domain::catalog::{Catalog, Plan};
use crate::domain::counter::Counter;
use crate::domain::id::PlanId;
use crate::domain::rights::{Owner, Rights, Tracked, needed};
use crate::domain::time::Timestamp;

/// Returns the smallest plan, by rank, that would allow what was denied, from the use of this account.
#[must_use]
pub fn smallest_plan(
    catalog: &Catalog,
    account: &Account,
    ask: &Ask<'_>,
    now: Timestamp,
) -> Option<PlanId> {
    let mut plans: Vec<&Plan> = catalog.plans.values().map(AsRef::as_ref).collect();
    plans.sort_by(|a, b| a.rank.cmp(&b.rank).then_with(|| a.id.cmp(&b.id)));
    let current = account.plan.as_ref().map(|plan| &plan.id);
    let found = plans
        .into_iter()
        .filter(|plan| Some(&plan.id) != current)
        .find(|plan| {
            plan.entitlements.contains_key(ask.feature)
                && would_allow(catalog, plan, account, ask, now)
        });
    found.map(|plan| plan.id.clone())
}

/// Whether a plan would allow it: windows that the account does not count are taken as unused.
fn would_allow(
    catalog: &Catalog,
    plan: &Plan,
    account: &Account,
    ask: &Ask<'_>,
    now: Timestamp,
) -> bool {
    let needed = needed(Owner::Customer, catalog, Some(plan), &[]);
    let mut counters = Vec::with_capacity(needed.len());
    for spec in &needed {
        let kept = account
            .rights
            .tracked
            .iter()
            .position(|other| **other == *spec);
        counters.push(match kept {
            Some(slot) => account.counters[slot].clone(),
            None => Counter::empty(spec.window, account.anchor, now),
        });
    }
    let tracked: Tracked = needed.into_iter().map(Arc::new).collect();
    let mut trial = account.clone();
    trial.rights = Arc::new(Rights::compile(
        Owner::Customer,
        catalog,
        Some(plan),
        &[],
        tracked,
        now,
    ));
    trial.counters = counters;
    trial.subscription = None;
    trial.adjustments.clear();
    trial.check(ask, now).allowed
}
