//! Products, prices, coupons, meters, the portal's configurations and webhook endpoints.

use bursar::stripe::gateway::{
    API_VERSION, Charge, CouponDuration, Cursor, Interval, NewCoupon, NewMeter, NewPrice,
    NewProduct, NewWebhookEndpoint, Off, PortalRights, PortalUpdate, PriceChange, PriceTier,
    ProductChange, Proration, Recurrence, Step, WebhookEndpointChange,
};

use super::rig::{Rig, metadata};

pub async fn call(rig: &Rig) {
    products(rig).await;
    prices(rig).await;
    coupons(rig).await;
    meters(rig).await;
    portal(rig).await;
    endpoints(rig).await;
}

async fn products(rig: &Rig) {
    let stripe = &rig.gateway;
    let new = NewProduct {
        id: Some("bursar_pro".to_owned()),
        name: "Pro, 100 % & more".to_owned(),
        description: Some("All of it".to_owned()),
        unit_label: Some("seat".to_owned()),
        metadata: metadata(),
    };
    rig.note("create_product", stripe.create_product(&new, "k").await);
    let least = NewProduct {
        name: "Pro".to_owned(),
        ..NewProduct::default()
    };
    rig.note("create_product", stripe.create_product(&least, "k").await);
    rig.note("retrieve_product", stripe.retrieve_product("prod_1").await);
    let change = ProductChange {
        name: Some("Pro".to_owned()),
        description: Some("More".to_owned()),
        active: Some(false),
        metadata: metadata(),
    };
    rig.note(
        "update_product",
        stripe.update_product("prod_1", &change, "k").await,
    );
    rig.note(
        "list_products",
        stripe.list_products(None, Cursor::FIRST).await,
    );
    let behind = Cursor::after("prod_1");
    rig.note(
        "list_products",
        stripe.list_products(Some(true), behind).await,
    );
}

/// What can be charged, in all its forms.
fn charges() -> Vec<(Charge, Option<Recurrence>)> {
    let tiers = || {
        vec![
            PriceTier {
                up_to: Some(1000),
                unit: Some("0.05".to_owned()),
                flat: Some("0".to_owned()),
            },
            PriceTier {
                up_to: None,
                unit: Some("0.004999999999".to_owned()),
                flat: None,
            },
        ]
    };
    let package = Charge::Package {
        cents: "250".to_owned(),
        divide_by: 1000,
        round: Step::Up,
    };
    let package_down = Charge::Package {
        cents: "0.1".to_owned(),
        divide_by: 1_000_000,
        round: Step::Down,
    };
    let metered = Recurrence {
        interval: Interval::Month,
        interval_count: 1,
        meter: Some("mtr_1".to_owned()),
    };
    let every = |interval, interval_count| Recurrence {
        interval,
        interval_count,
        meter: None,
    };
    vec![
        (Charge::Cents(900), Some(every(Interval::Month, 1))),
        (Charge::Cents(2700), Some(every(Interval::Month, 3))),
        (Charge::Cents(9000), Some(every(Interval::Year, 1))),
        (Charge::Cents(10), Some(every(Interval::Week, 2))),
        (Charge::Cents(10), Some(every(Interval::Day, 1))),
        (Charge::Cents(500), None),
        (Charge::Decimal("0.05".to_owned()), Some(metered.clone())),
        (package, Some(metered.clone())),
        (package_down, Some(metered.clone())),
        (Charge::Graduated(tiers()), Some(metered.clone())),
        (Charge::Volume(tiers()), Some(metered)),
    ]
}

async fn prices(rig: &Rig) {
    let stripe = &rig.gateway;
    for (charge, recurrence) in charges() {
        let new = NewPrice {
            product: "prod_1".to_owned(),
            lookup_key: Some("pro_month_v3".to_owned()),
            nickname: Some("Pro, monthly".to_owned()),
            charge,
            recurrence,
            metadata: metadata(),
        };
        rig.note("create_price", stripe.create_price(&new, "k").await);
    }
    rig.note("retrieve_price", stripe.retrieve_price("price_1").await);
    let change = PriceChange {
        active: Some(false),
        lookup_key: Some("pro_month_v2".to_owned()),
        metadata: metadata(),
    };
    rig.note(
        "update_price",
        stripe.update_price("price_1", &change, "k").await,
    );
    let keys = ["pro_month_v3".to_owned(), "pro_year_v3".to_owned()];
    rig.note(
        "list_prices",
        stripe.list_prices(&keys, Cursor::FIRST).await,
    );
    rig.note(
        "list_prices",
        stripe.list_prices(&[], Cursor::after("price_1")).await,
    );
}

