use serde::de::DeserializeOwned;
use serde_json::json;

use super::super::page::Page;
use super::*;

fn read<T: DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_subscription_is_read() {
    let subscription: Subscription = read(json!({
        "id": "sub_1", "object": "subscription", "status": "hibernating", "customer": "cus_1",
        "items": {"object": "list", "has_more": false, "data": [{
            "id": "si_1", "quantity": null, "current_period_start": 1, "current_period_end": 2,
            "price": {
                "id": "price_1", "lookup_key": "pro", "metadata": {"a": "b"}, "product": "prod_1",
                "recurring": {"interval": "month", "interval_count": 1, "meter": "mtr_1",
                    "usage_type": "metered"},
            },
        }]},
        "cancel_at_period_end": true, "cancel_at": 5, "trial_end": null, "schedule": "sub_sched_1",
        "pause_collection": {"behavior": "void", "resumes_at": null},
        "latest_invoice": {"id": "in_1", "status": "open", "lines": null},
        "default_payment_method": {"id": "pm_1", "object": "payment_method"},
        "billing_mode": {"type": "flexible", "updated_at": 1}, "livemode": false,
        "metadata": {"plan": "pro"}, "something_new": {"a": [1]},
    }));
    assert_eq!(subscription.status, "hibernating");
    assert_eq!(subscription.customer.as_ref().map(Link::id), Some("cus_1"));
    assert!(subscription.cancel_at_period_end && subscription.is_flexible());
    assert_eq!(
        (subscription.cancel_at, subscription.trial_end),
        (Some(5), None)
    );
    let item = &subscription.items.data[0];
    assert_eq!((item.current_period_start, item.current_period_end), (1, 2));
    assert_eq!(item.quantity, None);
    assert_eq!(item.price.lookup_key.as_deref(), Some("pro"));
    let meter = item
        .price
        .recurring
        .as_ref()
        .and_then(|recurring| recurring.meter.as_deref());
    assert_eq!(meter, Some("mtr_1"));
    let invoice = subscription.latest_invoice.as_ref().unwrap();
    assert_eq!(invoice.id(), "in_1");
    assert_eq!(invoice.whole().unwrap().status.as_deref(), Some("open"));
    let method = subscription.default_payment_method.as_ref().map(Link::id);
    assert_eq!(method, Some("pm_1"));
}

