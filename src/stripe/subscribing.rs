//! Subscriptions begun, ended and gone on with. Changes of plan have a file of their own.

use super::biller::StripeBiller;
use super::gateway::{
    CUSTOMER_KEY, CancelNow, CheckoutPage, CheckoutSession, Fault, Metadata, NewItem,
    NewSubscription, PaymentBehavior, Proration, Subscription, SubscriptionTerms, Trial,
    WithoutPayment,
};
use super::mirrored::at;
use super::refused::refused;
use crate::domain::billing::{Sold, items_of, price_list};
use crate::domain::catalog::Interval;
use crate::domain::id::{CustomerId, PlanId};
use crate::engine::{CancelWhen, CheckoutAsk, Error, HostedPage, Order, SubscribeAsk, Thing};

/// The prices of a plan at Stripe.
pub(super) struct Offered {
    /// What a subscription to it has.
    pub(super) items: Vec<NewItem>,
    /// For how many days it is free at first; 0: none.
    pub(super) trial_days: u32,
}

impl StripeBiller {
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

    /// Opens a page on which a customer subscribes or pays.
    pub(super) async fn open_page(
        &self,
        ask: &CheckoutAsk,
        key: &str,
    ) -> Result<HostedPage, Error> {
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

    /// Subscribes a customer, paid by what it pays with by default.
    pub(super) async fn begin(&self, ask: &SubscribeAsk, key: &str) -> Result<(), Error> {
        let payer = self.payer(&ask.customer).await?;
        self.check_free(&ask.customer).await?;
        let offered = self.offered(&ask.plan, ask.interval).await?;
        let trial = (offered.trial_days > 0).then_some(Trial {
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

    /// Ends a subscription.
    pub(super) async fn end(
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

    /// Takes back that a subscription is to end, or lets one go on that rests.
    pub(super) async fn go_on(&self, customer: &CustomerId, key: &str) -> Result<(), Error> {
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
