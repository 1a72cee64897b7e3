//! How the windows that run at a change of plan count from then on.

use super::{Account, Effects};
use crate::domain::catalog::{Catalog, EntitlementSpec, OnChange, Plan};
use crate::domain::counter::{CounterSpec, Tally};
use crate::domain::customer::Adjustment;
use crate::domain::id::FeatureId;
use crate::domain::quantity::Milli;
use crate::domain::rights::limit_counters;
use crate::domain::time::Timestamp;
use crate::domain::window::{TimeRange, Window};

/// A plan and the catalog that it is of.
#[derive(Debug, Clone, Copy)]
pub struct PlanTerms<'a> {
    /// The catalog.
    pub catalog: &'a Catalog,
    /// The plan.
    pub plan: &'a Plan,
}

impl PlanTerms<'_> {
    /// Returns the counters that a feature's limits of the customer count in, with their amounts.
    fn amounts(&self, feature: &FeatureId) -> Vec<(CounterSpec, Option<i64>)> {
        match self.plan.entitlements.get(feature) {
            Some(EntitlementSpec::Metered(metered)) => {
                limit_counters(self.catalog, feature, &metered.limits)
            }
            Some(
                EntitlementSpec::Boolean(_)
                | EntitlementSpec::Static(_)
                | EntitlementSpec::Allocation(_)
                | EntitlementSpec::Concurrency(_)
                | EntitlementSpec::Rate(_),
            )
            | None => Vec::new(),
        }
    }

    fn amount(&self, feature: &FeatureId, spec: &CounterSpec) -> Option<Milli> {
        let amounts = self.amounts(feature);
        let (_, amount) = amounts.into_iter().find(|entry| entry.0 == *spec)?;
        amount.map(Milli::from_units_saturating)
    }
}

impl Account {
    /// Lets running windows count as the plan that comes says. The account has its new anchor and counters already.
    ///
    /// Rolling windows have no stretch that an amount could be shared out over, and carry; so do windows without end
    /// when amounts are shared out. What an override decides is not the plan's to change.
    pub fn change_plan(
        &mut self,
        old: Option<PlanTerms<'_>>,
        new: Option<PlanTerms<'_>>,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let same = old.map(|terms| &terms.plan.id) == new.map(|terms| &terms.plan.id);
        let mut adjustments: Vec<Adjustment> = self
            .adjustments
            .iter()
            .filter(|change| same || self.is_overridden(&change.feature, now))
            .filter(|change| self.runs(change))
            .cloned()
            .collect();
        let features = new.iter().flat_map(|terms| terms.plan.entitlements.keys());
        for feature in features.filter(|feature| !same && !self.is_overridden(feature, now)) {
            let Some(new) = new else {
                continue;
            };
            for (spec, amount) in new.amounts(feature) {
                let Some(amount) = amount.map(Milli::from_units_saturating) else {
                    continue;
                };
                let before = old.and_then(|old| old.amount(feature, &spec));
                let amounts = (before, amount);
                let change = self.adjust(feature, &spec, new.plan.on_change, amounts, now);
                adjustments.extend(change);
            }
        }
        if adjustments != self.adjustments {
            self.adjustments = adjustments;
            effects.adjustments = true;
        }
    }

    /// Returns how one window counts that runs at the change; `None`: as the new plan says by itself.
    fn adjust(
        &self,
        feature: &FeatureId,
        spec: &CounterSpec,
        on_change: OnChange,
        (before, amount): (Option<Milli>, Milli),
        now: Timestamp,
    ) -> Option<Adjustment> {
        let slot = self
            .rights
            .tracked
            .iter()
            .position(|kept| **kept == *spec)?;
        let Tally::Fixed { range, used, .. } = &self.counters[slot].tally else {
            return None;
        };
        let mut change = Adjustment {
            feature: feature.clone(),
            spec: std::sync::Arc::clone(&self.rights.tracked[slot]),
            start: range.start,
            since: None,
            baseline: Milli::ZERO,
            amount: None,
        };
        match on_change {
            OnChange::Carry => return None,
            OnChange::Reset => {
                change.since = Some(now);
                change.baseline = *used;
            }
            OnChange::Prorate => {
                let before = before.filter(|_| spec.window != Window::Lifetime)?;
                // An earlier change in this window has its part of the amount already.
                let earlier = self.adjustments.iter().find(|earlier| {
                    earlier.feature == *feature
                        && *earlier.spec == *spec
                        && earlier.start == range.start
                });
                let held = earlier.and_then(|earlier| earlier.amount).unwrap_or(before);
                if let Some(earlier) = earlier {
                    (change.since, change.baseline) = (earlier.since, earlier.baseline);
                }
                change.amount = Some(shared_out(held, before, amount, *range, now));
            }
        }
        let is_other = change.amount.is_some_and(|own| own != amount);
        (change.since.is_some() || is_other).then_some(change)
    }

    /// Whether an override decides about a feature of the customer at `now`.
    fn is_overridden(&self, feature: &FeatureId, now: Timestamp) -> bool {
        self.overrides.iter().any(|set| {
            set.subaccount.is_none()
                && set.feature == *feature
                && set.expire_time.is_none_or(|expire| now < expire)
        })
    }

    /// Whether the window of an adjustment is one that a counter is in.
    fn runs(&self, change: &Adjustment) -> bool {
        let slots = self.rights.tracked.iter().zip(&self.counters);
        slots
            .into_iter()
            .any(|(spec, counter)| *spec == change.spec && counter.start() == change.start)
    }
}

/// Returns what holds in a window when an amount changes within it: what held, and for the rest of the window the
/// new amount instead of the old one's part. Rounded down.
fn shared_out(held: Milli, old: Milli, new: Milli, range: TimeRange, now: Timestamp) -> Milli {
    let length = i128::from(range.end.since(range.start).as_micros()).max(1);
    let rest = i128::from(range.end.since(now).as_micros()).min(length);
    let more = (i128::from(new.0) - i128::from(old.0)) * rest;
    let amount = i128::from(held.0) + more.div_euclid(length);
    Milli(i64::try_from(amount.max(0)).unwrap_or(i64::MAX))
}
