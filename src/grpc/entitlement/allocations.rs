//! Things that exist.

use crate::engine::{Engine, Error};
use crate::grpc::{pb, unwritten};

pub(super) async fn allocate(
    _engine: &Engine,
    _request: pb::AllocateRequest,
) -> Result<pb::AllocateResponse, Error> {
    Err(unwritten())
}

pub(super) async fn deallocate(
    _engine: &Engine,
    _request: pb::DeallocateRequest,
) -> Result<pb::DeallocateResponse, Error> {
    Err(unwritten())
}

pub(super) async fn list_allocations(
    _engine: &Engine,
    _request: pb::ListAllocationsRequest,
) -> Result<pb::ListAllocationsResponse, Error> {
    Err(unwritten())
}
