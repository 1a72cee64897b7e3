//! May a customer use a feature now, and how much is left: the order of causes is that of [`Reason`].

use super::{Account, Overdue, SubaccountState};
use crate::domain::catalog::{
    Catalog, EntitlementSpec, Limit, MeteredSpec, Mode, OnLimit, Plan, WarningLevels,
};
use crate::domain::counter::{Counter, Tally};
use crate::domain::decision::{Decision, LimitStatus, Reason, Warning};
use crate::domain::id::{FeatureId, PlanId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::rights::{Owner, Right, Rights};
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::domain::window::{TimeRange, Window};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The feature.
    pub feature: &'a FeatureId,
    /// Units of it; 0 asks for nothing and looks.
    pub quantity: i64,
    /// The least that is acceptable; equal to `quantity` for all or nothing.
    pub min_quantity: i64,
    /// The part of the customer that asks.
    pub subaccount: Option<&'a SubaccountId>,
    /// Dimensions of the usage to come, for weights.
    pub dimensions: &'a Labels,
    /// Whether the answer lists each limit.
    pub verbose: bool,
}

/// What one owner's limits say.
struct Verdict {
    /// Units that fit under what is enforced.
    fits: Milli,
    /// Whether an observed limit would deny.
    observed: bool,
    /// How long until there is room, when there is none.
    retry_after: Option<Span>,
}

impl Account {
    /// Decides about one feature. Changes nothing.
    #[must_use]
    pub fn check(&self, ask: &Ask<'_>, now: Timestamp) -> Decision {
        if self.has_overdue(now) {
            self.decide(ask, now, &self.overdue(now))
        } else {
            self.decide(ask, now, &Overdue::default())
        }
    }

    fn decide(&self, ask: &Ask<'_>, now: Timestamp, overdue: &Overdue) -> Decision {
        if self.customer.delete_time.is_some() {
            return Decision::denied(Reason::CustomerUnknown, now);
        }
        if self
            .subscription
            .as_ref()
            .is_some_and(|held| !held.is_in_good_standing(now))
        {
            return Decision::denied(Reason::SubscriptionInactive, now);
        }
        let Some(right) = self.rights.get(ask.feature.as_str()) else {
            return Decision::denied(Reason::FeatureNotInPlan, now);
        };
        let mut decision = Decision::allowed(now);
        decision.granted = ask.quantity;
        if let Some(id) = ask.subaccount {
            let Some(state) = self.live_subaccount(id) else {
                return Decision::denied(Reason::SubaccountUnknown, now);
            };
            self.ask_subaccount(state, ask, now, overdue, &mut decision);
            if !decision.allowed {
                return decision;
            }
        }
        match &right.spec {
            EntitlementSpec::Boolean(true) => {}
            EntitlementSpec::Boolean(false) => decision.deny(Reason::FeatureNotInPlan),
            EntitlementSpec::Static(value) => decision.static_value = Some(value.clone()),
            EntitlementSpec::Metered(metered) => {
                self.ask_metered(right, metered, ask, now, overdue, &mut decision);
            }
            EntitlementSpec::Allocation(amount) => {
                let exist = self
                    .allocations
                    .get(ask.feature)
                    .map_or(0, std::collections::BTreeMap::len);
                let exist = i64::try_from(exist).unwrap_or(i64::MAX);
                ask_count(*amount, exist, ask, self.rights.warnings, &mut decision);
                if !decision.allowed {
                    decision.reason = Reason::AllocationLimitExceeded;
                }
            }
            EntitlementSpec::Concurrency(amount) => {
                let busy = self.in_flight(ask.feature, overdue);
                ask_count(*amount, busy, ask, self.rights.warnings, &mut decision);
                self.deny_busy(ask.feature, now, &mut decision);
            }
            EntitlementSpec::Rate(rate) => {
                decision.limit = Some(i64::from(rate.amount));
                decision.approximate = true;
            }
        }
        decision
    }

