//! What the engine's callers want of whoever bills beside subscriptions: payments, money back, invoices.

use serde::{Deserialize, Serialize};

use super::invoices::PendingLine;
use super::payments::PaymentView;
use crate::domain::billing::{Purchase, Sale, sale};
use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;
use crate::engine::Engine;
use crate::engine::error::{Error, Thing};

/// Asks a customer for money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayAsk {
    /// Who.
    pub customer: CustomerId,
    /// For what.
    pub purchase: Purchase,
    /// Whether what the customer pays with by default is charged at once.
    pub charge_now: bool,
}

/// A payment that was asked for.
pub struct PaymentRequest {
    /// How it stands.
    pub view: PaymentView,
    /// What lets a page of the customer's finish it; empty: there is nothing to finish.
    pub client_secret: Box<str>,
}

/// A page that can be paid again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentPage {
    /// Its id at Stripe.
    pub id: Box<str>,
    /// Where it is.
    pub url: Box<str>,
}

/// Asks to give money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefundAsk {
    /// Of which payment.
    pub payment: Box<str>,
    /// Cents; `None`: all that is left of it.
    pub cents: Option<i64>,
    /// Why; `None`: nothing is said.
    pub why: Option<RefundWhy>,
    /// Whether the customer keeps the credits that the money paid for.
    pub keep_credits: bool,
}

/// Why money is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundWhy {
    /// It was paid twice.
    Duplicate,
    /// It was not the customer who paid.
    Fraudulent,
    /// The customer asked.
    RequestedByCustomer,
}

/// An invoice as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceView {
    /// Its id.
    pub id: Box<str>,
    /// What is printed on it; empty: it is not final.
    pub number: Box<str>,
    /// Where it stands, in Stripe's word.
    pub status: Box<str>,
    /// Cents, all included.
    pub total_cents: i64,
    /// Cents to be paid, after the customer's credit there.
    pub due_cents: i64,
    /// Cents that are paid.
    pub paid_cents: i64,
    /// How often a payment was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_attempt: Option<Timestamp>,
    /// Why there is one, in Stripe's word.
    pub reason: Box<str>,
    /// The subscription that made it; empty: none.
    pub subscription: Box<str>,
    /// The newest payment of it; empty: none.
    pub payment: Box<str>,
    /// Where the customer reads and pays it; empty: nowhere.
    pub url: Box<str>,
    /// When it was made.
    pub create_time: Timestamp,
    /// From when on it bills.
    pub period_start: Timestamp,
    /// Until when it bills.
    pub period_end: Timestamp,
    /// Its first lines.
    pub lines: Vec<InvoiceLineView>,
}

/// Asks for an invoice of what was used in a billing period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvoiceAsk {
    /// Whose.
    pub customer: CustomerId,
    /// Any instant of the period; `None`: the one that ended last.
    pub at: Option<Timestamp>,
    /// After how many days it is due; 0: it is charged.
    pub due_days: u32,
}

/// An invoice of a billing period, and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageInvoice {
    /// The period.
    pub period: TimeRange,
    /// The invoice; `None`: there was nothing to invoice, or it was only worked out.
    pub invoice: Option<InvoiceView>,
    /// What it is made of.
    pub lines: Vec<PendingLine>,
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLineView {
    /// What customers read.
    pub description: Box<str>,
    /// Cents; below zero it is credit.
    pub cents: i64,
    /// How many.
    pub quantity: i64,
}

/// What Stripe holds for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountBalance {
    /// Cents that can be paid out.
    pub available_cents: i64,
    /// Cents that cannot yet.
    pub pending_cents: i64,
    /// Whether money is real.
    pub livemode: bool,
}

impl Engine {
    /// Works out what an invoice would be made of; nothing is made.
    ///
    /// # Errors
    /// When there is no such customer, the period has not ended, or the store fails.
    pub async fn plan_invoice(&self, ask: &InvoiceAsk) -> Result<UsageInvoice, Error> {
        let own = self.own_invoice(&ask.customer, ask.at).await?;
        Ok(UsageInvoice {
            period: own.period,
            invoice: None,
            lines: self.uninvoiced(&ask.customer, &own).await?,
        })
    }

    /// Returns how a purchase of a customer is charged, by the current catalog.
    ///
    /// # Errors
    /// When there is no such customer or subaccount, or it is not sold so.
    pub async fn sale(&self, customer: &CustomerId, purchase: &Purchase) -> Result<Sale, Error> {
        use crate::domain::billing::NotSold;
        let cell = self.customer(customer).await?;
        if let Purchase::Product {
            subaccount: Some(id),
            ..
        } = purchase
        {
            let is_there = cell
                .lock()
                .look(self.now(), |account| account.live_subaccount(id).is_some());
            if is_there != Some(true) {
                return Err(Error::not_found(Thing::Subaccount, id));
            }
        }
        sale(&self.catalog().catalog, purchase).map_err(|why| match why {
            NotSold::Unknown(id) => Error::not_found(Thing::Product, &id),
            NotSold::NoCredits => Error::invalid("purchase.subaccount_id", why.to_string()),
            NotSold::TooMuch => Error::invalid("purchase.quantity", why.to_string()),
            NotSold::ByUse | NotSold::NoWholeCents => {
                Error::invalid("purchase.product_id", why.to_string())
            }
        })
    }
}
