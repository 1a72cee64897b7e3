//! `SandboxService`: what people do, where no money is moved.

use tonic::{Request, Response, Status};

use super::convert::{id, span, text, to_timestamp};
use super::{pb, respond};
use crate::domain::id::CustomerId;
use crate::domain::time::Span;
use crate::engine::{Engine, Error};

/// Longest number of a card, with what may stand between its digits, in bytes.
const CARD_BYTES_MAX: usize = 32;
/// Longest id of Stripe's, in bytes.
const ID_BYTES_MAX: usize = 255;

/// How far the clock may be moved in one call: from a minute to two years.
const ADVANCE: (Span, Span) = (Span::from_minutes(1), Span::from_days(731));

/// Serves `SandboxService`.
pub struct Sandboxes {
    engine: Engine,
}

#[tonic::async_trait]
impl pb::sandbox_service_server::SandboxService for Sandboxes {
    async fn complete_checkout(
        &self,
        request: Request<pb::CompleteCheckoutRequest>,
    ) -> Result<Response<pb::CompleteCheckoutResponse>, Status> {
        respond(self.complete(request.into_inner()).await)
    }

    async fn set_test_card(
        &self,
        request: Request<pb::SetTestCardRequest>,
    ) -> Result<Response<pb::SetTestCardResponse>, Status> {
        respond(self.set_card(request.into_inner()).await)
    }

    async fn advance_test_clock(
        &self,
        request: Request<pb::AdvanceTestClockRequest>,
    ) -> Result<Response<pb::AdvanceTestClockResponse>, Status> {
        respond(self.advance(request.into_inner()).await)
    }
}

impl Sandboxes {
    /// Serves from an engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn complete(
        &self,
        request: pb::CompleteCheckoutRequest,
    ) -> Result<pb::CompleteCheckoutResponse, Error> {
        let page = text("session_id", request.session_id, ID_BYTES_MAX)?;
        let card = text("card_number", request.card_number, CARD_BYTES_MAX)?;
        let biller = self.engine.biller()?;
        biller.complete_checkout(&page, &card).await?;
        Ok(pb::CompleteCheckoutResponse {})
    }

    async fn advance(
        &self,
        request: pb::AdvanceTestClockRequest,
    ) -> Result<pb::AdvanceTestClockResponse, Error> {
        if request.advance.is_none() {
            return Err(Error::invalid("advance", "must be given"));
        }
        let way = span("advance", request.advance, ADVANCE.0, ADVANCE)?;
        let now = self.engine.biller()?.advance_test_clock(way).await?;
        let current_time = Some(to_timestamp(now));
        Ok(pb::AdvanceTestClockResponse { current_time })
    }

    async fn set_card(
        &self,
        request: pb::SetTestCardRequest,
    ) -> Result<pb::SetTestCardResponse, Error> {
        let customer: CustomerId = id("customer_id", request.customer_id)?;
        let card = text("card_number", request.card_number, CARD_BYTES_MAX)?;
        self.engine.biller()?.set_card(&customer, &card).await?;
        Ok(pb::SetTestCardResponse {})
    }
}
