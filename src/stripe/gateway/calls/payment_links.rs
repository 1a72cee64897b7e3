//! Payment links.

use stripe_payment::payment_link::{
    CreatePaymentLink, CreatePaymentLinkLineItems, CreatePaymentLinkLineItemsPriceData,
    CreatePaymentLinkLineItemsPriceDataProductData, CreatePaymentLinkPaymentIntentData,
};
use stripe_types::Currency;

use super::super::account::{Answer, Gateway};
use super::super::objects::PaymentLink;
use super::super::page::set_if_any;
use super::super::shape::{Metadata, unordered};
use super::checkout::PaymentItem;

/// A page on which whoever has its address pays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPaymentLink {
    /// For what.
    pub items: Vec<PaymentItem>,
    /// What is kept with it, and with the payments that come of it.
    pub metadata: Metadata,
}

impl Gateway {
    /// Creates a page on which whoever has its address pays.
    pub async fn create_payment_link(
        &self,
        new: &NewPaymentLink,
        key: &str,
    ) -> Answer<PaymentLink> {
        let items: Vec<_> = new.items.iter().map(line).collect();
        let mut request = CreatePaymentLink::new(items);
        let data = || {
            let mut data = CreatePaymentLinkPaymentIntentData::new();
            data.metadata = Some(unordered(&new.metadata));
            data
        };
        set_if_any!(
            request,
            payment_intent_data = new.metadata => data(),
            metadata = new.metadata => unordered(&new.metadata),
        );
        self.change(&request, key).await
    }
}

fn line(item: &PaymentItem) -> CreatePaymentLinkLineItems {
    match item {
        PaymentItem::Price { price, quantity } => {
            let mut line = CreatePaymentLinkLineItems::new(*quantity);
            line.price = Some(price.clone());
            line
        }
        PaymentItem::Amount { cents, name } => {
            let product = CreatePaymentLinkLineItemsPriceDataProductData::new(name.as_str());
            let mut data = CreatePaymentLinkLineItemsPriceData::new(Currency::USD);
            data.unit_amount = Some(*cents);
            data.product_data = Some(product);
            let mut line = CreatePaymentLinkLineItems::new(1_u64);
            line.price_data = Some(data);
            line
        }
    }
}