async fn coupons(rig: &Rig) {
    let stripe = &rig.gateway;
    let cases = [
        (Off::HundredthsOfPercent(10_000), CouponDuration::Months(3)),
        (Off::HundredthsOfPercent(1250), CouponDuration::Forever),
        (Off::Cents(500), CouponDuration::Once),
    ];
    for (off, duration) in cases {
        let new = NewCoupon {
            id: Some("bursar_free_3".to_owned()),
            name: Some("Three months free".to_owned()),
            off,
            duration,
            products: vec!["prod_1".to_owned(), "prod_2".to_owned()],
            metadata: metadata(),
        };
        rig.note("create_coupon", stripe.create_coupon(&new, "k").await);
    }
    rig.note(
        "retrieve_coupon",
        stripe.retrieve_coupon("bursar_free_3").await,
    );
}

async fn meters(rig: &Rig) {
    let stripe = &rig.gateway;
    let new = NewMeter {
        display_name: "Calls".to_owned(),
        event_name: "bursar_calls".to_owned(),
    };
    rig.note("create_meter", stripe.create_meter(&new, "k").await);
    rig.note("retrieve_meter", stripe.retrieve_meter("mtr_1").await);
    rig.note(
        "update_meter",
        stripe.update_meter("mtr_1", "API calls", "k").await,
    );
    rig.note(
        "deactivate_meter",
        stripe.deactivate_meter("mtr_1", "k").await,
    );
    rig.note(
        "reactivate_meter",
        stripe.reactivate_meter("mtr_1", "k").await,
    );
    rig.note("list_meters", stripe.list_meters(Cursor::FIRST).await);
    rig.note(
        "list_meters",
        stripe.list_meters(Cursor::after("mtr_1")).await,
    );
}

async fn portal(rig: &Rig) {
    let stripe = &rig.gateway;
    let update = |proration| PortalRights {
        cancel: true,
        update: Some(PortalUpdate {
            products: vec![("prod_1".to_owned(), vec!["price_1".to_owned()])],
            proration,
            downgrade_at_period_end: proration == Proration::InvoiceNow,
        }),
        return_url: Some("https://example.com/account".to_owned()),
        metadata: metadata(),
    };
    for rights in [
        PortalRights::default(),
        update(Proration::NextInvoice),
        update(Proration::InvoiceNow),
        update(Proration::None),
    ] {
        let answer = stripe.create_portal_configuration(&rights, "k").await;
        rig.note("create_portal_configuration", answer);
        let answer = stripe
            .update_portal_configuration("bpc_1", &rights, "k")
            .await;
        rig.note("update_portal_configuration", answer);
    }
    let answer = stripe.list_portal_configurations(Cursor::FIRST).await;
    rig.note("list_portal_configurations", answer);
}

async fn endpoints(rig: &Rig) {
    let stripe = &rig.gateway;
    let new = NewWebhookEndpoint {
        url: "https://example.com/stripe/webhook".to_owned(),
        api_version: API_VERSION.to_owned(),
        events: vec![
            "invoice.paid".to_owned(),
            "customer.subscription.updated".to_owned(),
        ],
        description: Some("bursar".to_owned()),
        metadata: metadata(),
    };
    rig.note(
        "create_webhook_endpoint",
        stripe.create_webhook_endpoint(&new, "k").await,
    );
    let change = WebhookEndpointChange {
        url: Some("https://example.com/hook".to_owned()),
        events: vec!["*".to_owned()],
        disabled: Some(true),
    };
    let answer = stripe.update_webhook_endpoint("we_1", &change, "k").await;
    rig.note("update_webhook_endpoint", answer);
    let answer = stripe.list_webhook_endpoints(Cursor::FIRST).await;
    rig.note("list_webhook_endpoints", answer);
    rig.note(
        "delete_webhook_endpoint",
        stripe.delete_webhook_endpoint("we_1").await,
    );
}
