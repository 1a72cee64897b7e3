//! What callers ask of Stripe, and what it is done with. How each is done stands in a file of its own.

use std::sync::Arc;

use async_trait::async_trait;

use super::event_list::EventList;
use super::gateway::{Gateway, Price};
use super::meter_errors::MeterErrors;
use super::payers::Payers;
use super::payments::Payments;
use super::portal::PortalsKnown;
use super::reconciliation::Reconciliation;
use super::refused::{not_followed, refused};
use super::sandbox::Sandbox;
use super::setup::Setup;
use super::subscriptions::Follower;
use super::test_clock::TestClock;
use super::usage_out::UsageOut;
use super::webhooks_in::WebhooksIn;
use crate::domain::billing::{PriceList, Purchase, price_list};
use crate::domain::id::CustomerId;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;
use crate::engine::{
    AccountBalance, Biller, BillingFault, CancelWhen, ChangeAsk, ChangePreview, CheckoutAsk,
    Engine, Error, HostedPage, InvoiceAsk, InvoiceView, PayAsk, PaymentPage, PaymentRequest,
    PaymentView, Reconciled, RefundAsk, Replayed, SubscribeAsk, UsageInvoice,
};
use crate::storage::Page;

/// Bills through Stripe, or through the sandbox in its place.
pub struct StripeBiller {
    pub(super) engine: Engine,
    pub(super) gateway: Arc<Gateway>,
    pub(super) follower: Follower,
    pub(super) payments: Payments,
    usage: UsageOut,
    payers: Payers,
    events: EventList,
    pub(super) setup: Setup,
    reconciliation: Reconciliation,
    /// Whether money is real.
    is_live: bool,
    /// The sandbox, where it stands in Stripe's place.
    sandbox: Option<Arc<Sandbox>>,
    /// What moves its time.
    test_clock: Option<TestClock>,
    /// The settings of the portal, once they are known.
    pub(super) portals: PortalsKnown,
}

impl StripeBiller {
    /// Bills through a gateway.
    #[must_use]
    pub fn new(
        engine: Engine,
        gateway: Arc<Gateway>,
        (incarnation, is_live): (Box<str>, bool),
        sandbox: Option<Arc<Sandbox>>,
    ) -> Self {
        let follower = Follower::new(engine.clone(), Arc::clone(&gateway));
        let payments = Payments::new(engine.clone(), Arc::clone(&gateway));
        let usage = UsageOut::new(engine.clone(), Arc::clone(&gateway));
        let test_clock = sandbox.clone().map(|sandbox| {
            let errors = MeterErrors::new(engine.clone(), Arc::clone(&gateway));
            let (follower, payments) = (follower.clone(), payments.clone());
            let inbox = WebhooksIn::new(engine.clone(), follower, payments, errors);
            TestClock::new(&engine, sandbox, usage.clone(), inbox)
        });
        Self {
            payments,
            is_live,
            follower,
            payers: Payers::new(engine.clone(), Arc::clone(&gateway), incarnation),
            events: EventList::new(engine.clone(), Arc::clone(&gateway)),
            setup: Setup::new(Arc::clone(&gateway)),
            reconciliation: Reconciliation::new(engine.clone(), Arc::clone(&gateway)),
            usage,
            engine,
            gateway,
            sandbox,
            test_clock,
            portals: PortalsKnown::default(),
        }
    }

    /// Returns the prices that Stripe has of a list, by lookup key.
    pub(super) async fn prices(
        &self,
        list: &PriceList,
        keys: &[Box<str>],
    ) -> Result<Vec<Price>, Error> {
        if self.sandbox.is_some() {
            // Nobody sets a sandbox up by hand.
            self.setup.apply(list).await.map_err(refused)?;
        }
        let mut prices = self.setup.prices(keys).await.map_err(refused)?;
        let found = keys.iter().map(|key| {
            prices.remove(&**key).ok_or_else(|| {
                let what = format!("there is no price {key}: run `bursar stripe setup`");
                Error::Billing(BillingFault::NotSetUp(what))
            })
        });
        found.collect()
    }

    /// Returns the price of a product that is sold by the piece.
    pub(super) async fn price(&self, key: &str) -> Result<Price, Error> {
        let list = price_list(&self.engine.catalog().catalog);
        let found = self.prices(&list, &[key.into()]).await?;
        found.into_iter().next().ok_or(Error::Internal)
    }

    /// Returns who a customer is at Stripe.
    pub(super) async fn payer(&self, customer: &CustomerId) -> Result<Box<str>, Error> {
        self.payers.of(customer).await.map_err(not_followed)
    }

    /// Gives a customer of the sandbox a card that pays; false when it is no sandbox.
    pub(super) async fn is_card_given(&self, payer: &str) -> Result<bool, Error> {
        match &self.sandbox {
            Some(sandbox) => sandbox.set_card(payer, "").await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Sees to it that what was used until now is at Stripe, before something is done there that it has to count before: the
    /// last invoice of a subscription has only what is there.
    pub(super) async fn flush(&self, customer: &CustomerId) -> Result<(), Error> {
        if self.usage.flush(customer).await? {
            return Ok(());
        }
        let why = "what the customer used is not at Stripe yet".to_owned();
        Err(Error::Billing(BillingFault::Unavailable(why)))
    }

    /// Takes over what Stripe has for a customer, after something was changed there. When that fails the change stands, and
    /// the same request finds it.
    pub(super) async fn take_over_changed(&self, customer: &CustomerId) -> Result<(), Error> {
        let taken = self.take_over(customer).await;
        taken.map_err(|why| {
            let why = format!("it was done, and is not known here yet: {why}");
            Error::Billing(BillingFault::OutcomeUnknown(why))
        })
    }

    /// Returns the sandbox, for what only is possible there.
    fn in_sandbox(&self) -> Result<&Sandbox, Error> {
        let sandbox = self.sandbox.as_deref();
        sandbox.ok_or_else(|| BillingFault::SandboxOnly.into())
    }

    /// Whether a sandbox stands in Stripe's place.
    pub(super) const fn has_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }

    /// Takes over what Stripe has for a customer.
    pub(super) async fn take_over(&self, customer: &CustomerId) -> Result<(), Error> {
        let payer = self.payer(customer).await?;
        let taken = self.follower.take_over(customer, &payer).await;
        taken.map_err(not_followed)
    }
}

#[async_trait]
impl Biller for StripeBiller {
    fn is_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }

    fn is_live(&self) -> bool {
        self.is_live
    }

    async fn checkout(&self, ask: &CheckoutAsk, key: &str) -> Result<HostedPage, Error> {
        self.open_page(ask, key).await
    }

    async fn portal(
        &self,
        customer: &CustomerId,
        return_url: &str,
        key: &str,
    ) -> Result<HostedPage, Error> {
        self.visit_portal(customer, return_url, key).await
    }

    async fn subscribe(&self, ask: &SubscribeAsk, key: &str) -> Result<(), Error> {
        self.begin(ask, key).await
    }

    async fn preview(&self, ask: &ChangeAsk) -> Result<ChangePreview, Error> {
        self.preview_change(ask).await
    }

    async fn change(&self, ask: &ChangeAsk, key: &str) -> Result<(), Error> {
        self.change_plan(ask, key).await?;
        self.take_over_changed(&ask.customer).await
    }

    async fn cancel(
        &self,
        customer: &CustomerId,
        when: CancelWhen,
        key: &str,
    ) -> Result<(), Error> {
        self.end(customer, when, key).await
    }

    async fn resume(&self, customer: &CustomerId, key: &str) -> Result<(), Error> {
        self.go_on(customer, key).await
    }

    async fn sync(&self, customer: &CustomerId, payer: Option<&str>) -> Result<(), Error> {
        if let Some(payer) = payer {
            let linked = self.payers.link(customer, payer).await;
            linked.map_err(not_followed)?;
        }
        self.take_over(customer).await
    }

    async fn ask_payment(&self, ask: &PayAsk, key: &str) -> Result<Box<str>, Error> {
        self.ask_for(ask, key).await
    }

    async fn payment_request(&self, id: &str) -> Result<PaymentRequest, Error> {
        self.asked_for(id).await
    }

    async fn payment_page(
        &self,
        customer: &CustomerId,
        purchase: &Purchase,
        key: &str,
    ) -> Result<PaymentPage, Error> {
        self.link_for(customer, purchase, key).await
    }

    async fn look_at_payment(&self, id: &str) -> Result<Option<PaymentView>, Error> {
        self.payments.follow(id).await.map_err(not_followed)
    }

    async fn refund(&self, ask: &RefundAsk, key: &str) -> Result<PaymentView, Error> {
        self.give_back(ask, key).await
    }

    async fn invoices(
        &self,
        customer: &CustomerId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<InvoiceView>, bool), Error> {
        self.list_invoices(customer, after, limit).await
    }

    async fn invoice_usage(&self, ask: &InvoiceAsk, key: &str) -> Result<UsageInvoice, Error> {
        self.invoice_period(ask, key).await
    }

    async fn reconcile(
        &self,
        customer: Option<CustomerId>,
        at: Option<Timestamp>,
        range: (Option<String>, usize),
    ) -> Result<Page<Reconciled>, Error> {
        let compared = self.reconciliation.compare(customer, at, range).await;
        compared.map_err(not_followed)
    }

    async fn balance(&self) -> Result<AccountBalance, Error> {
        self.held_balance().await
    }

    async fn replay(&self, range: TimeRange, after: Option<String>) -> Result<Replayed, Error> {
        let taken = self.events.page(range, after, true).await;
        let taken = taken.map_err(not_followed)?;
        Ok(Replayed {
            seen: taken.seen,
            queued: taken.queued,
            next: taken.next,
        })
    }

    async fn complete_checkout(&self, page: &str, card: &str) -> Result<(), Error> {
        self.in_sandbox()?.complete_checkout(page, card).await
    }

    async fn pay_link(&self, link: &str, card: &str) -> Result<(), Error> {
        self.in_sandbox()?.pay_link(link, card).await
    }

    async fn dispute(&self, payment: &str, cents: Option<i64>) -> Result<Box<str>, Error> {
        let sandbox = self.in_sandbox()?;
        let (charge, all) = self.charge_of(payment).await?;
        sandbox.dispute(&charge, cents.unwrap_or(all)).await
    }

    async fn close_dispute(&self, dispute: &str, won: bool) -> Result<(), Error> {
        self.in_sandbox()?.close_dispute(dispute, won).await
    }

    async fn advance_test_clock(&self, span: Span) -> Result<Timestamp, Error> {
        let clock = self.test_clock.as_ref().ok_or(BillingFault::SandboxOnly)?;
        clock.advance(span).await
    }

    async fn set_card(&self, customer: &CustomerId, card: &str) -> Result<(), Error> {
        let sandbox = self.in_sandbox()?;
        let payer = self.payer(customer).await?;
        sandbox.set_card(&payer, card).await
    }
}
