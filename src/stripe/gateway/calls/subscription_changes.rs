//! Subscriptions: changed and ended.

use stripe_billing::subscription::{
    CancelSubscription, ResumeSubscription, ResumeSubscriptionProrationBehavior,
    UpdateSubscription, UpdateSubscriptionCancelAt, UpdateSubscriptionItems,
    UpdateSubscriptionPauseCollection, UpdateSubscriptionPauseCollectionBehavior,
    UpdateSubscriptionPaymentBehavior, UpdateSubscriptionProrationBehavior,
    UpdateSubscriptionTrialEnd,
};
use stripe_client_core::StripeRequest as _;

use super::super::account::{Answer, Gateway};
use super::super::caller::Manner;
use super::super::objects::Subscription;
use super::super::page::{set_if_any, set_if_some};
use super::super::shape::{Metadata, emptied, shape, unordered};
use super::subscriptions::{discounts, invoice_to_pay};
use super::terms::{PaymentBehavior, Proration, word};

/// What changes of a subscription; what is `None` or empty stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// What changes of its items. Those that are not named stay.
    pub items: Vec<ItemChange>,
    /// What becomes of the part of the period that the change cuts off; `None`: the next invoice
    /// has it.
    pub proration: Option<Proration>,
    /// As of when that part is computed; the time of a preview, so that it costs what that said.
    pub proration_date: Option<i64>,
    /// What becomes of the change when its payment fails.
    pub payment_behavior: Option<PaymentBehavior>,
    /// Until when nothing is charged.
    pub trial_end: Option<i64>,
    /// The ids of coupons, in place of those there are.
    pub coupons: Vec<String>,
    /// What is charged.
    pub default_payment_method: Option<String>,
    /// What is kept with it.
    pub metadata: Metadata,
}

/// What changes of an item of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemChange {
    /// It is added.
    Add {
        /// The id of its price.
        price: String,
        /// How many; `None` where the price is metered.
        quantity: Option<u64>,
    },
    /// It changes.
    Change {
        /// The id of the item.
        item: String,
        /// The id of its new price; `None`: it stays.
        price: Option<String>,
        /// How many; `None`: as many as before.
        quantity: Option<u64>,
    },
    /// It goes.
    Remove {
        /// The id of the item.
        item: String,
    },
}

/// What becomes of invoices while payments rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseBehavior {
    /// They wait, to be paid later.
    KeepAsDraft,
    /// They are given up, and stay to be seen.
    MarkUncollectible,
    /// They are void: what was delivered is given away.
    Void,
}

/// How a subscription ends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelNow {
    /// Whether usage that is not invoiced yet is. Otherwise it never is.
    pub invoice_now: bool,
    /// Whether what is left of the period is credited.
    pub prorate: bool,
}

impl Gateway {
    /// Changes a subscription. One that has a schedule is changed through it.
    pub async fn update_subscription(
        &self,
        id: &str,
        change: &SubscriptionChange,
        key: &str,
    ) -> Answer<Subscription> {
        let mut request = UpdateSubscription::new(id).expand(invoice_to_pay());
        let items = || -> Vec<_> { change.items.iter().map(item).collect() };
        let proration = change
            .proration
            .map(|proration| word::<UpdateSubscriptionProrationBehavior>(proration.as_str()));
        let payment = change
            .payment_behavior
            .map(|behavior| word::<UpdateSubscriptionPaymentBehavior>(behavior.as_str()));
        set_if_some!(
            request,
            proration_behavior = proration,
            proration_date = change.proration_date,
            payment_behavior = payment,
            trial_end = change.trial_end.map(UpdateSubscriptionTrialEnd::Timestamp),
            default_payment_method = &change.default_payment_method,
        );
        set_if_any!(
            request,
            items = change.items => items(),
            discounts = change.coupons => discounts(&change.coupons),
            metadata = change.metadata => unordered(&change.metadata),
        );
        self.change(&request, key).await
    }

    /// Ends a subscription with the period that runs, or takes that back.
    pub async fn set_cancel_at_period_end(
        &self,
        id: &str,
        cancel: bool,
        key: &str,
    ) -> Answer<Subscription> {
        let request = UpdateSubscription::new(id).cancel_at_period_end(cancel);
        self.change(&request, key).await
    }

    /// Ends a subscription at a time, or takes that back. The part of a period before that time is
    /// prorated as said.
    pub async fn set_cancel_at(
        &self,
        id: &str,
        time: Option<i64>,
        proration: Proration,
        key: &str,
    ) -> Answer<Subscription> {
        let mut request =
            UpdateSubscription::new(id).proration_behavior(word::<
                UpdateSubscriptionProrationBehavior,
            >(proration.as_str()));
        if let Some(time) = time {
            request = request.cancel_at(UpdateSubscriptionCancelAt::Timestamp(time));
            return self.change(&request, key).await;
        }
        let request = shape(emptied(request.build(), "cancel_at"), Some(key))?;
        self.caller.call(&request, Manner::Repeated).await
    }

    /// Lets payments rest. The subscription keeps its status.
    pub async fn pause_collection(
        &self,
        id: &str,
        behavior: PauseBehavior,
        resumes_at: Option<i64>,
        key: &str,
    ) -> Answer<Subscription> {
        let mut pause = UpdateSubscriptionPauseCollection::new(match behavior {
            PauseBehavior::KeepAsDraft => UpdateSubscriptionPauseCollectionBehavior::KeepAsDraft,
            PauseBehavior::MarkUncollectible => {
                UpdateSubscriptionPauseCollectionBehavior::MarkUncollectible
            }
            PauseBehavior::Void => UpdateSubscriptionPauseCollectionBehavior::Void,
        });
        pause.resumes_at = resumes_at;
        let request = UpdateSubscription::new(id).pause_collection(pause);
        self.change(&request, key).await
    }

    /// Lets payments go on.
    pub async fn resume_collection(&self, id: &str, key: &str) -> Answer<Subscription> {
        let built = emptied(UpdateSubscription::new(id).build(), "pause_collection");
        let request = shape(built, Some(key))?;
        self.caller.call(&request, Manner::Repeated).await
    }

    /// Ends a subscription at once. That cannot be taken back.
    pub async fn cancel_subscription(&self, id: &str, how: CancelNow) -> Answer<Subscription> {
        let request = CancelSubscription::new(id)
            .invoice_now(how.invoice_now)
            .prorate(how.prorate);
        self.end(&request).await
    }

    /// Lets a subscription go on that rests since its trial ended without anything to charge. A new
    /// period begins.
    pub async fn resume_subscription(
        &self,
        id: &str,
        proration: Proration,
        key: &str,
    ) -> Answer<Subscription> {
        let request = ResumeSubscription::new(id).proration_behavior(word::<
            ResumeSubscriptionProrationBehavior,
        >(proration.as_str()));
        self.change(&request, key).await
    }
}

fn item(change: &ItemChange) -> UpdateSubscriptionItems {
    let mut theirs = UpdateSubscriptionItems::new();
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