    /// A subaccount's own limits come before the customer's.
    fn ask_subaccount(
        &self,
        state: &SubaccountState,
        ask: &Ask<'_>,
        now: Timestamp,
        overdue: &Overdue,
        decision: &mut Decision,
    ) {
        let Some(right) = state.rights.get(ask.feature.as_str()) else {
            return;
        };
        match &right.spec {
            EntitlementSpec::Boolean(false) => decision.deny(Reason::SubaccountLimitExceeded),
            EntitlementSpec::Boolean(true)
            | EntitlementSpec::Static(_)
            | EntitlementSpec::Rate(_) => {}
            EntitlementSpec::Metered(metered) => {
                let weighted = weigh(right, ask);
                let tables = (&*state.rights, &state.counters, &[][..]);
                let owner = Some(state.subaccount.id.as_str());
                let verdict = look(tables, right, metered, owner, ask, now, overdue, decision);
                settle(
                    verdict,
                    weighted,
                    right,
                    ask,
                    Reason::SubaccountLimitExceeded,
                    decision,
                );
            }
            EntitlementSpec::Allocation(amount) => {
                let own = |held: &&crate::domain::customer::Allocation| {
                    held.subaccount.as_ref() == Some(&state.subaccount.id)
                };
                let held = self.allocations.get(ask.feature);
                let exist = held.map_or(0, |held| held.values().filter(own).count());
                let exist = i64::try_from(exist).unwrap_or(i64::MAX);
                ask_count(*amount, exist, ask, state.rights.warnings, decision);
                if !decision.allowed {
                    decision.reason = Reason::SubaccountLimitExceeded;
                }
            }
            EntitlementSpec::Concurrency(amount) => {
                let own = self.reservations.values().filter(|held| {
                    held.is_open(now) && held.subaccount.as_ref() == Some(&state.subaccount.id)
                });
                let busy = own
                    .flat_map(|held| &held.items)
                    .filter(|item| item.feature == *ask.feature)
                    .map(|item| super::in_flight::held_by(&item.hold, item.granted))
                    .sum();
                ask_count(*amount, busy, ask, state.rights.warnings, decision);
                if !decision.allowed {
                    decision.reason = Reason::SubaccountLimitExceeded;
                }
            }
        }
    }

    fn ask_metered(
        &self,
        right: &Right,
        metered: &MeteredSpec,
        ask: &Ask<'_>,
        now: Timestamp,
        overdue: &Overdue,
        decision: &mut Decision,
    ) {
        let below = decision.granted;
        let tables = (&*self.rights, &self.counters, self.adjustments.as_slice());
        let verdict = look(tables, right, metered, None, ask, now, overdue, decision);
        let narrowed = Ask {
            quantity: below,
            ..*ask
        };
        settle(
            verdict,
            weigh(right, &narrowed),
            right,
            &narrowed,
            Reason::LimitExceeded,
            decision,
        );
        if !decision.allowed {
            return;
        }
        if let Some(most) = metered.concurrency {
            let busy = self.in_flight(ask.feature, overdue);
            if ask.quantity > 0 && busy >= most {
                decision.deny(Reason::ConcurrencyLimitExceeded);
                self.deny_busy(ask.feature, now, decision);
            }
        }
    }

    /// Names the cause of a denial for things in flight, and when the next of them ends at the latest.
    fn deny_busy(&self, feature: &FeatureId, now: Timestamp, decision: &mut Decision) {
        if decision.allowed {
            return;
        }
        decision.reason = Reason::ConcurrencyLimitExceeded;
        decision.retry_after = self
            .reservations
            .values()
            .filter(|held| held.is_open(now))
            .filter(|held| held.items.iter().any(|item| item.feature == *feature))
            .map(|held| held.expire_time.since(now))
            .min();
    }
}

fn weigh(right: &Right, ask: &Ask<'_>) -> Milli {
    let milli = match &right.meter {
        Some(meter) => meter.weigh_units(ask.quantity, ask.dimensions),
        None => Milli::from_units(ask.quantity),
    };
    // Beyond 64 bits fits nowhere.
    milli.unwrap_or(Milli(i64::MAX))
}

type Tables<'a> = (
    &'a Rights,
    &'a Vec<Counter>,
    &'a [crate::domain::customer::Adjustment],
);

