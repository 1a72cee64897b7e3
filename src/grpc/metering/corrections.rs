//! Taking usage back.

use crate::engine::{Engine, Error};
use crate::grpc::{pb, unwritten};

pub(super) async fn void_usage(
    _engine: &Engine,
    _request: pb::VoidUsageRequest,
) -> Result<pb::VoidUsageResponse, Error> {
    Err(unwritten())
}

pub(super) async fn amend_usage(
    _engine: &Engine,
    _request: pb::AmendUsageRequest,
) -> Result<pb::AmendUsageResponse, Error> {
    Err(unwritten())
}
