//! Setting quota and concurrency aside, several items all or none.

use super::credit::Pending;
use super::{Account, Ask, Effects};
use crate::domain::catalog::{EntitlementSpec, RateSpec};
use crate::domain::decision::{Decision, Reason};
use crate::domain::id::{FeatureId, ReservationId, SubaccountId};
use crate::domain::quantity::{Excess, Milli, Overflow};
use crate::domain::reservation::{ItemHold, Reservation, ReservationState, ReservedItem};
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;

/// What is to be set aside.
#[derive(Debug, Clone)]
pub struct ReserveAsk {
    /// The id of the reservation.
    pub id: ReservationId,
    /// The part of the customer that asks.
    pub subaccount: Option<SubaccountId>,
    /// Who holds it.
    pub holder: Box<str>,
    /// Free text.
    pub metadata: Labels,
    /// When it ends by itself.
    pub expire_time: Timestamp,
    /// What, all or none.
    pub items: Vec<ReserveItem>,
}

/// One feature to be set aside.
#[derive(Debug, Clone)]
pub struct ReserveItem {
    /// The feature.
    pub feature: FeatureId,
    /// Units.
    pub quantity: i64,
    /// The least that is acceptable.
    pub min_quantity: i64,
    /// Dimensions of the usage to come, for weights.
    pub dimensions: Labels,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// A decision for each item, by position. Those after the first denial were still looked at.
    pub decisions: Vec<Decision>,
    /// The reservation; `None` when an item was denied.
    pub reservation: Option<Reservation>,
}

/// An item that is more than can be counted or charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemExcess {
    /// Its position.
    pub item: usize,
    /// Which bound it goes beyond.
    pub excess: Excess,
}

impl ItemExcess {
    /// An item that a counter has no room for.
    const fn counted(item: usize) -> Self {
        let excess = Excess::Counted;
        Self { item, excess }
    }
}

