//! `OperationsService`: proving that the numbers are right, putting them right, and looking into what goes to Stripe and
//! comes from it.

mod traffic;

use tonic::{Request, Response, Status};

use super::convert::ledger::fault;
use super::convert::page::page;
use super::convert::{id, optional_id, or_empty, request_id, to_map, to_timestamp};
use super::{CALLER, pb, respond};
use crate::domain::time::Timestamp;
use crate::engine::{Engine, Error};
use crate::storage::{AuditQuery, CounterMismatch};

/// Serves `OperationsService`.
pub struct Operations {
    engine: Engine,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::operations_service_server::OperationsService for Operations {
    async fn audit_counters(
        &self,
        request: Request<pb::AuditCountersRequest>,
    ) -> Answer<pb::AuditCountersResponse> {
        respond(self.audit(request.into_inner()).await)
    }

    async fn rebuild_counters(
        &self,
        request: Request<pb::RebuildCountersRequest>,
    ) -> Answer<pb::RebuildCountersResponse> {
        respond(self.rebuild(request.into_inner()).await)
    }

    async fn audit_ledgers(
        &self,
        request: Request<pb::AuditLedgersRequest>,
    ) -> Answer<pb::AuditLedgersResponse> {
        respond(self.prove(request.into_inner()).await)
    }

    async fn list_chunks(
        &self,
        request: Request<pb::ListChunksRequest>,
    ) -> Answer<pb::ListChunksResponse> {
        respond(self.chunks(request.into_inner()).await)
    }

    async fn requeue_chunk(
        &self,
        request: Request<pb::RequeueChunkRequest>,
    ) -> Answer<pb::RequeueChunkResponse> {
        respond(self.requeue(request.into_inner()).await)
    }

    async fn list_webhooks(
        &self,
        request: Request<pb::ListWebhooksRequest>,
    ) -> Answer<pb::ListWebhooksResponse> {
        respond(self.webhooks(request.into_inner()).await)
    }

    async fn replay_events(
        &self,
        request: Request<pb::ReplayEventsRequest>,
    ) -> Answer<pb::ReplayEventsResponse> {
        respond(self.replay(request.into_inner()).await)
    }
}

impl Operations {
    /// Serves from an engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn audit(
        &self,
        mut request: pb::AuditCountersRequest,
    ) -> Result<pb::AuditCountersResponse, Error> {
        let page = page(&mut request)?;
        let query = AuditQuery {
            customer: optional_id("customer_id", request.customer_id)?,
            after: page.after.clone(),
            limit: page.limit,
        };
        let found = self.engine.audit(query).await?;
        Ok(pb::AuditCountersResponse {
            counters_checked: found.checked,
            mismatches: found.mismatches.into_iter().map(mismatch).collect(),
            next_page_token: page.next_token(found.next),
        })
    }

    async fn prove(
        &self,
        mut request: pb::AuditLedgersRequest,
    ) -> Result<pb::AuditLedgersResponse, Error> {
        let page = page(&mut request)?;
        let customer = optional_id("customer_id", request.customer_id)?;
        let after = page.after.clone();
        let found = self
            .engine
            .audit_ledgers(customer, after, page.limit)
            .await?;
        Ok(pb::AuditLedgersResponse {
            wallets_checked: found.wallets,
            transactions_checked: found.transactions,
            faults: found.findings.into_iter().map(fault).collect(),
            next_page_token: page.next_token(found.next),
        })
    }

    async fn rebuild(
        &self,
        request: pb::RebuildCountersRequest,
    ) -> Result<pb::RebuildCountersResponse, Error> {
        let key = request_id(request.request_id)?;
        let customer = id("customer_id", request.customer_id)?;
        let rebuilt = self.engine.rebuild(CALLER, key, customer).await?;
        Ok(pb::RebuildCountersResponse {
            counters_rebuilt: i64::try_from(rebuilt.counters).unwrap_or(i64::MAX),
            corrections: rebuilt.corrections.into_iter().map(mismatch).collect(),
        })
    }
}

fn mismatch(found: CounterMismatch) -> pb::CounterMismatch {
    let start = Some(found.start).filter(|start| *start != Timestamp::MIN);
    pb::CounterMismatch {
        customer_id: found.customer.into(),
        subaccount_id: or_empty(found.subaccount),
        meter_id: found.spec.meter.to_string(),
        filter: to_map(found.spec.filter.0.clone()),
        window: Some(found.spec.window.into()),
        window_start: start.map(to_timestamp),
        stored_used_milli: found.used.0,
        expected_used_milli: found.used_expected.0,
        stored_reserved_milli: found.reserved.0,
        expected_reserved_milli: found.reserved_expected.0,
    }
}
