//! `EntitlementService`: who may use what.
//!
//! Each method is a function of its own in the file of its kind; this is their list.

mod allocations;
mod check;
mod consume;
mod lists;
mod overrides;
mod reserve;
mod watch;

use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::{pb, respond};
use crate::engine::Engine;

/// Serves `EntitlementService`.
pub struct Entitlements {
    engine: Engine,
    draining: CancellationToken,
}

impl Entitlements {
    /// Serves from an engine; watches end when `draining` is cancelled.
    #[must_use]
    pub fn new(engine: Engine, draining: CancellationToken) -> Self {
        Self { engine, draining }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::entitlement_service_server::EntitlementService for Entitlements {
    async fn check_entitlement(
        &self,
        request: Request<pb::CheckEntitlementRequest>,
    ) -> Answer<pb::CheckEntitlementResponse> {
        respond(check::check_entitlement(&self.engine, request.into_inner()).await)
    }

    async fn batch_check_entitlements(
        &self,
        request: Request<pb::BatchCheckEntitlementsRequest>,
    ) -> Answer<pb::BatchCheckEntitlementsResponse> {
        respond(check::batch_check_entitlements(&self.engine, request.into_inner()).await)
    }

    async fn consume(&self, request: Request<pb::ConsumeRequest>) -> Answer<pb::ConsumeResponse> {
        respond(consume::consume(&self.engine, request.into_inner()).await)
    }

    async fn reserve(&self, request: Request<pb::ReserveRequest>) -> Answer<pb::ReserveResponse> {
        respond(reserve::reserve(&self.engine, request.into_inner()).await)
    }

    async fn extend_reservation(
        &self,
        request: Request<pb::ExtendReservationRequest>,
    ) -> Answer<pb::ExtendReservationResponse> {
        respond(reserve::extend_reservation(&self.engine, request.into_inner()).await)
    }

    async fn commit_reservation(
        &self,
        request: Request<pb::CommitReservationRequest>,
    ) -> Answer<pb::CommitReservationResponse> {
        respond(reserve::commit_reservation(&self.engine, request.into_inner()).await)
    }

    async fn release_reservation(
        &self,
        request: Request<pb::ReleaseReservationRequest>,
    ) -> Answer<pb::ReleaseReservationResponse> {
        respond(reserve::release_reservation(&self.engine, request.into_inner()).await)
    }

    async fn list_reservations(
        &self,
        request: Request<pb::ListReservationsRequest>,
    ) -> Answer<pb::ListReservationsResponse> {
        respond(lists::list_reservations(&self.engine, request.into_inner()).await)
    }

    async fn allocate(
        &self,
        request: Request<pb::AllocateRequest>,
    ) -> Answer<pb::AllocateResponse> {
        respond(allocations::allocate(&self.engine, request.into_inner()).await)
    }

    async fn deallocate(
        &self,
        request: Request<pb::DeallocateRequest>,
    ) -> Answer<pb::DeallocateResponse> {
        respond(allocations::deallocate(&self.engine, request.into_inner()).await)
    }

    async fn list_allocations(
        &self,
        request: Request<pb::ListAllocationsRequest>,
    ) -> Answer<pb::ListAllocationsResponse> {
        respond(allocations::list_allocations(&self.engine, request.into_inner()).await)
    }

    async fn list_entitlements(
        &self,
        request: Request<pb::ListEntitlementsRequest>,
    ) -> Answer<pb::ListEntitlementsResponse> {
        respond(lists::list_entitlements(&self.engine, request.into_inner()).await)
    }

    type WatchEntitlementsStream = BoxStream<pb::WatchEntitlementsResponse>;

    async fn watch_entitlements(
        &self,
        request: Request<pb::WatchEntitlementsRequest>,
    ) -> Answer<Self::WatchEntitlementsStream> {
        let draining = self.draining.clone();
        respond(watch::watch_entitlements(&self.engine, draining, request.into_inner()).await)
    }

    async fn list_denials(
        &self,
        request: Request<pb::ListDenialsRequest>,
    ) -> Answer<pb::ListDenialsResponse> {
        respond(lists::list_denials(&self.engine, request.into_inner()).await)
    }

    async fn set_override(
        &self,
        request: Request<pb::SetOverrideRequest>,
    ) -> Answer<pb::SetOverrideResponse> {
        respond(overrides::set_override(&self.engine, request.into_inner()).await)
    }

    async fn delete_override(
        &self,
        request: Request<pb::DeleteOverrideRequest>,
    ) -> Answer<pb::DeleteOverrideResponse> {
        respond(overrides::delete_override(&self.engine, request.into_inner()).await)
    }

    async fn list_overrides(
        &self,
        request: Request<pb::ListOverridesRequest>,
    ) -> Answer<pb::ListOverridesResponse> {
        respond(overrides::list_overrides(&self.engine, request.into_inner()).await)
    }
}