/// Looks at each limit of a right and writes the numbers of the tightest into the decision.
#[expect(
    clippy::too_many_arguments,
    reason = "one call for customers and subaccounts alike"
)]
fn look(
    (rights, counters, adjustments): Tables<'_>,
    right: &Right,
    metered: &MeteredSpec,
    owner: Option<&str>,
    ask: &Ask<'_>,
    now: Timestamp,
    overdue: &Overdue,
    decision: &mut Decision,
) -> Verdict {
    let wanted = weigh(right, ask);
    let mut verdict = Verdict {
        fits: Milli(i64::MAX),
        observed: false,
        retry_after: None,
    };
    let mut tightest = Milli(i64::MAX);
    for (limit, slot) in metered.limits.iter().zip(&right.slots) {
        let counter = &counters[*slot];
        let reserved = counter
            .reserved
            .minus_saturating(overdue.reserved(owner, *slot));
        let mut used = counter.used(now);
        let mut amount = limit.amount.map(Milli::from_units_saturating);
        if let Some(change) = adjustments.iter().find(|change| {
            change.feature == right.feature.id
                && *change.spec == *rights.tracked[*slot]
                && change.start == counter.start()
        }) {
            used = used.minus_saturating(change.baseline);
            amount = change.amount.or(amount);
        }
        if ask.verbose {
            decision.limits.push(status(
                limit,
                counter,
                owner.is_some(),
                amount,
                used,
                reserved,
                now,
            ));
        }
        let Some(amount) = amount else {
            if tightest == Milli(i64::MAX) && decision.limit.is_none() {
                decision.used = decision.used.max(used);
                decision.reserved = decision.reserved.max(reserved);
                decision.window = decision
                    .window
                    .or_else(|| Some(range_of(limit, counter, now)));
            }
            continue;
        };
        let taken = used.plus_saturating(reserved);
        let remaining = amount.minus_saturating(taken);
        let room = match limit.on_limit {
            OnLimit::Block => remaining,
            OnLimit::AllowUpTo(buffer) => {
                remaining.plus_saturating(Milli::from_units_saturating(buffer))
            }
            OnLimit::Allow => Milli(i64::MAX),
        };
        if room < wanted {
            match limit.mode {
                Mode::Enforce => {
                    let wait = wait_for(counter, limit, wanted, room, now);
                    verdict.retry_after = verdict.retry_after.max(Some(wait));
                }
                Mode::Observe => verdict.observed = true,
            }
        }
        if limit.mode == Mode::Enforce {
            verdict.fits = verdict.fits.min(room);
        }
        let first = decision.limit.is_none() || decision.remaining.is_none();
        if first || remaining < tightest.min(decision.remaining.unwrap_or(tightest)) {
            tightest = remaining;
            show(decision, amount, used, reserved, rights.warnings);
            decision.window = Some(range_of(limit, counter, now));
        }
    }
    verdict
}

/// Writes the numbers of a limit into the decision.
fn show(
    decision: &mut Decision,
    amount: Milli,
    used: Milli,
    reserved: Milli,
    levels: WarningLevels,
) {
    let taken = used.plus_saturating(reserved);
    let percent = if amount.0 <= 0 {
        100
    } else {
        let percent = i128::from(taken.0.max(0)) * 100 / i128::from(amount.0);
        i32::try_from(percent).unwrap_or(i32::MAX)
    };
    decision.limit = Some(amount.units_down());
    decision.used = used;
    decision.reserved = reserved;
    decision.remaining = Some(amount.minus_saturating(taken).max(Milli::ZERO));
    decision.overage = used.minus_saturating(amount).max(Milli::ZERO);
    decision.percent_used = percent;
    decision.warning = if taken > amount {
        Warning::Exceeded
    } else if percent >= levels.critical_percent {
        Warning::Critical
    } else if percent >= levels.notice_percent {
        Warning::Notice
    } else {
        Warning::None
    };
}

