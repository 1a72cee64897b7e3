//! Customers.

use super::super::shape::Metadata;
use super::{Link, object, part};

/// The key under which a customer at Stripe carries the id of ours.
pub const CUSTOMER_KEY: &str = "bursar_customer";

object! {
    /// Who pays.
    Customer {
        /// Their name.
        name: Option<String>,
        /// Where invoices go.
        email: Option<String>,
        /// In cents: below zero it is credit that the next invoices use up.
        balance: i64,
        /// How invoices are paid.
        invoice_settings: CustomerInvoiceSettings,
        /// Whether the last automatic payment failed.
        delinquent: bool,
        /// When it was created.
        created: i64,
        /// Whether it was deleted; then all but its id is gone.
        deleted: bool,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}

part! {
    /// How a customer's invoices are paid.
    CustomerInvoiceSettings {
        /// What is charged for subscriptions and invoices that name nothing else.
        default_payment_method: Option<Link>,
    }
}

impl Customer {
    /// Returns the id of our customer that this one was created for.
    #[must_use]
    pub fn ours(&self) -> Option<&str> {
        self.metadata.get(CUSTOMER_KEY).map(String::as_str)
    }

    /// Returns what can be charged when the customer is away.
    #[must_use]
    pub fn default_payment_method(&self) -> Option<&str> {
        let method = self.invoice_settings.default_payment_method.as_ref();
        method.map(Link::id)
    }
}
