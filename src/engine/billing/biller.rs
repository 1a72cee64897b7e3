//! What the engine's callers want of whoever bills: pages to pay on, subscriptions, and their changes.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::fault::BillingFault;
use super::payments::PaymentView;
use super::purchases::{
    AccountBalance, InvoiceAsk, InvoiceView, PayAsk, PaymentPage, PaymentRequest, RefundAsk,
    UsageInvoice,
};
use super::reconcile::Reconciled;
use crate::domain::billing::Purchase;
use crate::domain::catalog::Interval;
use crate::domain::id::{CustomerId, PlanId};
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;
use crate::engine::Engine;
use crate::engine::error::Error;
use crate::engine::payment::PaymentGateway;
use crate::storage::Page;

/// Asks for a page on which a customer subscribes or pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckoutAsk {
    /// Who.
    pub customer: CustomerId,
    /// For what.
    pub order: Order,
    /// Where the page leads when all is done.
    pub success_url: Box<str>,
    /// Where it leads when the customer goes back; empty: nowhere.
    pub cancel_url: Box<str>,
}

/// What a page is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// A plan of the current catalog, and how often it is paid.
    Plan(PlanId, Interval),
    /// Something that is paid once.
    Purchase(Purchase),
}

/// A page of Stripe's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedPage {
    /// Names it at Stripe.
    pub id: Box<str>,
    /// Where it is.
    pub url: Box<str>,
    /// Until when it is open; `None`: not said.
    pub expire_time: Option<Timestamp>,
}

/// Asks for a subscription without a page, paid by what the customer pays with by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubscribeAsk {
    /// Who.
    pub customer: CustomerId,
    /// To what, of the current catalog.
    pub plan: PlanId,
    /// How often it is paid.
    pub interval: Interval,
}

/// Asks for another plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeAsk {
    /// Who.
    pub customer: CustomerId,
    /// To what, of the current catalog.
    pub plan: PlanId,
    /// How often it is paid.
    pub interval: Interval,
    /// From when on.
    pub when: ChangeWhen,
}

/// From when on another plan is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeWhen {
    /// At once, in force when it is paid: the rest of the period is charged, and what was paid of it taken off.
    Now {
        /// As of when that is computed, as a preview said; `None`: as of when it is done.
        as_of: Option<Timestamp>,
    },
    /// When the running period ends.
    PeriodEnd,
}

/// What a change of plan would cost at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePreview {
    /// Cents of US dollars to be paid at once; below zero: taken off what comes next.
    pub due_cents: i64,
    /// What that is made of.
    pub lines: Vec<PreviewLine>,
    /// As of when it was computed: the change costs this if it names this instant.
    pub as_of: Timestamp,
}

/// A line of a preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewLine {
    /// For people.
    pub description: Box<str>,
    /// Cents of US dollars.
    pub cents: i64,
}

/// What a page of events came to that are worked on once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// How many events it had.
    pub seen: usize,
    /// How many of them are worked on now.
    pub queued: usize,
    /// The event behind which the next page begins; `None`: it was the last.
    pub next: Option<String>,
}

/// How a subscription ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelWhen {
    /// When the running period ends.
    PeriodEnd,
    /// At once; usage that was not billed is billed.
    Now,
}

/// Whoever bills. Each call that changes something takes a key, under which it happens once.
#[async_trait]
pub trait Biller: PaymentGateway {
    /// Whether it is the sandbox, which stands in Stripe's place.
    fn is_sandbox(&self) -> bool;

    /// Whether money is real.
    fn is_live(&self) -> bool;

    /// Opens a page on which a customer subscribes or pays.
    ///
    /// # Errors
    /// When the customer, or what it would get, is unknown or not sold, or Stripe refuses.
    async fn checkout(&self, ask: &CheckoutAsk, key: &str) -> Result<HostedPage, Error>;

    /// Opens a page on which a customer looks after what it pays with, and sees its invoices.
    ///
    /// # Errors
    /// When the customer is unknown, or Stripe refuses.
    async fn portal(
        &self,
        customer: &CustomerId,
        return_url: &str,
        key: &str,
    ) -> Result<HostedPage, Error>;

    /// Subscribes a customer.
    ///
    /// # Errors
    /// When customer or plan is unknown or not sold, it has a subscription, or Stripe refuses.
    async fn subscribe(&self, ask: &SubscribeAsk, key: &str) -> Result<(), Error>;

    /// Says what a change of plan would cost at once.
    ///
    /// # Errors
    /// When customer or plan is unknown or not sold, or Stripe refuses.
    async fn preview(&self, ask: &ChangeAsk) -> Result<ChangePreview, Error>;

    /// Changes a customer's plan.
    ///
    /// # Errors
    /// When customer or plan is unknown or not sold, a commitment runs, or Stripe refuses.
    async fn change(&self, ask: &ChangeAsk, key: &str) -> Result<(), Error>;

    /// Ends a customer's subscription.
    ///
    /// # Errors
    /// When it has none, a commitment runs, or Stripe refuses.
    async fn cancel(&self, customer: &CustomerId, when: CancelWhen, key: &str)
    -> Result<(), Error>;

    /// Takes back that a subscription is to end, or lets one go on that rests.
    ///
    /// # Errors
    /// When it has none that is to end or rests, or Stripe refuses.
    async fn resume(&self, customer: &CustomerId, key: &str) -> Result<(), Error>;