#[test]
fn an_invoice_is_read() {
    let invoice: Invoice = read(json!({
        "id": "in_1", "status": "paid", "total": -5, "amount_due": 0,
        "parent": {"type": "subscription_details",
            "subscription_details": {"subscription": "sub_1", "metadata": null}},
        "lines": {"data": [{
            "id": "il_1", "amount": -700, "period": {"start": 1, "end": 2}, "quantity": 1,
            "pricing": {"type": "price_details", "price_details": {"price": "price_1"}},
            "parent": {"type": "subscription_item_details", "invoice_item_details": null,
                "subscription_item_details": {"proration": true, "subscription_item": "si_1"}},
        }], "has_more": true},
        "payments": {"data": [{"id": "inpay_1", "amount_paid": 5, "status": "paid",
            "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}]},
    }));
    assert_eq!(invoice.subscription(), Some("sub_1"));
    assert_eq!(invoice.payment_intent(), Some("pi_1"));
    assert_eq!(invoice.total, -5);
    let line = &invoice.lines.data[0];
    assert_eq!((line.price(), line.is_proration()), (Some("price_1"), true));
    assert_eq!(
        invoice.lines.next().and_then(|cursor| cursor.after),
        Some("il_1")
    );
}

#[test]
fn all_but_the_id_may_be_missing_or_null() {
    let least: Invoice = read(json!({"id": "in_1"}));
    assert_eq!(least.subscription(), None);
    assert_eq!(least.payment_intent(), None);
    let nulls = json!({"id": "in_1", "lines": null, "total": null, "parent": null, "payments": null,
        "metadata": null, "currency": null, "status_transitions": null});
    assert_eq!(least, read(nulls));
    assert!(serde_json::from_value::<Invoice>(json!({"object": "invoice"})).is_err());
    assert!(serde_json::from_value::<Page<Invoice>>(json!({"object": "list"})).is_err());
    let gone: Customer = read(json!({"id": "cus_1", "object": "customer", "deleted": true}));
    assert!(gone.deleted);
}

#[test]
fn a_count_is_exact_or_none() {
    let cases = [
        (json!(25.0), Some(25)),
        (json!(0), Some(0)),
        (json!(-3.0), Some(-3)),
        (json!(999_999_999_999_999.0), Some(999_999_999_999_999)),
        (json!(0.5), None),
        (json!(1e16), None),
    ];
    for (value, expected) in cases {
        let summary: MeterEventSummary = read(json!({"id": "mtrusg_1", "aggregated_value": value}));
        assert_eq!(summary.aggregated_value.0, expected, "{value}");
    }
}

#[test]
fn the_next_page_begins_behind_the_last_object() {
    let page = |more: bool| -> Page<Refund> {
        read(json!({"data": [{"id": "re_2"}, {"id": "re_1"}], "has_more": more}))
    };
    assert_eq!(
        page(true).next().and_then(|cursor| cursor.after),
        Some("re_1")
    );
    assert_eq!(page(false).next(), None);
    assert_eq!(Page::<Refund>::default().next(), None);
}

#[test]
fn what_is_wrong_with_meter_events_is_read_under_either_name() {
    let event = |field: &str| -> ThinEvent {
        read(json!({
            "id": "evt_1", "type": "v1.billing.meter.error_report_triggered",
            "created": "2026-08-28T20:54:12.051Z", "livemode": false,
            "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/x"},
            "data": {"developer_message_summary": "wrong", "reason": {"error_count": 1,
                "error_types": [{"code": "meter_event_customer_not_found", "error_count": 1,
                    "sample_errors": [{"error_message": "x", "request": {field: "abc"}}]}]},
                "validation_start": "2026-08-28T20:54:00Z", "validation_end": null},
        }))
    };
    for field in ["identifier", "idempotency_key"] {
        let event = event(field);
        let errors = event.data.unwrap();
        let of_one = &errors.reason.error_types[0];
        assert_eq!(of_one.code, "meter_event_customer_not_found");
        assert_eq!(of_one.sample_errors[0].request.identifier, "abc");
        assert_eq!(event.related_object.unwrap().id, "mtr_1");
    }
}

#[test]
fn an_event_says_what_it_happened_to() {
    let event: Event = read(json!({
        "id": "evt_1", "type": "invoice.paid", "created": 1, "api_version": "2026-01-28.clover",
        "data": {"object": {"id": "in_1", "object": "invoice"}}, "livemode": true,
    }));
    assert_eq!(event.object_id(), Some("in_1"));
    assert_eq!(event.object_class(), Some("invoice"));
    assert_eq!(event.class, "invoice.paid");
}

#[test]
fn a_customer_says_whose_it_is_and_how_it_pays() {
    let customer: Customer = read(json!({
        "id": "cus_1", "metadata": {"bursar_customer": "acme"},
        "invoice_settings": {"default_payment_method": "pm_1", "footer": null},
    }));
    assert_eq!(customer.ours(), Some("acme"));
    assert_eq!(customer.default_payment_method(), Some("pm_1"));
}

#[test]
fn secrets_are_not_written_where_answers_are() {
    let endpoint: WebhookEndpoint = read(json!({"id": "we_1", "secret": "whsec_bursar"}));
    let payment: PaymentIntent = read(json!({"id": "pi_1", "client_secret": "pi_1_secret_x"}));
    assert_eq!(
        endpoint.secret.as_ref().map(Secret::expose),
        Some("whsec_bursar")
    );
    let written = format!("{endpoint:?} {payment:?}");
    assert!(
        !written.contains("whsec") && !written.contains("secret_x"),
        "{written}"
    );
}
