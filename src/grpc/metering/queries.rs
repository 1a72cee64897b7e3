//! Questions about usage.

use crate::engine::{Engine, Error};
use crate::grpc::{pb, unwritten};

pub(super) async fn get_usage(
    _engine: &Engine,
    _request: pb::GetUsageRequest,
) -> Result<pb::GetUsageResponse, Error> {
    Err(unwritten())
}

pub(super) async fn list_usage_events(
    _engine: &Engine,
    _request: pb::ListUsageEventsRequest,
) -> Result<pb::ListUsageEventsResponse, Error> {
    Err(unwritten())
}