impl Account {
    /// Sets items aside, all or none.
    ///
    /// # Errors
    /// When an item is more than can be counted or charged; what was done to the account is to be taken back then.
    pub fn reserve(
        &mut self,
        ask: &ReserveAsk,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<Reserved, ItemExcess> {
        let mut decisions = Vec::with_capacity(ask.items.len());
        let (mut pending, mut pledged) = (Pending::default(), Vec::new());
        let mut reservation = Reservation {
            id: ask.id.clone(),
            subaccount: ask.subaccount.clone(),
            holder: ask.holder.clone(),
            metadata: ask.metadata.clone(),
            items: Vec::with_capacity(ask.items.len()),
            reserve_time: now,
            expire_time: ask.expire_time,
            state: ReservationState::Open,
            end_time: None,
        };
        for (place, item) in ask.items.iter().enumerate() {
            // Two items of one feature see each other's slots and credits: sums follow only once all is granted.
            let asked = ask_of(item, ask.subaccount.as_ref());
            let mut decision = self.check_beside(&asked, now, &pending);
            let same = reservation
                .items
                .iter()
                .filter(|held| held.feature == item.feature);
            let held: i64 = same
                .map(|held| super::in_flight::held_by(&held.hold, held.granted))
                .sum();
            self.add_in_flight(item, held, &mut decision);
            if let Some(id) = &ask.subaccount {
                self.add_in_flight_of(id, item, held, now, &mut decision);
            }
            if decision.allowed {
                let granted = Ask {
                    quantity: decision.granted,
                    ..asked
                };
                let pledge = self.pledge_of(&granted, &self.overdue(now), &pending, now);
                if let Some(pledge) = &pledge {
                    pending.push(pledge.clone());
                }
                pledged.push(pledge);
                let held = self.set_aside(item, (ask, decision.granted), now, effects);
                let held = held.map_err(|Overflow| ItemExcess::counted(place))?;
                reservation.items.push(held);
            }
            decisions.push(decision);
        }
        if decisions.iter().any(|decision| !decision.allowed) {
            for (place, held) in reservation.items.iter().enumerate() {
                let lowered = self.lower(held, ask.subaccount.as_ref(), effects);
                lowered.map_err(|Overflow| ItemExcess::counted(place))?;
            }
            return Ok(Reserved {
                decisions,
                reservation: None,
            });
        }
        self.pledge(&mut reservation, &pledged, now)?;
        self.in_flight.opened(&reservation);
        effects.touched.insert(reservation.id.clone());
        self.reservations
            .insert(reservation.id.clone(), reservation.clone());
        Ok(Reserved {
            decisions,
            reservation: Some(reservation),
        })
    }

    /// Sets items aside as another, older state of the account decides. Only the build that shows what deciding
    /// under lock is for does this.
    ///
    /// # Errors
    /// As [`Account::reserve`].
    pub fn reserve_as_decided_on(
        &mut self,
        stale: &mut Self,
        ask: &ReserveAsk,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<Reserved, ItemExcess> {
        let decided = stale.reserve(ask, now, &mut Effects::default())?;
        if let Some(reservation) = &decided.reservation {
            for (place, item) in reservation.items.iter().enumerate() {
                let raised = self.raise(item, ask.subaccount.as_ref(), effects);
                raised.map_err(|Overflow| ItemExcess::counted(place))?;
            }
            self.in_flight.opened(reservation);
            effects.touched.insert(reservation.id.clone());
            self.reservations
                .insert(reservation.id.clone(), reservation.clone());
        }
        Ok(decided)
    }

    /// Takes what earlier items of the same reservation hold into account.
    fn add_in_flight(&self, item: &ReserveItem, held: i64, decision: &mut Decision) {
        if held == 0 || !decision.allowed {
            return;
        }
        let right = self.rights.get(item.feature.as_str());
        let most = match right.map(|right| &right.spec) {
            Some(EntitlementSpec::Concurrency(most)) => *most,
            Some(EntitlementSpec::Metered(metered)) => metered.concurrency,
            Some(
                EntitlementSpec::Boolean(_)
                | EntitlementSpec::Static(_)
                | EntitlementSpec::Allocation(_)
                | EntitlementSpec::Rate(_),
            )
            | None => None,
        };
        let busy = decision.used.units_up();
        let asked = match right.map(|right| &right.spec) {
            Some(EntitlementSpec::Metered(_)) => 1 + self.in_flight.count(&item.feature),
            _ => decision.granted + busy,
        };
        if most.is_some_and(|most| asked + held > most) {
            decision.deny(Reason::ConcurrencyLimitExceeded);
        }
    }

    /// As [`Account::add_in_flight`], for what a subaccount may have in flight of its own.
    fn add_in_flight_of(
        &self,
        id: &SubaccountId,
        item: &ReserveItem,
        held: i64,
        now: Timestamp,
        decision: &mut Decision,
    ) {
        if held == 0 || !decision.allowed {
            return;
        }
        let state = self.subaccounts.get(id);
        let right = state.and_then(|state| state.rights.get(item.feature.as_str()));
        if let Some(EntitlementSpec::Concurrency(Some(most))) = right.map(|right| &right.spec) {
            let busy = self.in_flight_of(id, &item.feature, now);
            if busy + held + decision.granted > *most {
                decision.deny(Reason::SubaccountLimitExceeded);
            }
        }
    }

    /// Holds what was granted of an item, in the counters that it falls in.
    fn set_aside(
        &mut self,
        item: &ReserveItem,
        (ask, granted): (&ReserveAsk, i64),
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<ReservedItem, Overflow> {
        let subaccount = ask.subaccount.as_ref();
        let held = self.hold(item, granted, subaccount, now)?;
        self.raise(&held, subaccount, effects)?;
        Ok(held)
    }

    /// Says what an item holds.
    fn hold(
        &self,
        item: &ReserveItem,
        granted: i64,
        subaccount: Option<&SubaccountId>,
        now: Timestamp,
    ) -> Result<ReservedItem, Overflow> {
        let right = self.rights.get(item.feature.as_str());
        let hold = match right.map(|right| (&right.spec, &right.meter)) {
            Some((EntitlementSpec::Metered(_), Some(meter))) => {
                let windows = self.windows_of(&item.feature, subaccount, now);
                ItemHold::Quota {
                    meter: meter.id.clone(),
                    reserved: meter.weigh_units(granted, &item.dimensions)?,
                    used: Milli::ZERO,
                    windows,
                }
            }
            Some((EntitlementSpec::Concurrency(_), _)) => ItemHold::Slots,
            Some((
                EntitlementSpec::Boolean(_)
                | EntitlementSpec::Static(_)
                | EntitlementSpec::Metered(_)
                | EntitlementSpec::Allocation(_)
                | EntitlementSpec::Rate(_),
                _,
            ))
            | None => ItemHold::Right,
        };
        Ok(ReservedItem {
            feature: item.feature.clone(),
            granted,
            dimensions: item.dimensions.clone(),
            hold,
            pledge: None,
        })
    }

    /// Raises the counters that an item holds; on overflow those already raised are lowered again.
    fn raise(
        &mut self,
        item: &ReservedItem,
        subaccount: Option<&SubaccountId>,
        effects: &mut Effects,
    ) -> Result<(), Overflow> {
        let ItemHold::Quota {
            reserved, windows, ..
        } = &item.hold
        else {
            return Ok(());
        };
        for held in windows {
            let sub = subaccount.filter(|_| held.of_subaccount);
            self.shift_reserved(sub, &held.spec, held.start, *reserved, effects)?;
        }
        Ok(())
    }

    /// Lowers the counters that an item holds.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits.
    pub(super) fn lower(
        &mut self,
        item: &ReservedItem,
        subaccount: Option<&SubaccountId>,
        effects: &mut Effects,
    ) -> Result<(), Overflow> {
        let ItemHold::Quota {
            reserved, windows, ..
        } = &item.hold
        else {
            return Ok(());
        };
        for held in windows {
            let sub = subaccount.filter(|_| held.of_subaccount);
            self.shift_reserved(
                sub,
                &held.spec,
                held.start,
                Milli::ZERO.minus(*reserved)?,
                effects,
            )?;
        }
        Ok(())
    }

    /// Returns the rate that a feature is held to, for whoever keeps its tokens.
    #[must_use]
    pub fn rate_of(&self, feature: &FeatureId) -> Option<RateSpec> {
        match &self.rights.get(feature.as_str())?.spec {
            EntitlementSpec::Rate(rate) => Some(*rate),
            EntitlementSpec::Metered(metered) => metered.rate,
            EntitlementSpec::Boolean(_)
            | EntitlementSpec::Static(_)
            | EntitlementSpec::Allocation(_)
            | EntitlementSpec::Concurrency(_) => None,
        }
    }
}

fn ask_of<'a>(item: &'a ReserveItem, subaccount: Option<&'a SubaccountId>) -> Ask<'a> {
    Ask {
        feature: &item.feature,
        quantity: item.quantity,
        min_quantity: item.min_quantity,
        subaccount,
        dimensions: &item.dimensions,
        verbose: false,
    }
}
