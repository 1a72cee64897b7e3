//! Recording on one connection.
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::codegen::BoxStream;

use crate::engine::Engine;
use crate::grpc::pb;

pub(super) fn record_usage(
    _engine: Engine,
    _draining: CancellationToken,
    _credits: usize,
    _batches: Streaming<pb::RecordUsageRequest>,
) -> BoxStream<pb::RecordUsageResponse> {
    Box::pin(tokio_stream::empty())
}
