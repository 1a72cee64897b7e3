//! Customers.

use stripe_core::customer::{
    CreateCustomer, CreateCustomerInvoiceSettings, DeleteCustomer, ListCustomer, RetrieveCustomer,
    UpdateCustomer, UpdateCustomerInvoiceSettings,
};

use super::super::account::{Answer, Deleted, Gateway};
use super::super::objects::{CUSTOMER_KEY, Customer};
use super::super::page::{Cursor, Page, set_if_any, set_if_some, turn_to};
use super::super::shape::{Metadata, unordered};

/// A customer to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewCustomer {
    /// The id that ours has.
    pub ours: String,
    /// Their name.
    pub name: Option<String>,
    /// Where invoices go.
    pub email: Option<String>,
    /// What is charged by default; `None`: nothing yet.
    pub payment_method: Option<String>,
    /// What else is kept with it.
    pub metadata: Metadata,
}

/// What changes of a customer; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerChange {
    /// Their name.
    pub name: Option<String>,
    /// Where invoices go.
    pub email: Option<String>,
    /// What is charged for subscriptions and invoices that name nothing else.
    pub default_payment_method: Option<String>,
    /// What else is kept with it.
    pub metadata: Metadata,
}

impl Gateway {
    /// Creates a customer that carries the id of ours.
    pub async fn create_customer(&self, new: &NewCustomer, key: &str) -> Answer<Customer> {
        let mut metadata = unordered(&new.metadata);
        metadata.insert(CUSTOMER_KEY.to_owned(), new.ours.clone());
        let mut request = CreateCustomer::new().metadata(metadata);
        set_if_some!(request, name = &new.name, email = &new.email);
        if let Some(method) = &new.payment_method {
            let mut settings = CreateCustomerInvoiceSettings::new();
            settings.default_payment_method = Some(method.clone());
            request = request
                .payment_method(method.as_str())
                .invoice_settings(settings);
        }
        self.change(&request, key).await
    }

    /// Deletes a customer, and ends its subscriptions at once.
    pub async fn delete_customer(&self, id: &str) -> Answer<Deleted> {
        self.end(&DeleteCustomer::new(id)).await
    }

    /// Returns a customer, also one that was deleted.
    pub async fn retrieve_customer(&self, id: &str) -> Answer<Customer> {
        self.read(&RetrieveCustomer::new(id)).await
    }

    /// Changes a customer.
    pub async fn update_customer(
        &self,
        id: &str,
        change: &CustomerChange,
        key: &str,
    ) -> Answer<Customer> {
        let mut request = UpdateCustomer::new(id);
        set_if_some!(request, name = &change.name, email = &change.email);
        if let Some(method) = &change.default_payment_method {
            let mut settings = UpdateCustomerInvoiceSettings::new();
            settings.default_payment_method = Some(method.clone());
            request = request.invoice_settings(settings);
        }
        set_if_any!(request, metadata = change.metadata => unordered(&change.metadata));
        self.change(&request, key).await
    }

    /// Returns the customers, or those with an address of mail, which is compared to the letter.
    pub async fn list_customers(
        &self,
        email: Option<&str>,
        cursor: Cursor<'_>,
    ) -> Answer<Page<Customer>> {
        let mut request = turn_to!(ListCustomer::new(), cursor);
        set_if_some!(request, email = email);
        self.read(&request).await
    }
}
