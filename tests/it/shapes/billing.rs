//! Usage, invoices and their items.

use bursar::stripe::gateway::{
    Collection, Cursor, InvoiceFilter, NewInvoice, NewInvoiceItem, NewMeterEvent, PlannedChange,
    Proration, Span, SummaryFilter, SummaryWindow,
};

use super::rig::{Rig, metadata};
use super::subscriptions::item_changes;

const DAY: Span = Span {
    start: 1_795_132_800,
    end: 1_795_219_200,
};

pub async fn call(rig: &Rig) {
    usage(rig).await;
    items(rig).await;
    invoices(rig).await;
}

async fn usage(rig: &Rig) {
    let stripe = &rig.gateway;
    for value in [25, -3] {
        let event = NewMeterEvent {
            event_name: "bursar_calls".to_owned(),
            customer: "cus_1".to_owned(),
            value,
            identifier: "0".repeat(100),
            timestamp: 1_795_219_330,
        };
        rig.note("send_meter_event", stripe.send_meter_event(&event).await);
    }
    for window in [
        SummaryWindow::Whole,
        SummaryWindow::Hour,
        SummaryWindow::Day,
    ] {
        let filter = SummaryFilter {
            meter: "mtr_1".to_owned(),
            customer: "cus_1".to_owned(),
            span: DAY,
            window,
        };
        let answer = stripe
            .list_meter_event_summaries(&filter, Cursor::after("mtrusg_1"))
            .await;
        rig.note("list_meter_event_summaries", answer);
    }
}

async fn items(rig: &Rig) {
    let stripe = &rig.gateway;
    let least = NewInvoiceItem {
        customer: "cus_1".to_owned(),
        cents: 1234,
        description: "Late usage".to_owned(),
        ..NewInvoiceItem::default()
    };
    let credit = NewInvoiceItem {
        cents: -1234,
        subscription: Some("sub_1".to_owned()),
        period: Some(DAY),
        ..least.clone()
    };
    let of_invoice = NewInvoiceItem {
        invoice: Some("in_1".to_owned()),
        metadata: metadata(),
        ..least.clone()
    };
    for new in [least, credit, of_invoice] {
        rig.note(
            "create_invoice_item",
            stripe.create_invoice_item(&new, "k").await,
        );
    }
}

async fn invoices(rig: &Rig) {
    let stripe = &rig.gateway;
    for (collection, take_pending_items) in [
        (Collection::Charge, false),
        (Collection::Send { due_days: 30 }, true),
    ] {
        let new = NewInvoice {
            customer: "cus_1".to_owned(),
            collection,
            take_pending_items,
            description: Some("Usage".to_owned()),
            metadata: metadata(),
        };
        rig.note("create_invoice", stripe.create_invoice(&new, "k").await);
    }
    for advance in [true, false] {
        let answer = stripe.finalize_invoice("in_1", advance, "k").await;
        rig.note("finalize_invoice", answer);
    }
    rig.note("pay_invoice", stripe.pay_invoice("in_1", None, "k").await);
    rig.note(
        "pay_invoice",
        stripe.pay_invoice("in_1", Some("pm_1"), "k").await,
    );
    rig.note("void_invoice", stripe.void_invoice("in_1", "k").await);
    rig.note("retrieve_invoice", stripe.retrieve_invoice("in_1").await);
    for filter in [
        InvoiceFilter::default(),
        InvoiceFilter {
            customer: Some("cus_1"),
            subscription: Some("sub_1"),
        },
    ] {
        let answer = stripe.list_invoices(filter, Cursor::after("in_1")).await;
        rig.note("list_invoices", answer);
    }
    let next = PlannedChange {
        subscription: "sub_1".to_owned(),
        ..PlannedChange::default()
    };
    let change = PlannedChange {
        items: item_changes(),
        proration: Some(Proration::InvoiceNow),
        proration_date: Some(1_795_219_330),
        ..next.clone()
    };
    for planned in [next, change] {
        rig.note("preview_change", stripe.preview_change(&planned).await);
    }
}
