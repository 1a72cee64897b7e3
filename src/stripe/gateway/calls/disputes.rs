//! Disputes.

use stripe_core::dispute::{ListDispute, RetrieveDispute};

use super::super::account::{Answer, Gateway};
use super::super::objects::Dispute;
use super::super::page::{Cursor, Page, set_if_some, turn_to};

impl Gateway {
    /// Returns a dispute.
    pub async fn retrieve_dispute(&self, id: &str) -> Answer<Dispute> {
        self.read(&RetrieveDispute::new(id)).await
    }

    /// Returns the disputes, or those about a payment.
    pub async fn list_disputes(
        &self,
        payment_intent: Option<&str>,
        cursor: Cursor<'_>,
    ) -> Answer<Page<Dispute>> {
        let mut request = turn_to!(ListDispute::new(), cursor);
        set_if_some!(request, payment_intent = payment_intent);
        self.read(&request).await
    }
}
