//! What is on its way to Stripe, and what came from it.

use super::Operations;
use crate::domain::billing::{ChunkState, InboundState};
use crate::domain::window::TimeRange;
use crate::engine::{ChunkView, Error, InboundView};
use crate::grpc::convert::page::page;
use crate::grpc::convert::{known, optional_id, required, text, timestamp, to_timestamp};
use crate::grpc::pb;

/// Longest name of a chunk, in bytes.
const CHUNK_BYTES_MAX: usize = 1_000;

impl Operations {
    pub(super) async fn chunks(
        &self,
        mut request: pb::ListChunksRequest,
    ) -> Result<pb::ListChunksResponse, Error> {
        let page = page(&mut request)?;
        let state = match known("state", request.state)? {
            pb::ChunkState::Unspecified => None,
            pb::ChunkState::Sealed => Some(ChunkState::Sealed),
            pb::ChunkState::Sending => Some(ChunkState::Sending),
            pb::ChunkState::Delivered => Some(ChunkState::Delivered),
            pb::ChunkState::InDoubt => Some(ChunkState::InDoubt),
            pb::ChunkState::Failed => Some(ChunkState::Failed),
        };
        let customer = optional_id("customer_id", request.customer_id)?;
        let range = (page.after.clone(), page.limit);
        let found = self.engine.list_chunks(customer, state, range).await?;
        Ok(pb::ListChunksResponse {
            chunks: found.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_token(found.next),
        })
    }

    pub(super) async fn requeue(
        &self,
        request: pb::RequeueChunkRequest,
    ) -> Result<pb::RequeueChunkResponse, Error> {
        let id = text("chunk_id", request.chunk_id, CHUNK_BYTES_MAX)?;
        let view = self.engine.requeue_chunk(&id).await?;
        let chunk = Some(view.into());
        Ok(pb::RequeueChunkResponse { chunk })
    }

    pub(super) async fn webhooks(
        &self,
        mut request: pb::ListWebhooksRequest,
    ) -> Result<pb::ListWebhooksResponse, Error> {
        let page = page(&mut request)?;
        let state = match known("state", request.state)? {
            pb::WebhookState::Unspecified => None,
            pb::WebhookState::Waiting => Some(InboundState::Waiting),
            pb::WebhookState::Done => Some(InboundState::Done),
            pb::WebhookState::Ignored => Some(InboundState::Ignored),
            pb::WebhookState::Malformed => Some(InboundState::Malformed),
        };
        let range = (page.after.clone(), page.limit);
        let found = self.engine.list_webhooks(state, range).await?;
        Ok(pb::ListWebhooksResponse {
            webhooks: found.items.into_iter().map(webhook).collect(),
            next_page_token: page.next_token(found.next),
        })
    }

    pub(super) async fn replay(
        &self,
        mut request: pb::ReplayEventsRequest,
    ) -> Result<pb::ReplayEventsResponse, Error> {
        let page = page(&mut request)?;
        let instant = |field, stamp| timestamp(field, required(field, stamp)?);
        let range = TimeRange {
            start: instant("start_time", request.start_time)?,
            end: instant("end_time", request.end_time)?,
        };
        if range.end <= range.start {
            return Err(Error::invalid("end_time", "must lie after start_time"));
        }
        let biller = self.engine.biller()?;
        let found = biller.replay(range, page.after.clone()).await?;
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        Ok(pb::ReplayEventsResponse {
            event_count: count(found.seen),
            queued_count: count(found.queued),
            next_page_token: page.next_token(found.next),
        })
    }
}

impl From<ChunkView> for pb::Chunk {
    fn from(view: ChunkView) -> Self {
        let chunk = view.chunk;
        let state = match chunk.state {
            ChunkState::Sealed => pb::ChunkState::Sealed,
            ChunkState::Sending => pb::ChunkState::Sending,
            ChunkState::Delivered => pb::ChunkState::Delivered,
            ChunkState::InDoubt => pb::ChunkState::InDoubt,
            ChunkState::Failed => pb::ChunkState::Failed,
        };
        Self {
            chunk_id: view.id.into(),
            customer_id: view.customer.into(),
            meter_id: chunk.meter.into(),
            period_start: Some(to_timestamp(chunk.period.start)),
            period_end: Some(to_timestamp(chunk.period.end)),
            value: chunk.value,
            state: state.into(),
            identifier: chunk.identifier.into(),
            attempts: i32::try_from(chunk.attempts).unwrap_or(i32::MAX),
            fault: chunk.fault.map(String::from).unwrap_or_default(),
            seal_time: Some(to_timestamp(chunk.seal_time)),
            first_attempt_time: chunk.first_attempt.map(to_timestamp),
            due_time: chunk.due_time.map(to_timestamp),
            end_time: chunk.end_time.map(to_timestamp),
        }
    }
}

fn webhook((id, inbound): InboundView) -> pb::Webhook {
    let state = match inbound.state {
        InboundState::Waiting => pb::WebhookState::Waiting,
        InboundState::Done => pb::WebhookState::Done,
        InboundState::Ignored => pb::WebhookState::Ignored,
        InboundState::Malformed => pb::WebhookState::Malformed,
    };
    let or_empty = |text: Option<Box<str>>| text.map(String::from).unwrap_or_default();
    pb::Webhook {
        event_id: id.into(),
        event_type: inbound.kind.into(),
        object_id: or_empty(inbound.object),
        stripe_customer_id: or_empty(inbound.payer),
        state: state.into(),
        attempts: i32::try_from(inbound.attempts).unwrap_or(i32::MAX),
        fault: or_empty(inbound.fault),
        receive_time: Some(to_timestamp(inbound.receive_time)),
        due_time: Some(to_timestamp(inbound.due_time)),
    }
}
