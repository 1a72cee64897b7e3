//! Payments, refunds, disputes, the balance and events.

use bursar::stripe::gateway::{
    Cursor, EventFilter, NewPayment, NewPaymentLink, NewRefund, RefundReason, Span,
};

use super::rig::{Rig, metadata};
use super::subscriptions::payment_items;

pub async fn call(rig: &Rig) {
    payments(rig).await;
    refunds(rig).await;
    events(rig).await;
}

async fn payments(rig: &Rig) {
    let stripe = &rig.gateway;
    let asked = NewPayment {
        customer: "cus_1".to_owned(),
        cents: 5000,
        ..NewPayment::default()
    };
    let charged = NewPayment {
        charge_now: Some("pm_1".to_owned()),
        description: Some("Credits".to_owned()),
        metadata: metadata(),
        ..asked.clone()
    };
    for new in [asked, charged] {
        rig.note(
            "create_payment_intent",
            stripe.create_payment_intent(&new, "k").await,
        );
    }
    rig.note(
        "retrieve_payment_intent",
        stripe.retrieve_payment_intent("pi_1").await,
    );
    for customer in [None, Some("cus_1")] {
        let answer = stripe.list_payment_intents(customer, Cursor::FIRST).await;
        rig.note("list_payment_intents", answer);
    }
    for metadata in [metadata(), bursar::stripe::gateway::Metadata::new()] {
        let new = NewPaymentLink {
            items: payment_items(),
            metadata,
        };
        rig.note(
            "create_payment_link",
            stripe.create_payment_link(&new, "k").await,
        );
    }
    rig.note("retrieve_balance", stripe.retrieve_balance().await);
}

async fn refunds(rig: &Rig) {
    let stripe = &rig.gateway;
    let whole = NewRefund {
        payment_intent: "pi_1".to_owned(),
        ..NewRefund::default()
    };
    rig.note("create_refund", stripe.create_refund(&whole, "k").await);
    for reason in [
        RefundReason::Duplicate,
        RefundReason::Fraudulent,
        RefundReason::RequestedByCustomer,
    ] {
        let part = NewRefund {
            cents: Some(500),
            reason: Some(reason),
            metadata: metadata(),
            ..whole.clone()
        };
        rig.note("create_refund", stripe.create_refund(&part, "k").await);
    }
    rig.note("retrieve_refund", stripe.retrieve_refund("re_1").await);
    rig.note("retrieve_dispute", stripe.retrieve_dispute("du_1").await);
    for payment in [None, Some("pi_1")] {
        let behind = Cursor::after("x_1");
        rig.note("list_refunds", stripe.list_refunds(payment, behind).await);
        rig.note("list_disputes", stripe.list_disputes(payment, behind).await);
    }
}

async fn events(rig: &Rig) {
    let stripe = &rig.gateway;
    rig.note("retrieve_event", stripe.retrieve_event("evt_1").await);
    let some_of_them = EventFilter {
        created: Some(Span {
            start: 1_795_132_800,
            end: 1_795_219_200,
        }),
        types: vec!["invoice.paid".to_owned(), "charge.refunded".to_owned()],
    };
    for filter in [EventFilter::default(), some_of_them] {
        let answer = stripe.list_events(&filter, Cursor::after("evt_1")).await;
        rig.note("list_events", answer);
    }
    rig.note(
        "retrieve_thin_event",
        stripe.retrieve_thin_event("evt_test_65R").await,
    );
}
