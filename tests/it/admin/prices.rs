//! Prices and discounts at run time.

use bursar::grpc::pb;
use pb::set_price_request::{NewPrice, Subject};
use tonic::{Code, Status};

use super::with_acme;
use crate::harness::{Kind, seen};

fn discount(request: &str, percent: &str) -> pb::SetDiscountRequest {
    pb::SetDiscountRequest {
        request_id: request.to_owned(),
        customer_id: "acme".to_owned(),
        percent: percent.to_owned(),
    }
}

#[test]
fn a_discount_belongs_to_the_customer_and_outlives_its_data() {
    with_acme(Kind::Sqlite, async |mut to| {
        let get = pb::GetCustomerRequest {
            customer_id: "acme".to_owned(),
        };
        let before = to.customers.get_customer(get.clone()).await.unwrap();
        assert_eq!(before.into_inner().customer.unwrap().discount_percent, "0");
        let set = to.catalogs.set_discount(discount("d", "12.50")).await;
        let set = set.unwrap().into_inner().customer.unwrap();
        assert_eq!(set.discount_percent, "12.5");
        assert_eq!(set.display_name, "Acme");
        let got = to.customers.get_customer(get).await.unwrap();
        assert_eq!(got.into_inner().customer.as_ref(), Some(&set));
        let repeat = to.catalogs.set_discount(discount("d", "12.5")).await;
        assert_eq!(repeat.unwrap().into_inner().customer, Some(set));
        let reused = to.catalogs.set_discount(discount("d", "13")).await;
        assert_eq!(&*seen(&reused.unwrap_err()).1, "REQUEST_ID_REUSED");
        for bad in ["", "-1", "100.5", "1.2345", "ten"] {
            let answer = to.catalogs.set_discount(discount("e", bad)).await;
            let (code, reason, field) = seen(&answer.unwrap_err());
            assert_eq!(Code::from_i32(code), Code::InvalidArgument, "{bad}");
            assert_eq!((&*reason, &*field), ("FIELD_INVALID", "percent"), "{bad}");
        }
        let unknown = pb::SetDiscountRequest {
            customer_id: "nobody".to_owned(),
            ..discount("f", "1")
        };
        let unknown = to.catalogs.set_discount(unknown).await.unwrap_err();
        assert_eq!(&*seen(&unknown).1, "CUSTOMER_NOT_FOUND");
        let delete = pb::DeleteCustomerRequest {
            request_id: "g".to_owned(),
            customer_id: "acme".to_owned(),
        };
        to.customers.delete_customer(delete).await.unwrap();
        let late = to.catalogs.set_discount(discount("h", "1")).await;
        assert_eq!(&*seen(&late.unwrap_err()).1, "CUSTOMER_DELETED");
    });
}

fn per_unit(amount_micros: i64, per: i64) -> pb::Price {
    let unit = pb::PerUnitPrice { amount_micros, per };
    pb::Price {
        model: Some(pb::price::Model::PerUnit(unit)),
    }
}

fn register(request: &str, meter: &str) -> pb::RegisterProductRequest {
    let usage = pb::UsageProduct {
        meter_id: meter.to_owned(),
        price: Some(per_unit(20_000, 0)),
        minimum_micros: 1_000_000,
    };
    pb::RegisterProductRequest {
        request_id: request.to_owned(),
        product: Some(pb::Product {
            product_id: "call".to_owned(),
            display_name: "A call".to_owned(),
            kind: Some(pb::product::Kind::Usage(usage)),
        }),
        ..pb::RegisterProductRequest::default()
    }
}

fn set_price(subject: Subject, price: NewPrice) -> pb::SetPriceRequest {
    pb::SetPriceRequest {
        request_id: "s".to_owned(),
        subject: Some(subject),
        new_price: Some(price),
        ..pb::SetPriceRequest::default()
    }
}

fn product(id: &str) -> Subject {
    Subject::ProductId(id.to_owned())
}

fn month(plan: &str, amount_micros: Option<i64>) -> (Subject, NewPrice) {
    let price = pb::PlanPrice {
        interval: pb::BillingInterval::Month.into(),
        amount_micros,
        currency: String::new(),
    };
    (Subject::PlanId(plan.to_owned()), NewPrice::PlanPrice(price))
}

