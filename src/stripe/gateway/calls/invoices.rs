//! Invoices.

use stripe_billing::invoice::{
    CreateInvoice, CreateInvoicePendingInvoiceItemsBehavior, CreatePreviewInvoice,
    CreatePreviewInvoiceSubscriptionDetails, CreatePreviewInvoiceSubscriptionDetailsItems,
    CreatePreviewInvoiceSubscriptionDetailsProrationBehavior, FinalizeInvoiceInvoice, ListInvoice,
    PayInvoice, RetrieveInvoice, VoidInvoiceInvoice,
};
use stripe_shared::InvoiceCollectionMethod;
use stripe_types::Currency;

use super::super::account::{Answer, Gateway};
use super::super::objects::Invoice;
use super::super::page::{Cursor, Page, set_if_any, set_if_some, turn_to};
use super::super::shape::{Metadata, unordered};
use super::subscription_changes::ItemChange;
use super::terms::{Proration, word};

/// An invoice to be created, as a draft to which items are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvoice {
    /// Who, by the id at Stripe.
    pub customer: String,
    /// How its money comes.
    pub collection: Collection,
    /// Whether it takes the items that wait for an invoice of the customer; otherwise it takes only
    /// those that name it.
    pub take_pending_items: bool,
    /// What customers read.
    pub description: Option<String>,
    /// What is kept with it.
    pub metadata: Metadata,
}

/// How the money of an invoice comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// What the customer pays with is charged.
    Charge,
    /// It is sent, and due after so many days.
    Send {
        /// Days.
        due_days: u32,
    },
}

/// Which invoices are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InvoiceFilter<'a> {
    /// Whose; `None`: everybody's.
    pub customer: Option<&'a str>,
    /// Of which subscription; `None`: of any or none.
    pub subscription: Option<&'a str>,
}

/// A change of a subscription that is only thought of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedChange {
    /// The subscription.
    pub subscription: String,
    /// What would change of its items; empty: nothing, so that the next invoice is shown.
    pub items: Vec<ItemChange>,
    /// What would become of the part of the period that the change cuts off.
    pub proration: Option<Proration>,
    /// When it would happen.
    pub proration_date: Option<i64>,
}

impl Gateway {
    /// Creates an invoice. It stays a draft until it is made final.
    pub async fn create_invoice(&self, new: &NewInvoice, key: &str) -> Answer<Invoice> {
        let pending = if new.take_pending_items {
            CreateInvoicePendingInvoiceItemsBehavior::Include
        } else {
            CreateInvoicePendingInvoiceItemsBehavior::Exclude
        };
        let mut request = CreateInvoice::new()
            .customer(new.customer.as_str())
            .currency(Currency::USD)
            .auto_advance(false)
            .pending_invoice_items_behavior(pending);
        request = match new.collection {
            Collection::Charge => {
                request.collection_method(InvoiceCollectionMethod::ChargeAutomatically)
            }
            Collection::Send { due_days } => request
                .collection_method(InvoiceCollectionMethod::SendInvoice)
                .days_until_due(due_days),
        };
        set_if_some!(request, description = &new.description);
        set_if_any!(request, metadata = new.metadata => unordered(&new.metadata));
        self.change(&request, key).await
    }

    /// Makes a draft final. With `auto_advance` Stripe then sees to its payment by itself.
    pub async fn finalize_invoice(
        &self,
        id: &str,
        auto_advance: bool,
        key: &str,
    ) -> Answer<Invoice> {
        let request = FinalizeInvoiceInvoice::new(id).auto_advance(auto_advance);
        self.change(&request, key).await
    }

    /// Pays an invoice while the customer is away, by what is named or by the customer's default.
    pub async fn pay_invoice(
        &self,
        id: &str,
        payment_method: Option<&str>,
        key: &str,
    ) -> Answer<Invoice> {
        let mut request = PayInvoice::new(id)
            .off_session(true)
            .expand(vec!["payments".to_owned()]);
        set_if_some!(request, payment_method = payment_method);
        self.change(&request, key).await
    }

    /// Takes an invoice back that is final and not paid.
    pub async fn void_invoice(&self, id: &str, key: &str) -> Answer<Invoice> {
        self.change(&VoidInvoiceInvoice::new(id), key).await
    }

    /// Returns an invoice with its payments.
    pub async fn retrieve_invoice(&self, id: &str) -> Answer<Invoice> {
        let request = RetrieveInvoice::new(id).expand(vec!["payments".to_owned()]);
        self.read(&request).await
    }

    /// Returns invoices with their payments.
    pub async fn list_invoices(
        &self,
        filter: InvoiceFilter<'_>,
        cursor: Cursor<'_>,
    ) -> Answer<Page<Invoice>> {
        let mut request = turn_to!(ListInvoice::new(), cursor);
        request = request.expand(vec!["data.payments".to_owned()]);
        set_if_some!(
            request,
            customer = filter.customer,
            subscription = filter.subscription,
        );
        self.read(&request).await
    }

    /// Returns the invoice that a change of a subscription would make.
    pub async fn preview_change(&self, planned: &PlannedChange) -> Answer<Invoice> {
        let mut request = CreatePreviewInvoice::new().subscription(planned.subscription.as_str());
        if !planned.items.is_empty() || planned.proration.is_some() {
            let mut details = CreatePreviewInvoiceSubscriptionDetails::new();
            if !planned.items.is_empty() {
                details.items = Some(planned.items.iter().map(item).collect());
            }
            details.proration_behavior = planned.proration.map(|proration| {
                word::<CreatePreviewInvoiceSubscriptionDetailsProrationBehavior>(proration.as_str())
            });
            details.proration_date = planned.proration_date;
            request = request.subscription_details(details);
        }
        self.work_out(&request).await
    }
}

fn item(change: &ItemChange) -> CreatePreviewInvoiceSubscriptionDetailsItems {
    let mut theirs = CreatePreviewInvoiceSubscriptionDetailsItems::new();
    match change {
        ItemChange::Add { price, quantity } => {
            theirs.price = Some(price.clone());
            theirs.quantity = *quantity;
        }
        ItemChange::Change {
            item,
            price,
            quantity,
        } => {
            theirs.id = Some(item.clone());
            theirs.price.clone_from(price);
            theirs.quantity = *quantity;
        }
        ItemChange::Remove { item } => {
            theirs.id = Some(item.clone());
            theirs.deleted = Some(true);
        }
    }
    theirs
}
