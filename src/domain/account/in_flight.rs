//! What open reservations hold in flight, kept as sums so that a check need not walk them.

use super::Account;
use crate::domain::id::{FeatureId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::{ItemHold, Reservation};
use crate::domain::time::Timestamp;
use crate::domain::wallet::WalletKey;

/// Sums over reservations in the open state.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    /// By feature and subaccount: slots held, or reservations that hold a metered feature.
    held: Vec<Held>,
    /// The first instant at which one of them expires; [`Timestamp::MAX`]: none is open.
    pub(super) next_expiry: Timestamp,
}

#[derive(Debug, Clone)]
struct Held {
    feature: FeatureId,
    count: i64,
}

impl Default for InFlight {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            next_expiry: Timestamp::MAX,
        }
    }
}

impl InFlight {
    /// Adds a reservation that was opened.
    pub(super) fn opened(&mut self, reservation: &Reservation) {
        self.next_expiry = self.next_expiry.min(reservation.expire_time);
        for item in &reservation.items {
            let count = held_by(&item.hold, item.granted);
            if count == 0 {
                continue;
            }
            match self
                .held
                .iter_mut()
                .find(|held| held.feature == item.feature)
            {
                Some(held) => held.count += count,
                None => self.held.push(Held {
                    feature: item.feature.clone(),
                    count,
                }),
            }
        }
    }

    /// Takes a reservation off that is no longer open.
    pub(super) fn closed(&mut self, reservation: &Reservation) {
        for item in &reservation.items {
            let count = held_by(&item.hold, item.granted);
            if let Some(held) = self
                .held
                .iter_mut()
                .find(|held| held.feature == item.feature)
            {
                held.count -= count;
            }
        }
        self.held.retain(|held| held.count > 0);
    }

    /// Returns how much of a feature is in flight.
    pub(super) fn count(&self, feature: &FeatureId) -> i64 {
        self.held
            .iter()
            .find(|held| held.feature == *feature)
            .map_or(0, |held| held.count)
    }
}

/// How much of its feature an item holds in flight.
pub(super) fn held_by(hold: &ItemHold, granted: i64) -> i64 {
    match hold {
        ItemHold::Slots => granted,
        ItemHold::Quota { .. } => 1,
        ItemHold::Right => 0,
    }
}

/// What reservations hold whose time is over but whose end is not written yet. Checks take it off, so that
/// nobody waits for the sweep.
#[derive(Debug, Clone, Default)]
pub struct Overdue {
    quota: Vec<(bool, usize, Option<Box<str>>, Milli)>,
    in_flight: Vec<(FeatureId, i64)>,
    pledged: Vec<(FeatureId, WalletKey, Milli)>,
}

impl Overdue {
    /// Returns what to take off a counter's reserved amount.
    pub(super) fn reserved(&self, subaccount: Option<&str>, slot: usize) -> Milli {
        self.quota
            .iter()
            .filter(|entry| {
                entry.0 == subaccount.is_some()
                    && entry.1 == slot
                    && (!entry.0 || entry.2.as_deref() == subaccount)
            })
            .fold(Milli::ZERO, |sum, entry| sum.plus_saturating(entry.3))
    }

    /// Returns what to take off what is pledged.
    pub(super) fn pledged(&self, feature: &FeatureId, wallet: &WalletKey) -> Milli {
        self.pledged_where(feature, |of| of == wallet)
    }

    /// Returns what to take off what is pledged in other wallets.
    pub(super) fn pledged_by_others(&self, feature: &FeatureId, wallet: &WalletKey) -> Milli {
        self.pledged_where(feature, |of| of != wallet)
    }

    fn pledged_where(&self, feature: &FeatureId, is_meant: impl Fn(&WalletKey) -> bool) -> Milli {
        let of = self.pledged.iter().filter(|entry| entry.0 == *feature);
        of.filter(|entry| is_meant(&entry.1))
            .fold(Milli::ZERO, |sum, entry| sum.plus_saturating(entry.2))
    }

    /// Returns what to take off what is in flight.
    pub(super) fn in_flight(&self, feature: &FeatureId) -> i64 {
        self.in_flight
            .iter()
            .filter(|entry| entry.0 == *feature)
            .map(|entry| entry.1)
            .sum()
    }
}

impl Account {
    /// Whether a reservation's time is over at `now`.
    #[must_use]
    pub fn has_overdue(&self, now: Timestamp) -> bool {
        now >= self.in_flight.next_expiry
    }

    /// Returns when the next open reservation expires; [`Timestamp::MAX`]: none is open.
    pub(super) fn next_expiry(&self) -> Timestamp {
        self.in_flight.next_expiry
    }

    /// Returns what reservations whose time is over still hold.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Overdue {
        let mut overdue = Overdue::default();
        if !self.has_overdue(now) {
            return overdue;
        }
        for reservation in self.reservations.values().filter(|held| !held.is_open(now)) {
            for item in &reservation.items {
                let count = held_by(&item.hold, item.granted);
                if count > 0 {
                    overdue.in_flight.push((item.feature.clone(), count));
                }
                if let Some(pledge) = &item.pledge {
                    let (feature, wallet) = (item.feature.clone(), pledge.wallet.clone());
                    overdue
                        .pledged
                        .push((feature, wallet, item.hold.reserved()));
                }
                let ItemHold::Quota {
                    reserved, windows, ..
                } = &item.hold
                else {
                    continue;
                };
                for window in windows {
                    let sub = reservation
                        .subaccount
                        .as_ref()
                        .filter(|_| window.of_subaccount);
                    if let Some(slot) = self.slot_of(sub, &window.spec, window.start) {
                        let id = sub.map(|id| Box::from(id.as_str()));
                        overdue
                            .quota
                            .push((window.of_subaccount, slot, id, *reserved));
                    }
                }
            }
        }
        overdue
    }

    /// Returns how much of a feature is in flight at `now`, and when the next of it ends at the latest.
    pub(super) fn in_flight(&self, feature: &FeatureId, overdue: &Overdue) -> i64 {
        self.in_flight.count(feature) - overdue.in_flight(feature)
    }

    /// Returns how much of a feature a subaccount has in flight at `now`.
    pub(super) fn in_flight_of(
        &self,
        id: &SubaccountId,
        feature: &FeatureId,
        now: Timestamp,
    ) -> i64 {
        self.reservations
            .values()
            .filter(|held| held.is_open(now) && held.subaccount.as_ref() == Some(id))
            .flat_map(|held| &held.items)
            .filter(|item| item.feature == *feature)
            .map(|item| held_by(&item.hold, item.granted))
            .sum()
    }
}
