//! Ending reservations: using them up, committing, releasing, extending, expiring.

use super::{Account, Effects};
use crate::domain::id::{MeterId, ReservationId};
use crate::domain::quantity::{Milli, Overflow};
use crate::domain::reservation::{ItemHold, LIFE_MAX, Reservation, ReservationState};
use crate::domain::time::Timestamp;

/// Why a reservation cannot be used or ended: it is not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOpen;

/// How a reservation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its usage was recorded.
    Committed,
    /// It was given back.
    Released,
}

impl Account {
    /// Whether an open reservation has this id at `now`.
    #[must_use]
    pub fn open_reservation(&self, id: &ReservationId, now: Timestamp) -> Option<&Reservation> {
        self.reservations.get(id).filter(|held| held.is_open(now))
    }

    /// Moves usage of a meter from reserved to used, item by item; true when it is more than they had left.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits.
    pub fn use_up(
        &mut self,
        id: &ReservationId,
        meter: &MeterId,
        weighted: Milli,
        effects: &mut Effects,
    ) -> Result<bool, Overflow> {
        let Some(reservation) = self.reservations.get_mut(id) else {
            return Ok(true);
        };
        let subaccount = reservation.subaccount.clone();
        let mut left = weighted;
        let mut lowered = Vec::new();
        let mut pledged = Vec::new();
        for item in &mut reservation.items {
            let ItemHold::Quota {
                meter: of,
                reserved,
                used,
                windows,
            } = &mut item.hold
            else {
                continue;
            };
            if of == meter {
                let moved = left.max(Milli::ZERO).min(*reserved);
                *reserved = reserved.minus(moved)?;
                *used = used.plus(moved)?;
                left = left.minus(moved)?;
                if let Some(pledge) = &item.pledge {
                    pledged.push((item.feature.clone(), pledge.wallet.clone(), moved));
                }
                lowered.extend(windows.iter().map(|held| (held.clone(), moved)));
            }
        }
        effects.touched.insert(id.clone());
        for (feature, wallet, moved) in pledged {
            self.pledges
                .shift(&feature, &wallet, Milli::ZERO.minus(moved)?);
        }
        for (held, moved) in lowered {
            let sub = subaccount.as_ref().filter(|_| held.of_subaccount);
            self.shift_reserved(
                sub,
                &held.spec,
                held.start,
                Milli::ZERO.minus(moved)?,
                effects,
            )?;
        }
        Ok(left > Milli::ZERO)
    }

    /// Ends an open reservation and frees what is left of it.
    ///
    /// # Errors
    /// `Ok(Err(NotOpen))` when it is not open; `Err` when a counter would leave the range of 64 bits.
    pub fn end(
        &mut self,
        id: &ReservationId,
        how: Ended,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<Result<Reservation, NotOpen>, Overflow> {
        if self.open_reservation(id, now).is_none() {
            return Ok(Err(NotOpen));
        }
        let state = match how {
            Ended::Committed => ReservationState::Committed,
            Ended::Released => ReservationState::Released,
        };
        self.close(id, state, now, effects)
            .map(|ended| ended.ok_or(NotOpen))
    }

    /// Lets an open reservation live until `expire_time`, at most [`LIFE_MAX`] after it was made.
    ///
    /// # Errors
    /// When it is not open.
    pub fn extend(
        &mut self,
        id: &ReservationId,
        expire_time: Timestamp,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<Reservation, NotOpen> {
        let reservation = self
            .reservations
            .get_mut(id)
            .filter(|held| held.is_open(now))
            .ok_or(NotOpen)?;
        reservation.expire_time = expire_time.min(reservation.reserve_time.plus(LIFE_MAX));
        let extended = reservation.clone();
        effects.touched.insert(id.clone());
        self.in_flight.next_expiry = self.earliest_expiry();
        Ok(extended)
    }

    /// Ends every reservation, hold and grant whose time is over.
    ///
    /// # Errors
    /// When a counter would leave the range of 64 bits.
    pub fn expire(&mut self, now: Timestamp, effects: &mut Effects) -> Result<(), Overflow> {
        self.book.sweep(now);
        if !self.has_overdue(now) {
            return Ok(());
        }
        let overdue: Vec<ReservationId> = self
            .reservations
            .values()
            .filter(|held| !held.is_open(now))
            .map(|held| held.id.clone())
            .collect();
        for id in overdue {
            self.close(&id, ReservationState::Expired, now, effects)?;
        }
        self.in_flight.next_expiry = self.earliest_expiry();
        Ok(())
    }

    fn close(
        &mut self,
        id: &ReservationId,
        state: ReservationState,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<Option<Reservation>, Overflow> {
        let Some(mut reservation) = self.reservations.remove(id) else {
            return Ok(None);
        };
        self.in_flight.closed(&reservation);
        if self.reservations.is_empty() {
            self.in_flight.next_expiry = Timestamp::MAX;
        }
        let subaccount = reservation.subaccount.clone();
        for item in &reservation.items {
            self.lower(item, subaccount.as_ref(), effects)?;
        }
        self.unpledge(&mut reservation, now);
        for item in &mut reservation.items {
            if let ItemHold::Quota { reserved, .. } = &mut item.hold {
                *reserved = Milli::ZERO;
            }
        }
        reservation.state = state;
        reservation.end_time = Some(match state {
            ReservationState::Expired => reservation.expire_time,
            ReservationState::Open | ReservationState::Committed | ReservationState::Released => {
                now
            }
        });
        effects.touched.remove(id);
        effects.ended.push(reservation.clone());
        Ok(Some(reservation))
    }

    fn earliest_expiry(&self) -> Timestamp {
        self.reservations
            .values()
            .map(|held| held.expire_time)
            .min()
            .unwrap_or(Timestamp::MAX)
    }
}
