//! Payments.

use stripe_core::payment_intent::{
    CreatePaymentIntent, CreatePaymentIntentAutomaticPaymentMethods,
    CreatePaymentIntentAutomaticPaymentMethodsAllowRedirects, CreatePaymentIntentOffSession,
    ListPaymentIntent, RetrievePaymentIntent,
};
use stripe_types::Currency;

use super::super::account::{Answer, Gateway};
use super::super::objects::PaymentIntent;
use super::super::page::{Cursor, Page, set_if_any, set_if_some, turn_to};
use super::super::shape::{Metadata, unordered};

/// A payment to be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPayment {
    /// Who, by the id at Stripe.
    pub customer: String,
    /// Cents, 50 or more.
    pub cents: i64,
    /// What is charged at once, while the customer is away. Stripe takes no default here, so it is
    /// the customer's, named. `None`: a page asks the customer, with the client's secret.
    pub charge_now: Option<String>,
    /// What customers read.
    pub description: Option<String>,
    /// What is kept with it.
    pub metadata: Metadata,
}

impl Gateway {
    /// Asks for a payment. One that is charged at once and declined is a fault, which names it.
    pub async fn create_payment_intent(
        &self,
        new: &NewPayment,
        key: &str,
    ) -> Answer<PaymentIntent> {
        let mut automatic = CreatePaymentIntentAutomaticPaymentMethods::new(true);
        if new.charge_now.is_some() {
            // Nobody is there to be led to another page.
            automatic.allow_redirects =
                Some(CreatePaymentIntentAutomaticPaymentMethodsAllowRedirects::Never);
        }
        let mut request = CreatePaymentIntent::new(new.cents, Currency::USD)
            .customer(new.customer.as_str())
            .automatic_payment_methods(automatic);
        if let Some(method) = &new.charge_now {
            request = request
                .payment_method(method)
                .confirm(true)
                .off_session(CreatePaymentIntentOffSession::Bool(true));
        }
        set_if_some!(request, description = &new.description);
        set_if_any!(request, metadata = new.metadata => unordered(&new.metadata));
        self.change(&request, key).await
    }

    /// Returns a payment.
    pub async fn retrieve_payment_intent(&self, id: &str) -> Answer<PaymentIntent> {
        self.read(&RetrievePaymentIntent::new(id)).await
    }

    /// Returns the payments, or those of a customer.
    pub async fn list_payment_intents(
        &self,
        customer: Option<&str>,
        cursor: Cursor<'_>,
    ) -> Answer<Page<PaymentIntent>> {
        let mut request = turn_to!(ListPaymentIntent::new(), cursor);
        set_if_some!(request, customer = customer);
        self.read(&request).await
    }
}
