//! What work would cost and what usage cost, as callers see it.

use bursar::grpc::pb;
use pb::estimate_cost_request::Whose;
use pb::estimate_item::Subject;
use tonic::Code;

use super::{Clients, at, with_acme};
use crate::harness::{Kind, event, seen};

/// Sells calls at 10 cents, the eleventh and later at 5, and takes half off for `acme`.
async fn sell_calls(to: &mut Clients) {
    let tier = |up_to, unit_micros| pb::PriceTier { up_to, unit_micros };
    let tiers = vec![tier(Some(10), 100_000), tier(None, 50_000)];
    let usage = pb::UsageProduct {
        meter_id: "calls".to_owned(),
        price: Some(pb::Price {
            model: Some(pb::price::Model::Graduated(pb::TieredPrice { tiers })),
        }),
        minimum_micros: 0,
    };
    let register = pb::RegisterProductRequest {
        request_id: "r".to_owned(),
        product: Some(pb::Product {
            product_id: "call".to_owned(),
            display_name: String::new(),
            kind: Some(pb::product::Kind::Usage(usage)),
        }),
        ..pb::RegisterProductRequest::default()
    };
    to.catalogs.register_product(register).await.unwrap();
    let discount = pb::SetDiscountRequest {
        request_id: "d".to_owned(),
        customer_id: "acme".to_owned(),
        percent: "50".to_owned(),
    };
    to.catalogs.set_discount(discount).await.unwrap();
}

fn estimate(items: &[(Subject, i64)]) -> pb::EstimateCostRequest {
    let item = |(subject, quantity): &(Subject, i64)| pb::EstimateItem {
        subject: Some(subject.clone()),
        quantity: Some(*quantity),
        ..pb::EstimateItem::default()
    };
    pb::EstimateCostRequest {
        whose: Some(Whose::CustomerId("acme".to_owned())),
        items: items.iter().map(item).collect(),
    }
}

fn product(id: &str) -> Subject {
    Subject::ProductId(id.to_owned())
}

fn feature(id: &str) -> Subject {
    Subject::FeatureId(id.to_owned())
}

fn cost(micros: i64, cents: i64) -> Option<pb::Cost> {
    Some(pb::Cost {
        amount_micros: micros,
        amount_cents: cents,
    })
}

#[test]
fn work_is_estimated_and_usage_is_priced_alike() {
    with_acme(Kind::Sqlite, async |mut to| {
        sell_calls(&mut to).await;
        let ask = estimate(&[(product("call"), 12), (feature("tokens"), 7)]);
        let made = to.metering.estimate_cost(ask.clone()).await.unwrap();
        let made = made.into_inner();
        let expected = pb::EstimatedCost {
            weighted_milli: 12_000,
            included_milli: 0,
            charged_milli: 12_000,
            full: cost(1_100_000, 110),
            discount: cost(550_000, 55),
            discount_percent: "50".to_owned(),
            amount: cost(550_000, 55),
            destination: pb::Destination::OwnInvoice.into(),
            product_id: "call".to_owned(),
            feature_id: String::new(),
        };
        assert_eq!(made.items[0], expected);
        let free = &made.items[1];
        assert_eq!((free.included_milli, free.charged_milli), (7_000, 0));
        assert_eq!(free.destination, i32::from(pb::Destination::Included));
        assert_eq!(made.total, cost(550_000, 55));

        // Recorded, they cost what was said; the next ones are cheaper.
        let call = |n: i64| pb::UsageEvent {
            meter_id: "calls".to_owned(),
            ..event("acme", n, 1)
        };
        let events = (0..12).map(call).collect();
        let batch = pb::RecordUsageBatchRequest { events };
        to.metering.record_usage_batch(batch).await.unwrap();
        let mut get = pb::GetUsageRequest {
            customer_id: "acme".to_owned(),
            meter_id: "calls".to_owned(),
            start_time: at(-86_400),
            end_time: at(86_400),
            with_cost: true,
            ..pb::GetUsageRequest::default()
        };
        let row = to.metering.get_usage(get.clone()).await.unwrap();
        let row = row.into_inner().rows.remove(0);
        assert_eq!((row.value, row.cost), (12, cost(550_000, 55)));
        let made = to.metering.estimate_cost(ask).await.unwrap();
        assert_eq!(made.into_inner().total, cost(300_000, 30));
        get.with_cost = false;
        let row = to.metering.get_usage(get).await.unwrap();
        assert_eq!(row.into_inner().rows[0].cost, None);

        let plan = pb::EstimateCostRequest {
            whose: Some(Whose::PlanId("basic".to_owned())),
            ..estimate(&[(product("call"), 1)])
        };
        let made = to.metering.estimate_cost(plan).await.unwrap();
        assert_eq!(made.into_inner().total, cost(100_000, 10));
    });
}

#[test]
fn what_cannot_be_estimated_is_refused_with_reason_and_field() {
    with_acme(Kind::Memory, async |mut to| {
        sell_calls(&mut to).await;
        for (ask, (code, reason, field)) in bad_estimates() {
            let refused = seen(&to.metering.estimate_cost(ask).await.unwrap_err());
            let expected = (code.into(), reason.to_owned(), field.to_owned());
            assert_eq!(refused, expected);
        }
    });
}

fn bad_estimates() -> Vec<(pb::EstimateCostRequest, (Code, &'static str, &'static str))> {
    let call = |quantity| (product("call"), quantity);
    let whose = |whose| pb::EstimateCostRequest {
        whose,
        ..estimate(&[call(1)])
    };
    let mut bare = estimate(&[call(1)]);
    bare.items[0].subject = None;
    let mut color = estimate(&[call(1)]);
    color.items[0].dimensions = [("color".to_owned(), "red".to_owned())].into();
    let one = |subject| estimate(&[(subject, 1)]);
    let meter = Subject::MeterId("nothing".to_owned());
    let spaced = Whose::CustomerId("a b".to_owned());
    let plan = Whose::PlanId("nothing".to_owned());
    let bad = |field| (Code::InvalidArgument, "FIELD_INVALID", field);
    let reason = |reason, field| (Code::InvalidArgument, reason, field);
    let none = |reason| (Code::NotFound, reason, "");
    let mismatch = (Code::FailedPrecondition, "FEATURE_KIND_MISMATCH", "");
    vec![
        (whose(None), bad("whose")),
        (whose(Some(spaced)), bad("customer_id")),
        (whose(Some(plan)), none("PLAN_NOT_FOUND")),
        (estimate(&[]), bad("items")),
        (
            estimate(&vec![call(1); 101]),
            reason("BATCH_TOO_LARGE", "items"),
        ),
        (bare, bad("items[0].subject")),
        (estimate(&[call(1), call(-1)]), bad("items[1].quantity")),
        (
            estimate(&[call(1_000_000_000_001)]),
            reason("QUANTITY_OUT_OF_RANGE", "items[0].quantity"),
        ),
        (
            color,
            reason("DIMENSION_UNDECLARED", "items[0].dimensions[\"color\"]"),
        ),
        (one(product("nothing")), none("PRODUCT_NOT_FOUND")),
        (one(meter), none("METER_NOT_FOUND")),
        (one(feature("nothing")), none("FEATURE_NOT_FOUND")),
        (one(feature("sso")), mismatch),
    ]
}
