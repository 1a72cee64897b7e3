//! Refunds.

use stripe_core::refund::{CreateRefund, CreateRefundReason, ListRefund, RetrieveRefund};

use super::super::account::{Answer, Gateway};
use super::super::objects::Refund;
use super::super::page::{Cursor, Page, set_if_any, set_if_some, turn_to};
use super::super::shape::{Metadata, unordered};

/// Money to be given back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRefund {
    /// Of which payment.
    pub payment_intent: String,
    /// Cents; `None`: all that is left of it.
    pub cents: Option<i64>,
    /// Why.
    pub reason: Option<RefundReason>,
    /// What is kept with it.
    pub metadata: Metadata,
}

/// Why money is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundReason {
    /// It was paid twice.
    Duplicate,
    /// It was not the customer who paid. What paid is blocked.
    Fraudulent,
    /// The customer asked.
    RequestedByCustomer,
}

impl Gateway {
    /// Gives money back.
    pub async fn create_refund(&self, new: &NewRefund, key: &str) -> Answer<Refund> {
        let mut request = CreateRefund::new().payment_intent(new.payment_intent.as_str());
        let reason = new.reason.map(|reason| match reason {
            RefundReason::Duplicate => CreateRefundReason::Duplicate,
            RefundReason::Fraudulent => CreateRefundReason::Fraudulent,
            RefundReason::RequestedByCustomer => CreateRefundReason::RequestedByCustomer,
        });
        set_if_some!(request, amount = new.cents, reason = reason);
        set_if_any!(request, metadata = new.metadata => unordered(&new.metadata));
        self.change(&request, key).await
    }

    /// Returns a refund.
    pub async fn retrieve_refund(&self, id: &str) -> Answer<Refund> {
        self.read(&RetrieveRefund::new(id)).await
    }

    /// Returns the refunds, or those of a payment.
    pub async fn list_refunds(
        &self,
        payment_intent: Option<&str>,
        cursor: Cursor<'_>,
    ) -> Answer<Page<Refund>> {
        let mut request = turn_to!(ListRefund::new(), cursor);
        set_if_some!(request, payment_intent = payment_intent);
        self.read(&request).await
    }
}
