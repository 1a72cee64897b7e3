//! What Stripe answers, as far as bursar reads it: one file per thing.
//!
//! An object must have its id. All else may be missing or null and is then its type's default, and
//! what is not named here is left aside: versions of the API differ in both. Statuses and reasons
//! stay as Stripe writes them, since it adds to them. Payloads of webhooks are read by the same
//! types.

mod balance;
mod checkout_session;
mod coupon;
mod customer;
mod dispute;
mod event;
mod invoice;
mod invoice_item;
mod link;
mod meter;
mod payment_intent;
mod payment_link;
mod portal;
mod price;
mod product;
mod refund;
mod schedule;
mod secret;
mod subscription;
#[cfg(test)]
mod tests;
mod thin_event;
mod webhook_endpoint;

use serde::{Deserialize, Deserializer};

pub use self::balance::{Balance, BalancePart};
pub use self::checkout_session::CheckoutSession;
pub use self::coupon::{AppliesTo, Coupon, Percent};
pub use self::customer::{CUSTOMER_KEY, Customer, CustomerInvoiceSettings};
pub use self::dispute::Dispute;
pub use self::event::{Event, EventData};
pub use self::invoice::{
    Confirmation, Invoice, InvoiceLine, InvoiceParent, InvoicePayment, InvoiceSubscription,
    LineItemParent, LineParent, LinePrice, LinePricing, Paid, StatusTimes,
};
pub use self::invoice_item::InvoiceItem;
pub use self::link::{Link, Linked, Named};
pub use self::meter::{
    Meter, MeterAggregation, MeterCustomer, MeterEvent, MeterEventSummary, MeterValue, WholeNumber,
};
pub use self::payment_intent::{PaymentIntent, PaymentProblem};
pub use self::payment_link::PaymentLink;
pub use self::portal::{PortalConfiguration, PortalFeature, PortalFeatures, PortalSession};
pub use self::price::{Price, Recurring, Tier, TransformQuantity};
pub use self::product::Product;
pub use self::refund::Refund;
pub use self::schedule::{CurrentPhase, Phase, PhaseDiscount, PhaseItem, Schedule};
pub use self::secret::Secret;
pub use self::subscription::{
    BillingMode, CancellationDetails, PauseCollection, PendingUpdate, Subscription,
    SubscriptionItem,
};
pub use self::thin_event::{
    MeterErrorReason, MeterErrorSample, MeterErrorType, MeterErrors, RelatedObject, SampleRequest,
    ThinEvent,
};
pub use self::webhook_endpoint::WebhookEndpoint;

/// Reads a value that may be null, which stands for the default.
fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Declares a part of an object: a struct of which nothing has to be there.
macro_rules! part {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
        pub struct $name {
            $(
                $(#[$inner])*
                #[serde(default, deserialize_with = "super::lenient")]
                pub $field: $type,
            )*
        }
    };
}

/// Declares an object: a part that has an id and can stand in lists.
macro_rules! object {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
        pub struct $name {
            /// Its id.
            pub id: String,
            $(
                $(#[$inner])*
                #[serde(default, deserialize_with = "super::lenient")]
                pub $field: $type,
            )*
        }

        impl super::super::page::Identified for $name {
            fn id(&self) -> &str {
                &self.id
            }
        }
    };
}

use {object, part};