    /// Takes over what Stripe has for a customer now. A customer that is nobody at Stripe yet becomes this one there, if one
    /// is given.
    ///
    /// # Errors
    /// When the customer is unknown or somebody else at Stripe, or Stripe cannot be asked.
    async fn sync(&self, customer: &CustomerId, payer: Option<&str>) -> Result<(), Error>;

    /// Asks a customer for money; returns the id of the payment.
    ///
    /// # Errors
    /// When the customer, or what it would get, is unknown or not sold, what it pays with declines, or Stripe refuses.
    async fn ask_payment(&self, ask: &PayAsk, key: &str) -> Result<Box<str>, Error>;

    /// Returns a payment that was asked for, with what lets a page finish it. That is a secret, so it is asked for again
    /// rather than kept.
    ///
    /// # Errors
    /// When there is no such payment, or Stripe cannot be asked.
    async fn payment_request(&self, id: &str) -> Result<PaymentRequest, Error>;

    /// Makes a page on which whoever has its address pays for a customer.
    ///
    /// # Errors
    /// As [`Biller::ask_payment`].
    async fn payment_page(
        &self,
        customer: &CustomerId,
        purchase: &Purchase,
        key: &str,
    ) -> Result<PaymentPage, Error>;

    /// Takes over how a payment stands; `None`: Stripe has none, or of nobody that is known.
    ///
    /// # Errors
    /// When Stripe cannot be asked.
    async fn look_at_payment(&self, id: &str) -> Result<Option<PaymentView>, Error>;

    /// Gives money of a payment back.
    ///
    /// # Errors
    /// When there is no such payment, or Stripe refuses.
    async fn refund(&self, ask: &RefundAsk, key: &str) -> Result<PaymentView, Error>;

    /// Returns invoices of a customer, the newest first, and whether there are more; `after` is the last of the page before.
    ///
    /// # Errors
    /// When the customer is unknown, or Stripe cannot be asked.
    async fn invoices(
        &self,
        customer: &CustomerId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<InvoiceView>, bool), Error>;

    /// Makes an invoice of what was used in a billing period, as far as nothing else bills it.
    ///
    /// # Errors
    /// When the customer is unknown, the period has not ended, or Stripe refuses.
    async fn invoice_usage(&self, ask: &InvoiceAsk, key: &str) -> Result<UsageInvoice, Error>;

    /// Compares what was used with what Stripe counted and invoiced, in the billing periods that hold an instant.
    ///
    /// # Errors
    /// When Stripe cannot be asked.
    async fn reconcile(
        &self,
        customer: Option<CustomerId>,
        at: Option<Timestamp>,
        range: (Option<String>, usize),
    ) -> Result<Page<Reconciled>, Error>;

    /// Returns what Stripe holds for the account.
    ///
    /// # Errors
    /// When Stripe cannot be asked.
    async fn balance(&self) -> Result<AccountBalance, Error>;

    /// Works on a page of the events that Stripe has of a range, the newest first, as if their webhooks came now. `after` is the
    /// event behind which to go on.
    ///
    /// # Errors
    /// When Stripe cannot be asked.
    async fn replay(&self, range: TimeRange, after: Option<String>) -> Result<Replayed, Error>;

    /// Pays at a page of the sandbox's, with a test card.
    ///
    /// # Errors
    /// When it is no sandbox, there is no such page, or the card does not pay.
    async fn complete_checkout(&self, page: &str, card: &str) -> Result<(), Error>;

    /// Pays at the page of a payment link of the sandbox's.
    ///
    /// # Errors
    /// When it is no sandbox, there is no such link, or the card does not pay.
    async fn pay_link(&self, link: &str, card: &str) -> Result<(), Error>;

    /// Disputes a payment of the sandbox's, or some cents of it; returns the dispute.
    ///
    /// # Errors
    /// When it is no sandbox, there is no such payment, it has not succeeded, or it is disputed.
    async fn dispute(&self, payment: &str, cents: Option<i64>) -> Result<Box<str>, Error>;

    /// Decides a dispute of the sandbox's.
    ///
    /// # Errors
    /// When it is no sandbox, there is no such dispute, or it is decided.
    async fn close_dispute(&self, dispute: &str, won: bool) -> Result<(), Error>;

    /// Moves the time of the whole server forward, with all that becomes due on the way; returns what time it is then.
    ///
    /// # Errors
    /// When it is no sandbox, other servers share the database, or not all that became due is worked off.
    async fn advance_test_clock(&self, span: Span) -> Result<Timestamp, Error>;

    /// Gives a customer of the sandbox another test card to pay with.
    ///
    /// # Errors
    /// When it is no sandbox, the customer is unknown, or the number is no test card's.
    async fn set_card(&self, customer: &CustomerId, card: &str) -> Result<(), Error>;
}

impl Engine {
    /// Says who bills from now on; `None`: nobody. Who bills holds the engine as well, so it is to be let go of before the
    /// engine can end.
    pub fn set_biller(&self, biller: Option<Arc<dyn Biller>>) {
        *self.shared.biller.write() = biller;
    }

    /// Returns who bills.
    ///
    /// # Errors
    /// When nobody does.
    pub fn biller(&self) -> Result<Arc<dyn Biller>, Error> {
        let biller = self.shared.biller.read().clone();
        biller.ok_or(Error::Billing(BillingFault::Absent))
    }
}
