//! The calls, one file per thing: what each takes, and the methods of [`super::account::Gateway`].
//!
//! Requests are built by the crates' request types, which belong to a newer version of the API than
//! the one that is spoken; so each call is held against that version's contract by a check that
//! calls every method named in [`METHODS`].

#![expect(
    clippy::missing_errors_doc,
    reason = "every call fails in the ways that `Kind` names, and in no other"
)]

mod balance;
mod checkout;
mod coupons;
mod customers;
mod disputes;
mod events;
mod invoice_items;
mod invoices;
mod meter_events;
mod meters;
mod payment_intents;
mod payment_links;
mod portal;
mod prices;
mod products;
mod refunds;
mod schedules;
mod subscription_changes;
mod subscriptions;
mod terms;
mod webhook_endpoints;

pub use self::checkout::{CheckoutPage, PaymentItem, PaymentTerms, SubscriptionTerms};
pub use self::coupons::{CouponDuration, NewCoupon, Off};
pub use self::customers::{CustomerChange, NewCustomer};
pub use self::events::EventFilter;
pub use self::invoice_items::NewInvoiceItem;
pub use self::invoices::{Collection, InvoiceFilter, NewInvoice, PlannedChange};
pub use self::meter_events::{
    IDENTIFIER_MAX, NewMeterEvent, PAYLOAD_CUSTOMER, PAYLOAD_VALUE, VALUE_MAX,
};
pub use self::meters::{NewMeter, SummaryFilter, SummaryWindow};
pub use self::payment_intents::NewPayment;
pub use self::payment_links::NewPaymentLink;
pub use self::portal::{NewPortalSession, PortalRights, PortalUpdate};
pub use self::prices::{Charge, NewPrice, PriceChange, PriceTier, Recurrence, Step};
pub use self::products::{NewProduct, ProductChange};
pub use self::refunds::{NewRefund, RefundReason};
pub use self::schedules::{NewPhase, PhaseEnd, PhasePlan};
pub use self::subscription_changes::{CancelNow, ItemChange, PauseBehavior, SubscriptionChange};
pub use self::subscriptions::{NewSubscription, SubscriptionFilter, Trial, WithoutPayment};
pub use self::terms::{Interval, NewItem, PaymentBehavior, Proration, Span};
pub use self::webhook_endpoints::{NewWebhookEndpoint, WebhookEndpointChange};

/// Each method that makes a call.
pub const METHODS: [&str; 71] = [
    "retrieve_balance",
    "create_subscription_checkout",
    "create_payment_checkout",
    "retrieve_checkout_session",
    "expire_checkout_session",
    "create_coupon",
    "retrieve_coupon",
    "create_customer",
    "retrieve_customer",
    "update_customer",
    "delete_customer",
    "list_customers",
    "retrieve_dispute",
    "list_disputes",
    "retrieve_event",
    "list_events",
    "retrieve_thin_event",
    "create_invoice_item",
    "create_invoice",
    "finalize_invoice",
    "pay_invoice",
    "void_invoice",
    "retrieve_invoice",
    "list_invoices",
    "preview_change",
    "send_meter_event",
    "create_meter",
    "retrieve_meter",
    "update_meter",
    "deactivate_meter",
    "reactivate_meter",
    "list_meters",
    "list_meter_event_summaries",
    "create_payment_intent",
    "retrieve_payment_intent",
    "list_payment_intents",
    "create_payment_link",
    "create_portal_configuration",
    "update_portal_configuration",
    "list_portal_configurations",
    "create_portal_session",
    "create_price",
    "retrieve_price",
    "update_price",
    "list_prices",
    "create_product",
    "retrieve_product",
    "update_product",
    "list_products",
    "create_refund",
    "retrieve_refund",
    "list_refunds",
    "create_schedule",
    "retrieve_schedule",
    "update_schedule",
    "release_schedule",
    "cancel_schedule",
    "create_subscription",
    "retrieve_subscription",
    "list_subscriptions",
    "update_subscription",
    "set_cancel_at_period_end",
    "set_cancel_at",
    "pause_collection",
    "resume_collection",
    "cancel_subscription",
    "resume_subscription",
    "create_webhook_endpoint",
    "update_webhook_endpoint",
    "list_webhook_endpoints",
    "delete_webhook_endpoint",
];
