//! What callers ask of Stripe: pages to pay on, subscriptions, and how they end. Changes of plan have a file of their own.

use std::sync::Arc;

use async_trait::async_trait;

use super::event_list::EventList;
use super::gateway::{
    CUSTOMER_KEY, CancelNow, CheckoutPage, CheckoutSession, Fault, Gateway, Kind, Metadata,
    NewItem, NewSubscription, PaymentBehavior, Price, Proration, Subscription,
    SubscriptionTerms, Trial, WithoutPayment,
};
use super::mirrored::at;
use super::payers::Payers;
use super::payments::Payments;
use super::portal::PortalsKnown;
use super::reconciliation::Reconciliation;
use super::sandbox::Sandbox;
use super::setup::Setup;
use super::subscriptions::{Follower, NotFollowed};
use super::test_clock::TestClock;
use super::usage_out::UsageOut;
use super::webhooks_in::WebhooksIn;
use crate::domain::billing::{PriceList, Purchase, Sold, items_of, price_list};
use crate::domain::catalog::Interval;
use crate::domain::id::{CustomerId, PlanId};
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;
use crate::engine::{
    AccountBalance, Biller, BillingFault, CancelWhen, ChangeAsk, ChangePreview, CheckoutAsk,
    Engine, Error, HostedPage, InvoiceAsk, InvoiceView, Order, PayAsk, PaymentPage, PaymentRequest,
    PaymentView, Reconciled, RefundAsk, Replayed, SubscribeAsk, Thing, UsageInvoice,
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

/// The prices of a plan at Stripe.
pub(super) struct Offered {
    /// What a subscription to it has.
    pub(super) items: Vec<NewItem>,
    /// For how many days it is free at first; 0: none.
    pub(super) trial_days: u32,
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
            let inbox = WebhooksIn::new(engine.clone(), follower.clone(), payments.clone());
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

    /// Returns the prices of a plan of the current catalog.
    pub(super) async fn offered(
        &self,
        plan: &PlanId,
        interval: Interval,
    ) -> Result<Offered, Error> {
        let catalog = self.engine.catalog().catalog;
        let of = catalog.plans.get(plan);
        let of = of.ok_or_else(|| Error::not_found(Thing::Plan, plan))?;
        let list = price_list(&catalog);
        let keys = items_of(&list, plan, interval);
        let own = Sold::Plan(plan.clone(), interval).lookup_key();
        if keys.iter().all(|key| **key != *own) {
            let rule = "must be one that the plan has a price for";
            return Err(Error::invalid("interval", rule));
        }
        let prices = self.prices(&list, &keys).await?;
        let mut items = Vec::with_capacity(keys.len());
        for price in prices {
            let is_metered = price
                .recurring
                .as_ref()
                .is_some_and(|of| of.meter.is_some());
            items.push(NewItem {
                price: price.id.clone(),
                quantity: (!is_metered).then_some(1),
            });
        }
        Ok(Offered {
            items,
            trial_days: of.trial_days,
        })
    }

    /// Returns the prices that Stripe has of a list, by lookup key.
    async fn prices(&self, list: &PriceList, keys: &[Box<str>]) -> Result<Vec<Price>, Error> {
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

    /// Refuses to subscribe a customer that has a subscription which runs.
    async fn check_free(&self, customer: &CustomerId) -> Result<(), Error> {
        match self.running(customer).await {
            Ok(running) => Err(Error::Exists {
                kind: Thing::Subscription,
                id: running.to_string(),
            }),
            Err(Error::NotFound {
                kind: Thing::Subscription,
                ..
            }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns the id of the subscription that Stripe bills.
    pub(super) async fn running(&self, customer: &CustomerId) -> Result<Box<str>, Error> {
        use crate::domain::subscription::SubscriptionStatus as Status;
        let (_, held) = self.engine.get_customer(customer).await?;
        let running = held.filter(|held| !matches!(held.status, Status::Canceled));
        let link = running.and_then(|held| held.stripe);
        let link = link.ok_or_else(|| Error::not_found(Thing::Subscription, customer))?;
        Ok(link.id)
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
    async fn take_over_changed(&self, customer: &CustomerId) -> Result<(), Error> {
        let taken = self.take_over(customer).await;
        taken.map_err(|why| {
            let why = format!("it was done, and is not known here yet: {why}");
            Error::Billing(BillingFault::OutcomeUnknown(why))
        })
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

impl StripeBiller {
    /// Opens a page on which a customer subscribes.
    async fn plan_checkout(
        &self,
        page: &CheckoutPage,
        (customer, plan, interval): (&CustomerId, &PlanId, Interval),
        key: &str,
    ) -> Result<CheckoutSession, Error> {
        self.check_free(customer).await?;
        let offered = self.offered(plan, interval).await?;
        let terms = SubscriptionTerms {
            items: offered.items,
            trial_days: Some(offered.trial_days).filter(|days| *days > 0),
        };
        let session = self.gateway.create_subscription_checkout(page, &terms, key);
        session.await.map_err(refused)
    }
}

/// Returns the page that a customer is to see.
fn page_of(ask: &CheckoutAsk, payer: &str) -> CheckoutPage {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    CheckoutPage {
        customer: payer.to_owned(),
        success_url: ask.success_url.to_string(),
        cancel_url: some(&ask.cancel_url),
        client_reference_id: Some(ask.customer.to_string()),
        metadata: owned_by(&ask.customer),
        ..CheckoutPage::default()
    }
}

/// What an object of Stripe's says of whose it is.
fn owned_by(customer: &CustomerId) -> Metadata {
    Metadata::from([(CUSTOMER_KEY.to_owned(), customer.to_string())])
}

/// Says why Stripe did not do it.
pub(super) fn refused(fault: Fault) -> Error {
    let text = fault.to_string();
    Error::Billing(match fault.kind {
        Kind::CardDeclined => BillingFault::Declined {
            code: fault
                .details
                .decline_code
                .or(fault.details.code)
                .unwrap_or_default(),
            message: fault.details.message,
        },
        Kind::NotSent | Kind::RateLimited | Kind::Conflict => BillingFault::Unavailable(text),
        // What was asked for under the key before may have happened.
        Kind::OutcomeUnknown | Kind::IdempotencyMismatch => BillingFault::OutcomeUnknown(text),
        Kind::Authentication | Kind::Permission => BillingFault::NotSetUp(text),
        Kind::InvalidRequest | Kind::NotFound | Kind::AlreadyExists => BillingFault::Refused(text),
    })
}

pub(super) fn not_followed(why: NotFollowed) -> Error {
    match why {
        NotFollowed::Stripe(fault) => refused(fault),
        NotFollowed::Engine(error) => error,
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
        let payer = self.payer(&ask.customer).await?;
        let page = page_of(ask, &payer);
        let session = match &ask.order {
            Order::Plan(plan, interval) => {
                let of = (&ask.customer, plan, *interval);
                self.plan_checkout(&page, of, key).await?
            }
            Order::Purchase(purchase) => {
                let to = (page, &ask.customer);
                self.purchase_checkout(to, purchase, key).await?
            }
        };
        Ok(HostedPage {
            id: session.id.into(),
            url: session.url.unwrap_or_default().into(),
            expire_time: Some(at(session.expires_at)),
        })
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
        let payer = self.payer(&ask.customer).await?;
        self.check_free(&ask.customer).await?;
        let offered = self.offered(&ask.plan, ask.interval).await?;
        let trial = (offered.trial_days > 0).then(|| Trial {
            days: offered.trial_days,
            without_payment: WithoutPayment::Pause,
        });
        let new = NewSubscription {
            customer: payer.to_string(),
            items: offered.items,
            trial,
            coupons: Vec::new(),
            default_payment_method: None,
            payment_behavior: PaymentBehavior::ErrorIfIncomplete,
            metadata: owned_by(&ask.customer),
        };
        self.gateway
            .create_subscription(&new, key)
            .await
            .map_err(refused)?;
        self.take_over_changed(&ask.customer).await
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
        let subscription = self.running(customer).await?;
        self.check_commitment(customer, when == CancelWhen::PeriodEnd)
            .await?;
        self.leave_schedule(&subscription, key).await?;
        let ended: Result<Subscription, Fault> = match when {
            CancelWhen::PeriodEnd => {
                let gateway = &self.gateway;
                gateway
                    .set_cancel_at_period_end(&subscription, true, key)
                    .await
            }
            CancelWhen::Now => {
                self.flush(customer).await?;
                let how = CancelNow {
                    invoice_now: true,
                    prorate: false,
                };
                self.gateway.cancel_subscription(&subscription, how).await
            }
        };
        ended.map_err(refused)?;
        self.take_over_changed(customer).await
    }

    async fn resume(&self, customer: &CustomerId, key: &str) -> Result<(), Error> {
        let subscription = self.running(customer).await?;
        let now = self
            .gateway
            .retrieve_subscription(&subscription)
            .await
            .map_err(refused)?;
        let resumed = if now.status == "paused" {
            let proration = Proration::InvoiceNow;
            self.gateway
                .resume_subscription(&subscription, proration, key)
                .await
        } else {
            let gateway = &self.gateway;
            gateway
                .set_cancel_at_period_end(&subscription, false, key)
                .await
        };
        resumed.map_err(refused)?;
        self.take_over_changed(customer).await
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
        let sandbox = self.sandbox.as_ref().ok_or(BillingFault::SandboxOnly)?;
        sandbox.complete_checkout(page, card).await
    }

    async fn advance_test_clock(&self, span: Span) -> Result<Timestamp, Error> {
        let clock = self.test_clock.as_ref().ok_or(BillingFault::SandboxOnly)?;
        clock.advance(span).await
    }

    async fn set_card(&self, customer: &CustomerId, card: &str) -> Result<(), Error> {
        let sandbox = self.sandbox.as_ref().ok_or(BillingFault::SandboxOnly)?;
        let payer = self.payer(customer).await?;
        sandbox.set_card(&payer, card).await
    }
}
