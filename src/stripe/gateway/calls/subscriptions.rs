//! Subscriptions: made and read.

use stripe_billing::subscription::{
    CreateSubscription, CreateSubscriptionBillingMode, CreateSubscriptionBillingModeType,
    CreateSubscriptionItems, CreateSubscriptionPaymentBehavior, CreateSubscriptionTrialSettings,
    CreateSubscriptionTrialSettingsEndBehavior,
    CreateSubscriptionTrialSettingsEndBehaviorMissingPaymentMethod as MissingMethod,
    DiscountsDataParam, ListSubscription, ListSubscriptionStatus, RetrieveSubscription,
};

use super::super::account::{Answer, Gateway};
use super::super::objects::Subscription;
use super::super::page::{Cursor, Page, set_if_any, set_if_some, turn_to};
use super::super::shape::{Metadata, unordered};
use super::terms::{NewItem, PaymentBehavior, word};

/// A subscription to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// Who, by the id at Stripe.
    pub customer: String,
    /// What, at most 20 prices.
    pub items: Vec<NewItem>,
    /// How long nothing is charged; `None`: it is charged at once.
    pub trial: Option<Trial>,
    /// The ids of coupons.
    pub coupons: Vec<String>,
    /// What is charged; `None`: the customer's default.
    pub default_payment_method: Option<String>,
    /// What becomes of it when the first payment fails.
    pub payment_behavior: PaymentBehavior,
    /// What is kept with it.
    pub metadata: Metadata,
}

/// How long nothing is charged. Usage in that time is not billed either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// For how many days, at least 1. By days and not by an instant: a repeat of the call has to say the same.
    pub days: u32,
    /// What happens then when there is nothing to charge.
    pub without_payment: WithoutPayment,
}

/// What happens at the end of a trial when there is nothing to charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutPayment {
    /// The subscription ends.
    Cancel,
    /// It rests until it is resumed.
    Pause,
    /// It goes on and is behind with its payment.
    Invoice,
}

/// Which subscriptions are asked for, of whatever status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscriptionFilter<'a> {
    /// Whose; `None`: everybody's.
    pub customer: Option<&'a str>,
    /// To which price; `None`: to any.
    pub price: Option<&'a str>,
}

impl Gateway {
    /// Creates a subscription in flexible billing mode, in which usage is billed across changes.
    pub async fn create_subscription(
        &self,
        new: &NewSubscription,
        key: &str,
    ) -> Answer<Subscription> {
        let items: Vec<_> = new.items.iter().map(item).collect();
        let mut request = CreateSubscription::new()
            .customer(new.customer.as_str())
            .billing_mode(CreateSubscriptionBillingMode::new(
                CreateSubscriptionBillingModeType::Flexible,
            ))
            .items(items)
            .payment_behavior(word::<CreateSubscriptionPaymentBehavior>(
                new.payment_behavior.as_str(),
            ))
            .expand(invoice_to_pay());
        if let Some(trial) = new.trial {
            request = request
                .trial_period_days(trial.days)
                .trial_settings(at_its_end(trial.without_payment));
        }
        set_if_some!(
            request,
            default_payment_method = &new.default_payment_method,
        );
        set_if_any!(
            request,
            discounts = new.coupons => discounts(&new.coupons),
            metadata = new.metadata => unordered(&new.metadata),
        );
        self.change(&request, key).await
    }

    /// Returns a subscription with its newest invoice.
    pub async fn retrieve_subscription(&self, id: &str) -> Answer<Subscription> {
        let request = RetrieveSubscription::new(id).expand(vec!["latest_invoice".to_owned()]);
        self.read(&request).await
    }

    /// Returns subscriptions with their schedules, those that ended among them.
    pub async fn list_subscriptions(
        &self,
        filter: SubscriptionFilter<'_>,
        cursor: Cursor<'_>,
    ) -> Answer<Page<Subscription>> {
        let mut request = turn_to!(ListSubscription::new(), cursor);
        request = request
            .status(ListSubscriptionStatus::All)
            .expand(vec!["data.schedule".to_owned()]);
        set_if_some!(request, customer = filter.customer, price = filter.price);
        self.read(&request).await
    }
}

/// Names what comes along where a payment may be wanting: the newest invoice, with what pays it.
pub(super) fn invoice_to_pay() -> Vec<String> {
    vec!["latest_invoice.confirmation_secret".to_owned()]
}

pub(super) fn discounts(coupons: &[String]) -> Vec<DiscountsDataParam> {
    coupons
        .iter()
        .map(|coupon| {
            let mut discount = DiscountsDataParam::new();
            discount.coupon = Some(coupon.clone());
            discount
        })
        .collect()
}

fn item(item: &NewItem) -> CreateSubscriptionItems {
    let mut theirs = CreateSubscriptionItems::new();
    theirs.price = Some(item.price.clone());
    theirs.quantity = item.quantity;
    theirs
}

fn at_its_end(without_payment: WithoutPayment) -> CreateSubscriptionTrialSettings {
    let mut behavior = CreateSubscriptionTrialSettingsEndBehavior::new();
    behavior.missing_payment_method = Some(match without_payment {
        WithoutPayment::Cancel => MissingMethod::Cancel,
        WithoutPayment::Pause => MissingMethod::Pause,
        WithoutPayment::Invoice => MissingMethod::CreateInvoice,
    });
    CreateSubscriptionTrialSettings::new(behavior)
}
