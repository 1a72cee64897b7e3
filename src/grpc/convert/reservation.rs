//! Reservations.

use super::{to_map, to_timestamp};
use crate::domain::id::CustomerId;
use crate::domain::quantity::Milli;
use crate::domain::reservation::{ItemHold, Reservation, ReservationState, ReservedItem};
use crate::domain::time::Timestamp;
use crate::grpc::pb;

/// Writes a customer's reservation as it stands at `now`: one whose time is over is expired, whether or not the sweep
/// has been there.
pub(in crate::grpc) fn reservation(
    held: Reservation,
    customer: &CustomerId,
    now: Timestamp,
) -> pb::Reservation {
    let is_open = held.is_open(now);
    let state = match held.state {
        ReservationState::Open if is_open => pb::ReservationState::Open,
        ReservationState::Open | ReservationState::Expired => pb::ReservationState::Expired,
        ReservationState::Committed => pb::ReservationState::Committed,
        ReservationState::Released => pb::ReservationState::Released,
    };
    let close_time = match held.state {
        ReservationState::Committed | ReservationState::Released => held.end_time,
        ReservationState::Open | ReservationState::Expired => None,
    };
    let items = held.items.into_iter();
    pb::Reservation {
        reservation_id: held.id.into(),
        customer_id: customer.to_string(),
        subaccount_id: super::or_empty(held.subaccount),
        items: items.map(|item| reserved(item, is_open)).collect(),
        state: state.into(),
        holder: held.holder.into(),
        metadata: to_map(held.metadata),
        reserve_time: Some(to_timestamp(held.reserve_time)),
        expire_time: Some(to_timestamp(held.expire_time)),
        close_time: close_time.map(to_timestamp),
    }
}

fn reserved(item: ReservedItem, is_open: bool) -> pb::ReservationItem {
    let (used, reserved) = match item.hold {
        ItemHold::Quota { reserved, used, .. } => (used, reserved),
        ItemHold::Slots => (Milli::ZERO, Milli::from_units_saturating(item.granted)),
        ItemHold::Right => (Milli::ZERO, Milli::ZERO),
    };
    pb::ReservationItem {
        feature_id: item.feature.into(),
        quantity: item.granted,
        used_milli: used.0,
        reserved_milli: if is_open { reserved.0 } else { 0 },
        dimensions: to_map(item.dimensions),
    }
}

/// Reads a state to filter by; `None`: every state.
pub(in crate::grpc) fn state(state: pb::ReservationState) -> Option<ReservationState> {
    match state {
        pb::ReservationState::Unspecified => None,
        pb::ReservationState::Open => Some(ReservationState::Open),
        pb::ReservationState::Committed => Some(ReservationState::Committed),
        pb::ReservationState::Released => Some(ReservationState::Released),
        pb::ReservationState::Expired => Some(ReservationState::Expired),
    }
}
