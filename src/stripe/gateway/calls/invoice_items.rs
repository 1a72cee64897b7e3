//! Invoice items.

use stripe_billing::invoice_item::{CreateInvoiceItem, Period};
use stripe_types::Currency;

use super::super::account::{Answer, Gateway};
use super::super::objects::InvoiceItem;
use super::super::page::{set_if_any, set_if_some};
use super::super::shape::{Metadata, unordered};
use super::terms::Span;

/// A line for an invoice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewInvoiceItem {
    /// Who, by the id at Stripe.
    pub customer: String,
    /// Cents. Below zero it is credit.
    pub cents: i64,
    /// What customers read.
    pub description: String,
    /// The draft that gets it; `None`: the next invoice of the customer, or of the subscription.
    pub invoice: Option<String>,
    /// The subscription whose next invoice gets it; `None`: any.
    pub subscription: Option<String>,
    /// What time it is for.
    pub period: Option<Span>,
    /// What is kept with it.
    pub metadata: Metadata,
}

impl Gateway {
    /// Creates a line for an invoice. It is no part of what coupons reduce.
    pub async fn create_invoice_item(
        &self,
        new: &NewInvoiceItem,
        key: &str,
    ) -> Answer<InvoiceItem> {
        let mut request = CreateInvoiceItem::new()
            .customer(new.customer.as_str())
            .amount(new.cents)
            .currency(Currency::USD)
            .description(new.description.as_str())
            .discountable(false);
        set_if_some!(
            request,
            invoice = &new.invoice,
            subscription = &new.subscription,
            period = new.period.map(|span| Period::new(span.end, span.start)),
        );
        set_if_any!(request, metadata = new.metadata => unordered(&new.metadata));
        self.change(&request, key).await
    }
}
