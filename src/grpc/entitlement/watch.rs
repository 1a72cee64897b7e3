//! Telling clients of changes.

use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;

use crate::engine::{Engine, Error};
use crate::grpc::{pb, unwritten};

pub(super) async fn watch_entitlements(
    _engine: &Engine,
    _draining: CancellationToken,
    _request: pb::WatchEntitlementsRequest,
) -> Result<BoxStream<pb::WatchEntitlementsResponse>, Error> {
    Err(unwritten())
}
