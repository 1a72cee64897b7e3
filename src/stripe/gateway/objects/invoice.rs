//! Invoices and their lines.

use super::super::page::Page;
use super::super::shape::Metadata;
use super::{Link, Secret, object, part};

object! {
    /// What a customer owes and why.
    Invoice {
        /// What is printed on it; `None`: it is not final.
        number: Option<String>,
        /// `draft`, `open`, `paid`, `void` or `uncollectible`.
        status: Option<String>,
        /// Who.
        customer: Option<Link>,
        /// What made it, where it is a subscription.
        parent: Option<InvoiceParent>,
        /// `usd`.
        currency: String,
        /// Cents, before discounts and taxes.
        subtotal: i64,
        /// Cents, all included. Below zero it is credited.
        total: i64,
        /// Cents to be paid, after the customer's credit.
        amount_due: i64,
        /// Cents that are paid.
        amount_paid: i64,
        /// Cents that are not.
        amount_remaining: i64,
        /// Cents of credit that the customer had before, as a negative number.
        starting_balance: i64,
        /// How often a payment was tried.
        attempt_count: u64,
        /// When it is tried next; `None`: never.
        next_payment_attempt: Option<i64>,
        /// `subscription_create`, `subscription_cycle`, `subscription_update`, `manual` and others.
        billing_reason: Option<String>,
        /// `charge_automatically` or `send_invoice`.
        collection_method: String,
        /// Whether Stripe goes on with it by itself.
        auto_advance: bool,
        /// When it was created.
        created: i64,
        /// When it is due, where it is sent.
        due_date: Option<i64>,
        /// When what it bills began.
        period_start: i64,
        /// When what it bills ended.
        period_end: i64,
        /// The first lines.
        lines: Page<InvoiceLine>,
        /// The payments, where the call asked for them.
        payments: Page<InvoicePayment>,
        /// What lets a page of the customer's pay it, where the call asked for it.
        confirmation_secret: Option<Confirmation>,
        /// When it became what it is.
        status_transitions: StatusTimes,
        /// Where the customer reads and pays it.
        hosted_invoice_url: Option<String>,
        /// Where it is to be printed.
        invoice_pdf: Option<String>,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}

part! {
    /// What lets a page of the customer's pay an invoice.
    Confirmation {
        /// The secret of its payment.
        client_secret: Option<Secret>,
    }
}

part! {
    /// What made an invoice.
    InvoiceParent {
        /// The subscription that did.
        subscription_details: Option<InvoiceSubscription>,
    }
}

part! {
    /// The subscription that made an invoice.
    InvoiceSubscription {
        /// Which.
        subscription: Option<Link>,
        /// What its metadata was.
        metadata: Metadata,
    }
}

part! {
    /// When an invoice became what it is.
    StatusTimes {
        /// When it became final.
        finalized_at: Option<i64>,
        /// When it was paid.
        paid_at: Option<i64>,
        /// When it was void.
        voided_at: Option<i64>,
        /// When it was given up.
        marked_uncollectible_at: Option<i64>,
    }
}

object! {
    /// A line of an invoice.
    InvoiceLine {
        /// Cents, without taxes. Below zero it is credit.
        amount: i64,
        /// What customers read.
        description: Option<String>,
        /// How many.
        quantity: Option<i64>,
        /// What time it is for.
        period: super::super::calls::Span,
        /// At which price.
        pricing: Option<LinePricing>,
        /// What made it.
        parent: Option<LineParent>,
        /// Ours.
        metadata: Metadata,
    }
}

part! {
    /// At which price a line is.
    LinePricing {
        /// The price.
        price_details: Option<LinePrice>,
        /// Cents per unit as a decimal.
        unit_amount_decimal: Option<String>,
    }
}

part! {
    /// The price of a line.
    LinePrice {
        /// Which.
        price: Option<Link>,
        /// What it is the price of.
        product: Option<Link>,
    }
}

part! {
    /// What made a line.
    LineParent {
        /// An item of a subscription, or
        subscription_item_details: Option<LineItemParent>,
        /// an invoice item.
        invoice_item_details: Option<LineItemParent>,
    }
}

part! {
    /// The item that made a line.
    LineItemParent {
        /// The item of a subscription.
        subscription_item: Option<Link>,
        /// The invoice item.
        invoice_item: Option<Link>,
        /// The subscription.
        subscription: Option<Link>,
        /// Whether it is for a part of a period.
        proration: bool,
    }
}

object! {
    /// A payment of an invoice.
    InvoicePayment {
        /// Cents that it paid.
        amount_paid: Option<i64>,
        /// `open`, `paid` or `canceled`.
        status: String,
        /// What paid.
        payment: Option<Paid>,
    }
}

part! {
    /// What paid an invoice.
    Paid {
        /// The payment.
        payment_intent: Option<Link>,
    }
}

impl Invoice {
    /// Returns the subscription that made it.
    #[must_use]
    pub fn subscription(&self) -> Option<&str> {
        let details = self.parent.as_ref()?.subscription_details.as_ref()?;
        details.subscription.as_ref().map(Link::id)
    }

    /// Returns the newest payment that was made of it or tried, where the call asked for payments.
    #[must_use]
    pub fn payment_intent(&self) -> Option<&str> {
        let payment = self.payments.data.first()?.payment.as_ref()?;
        payment.payment_intent.as_ref().map(Link::id)
    }
}

impl InvoiceLine {
    /// Returns the id of its price.
    #[must_use]
    pub fn price(&self) -> Option<&str> {
        let details = self.pricing.as_ref()?.price_details.as_ref()?;
        details.price.as_ref().map(Link::id)
    }

    /// Returns whether it is for a part of a period.
    #[must_use]
    pub fn is_proration(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| {
            [
                &parent.subscription_item_details,
                &parent.invoice_item_details,
            ]
            .into_iter()
            .flatten()
            .any(|item| item.proration)
        })
    }
}
