//! Checkout sessions.

use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionDiscounts, CreateCheckoutSessionLineItems,
    CreateCheckoutSessionLineItemsPriceData, CreateCheckoutSessionPaymentIntentData,
    CreateCheckoutSessionPaymentIntentDataSetupFutureUsage, CreateCheckoutSessionSubscriptionData,
    CreateCheckoutSessionSubscriptionDataBillingMode,
    CreateCheckoutSessionSubscriptionDataBillingModeType, ExpireCheckoutSession, ProductData,
    RetrieveCheckoutSession,
};
use stripe_shared::CheckoutSessionMode;
use stripe_types::Currency;

use super::super::account::{Answer, Gateway};
use super::super::objects::CheckoutSession;
use super::super::page::{set_if_any, set_if_some};
use super::super::shape::{Metadata, unordered, unordered_if_any};
use super::terms::NewItem;

/// A page on which a customer pays or subscribes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckoutPage {
    /// Who, by the id at Stripe.
    pub customer: String,
    /// Where it leads when all is done; `{CHECKOUT_SESSION_ID}` in it stands for its id.
    pub success_url: String,
    /// Where it leads when the customer goes back.
    pub cancel_url: Option<String>,
    /// What we call it, at most 200 characters.
    pub client_reference_id: Option<String>,
    /// The ids of coupons, at most one in a payment.
    pub coupons: Vec<String>,
    /// Until when it is open, 30 minutes to 24 hours from its creation; `None`: 24 hours.
    pub expires_at: Option<i64>,
    /// What is kept with it, and with what comes of it.
    pub metadata: Metadata,
}

/// What is subscribed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionTerms {
    /// The prices, at most 20 licensed and 20 metered.
    pub items: Vec<NewItem>,
    /// For how many days nothing is charged; at least 1.
    pub trial_days: Option<u32>,
}

/// What is paid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaymentTerms {
    /// For what.
    pub items: Vec<PaymentItem>,
    /// Whether what pays may be charged again when the customer is away.
    pub keep_method: bool,
}

/// What is paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentItem {
    /// So many at a price.
    Price {
        /// The id of the price.
        price: String,
        /// How many.
        quantity: u64,
    },
    /// An amount.
    Amount {
        /// Cents.
        cents: i64,
        /// What customers read.
        name: String,
    },
}

impl Gateway {
    /// Opens a page on which a customer subscribes.
    pub async fn create_subscription_checkout(
        &self,
        page: &CheckoutPage,
        terms: &SubscriptionTerms,
        key: &str,
    ) -> Answer<CheckoutSession> {
        let items: Vec<_> = terms.items.iter().map(line).collect();
        let flexible = CreateCheckoutSessionSubscriptionDataBillingModeType::Flexible;
        let mut data = CreateCheckoutSessionSubscriptionData::new();
        data.billing_mode = Some(CreateCheckoutSessionSubscriptionDataBillingMode::new(
            flexible,
        ));
        data.trial_period_days = terms.trial_days;
        data.metadata = unordered_if_any(&page.metadata);
        let request = opened(page)
            .mode(CheckoutSessionMode::Subscription)
            .line_items(items)
            .subscription_data(data);
        self.change(&request, key).await
    }

    /// Opens a page on which a customer pays once.
    pub async fn create_payment_checkout(
        &self,
        page: &CheckoutPage,
        terms: &PaymentTerms,
        key: &str,
    ) -> Answer<CheckoutSession> {
        let items: Vec<_> = terms.items.iter().map(payment_line).collect();
        let mut data = CreateCheckoutSessionPaymentIntentData::new();
        data.metadata = unordered_if_any(&page.metadata);
        if terms.keep_method {
            data.setup_future_usage =
                Some(CreateCheckoutSessionPaymentIntentDataSetupFutureUsage::OffSession);
        }
        let mut request = opened(page)
            .mode(CheckoutSessionMode::Payment)
            .line_items(items);
        if terms.keep_method || !page.metadata.is_empty() {
            request = request.payment_intent_data(data);
        }
        self.change(&request, key).await
    }

    /// Returns a checkout session.
    pub async fn retrieve_checkout_session(&self, id: &str) -> Answer<CheckoutSession> {
        self.read(&RetrieveCheckoutSession::new(id)).await
    }

    /// Closes a checkout session that is open.
    pub async fn expire_checkout_session(&self, id: &str, key: &str) -> Answer<CheckoutSession> {
        self.change(&ExpireCheckoutSession::new(id), key).await
    }
}

fn opened(page: &CheckoutPage) -> CreateCheckoutSession {
    let mut request = CreateCheckoutSession::new()
        .customer(page.customer.as_str())
        .success_url(page.success_url.as_str());
    set_if_some!(
        request,
        cancel_url = &page.cancel_url,
        client_reference_id = &page.client_reference_id,
        expires_at = page.expires_at,
    );
    let discounts = || -> Vec<_> { page.coupons.iter().map(|id| discount(id)).collect() };
    set_if_any!(
        request,
        discounts = page.coupons => discounts(),
        metadata = page.metadata => unordered(&page.metadata),
    );
    request
}

fn discount(coupon: &str) -> CreateCheckoutSessionDiscounts {
    let mut discount = CreateCheckoutSessionDiscounts::new();
    discount.coupon = Some(coupon.to_owned());
    discount
}

fn line(item: &NewItem) -> CreateCheckoutSessionLineItems {
    let mut line = CreateCheckoutSessionLineItems::new();
    line.price = Some(item.price.clone());
    line.quantity = item.quantity;
    line
}

fn payment_line(item: &PaymentItem) -> CreateCheckoutSessionLineItems {
    let mut line = CreateCheckoutSessionLineItems::new();
    match item {
        PaymentItem::Price { price, quantity } => {
            line.price = Some(price.clone());
            line.quantity = Some(*quantity);
        }
        PaymentItem::Amount { cents, name } => {
            let mut data = CreateCheckoutSessionLineItemsPriceData::new(Currency::USD);
            data.unit_amount = Some(*cents);
            data.product_data = Some(ProductData::new(name.as_str()));
            line.price_data = Some(data);
            line.quantity = Some(1);
        }
    }
    line
}
