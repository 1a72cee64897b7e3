//! May a customer use a feature now, and how much is left: the order of causes is that of [`Reason`].

use super::credit::Pending;
use super::limits::{Look, ask_count, settle};
use super::{Account, Overdue, SubaccountState};
use crate::domain::catalog::{EntitlementSpec, MeteredSpec};
use crate::domain::customer::Allocation;
use crate::domain::decision::{Decision, Reason};
use crate::domain::id::{FeatureId, SubaccountId};
use crate::domain::rights::Right;
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;

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

impl Account {
    /// Decides about one feature. Changes nothing.
    #[must_use]
    pub fn check(&self, ask: &Ask<'_>, now: Timestamp) -> Decision {
        self.check_beside(ask, now, &Pending::default())
    }

    /// Decides about one feature beside what earlier items of the same reservation will pledge.
    pub(super) fn check_beside(
        &self,
        ask: &Ask<'_>,
        now: Timestamp,
        pending: &Pending,
    ) -> Decision {
        if self.has_overdue(now) {
            self.decide(ask, now, (&self.overdue(now), pending))
        } else {
            self.decide(ask, now, (&Overdue::default(), pending))
        }
    }

    fn decide(
        &self,
        ask: &Ask<'_>,
        now: Timestamp,
        (overdue, pending): (&Overdue, &Pending),
    ) -> Decision {
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
        // What the subaccount's own limits left of it.
        let ask = &Ask {
            quantity: decision.granted,
            ..*ask
        };
        match &right.spec {
            EntitlementSpec::Boolean(true) => {}
            EntitlementSpec::Boolean(false) => decision.deny(Reason::FeatureNotInPlan),
            EntitlementSpec::Static(value) => decision.static_value = Some(value.clone()),
            EntitlementSpec::Metered(metered) => {
                let beside = (overdue, pending);
                self.ask_metered((right, metered), ask, now, beside, &mut decision);
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
                let look = Look {
                    rights: &state.rights,
                    counters: &state.counters,
                    adjustments: &[],
                    subaccount: Some(state.subaccount.id.as_str()),
                    overdue,
                    now,
                };
                let verdict = look.limits(right, metered, ask, decision);
                settle(
                    &verdict,
                    right,
                    ask,
                    Reason::SubaccountLimitExceeded,
                    decision,
                );
            }
            EntitlementSpec::Allocation(amount) => {
                let own =
                    |held: &&Allocation| held.subaccount.as_ref() == Some(&state.subaccount.id);
                let held = self.allocations.get(ask.feature);
                let exist = held.map_or(0, |held| held.values().filter(own).count());
                let exist = i64::try_from(exist).unwrap_or(i64::MAX);
                ask_count(*amount, exist, ask, state.rights.warnings, decision);
                if !decision.allowed {
                    decision.reason = Reason::SubaccountLimitExceeded;
                }
            }
            EntitlementSpec::Concurrency(amount) => {
                let busy = self.in_flight_of(&state.subaccount.id, ask.feature, now);
                ask_count(*amount, busy, ask, state.rights.warnings, decision);
                if !decision.allowed {
                    decision.reason = Reason::SubaccountLimitExceeded;
                }
            }
        }
    }

    fn ask_metered(
        &self,
        (right, metered): (&Right, &MeteredSpec),
        ask: &Ask<'_>,
        now: Timestamp,
        (overdue, pending): (&Overdue, &Pending),
        decision: &mut Decision,
    ) {
        let look = Look {
            rights: &self.rights,
            counters: &self.counters,
            adjustments: &self.adjustments,
            subaccount: None,
            overdue,
            now,
        };
        let verdict = look.limits(right, metered, ask, decision);
        settle(&verdict, right, ask, Reason::LimitExceeded, decision);
        if decision.allowed {
            self.ask_credits(right, ask, (overdue, pending), now, decision);
        }
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
