//! `MeteringService`: what was used.
//!
//! Each method is a function of its own in the file of its kind; this is their list.

mod batch;
mod corrections;
mod estimate;
mod pipeline;
mod queries;
mod stream;

use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::{pb, respond};
use crate::engine::Engine;

/// Most events in one batch.
const BATCH_MAX: usize = 1000;

/// Serves `MeteringService`.
pub struct Metering {
    engine: Engine,
    draining: CancellationToken,
    /// Most events of one stream that may wait for their acknowledgement.
    credits: usize,
}

impl Metering {
    /// Serves from an engine; streams end when `draining` is cancelled.
    #[must_use]
    pub fn new(engine: Engine, draining: CancellationToken, credits: usize) -> Self {
        Self {
            engine,
            draining,
            credits,
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::metering_service_server::MeteringService for Metering {
    type RecordUsageStream = BoxStream<pb::RecordUsageResponse>;

    async fn record_usage(
        &self,
        request: Request<Streaming<pb::RecordUsageRequest>>,
    ) -> Answer<Self::RecordUsageStream> {
        let (engine, draining) = (self.engine.clone(), self.draining.clone());
        let answers = stream::record_usage(engine, draining, self.credits, request.into_inner());
        Ok(Response::new(answers))
    }

    async fn record_usage_batch(
        &self,
        request: Request<pb::RecordUsageBatchRequest>,
    ) -> Answer<pb::RecordUsageBatchResponse> {
        respond(batch::record_usage_batch(&self.engine, request.into_inner()).await)
    }

    async fn get_usage(
        &self,
        request: Request<pb::GetUsageRequest>,
    ) -> Answer<pb::GetUsageResponse> {
        respond(queries::get_usage(&self.engine, request.into_inner()).await)
    }

    async fn list_usage_events(
        &self,
        request: Request<pb::ListUsageEventsRequest>,
    ) -> Answer<pb::ListUsageEventsResponse> {
        respond(queries::list_usage_events(&self.engine, request.into_inner()).await)
    }

    async fn void_usage(
        &self,
        request: Request<pb::VoidUsageRequest>,
    ) -> Answer<pb::VoidUsageResponse> {
        respond(corrections::void_usage(&self.engine, request.into_inner()).await)
    }

    async fn amend_usage(
        &self,
        request: Request<pb::AmendUsageRequest>,
    ) -> Answer<pb::AmendUsageResponse> {
        respond(corrections::amend_usage(&self.engine, request.into_inner()).await)
    }

    async fn estimate_cost(
        &self,
        request: Request<pb::EstimateCostRequest>,
    ) -> Answer<pb::EstimateCostResponse> {
        respond(estimate::estimate_cost(&self.engine, request.into_inner()).await)
    }
}
