//! One customer as decisions see it: plan, counters, reservations, allocations, and the subaccounts below.
//!
//! The same functions run on memory for a check and on locked rows for a commit. They change the state in
//! place and say in [`Effects`] what must be written besides the counters that they mark as dirty.

mod allocate;
mod check;
mod cost;
mod count;
mod credit;
mod draw;
mod effects;
mod erase;
mod hold;
mod in_flight;
mod included;
mod limits;
mod payments;
mod plan_change;
mod pledges;
mod pool;
mod rehearsal;
mod renew;
mod reserve;
mod settle;
mod standing;
mod upgrade;
mod void;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use allocate::Allocated;
pub use check::Ask;
pub use count::Counted;
pub use effects::{Effects, Shift};
pub use in_flight::Overdue;
pub use plan_change::PlanTerms;
pub use rehearsal::{Rehearsal, WouldDraw};
pub use reserve::{ItemExcess, ReserveAsk, ReserveItem, Reserved};
pub use settle::{Ended, NotOpen};
pub use upgrade::smallest_plan;

use super::catalog::Plan;
use super::counter::Counter;
use super::customer::{Adjustment, Allocation, Customer, Override, Subaccount};
use super::id::{AllocationId, FeatureId, ReservationId, SubaccountId};
use super::reservation::Reservation;
use super::rights::Rights;
use super::subscription::Subscription;
use super::time::Timestamp;
use super::wallet::Book;
use super::window::Anchor;

/// One customer as decisions see it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who it is.
    pub customer: Customer,
    /// Its plan over time; `None`: it has the default plan.
    pub subscription: Option<Box<Subscription>>,
    /// The plan that holds now; `None`: it has none.
    pub plan: Option<Arc<Plan>>,
    /// From where its windows step.
    pub anchor: Anchor,
    /// What is granted instead of the plan's, to it and its subaccounts.
    pub overrides: Vec<Override>,
    /// What it may.
    pub rights: Arc<Rights>,
    /// The first instant at which rights must be compiled again: an override ends.
    pub rights_until: Timestamp,
    /// Its counters, by slot of its rights.
    pub counters: Vec<Counter>,
    /// Windows that count differently since a change of plan.
    pub adjustments: Vec<Adjustment>,
    /// Its reservations in the open state.
    pub reservations: BTreeMap<ReservationId, Reservation>,
    /// How many open reservations hold each feature, and the slots of concurrency features.
    in_flight: in_flight::InFlight,
    /// Its wallets and those of its subaccounts.
    pub book: Book,
    /// What open reservations may come to draw on them.
    pledges: pledges::Pledges,
    /// What exists, by feature.
    pub allocations: BTreeMap<FeatureId, BTreeMap<AllocationId, Allocation>>,
    /// The parts below.
    pub subaccounts: BTreeMap<SubaccountId, SubaccountState>,
}

/// A subaccount as decisions see it.
#[derive(Debug, Clone)]
pub struct SubaccountState {
    /// Who it is.
    pub subaccount: Subaccount,
    /// What it may by itself; features that it has no limits of its own for are absent.
    pub rights: Arc<Rights>,
    /// Its counters, by slot of its rights.
    pub counters: Vec<Counter>,
}

/// What an account is made of.
#[derive(Debug)]
pub struct AccountParts {
    /// See [`Account::customer`].
    pub customer: Customer,
    /// See [`Account::subscription`].
    pub subscription: Option<Box<Subscription>>,
    /// See [`Account::plan`].
    pub plan: Option<Arc<Plan>>,
    /// See [`Account::anchor`].
    pub anchor: Anchor,
    /// See [`Account::overrides`].
    pub overrides: Vec<Override>,
    /// See [`Account::rights`].
    pub rights: Arc<Rights>,
    /// See [`Account::counters`].
    pub counters: Vec<Counter>,
    /// See [`Account::adjustments`].
    pub adjustments: Vec<Adjustment>,
    /// Reservations in the open state.
    pub reservations: Vec<Reservation>,
    /// What exists.
    pub allocations: Vec<Allocation>,
    /// The parts below.
    pub subaccounts: Vec<SubaccountState>,
    /// See [`Account::book`].
    pub book: Book,
}

impl Account {
    /// Puts an account together.
    #[must_use]
    pub fn new(parts: AccountParts, now: Timestamp) -> Self {
        let mut allocations: BTreeMap<FeatureId, BTreeMap<AllocationId, Allocation>> =
            BTreeMap::new();
        for allocation in parts.allocations {
            allocations
                .entry(allocation.feature.clone())
                .or_default()
                .insert(allocation.id.clone(), allocation);
        }
        let mut in_flight = in_flight::InFlight::default();
        for reservation in &parts.reservations {
            in_flight.opened(reservation);
        }
        let pledges = pledges::Pledges::of(parts.reservations.iter());
        let rights_until = rights_until(&parts.overrides, now);
        Self {
            customer: parts.customer,
            subscription: parts.subscription,
            plan: parts.plan,
            anchor: parts.anchor,
            overrides: parts.overrides,
            rights: parts.rights,
            rights_until,
            counters: parts.counters,
            adjustments: parts.adjustments,
            reservations: parts
                .reservations
                .into_iter()
                .map(|reservation| (reservation.id.clone(), reservation))
                .collect(),
            in_flight,
            book: parts.book,
            pledges,
            allocations,
            subaccounts: parts
                .subaccounts
                .into_iter()
                .map(|state| (state.subaccount.id.clone(), state))
                .collect(),
        }
    }

    /// Whether a window of its counters lies behind `now`.
    #[must_use]
    pub fn is_behind(&self, now: Timestamp) -> bool {
        self.counters.iter().any(|counter| counter.is_past(now))
            || self
                .subaccounts
                .values()
                .any(|state| state.counters.iter().any(|counter| counter.is_past(now)))
    }

    /// Moves every counter on to the window that holds `now`.
    pub fn advance(&mut self, now: Timestamp) {
        let anchor = self.anchor;
        for (counter, spec) in self.counters.iter_mut().zip(self.rights.tracked.iter()) {
            counter.advance(spec.window, anchor, now);
        }
        for state in self.subaccounts.values_mut() {
            for (counter, spec) in state.counters.iter_mut().zip(state.rights.tracked.iter()) {
                counter.advance(spec.window, anchor, now);
            }
        }
    }

    /// Returns a subaccount that is not deleted.
    #[must_use]
    pub fn live_subaccount(&self, id: &SubaccountId) -> Option<&SubaccountState> {
        self.subaccounts
            .get(id)
            .filter(|state| state.subaccount.delete_time.is_none())
    }
}

/// Returns the first instant at which an override that holds now, holds no longer.
#[must_use]
pub fn rights_until(overrides: &[Override], now: Timestamp) -> Timestamp {
    overrides
        .iter()
        .filter_map(|set| set.expire_time)
        .filter(|expire| *expire > now)
        .min()
        .unwrap_or(Timestamp::MAX)
}
