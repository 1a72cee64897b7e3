//! Rights that differ from the plan's.

use crate::engine::{Engine, Error};
use crate::grpc::{pb, unwritten};

pub(super) async fn set_override(
    _engine: &Engine,
    _request: pb::SetOverrideRequest,
) -> Result<pb::SetOverrideResponse, Error> {
    Err(unwritten())
}

pub(super) async fn delete_override(
    _engine: &Engine,
    _request: pb::DeleteOverrideRequest,
) -> Result<pb::DeleteOverrideResponse, Error> {
    Err(unwritten())
}

pub(super) async fn list_overrides(
    _engine: &Engine,
    _request: pb::ListOverridesRequest,
) -> Result<pb::ListOverridesResponse, Error> {
    Err(unwritten())
}
