//! `SandboxService`: what people do, where no money is moved.

use tonic::{Request, Response, Status};

use super::convert::payment::payment_id;
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

    async fn pay_payment_link(
        &self,
        request: Request<pb::PayPaymentLinkRequest>,
    ) -> Result<Response<pb::PayPaymentLinkResponse>, Status> {
        respond(self.pay(request.into_inner()).await)
    }

    async fn dispute_payment(
        &self,
        request: Request<pb::DisputePaymentRequest>,
    ) -> Result<Response<pb::DisputePaymentResponse>, Status> {
        respond(self.dispute(request.into_inner()).await)
    }

    async fn close_dispute(
        &self,
        request: Request<pb::CloseDisputeRequest>,
    ) -> Result<Response<pb::CloseDisputeResponse>, Status> {
        respond(self.decide(request.into_inner()).await)
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

    async fn pay(
        &self,
        request: pb::PayPaymentLinkRequest,
    ) -> Result<pb::PayPaymentLinkResponse, Error> {
        let link = text("link_id", request.link_id, ID_BYTES_MAX)?;
        let card = text("card_number", request.card_number, CARD_BYTES_MAX)?;
        self.engine.biller()?.pay_link(&link, &card).await?;
        Ok(pb::PayPaymentLinkResponse {})
    }

    async fn dispute(
        &self,
        request: pb::DisputePaymentRequest,
    ) -> Result<pb::DisputePaymentResponse, Error> {
        let payment = payment_id(request.payment_id)?;
        let cents = match request.amount_cents {
            0 => None,
            cents if cents > 0 => Some(cents),
            _ => return Err(Error::invalid("amount_cents", "must not be below 0")),
        };
        let dispute = self.engine.biller()?.dispute(&payment, cents).await?;
        Ok(pb::DisputePaymentResponse {
            dispute_id: dispute.into(),
        })
    }

    async fn decide(
        &self,
        request: pb::CloseDisputeRequest,
    ) -> Result<pb::CloseDisputeResponse, Error> {
        let dispute = text("dispute_id", request.dispute_id, ID_BYTES_MAX)?;
        let biller = self.engine.biller()?;
        biller.close_dispute(&dispute, request.won).await?;
        Ok(pb::CloseDisputeResponse {})
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