/// Turns what fits into a grant or a denial.
fn settle(
    verdict: Verdict,
    wanted: Milli,
    right: &Right,
    ask: &Ask<'_>,
    reason: Reason,
    decision: &mut Decision,
) {
    if verdict.observed && decision.observed.is_none() {
        decision.observed = Some(reason);
    }
    if verdict.fits >= wanted {
        return;
    }
    let granted = grantable(right, ask, verdict.fits, wanted);
    if granted >= ask.min_quantity && granted > 0 {
        decision.granted = granted;
    } else {
        decision.deny(reason);
        decision.retry_after = verdict.retry_after;
    }
}

/// Returns the most units whose weighted amount fits.
fn grantable(right: &Right, ask: &Ask<'_>, fits: Milli, wanted: Milli) -> i64 {
    if fits.0 <= 0 || wanted.0 <= 0 || ask.min_quantity >= ask.quantity {
        return 0;
    }
    let units = i128::from(fits.0) * i128::from(ask.quantity) / i128::from(wanted.0);
    let mut units = i64::try_from(units)
        .unwrap_or(ask.quantity)
        .min(ask.quantity);
    // Rounding of weights can make the proportional guess a few thousandths too large.
    while units > 0
        && weigh(
            right,
            &Ask {
                quantity: units,
                ..*ask
            },
        ) > fits
    {
        units -= 1;
    }
    units
}

/// Decides about a number of things.
fn ask_count(
    amount: Option<i64>,
    taken: i64,
    ask: &Ask<'_>,
    levels: WarningLevels,
    decision: &mut Decision,
) {
    let used = Milli::from_units_saturating(taken);
    let Some(amount) = amount else {
        if decision.limit.is_none() {
            decision.used = used;
        }
        return;
    };
    show(
        decision,
        Milli::from_units_saturating(amount),
        used,
        Milli::ZERO,
        levels,
    );
    let room = amount.saturating_sub(taken);
    if room < ask.quantity {
        if room >= ask.min_quantity && room > 0 && ask.min_quantity < ask.quantity {
            decision.granted = room;
        } else {
            decision.deny(Reason::LimitExceeded);
        }
    }
}

fn range_of(limit: &Limit, counter: &Counter, now: Timestamp) -> TimeRange {
    match (&counter.tally, limit.window) {
        (Tally::Fixed { range, .. }, _) => *range,
        (Tally::Rolling { .. }, Window::Rolling(length)) => TimeRange {
            start: now.minus(length),
            end: now,
        },
        (Tally::Rolling { .. }, _) => TimeRange {
            start: now,
            end: now,
        },
    }
}

fn status(
    limit: &Limit,
    counter: &Counter,
    of_subaccount: bool,
    amount: Option<Milli>,
    used: Milli,
    reserved: Milli,
    now: Timestamp,
) -> LimitStatus {
    LimitStatus {
        of_subaccount,
        window: limit.window,
        range: range_of(limit, counter, now),
        amount: amount.map(Milli::units_down),
        used,
        reserved,
        enforced: limit.mode == Mode::Enforce,
    }
}

/// Returns how long until a limit has room for what is wanted, as far as use alone tells.
fn wait_for(counter: &Counter, limit: &Limit, wanted: Milli, room: Milli, now: Timestamp) -> Span {
    match &counter.tally {
        Tally::Fixed { range, .. } => match limit.window {
            Window::Lifetime => Span::ZERO,
            Window::Hour
            | Window::Day
            | Window::Week
            | Window::Month
            | Window::BillingPeriod
            | Window::Rolling(_) => range.end.since(now),
        },
        Tally::Rolling { buckets, ring } => {
            let mut missing = wanted.minus_saturating(room);
            let oldest = buckets.oldest(now);
            for (bucket, used) in ring.0.iter().filter(|entry| entry.0 >= oldest) {
                missing = missing.minus_saturating(*used);
                if missing <= Milli::ZERO {
                    return buckets.gone(*bucket).since(now);
                }
            }
            Span::ZERO
        }
    }
}

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
    let needed = crate::domain::rights::needed(Owner::Customer, catalog, Some(plan), &[]);
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
    let tracked: crate::domain::rights::Tracked =
        needed.into_iter().map(std::sync::Arc::new).collect();
    let mut trial = account.clone();
    trial.rights = std::sync::Arc::new(Rights::compile(
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
