//! How payments stand at Stripe, asked for and taken over: the payment itself, what went back of it, and who disputes it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::gateway::{Cursor, Dispute, Fault, Gateway, Kind, PaymentIntent, Refund};
use super::mirrored::at;
use super::purpose::{KEEPS_CREDITS, owner, read};
use super::subscriptions::NotFollowed;
use crate::domain::billing::{
    DisputeStatus, Payment, PaymentDispute, PaymentFailure, PaymentRefund, PaymentStatus,
};
use crate::domain::id::CustomerId;
use crate::engine::{Engine, Error, PaymentView};

/// Most payments that are looked at in one go.
const SLICE: usize = 100;
/// Between two looks.
const PAUSE: Duration = Duration::from_mins(1);

/// Takes over how payments stand.
#[derive(Clone)]
pub struct Payments {
    engine: Engine,
    gateway: Arc<Gateway>,
}

impl Payments {
    /// Asks through a gateway.
    #[must_use]
    pub const fn new(engine: Engine, gateway: Arc<Gateway>) -> Self {
        Self { engine, gateway }
    }

    /// Takes over how a payment stands; `None`: Stripe has none of this id, or of nobody that we know.
    ///
    /// # Errors
    /// When Stripe cannot be asked, or it cannot be stored.
    pub async fn follow(&self, id: &str) -> Result<Option<PaymentView>, NotFollowed> {
        let customer = match self.engine.payment(id).await? {
            Some(known) => known.customer,
            None => match self.owner(id).await? {
                Some(customer) => customer,
                None => return Ok(None),
            },
        };
        // The token is taken before Stripe is asked: who asks later knows at least as much.
        let token = match self.engine.ask_about_payment(&customer, id).await {
            Ok(token) => token,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let payment = self.fetched(id).await?;
        let view = self.engine.take_payment(&customer, token, payment).await?;
        if let Some(fault) = &view.settlement.fault {
            tracing::error!(payment.id = %id, customer.id = %customer, %fault, "a payment cannot be settled; it is tried again");
        }
        Ok(Some(view))
    }

    /// Looks again from time to time at payments of which nothing was heard, until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            self.follow_due().await;
        }
    }

    /// Looks again at payments that are due; returns how many. One that cannot be asked for does not hold up the others.
    pub async fn follow_due(&self) -> usize {
        let due = match self.engine.due_payments(SLICE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "payments cannot be read");
                return 0;
            }
        };
        let mut done = 0;
        for view in due {
            match self.follow(&view.payment.id).await {
                Ok(_) => done += 1,
                Err(error) => {
                    tracing::warn!(payment.id = %view.payment.id, %error, "a payment is looked at later");
                }
            }
        }
        done
    }

    /// Returns whose a payment is: whom its metadata names, else who paid.
    async fn owner(&self, id: &str) -> Result<Option<CustomerId>, NotFollowed> {
        let intent = match self.gateway.retrieve_payment_intent(id).await {
            Ok(intent) => intent,
            Err(fault) if fault.kind == Kind::NotFound => return Ok(None),
            Err(fault) => return Err(fault.into()),
        };
        if let Some(named) = owner(&intent.metadata) {
            return Ok(Some(named));
        }
        match &intent.customer {
            Some(payer) => Ok(self.engine.customer_of_payer(payer.id()).await?),
            None => Ok(None),
        }
    }

    async fn fetched(&self, id: &str) -> Result<Payment, Fault> {
        let intent = self.gateway.retrieve_payment_intent(id).await?;
        let (mut refunds, mut disputes) = (Vec::new(), Vec::new());
        if intent.status == "succeeded" {
            let gateway = &self.gateway;
            let mut page = gateway.list_refunds(Some(id), Cursor::FIRST).await?;
            refunds.extend(page.data.iter().map(refund));
            while let Some(next) = page.next() {
                page = gateway.list_refunds(Some(id), next).await?;
                refunds.extend(page.data.iter().map(refund));
            }
            let page = gateway.list_disputes(Some(id), Cursor::FIRST).await?;
            disputes.extend(page.data.iter().map(dispute));
        }
        Ok(payment(&intent, refunds, disputes))
    }
}

fn payment(
    intent: &PaymentIntent,
    refunds: Vec<PaymentRefund>,
    disputes: Vec<PaymentDispute>,
) -> Payment {
    let failure = intent.last_payment_error.as_ref().map(|problem| {
        let code = problem.decline_code.as_ref().or(problem.code.as_ref());
        PaymentFailure {
            code: code.cloned().unwrap_or_default().into(),
            message: problem.message.clone().unwrap_or_default().into(),
        }
    });
    Payment {
        id: intent.id.as_str().into(),
        status: PaymentStatus::of(&intent.status, failure.is_some()),
        cents: intent.amount,
        received_cents: intent.amount_received,
        currency: intent.currency.as_str().into(),
        livemode: intent.livemode,
        purpose: read(&intent.metadata),
        description: intent.description.clone().unwrap_or_default().into(),
        failure,
        refunds,
        disputes,
        create_time: at(intent.created),
    }
}

fn refund(refund: &Refund) -> PaymentRefund {
    let status = refund.status.as_deref();
    PaymentRefund {
        id: refund.id.as_str().into(),
        cents: refund.amount,
        has_failed: matches!(status, Some("failed" | "canceled")),
        keeps_credits: refund.metadata.contains_key(KEEPS_CREDITS),
    }
}

fn dispute(dispute: &Dispute) -> PaymentDispute {
    PaymentDispute {
        id: dispute.id.as_str().into(),
        cents: dispute.amount,
        status: DisputeStatus::of(&dispute.status),
        reason: dispute.reason.as_str().into(),
    }
}
