//! Lists of entitlements, reservations and denials.

use crate::engine::{Engine, Error};
use crate::grpc::{pb, unwritten};

pub(super) async fn list_entitlements(
    _engine: &Engine,
    _request: pb::ListEntitlementsRequest,
) -> Result<pb::ListEntitlementsResponse, Error> {
    Err(unwritten())
}

pub(super) async fn list_reservations(
    _engine: &Engine,
    _request: pb::ListReservationsRequest,
) -> Result<pb::ListReservationsResponse, Error> {
    Err(unwritten())
}

pub(super) async fn list_denials(
    _engine: &Engine,
    _request: pb::ListDenialsRequest,
) -> Result<pb::ListDenialsResponse, Error> {
    Err(unwritten())
}
