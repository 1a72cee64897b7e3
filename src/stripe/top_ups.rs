//! Automatic top-ups: what a customer pays with by default is charged for credits.

use async_trait::async_trait;

use super::biller::StripeBiller;
use super::gateway::{Cursor, Fault, Kind, Metadata, NewPayment};
use super::purpose::written;
use crate::domain::billing::Purpose;
use crate::domain::wallet::Source;
use crate::engine::{BillingFault, Charge, Error, Payment, PaymentFault, PaymentGateway};

/// Names the top-up that a payment is of.
const TOP_UP: &str = "bursar_top_up";

#[async_trait]
impl PaymentGateway for StripeBiller {
    async fn charge(&self, charge: &Charge) -> Result<Payment, PaymentFault> {
        let payer = self.payer(&charge.customer).await.map_err(not_paid)?;
        // Stripe forgets keys after a day, and a top-up may be asked for again later than that.
        if let Some(before) = self.topped_up(&payer, charge).await? {
            return Ok(paid(before));
        }
        let method = self.method_of(&payer).await.map_err(not_paid)?;
        let purpose = Purpose::Credits {
            product: None,
            quantity: 1,
            wallet: charge.wallet.clone(),
            micros: charge.micros,
        };
        let mut metadata: Metadata = written(&charge.customer, &purpose);
        metadata.insert(TOP_UP.to_owned(), charge.idempotency_key.clone());
        let new = NewPayment {
            customer: payer.to_string(),
            cents: charge.cents,
            charge_now: Some(method),
            description: Some(charge.description.clone()),
            metadata,
        };
        let asked = self
            .gateway
            .create_payment_intent(&new, &charge.idempotency_key);
        match asked.await {
            Ok(intent) if intent.status == "succeeded" => Ok(paid(intent.id)),
            Ok(intent) => {
                let why = format!("payment {} is {}", intent.id, intent.status);
                Err(PaymentFault::Unknown(why))
            }
            Err(fault) => Err(self.top_up_failed(fault).await),
        }
    }
}

impl StripeBiller {
    /// Returns the payment that a top-up brought before.
    async fn topped_up(
        &self,
        payer: &str,
        charge: &Charge,
    ) -> Result<Option<String>, PaymentFault> {
        let gateway = &self.gateway;
        let page = gateway.list_payment_intents(Some(payer), Cursor::FIRST);
        let page = page
            .await
            .map_err(|fault| PaymentFault::Unknown(fault.to_string()))?;
        let is_it = |metadata: &Metadata| metadata.get(TOP_UP) == Some(&charge.idempotency_key);
        let found = page
            .data
            .into_iter()
            .find(|intent| intent.status == "succeeded" && is_it(&intent.metadata));
        Ok(found.map(|intent| intent.id))
    }

    /// Returns what is charged: the customer's default, or in the sandbox a card that pays when there is none.
    async fn method_of(&self, payer: &str) -> Result<String, Error> {
        match self.default_method(payer).await {
            Err(Error::Billing(BillingFault::Declined { .. }))
                if self.is_card_given(payer).await? =>
            {
                self.default_method(payer).await
            }
            other => other,
        }
    }

    /// Notes a payment that was declined, and says what to make of a failure.
    async fn top_up_failed(&self, fault: Fault) -> PaymentFault {
        match fault.kind {
            Kind::CardDeclined => match self.declined(fault).await {
                Error::Billing(BillingFault::Declined { code, .. }) => PaymentFault::Declined(code),
                other => PaymentFault::Declined(other.to_string()),
            },
            Kind::InvalidRequest | Kind::NotFound | Kind::AlreadyExists => {
                PaymentFault::Declined(fault.to_string())
            }
            Kind::NotSent
            | Kind::RateLimited
            | Kind::Conflict
            | Kind::Authentication
            | Kind::Permission
            | Kind::IdempotencyMismatch
            | Kind::OutcomeUnknown => PaymentFault::Unknown(fault.to_string()),
        }
    }
}

fn paid(id: String) -> Payment {
    Payment {
        reference: id.into(),
        source: Source::Stripe,
    }
}

/// Says why nothing was charged.
fn not_paid(error: Error) -> PaymentFault {
    match error {
        Error::Billing(BillingFault::Declined { code, .. }) => PaymentFault::Declined(code),
        other => PaymentFault::Unknown(other.to_string()),
    }
}