#[test]
fn products_and_prices_come_as_new_versions_of_the_catalog() {
    with_acme(Kind::Sqlite, async |mut to| {
        let dry = pb::RegisterProductRequest {
            dry_run: true,
            ..register("r", "calls")
        };
        let dry = to
            .catalogs
            .register_product(dry)
            .await
            .unwrap()
            .into_inner();
        let made = to.catalogs.register_product(register("r", "calls")).await;
        let made = made.unwrap().into_inner();
        assert_eq!((made.version, &made), (2, &dry));
        let paths: Vec<&str> = made.changes.iter().map(|change| &*change.path).collect();
        assert!(paths.contains(&"products.call.usage.minimum"), "{paths:?}");
        let again = to
            .catalogs
            .register_product(register("again", "calls"))
            .await;
        let again = again.unwrap().into_inner();
        assert_eq!((again.version, again.changes.len()), (2, 0));

        let price = set_price(product("call"), NewPrice::Price(per_unit(10_000, 1)));
        let set = to.catalogs.set_price(price).await.unwrap().into_inner();
        assert_eq!(set.version, 3);
        let paths: Vec<&str> = set.changes.iter().map(|change| &*change.path).collect();
        assert_eq!(paths, ["products.call.usage.per_unit"]);
        let (subject, price) = month("basic", Some(5_000_000));
        let request_id = "t".to_owned();
        let plan = pb::SetPriceRequest {
            request_id,
            ..set_price(subject, price)
        };
        assert_eq!(
            to.catalogs
                .set_price(plan)
                .await
                .unwrap()
                .into_inner()
                .version,
            4
        );
        let list = to
            .catalogs
            .list_plans(pb::ListPlansRequest::default())
            .await;
        let plans = list.unwrap().into_inner().plans;
        assert_eq!(plans[0].prices[0].amount_micros, Some(5_000_000));
        let got = to
            .catalogs
            .get_catalog(pb::GetCatalogRequest::default())
            .await;
        let toml = got.unwrap().into_inner().toml;
        assert!(
            toml.contains("[products.call]\nname = \"A call\""),
            "{toml}"
        );
    });
}

type Refusal = (&'static str, &'static str);

fn is_refused<T: std::fmt::Debug>(answer: Result<T, Status>, expected: Refusal) {
    let (_, reason, field) = seen(&answer.unwrap_err());
    assert_eq!((&*reason, &*field), expected);
}

#[test]
fn bad_products_and_prices_are_refused_with_their_place() {
    with_acme(Kind::Memory, async |mut to| {
        let first = to.catalogs.register_product(register("r", "calls"));
        first.await.unwrap();
        for (request, expected) in bad_products() {
            is_refused(to.catalogs.register_product(request).await, expected);
        }
        for (request, expected) in bad_prices() {
            is_refused(to.catalogs.set_price(request).await, expected);
        }
    });
}

fn bad_products() -> Vec<(pb::RegisterProductRequest, Refusal)> {
    let changed = |request: &str, meter: &str, change: fn(&mut pb::Product)| {
        let mut register = register(request, meter);
        change(register.product.as_mut().unwrap());
        register
    };
    let bare = changed("a", "calls", |product| product.kind = None);
    let other = changed("b", "calls", |product| product.display_name.clear());
    let second = changed("c", "calls", |product| {
        product.product_id = "second".to_owned();
    });
    let unknown = changed("d", "call", |product| {
        product.product_id = "unknown".to_owned();
    });
    let conflict = pb::RegisterProductRequest {
        expected_version: Some(1),
        ..register("e", "calls")
    };
    vec![
        (bare, ("FIELD_INVALID", "product.kind")),
        (other, ("RESOURCE_EXISTS", "")),
        (second, ("CATALOG_INVALID", "products.second.usage.meter")),
        (unknown, ("CATALOG_INVALID", "products.unknown.usage.meter")),
        (conflict, ("CATALOG_VERSION_CONFLICT", "")),
    ]
}

fn bad_prices() -> Vec<(pb::SetPriceRequest, Refusal)> {
    let plan = |plan: &str, micros| {
        let (subject, price) = month(plan, Some(micros));
        set_price(subject, price)
    };
    let mut yen = plan("basic", 1);
    if let Some(NewPrice::PlanPrice(price)) = &mut yen.new_price {
        price.currency = "JPY".to_owned();
    }
    let basic = Subject::PlanId("basic".to_owned());
    let amount = || NewPrice::AmountMicros(1);
    let least = pb::SetPriceRequest {
        minimum_micros: Some(-1),
        ..set_price(product("call"), NewPrice::Price(per_unit(1, 1)))
    };
    let nothing = pb::SetPriceRequest::default();
    vec![
        (nothing, ("FIELD_INVALID", "request_id")),
        (
            set_price(product("nothing"), amount()),
            ("PRODUCT_NOT_FOUND", ""),
        ),
        (
            set_price(product("call"), amount()),
            ("FIELD_INVALID", "amount_micros"),
        ),
        (
            set_price(basic, amount()),
            ("FIELD_INVALID", "amount_micros"),
        ),
        (plan("nothing", 1), ("PLAN_NOT_FOUND", "")),
        (
            plan("basic", -1),
            ("CATALOG_INVALID", "plans.basic.prices.month"),
        ),
        (yen, ("FIELD_INVALID", "plan_price.currency")),
        (least, ("CATALOG_INVALID", "products.call.usage.minimum")),
    ]
}
