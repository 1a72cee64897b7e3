//! Bad input: each with the code, the reason and the field that a client sees.

use bursar::grpc::pb;
use pb::entitlement_value::Value;
use prost_types::FieldMask;
use tonic::{Code, Status};

use super::{acme, at, override_of, tokens, with_acme};
use crate::harness::{CATALOG, Kind, seen};

/// What a call must be refused with: code, reason, field.
type Refusal = (Code, &'static str, &'static str);

fn is_refused<T: std::fmt::Debug>(answer: Result<T, Status>, expected: Refusal) {
    let (code, reason, field) = seen(&answer.unwrap_err());
    assert_eq!((Code::from_i32(code), &*reason, &*field), expected);
}

#[test]
fn bad_administration_is_refused_with_code_reason_and_field() {
    const BAD: Code = Code::InvalidArgument;
    with_acme(Kind::Memory, async |mut to| {
        for (change, field) in customer_faults() {
            let mut customer = acme();
            change(&mut customer);
            let request = pb::CreateCustomerRequest {
                request_id: "c".to_owned(),
                customer: Some(customer),
            };
            let answer = to.customers.create_customer(request).await;
            is_refused(answer, (BAD, "FIELD_INVALID", field));
        }
        let nothing = to
            .customers
            .create_customer(pb::CreateCustomerRequest::default());
        is_refused(nothing.await, (BAD, "FIELD_INVALID", "request_id"));
        let request = pb::CreateCustomerRequest {
            request_id: "other".to_owned(),
            customer: Some(pb::Customer {
                email: String::new(),
                ..acme()
            }),
        };
        let other = to.customers.create_customer(request.clone()).await;
        is_refused(other, (Code::AlreadyExists, "RESOURCE_EXISTS", ""));
        let mask = pb::UpdateCustomerRequest {
            request_id: "m".to_owned(),
            customer: request.customer,
            update_mask: Some(FieldMask {
                paths: vec!["email".to_owned(), "plan_id".to_owned()],
            }),
        };
        let update = to.customers.update_customer(mask).await;
        is_refused(update, (BAD, "FIELD_INVALID", "update_mask.paths[1]"));
        for (set, expected) in override_faults() {
            is_refused(to.entitlements.set_override(set).await, expected);
        }
        for (assign, expected) in plan_faults() {
            is_refused(to.subscriptions.assign_plan(assign).await, expected);
        }
        for (apply, expected) in catalog_faults() {
            is_refused(to.catalogs.apply_catalog(apply).await, expected);
        }
        let version = Some(9);
        let get = to.catalogs.get_catalog(pb::GetCatalogRequest { version });
        is_refused(get.await, (Code::NotFound, "CATALOG_VERSION_NOT_FOUND", ""));
    });
}

type Change = fn(&mut pb::Customer);

fn customer_faults() -> Vec<(Change, &'static str)> {
    vec![
        (|to| to.customer_id.clear(), "customer.customer_id"),
        (
            |to| to.customer_id = "a b".to_owned(),
            "customer.customer_id",
        ),
        (
            |to| to.display_name = "x".repeat(257),
            "customer.display_name",
        ),
        (|to| to.email = "a\0b".to_owned(), "customer.email"),
        (
            |to| to.billing_anchor = at(36 * 86_400),
            "customer.billing_anchor",
        ),
        (
            |to| to.metadata = (0..33).map(|n| (n.to_string(), String::new())).collect(),
            "customer.metadata",
        ),
    ]
}

fn override_faults() -> Vec<(pb::SetOverrideRequest, Refusal)> {
    const BAD: Code = Code::InvalidArgument;
    let mut twice = tokens(1);
    let mut endless = tokens(1);
    let mut rolling = tokens(1);
    if let (
        Some(Value::Metered(twice)),
        Some(Value::Metered(endless)),
        Some(Value::Metered(rolling)),
    ) = (&mut twice.value, &mut endless.value, &mut rolling.value)
    {
        twice.limits.push(twice.limits[0]);
        endless.limits[0].window = None;
        let kind = pb::WindowKind::Rolling.into();
        rolling.limits[0].window = Some(pb::Window { kind, length: None });
    }
    let flag = pb::EntitlementValue {
        value: Some(Value::Boolean(true)),
    };
    let late = pb::SetOverrideRequest {
        expire_time: at(0),
        ..override_of("tokens", tokens(1))
    };
    let below = pb::SetOverrideRequest {
        subaccount_id: "s9".to_owned(),
        ..override_of("tokens", tokens(1))
    };
    let empty = pb::EntitlementValue::default();
    let limit = |field| (BAD, "FIELD_INVALID", field);
    vec![
        (
            override_of("tokens", tokens(-1)),
            limit("value.metered.limits[0].amount"),
        ),
        (
            override_of("tokens", twice),
            limit("value.metered.limits[1].window"),
        ),
        (
            override_of("tokens", endless),
            limit("value.metered.limits[0].window"),
        ),
        (
            override_of("tokens", rolling),
            limit("value.metered.limits[0].window.length"),
        ),
        (override_of("tokens", empty), limit("value")),
        (late, limit("expire_time")),
        (below, (Code::NotFound, "SUBACCOUNT_NOT_FOUND", "")),
        (
            override_of("nothing", flag.clone()),
            (Code::NotFound, "FEATURE_NOT_FOUND", ""),
        ),
        (
            override_of("seats", flag),
            (Code::FailedPrecondition, "FEATURE_KIND_MISMATCH", ""),
        ),
    ]
}

fn plan_faults() -> Vec<(pb::AssignPlanRequest, Refusal)> {
    let assign =
        |customer: &str, plan: &str, status: pb::SubscriptionStatus| pb::AssignPlanRequest {
            request_id: "p".to_owned(),
            customer_id: customer.to_owned(),
            plan_id: plan.to_owned(),
            status: status.into(),
            ..pb::AssignPlanRequest::default()
        };
    let (active, bad) = (pb::SubscriptionStatus::Active, Code::InvalidArgument);
    let trial = assign("acme", "basic", pb::SubscriptionStatus::Trialing);
    let none = assign("acme", "basic", pb::SubscriptionStatus::None);
    let mut unknown = assign("acme", "basic", active);
    unknown.interval = 77;
    vec![
        (
            assign("nobody", "basic", active),
            (Code::NotFound, "CUSTOMER_NOT_FOUND", ""),
        ),
        (
            assign("acme", "nothing", active),
            (Code::NotFound, "PLAN_NOT_FOUND", ""),
        ),
        (trial, (bad, "FIELD_INVALID", "trial_end")),
        (none, (bad, "FIELD_INVALID", "status")),
        (unknown, (bad, "FIELD_INVALID", "interval")),
    ]
}

fn catalog_faults() -> Vec<(pb::ApplyCatalogRequest, Refusal)> {
    let apply = |toml: &str, expected_version| pb::ApplyCatalogRequest {
        request_id: "a".to_owned(),
        toml: toml.to_owned(),
        dry_run: false,
        expected_version,
    };
    let negative = CATALOG.replace("amount = 100,", "amount = -1,");
    let path = "plans.basic.entitlements.tokens.limits[0].amount";
    let bad = Code::InvalidArgument;
    let later = CATALOG.replace("seats = 2", "seats = 3");
    vec![
        (apply("", None), (bad, "FIELD_INVALID", "toml")),
        (apply(&negative, None), (bad, "CATALOG_INVALID", path)),
        (
            apply(&later, Some(4)),
            (Code::Aborted, "CATALOG_VERSION_CONFLICT", ""),
        ),
    ]
}
