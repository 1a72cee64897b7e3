//! Administration from outside: customers, plans, catalogs, overrides, allocations, and what is refused of them.

use std::collections::BTreeMap;

use bursar::grpc::pb;
use pb::catalog_service_client::CatalogServiceClient;
use pb::customer_service_client::CustomerServiceClient;
use pb::entitlement_service_client::EntitlementServiceClient;
use pb::entitlement_value::Value;
use pb::subscription_service_client::SubscriptionServiceClient;
use prost_types::{FieldMask, Timestamp};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::harness::{CATALOG, Kind, START, TestServer, run, seen};

struct Clients {
    customers: CustomerServiceClient<Channel>,
    subscriptions: SubscriptionServiceClient<Channel>,
    catalogs: CatalogServiceClient<Channel>,
    entitlements: EntitlementServiceClient<Channel>,
}

impl Clients {
    async fn of(server: &TestServer) -> Self {
        let channel = server.channel().await;
        Self {
            customers: CustomerServiceClient::new(channel.clone()),
            subscriptions: SubscriptionServiceClient::new(channel.clone()),
            catalogs: CatalogServiceClient::new(channel.clone()),
            entitlements: EntitlementServiceClient::new(channel),
        }
    }

    async fn create(&mut self, customer: pb::Customer) -> Result<pb::Customer, Status> {
        let request = pb::CreateCustomerRequest {
            request_id: format!("create {}", customer.customer_id).replace(' ', "-"),
            customer: Some(customer),
        };
        let answer = self.customers.create_customer(request).await?;
        Ok(answer.into_inner().customer.unwrap())
    }
}

fn acme() -> pb::Customer {
    pb::Customer {
        customer_id: "acme".to_owned(),
        display_name: "Acme".to_owned(),
        email: "a@example.org".to_owned(),
        metadata: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
        ..pb::Customer::default()
    }
}

fn at(seconds: i64) -> Option<Timestamp> {
    let seconds = START / 1_000_000 + seconds;
    Some(Timestamp { seconds, nanos: 0 })
}

#[test]
fn customers_and_their_parts_are_kept() {
    let server = TestServer::start(Kind::Sqlite);
    run(async {
        let mut to = Clients::of(&server).await;
        let created = to.create(acme()).await.unwrap();
        assert_eq!(created.plan_id, "basic");
        assert_eq!(created.billing_anchor, at(0));
        assert_eq!(created.metadata, acme().metadata);
        assert_eq!(to.create(acme()).await.unwrap(), created, "a repeat");

        let request = pb::UpdateCustomerRequest {
            request_id: "u".to_owned(),
            customer: Some(pb::Customer {
                display_name: "Acme 2".to_owned(),
                ..acme()
            }),
            update_mask: Some(FieldMask {
                paths: vec!["display_name".to_owned(), "metadata".to_owned()],
            }),
        };
        let updated = to.customers.update_customer(request).await.unwrap();
        let updated = updated.into_inner().customer.unwrap();
        assert_eq!(updated.display_name, "Acme 2");
        for id in ["bolt", "corp"] {
            let customer_id = id.to_owned();
            let other = pb::Customer {
                customer_id,
                ..pb::Customer::default()
            };
            to.create(other).await.unwrap();
        }
        let mut request = pb::ListCustomersRequest {
            page_size: 2,
            ..pb::ListCustomersRequest::default()
        };
        let first = to.customers.list_customers(request.clone()).await.unwrap();
        let first = first.into_inner();
        assert_eq!(first.customers[0], updated);
        request.page_token = first.next_page_token;
        let rest = to.customers.list_customers(request.clone()).await.unwrap();
        let rest = rest.into_inner();
        assert_eq!((rest.customers.len(), &*rest.next_page_token), (1, ""));
        request.email = "a@example.org".to_owned();
        let foreign = to.customers.list_customers(request.clone()).await;
        let foreign = seen(&foreign.unwrap_err());
        assert_eq!(
            (&*foreign.1, &*foreign.2),
            ("PAGE_TOKEN_INVALID", "page_token")
        );
        request.page_token.clear();
        let found = to.customers.list_customers(request).await.unwrap();
        assert_eq!(found.into_inner().customers, [updated]);

        let part = pb::Subaccount {
            subaccount_id: "s1".to_owned(),
            customer_id: "acme".to_owned(),
            display_name: "An agent".to_owned(),
            ..pb::Subaccount::default()
        };
        let request = pb::CreateSubaccountRequest {
            request_id: "s".to_owned(),
            subaccount: Some(part.clone()),
        };
        let made = to.customers.create_subaccount(request).await.unwrap();
        let made = made.into_inner().subaccount.unwrap();
        assert_eq!((made.create_time, made.update_time), (at(0), at(0)));
        let request = pb::DeleteSubaccountRequest {
            request_id: "d".to_owned(),
            customer_id: "acme".to_owned(),
            subaccount_id: "s1".to_owned(),
        };
        let gone = to.customers.delete_subaccount(request).await.unwrap();
        assert_eq!(gone.into_inner().delete_time, at(0));
        let request = pb::DeleteCustomerRequest {
            request_id: "d".to_owned(),
            customer_id: "acme".to_owned(),
        };
        to.customers.delete_customer(request.clone()).await.unwrap();
        let again = to.customers.delete_customer(request).await.unwrap();
        assert_eq!(again.into_inner().delete_time, at(0));
    });
    run(server_stopped(server));
}

async fn server_stopped(server: TestServer) {
    server.stop().await;
}

fn tokens(amount: i64) -> pb::EntitlementValue {
    let window = pb::Window {
        kind: pb::WindowKind::Day.into(),
        length: None,
    };
    let limit = pb::Limit {
        amount: Some(amount),
        window: Some(window),
        ..pb::Limit::default()
    };
    let metered = pb::MeteredValue {
        limits: vec![limit],
        ..pb::MeteredValue::default()
    };
    pb::EntitlementValue {
        value: Some(Value::Metered(metered)),
    }
}

fn override_of(feature: &str, value: pb::EntitlementValue) -> pb::SetOverrideRequest {
    pb::SetOverrideRequest {
        request_id: format!("o-{feature}"),
        customer_id: "acme".to_owned(),
        feature_id: feature.to_owned(),
        value: Some(value),
        reason: "a favour".to_owned(),
        ..pb::SetOverrideRequest::default()
    }
}

#[test]
fn overrides_and_allocations_count() {
    let server = TestServer::start(Kind::Sqlite);
    run(async {
        let mut to = Clients::of(&server).await;
        to.create(acme()).await.unwrap();
        let set = to
            .entitlements
            .set_override(override_of("tokens", tokens(7)));
        let set = set
            .await
            .unwrap()
            .into_inner()
            .entitlement_override
            .unwrap();
        assert_eq!(set.update_time, at(0));
        let check = |quantity| pb::CheckEntitlementRequest {
            customer_id: "acme".to_owned(),
            feature_id: "tokens".to_owned(),
            quantity: Some(quantity),
            ..pb::CheckEntitlementRequest::default()
        };
        let made = to.entitlements.check_entitlement(check(8)).await.unwrap();
        assert_eq!(made.into_inner().decision.unwrap().limit, Some(7));
        let list = pb::ListOverridesRequest {
            customer_id: "acme".to_owned(),
            ..pb::ListOverridesRequest::default()
        };
        let listed = to.entitlements.list_overrides(list).await.unwrap();
        assert_eq!(listed.into_inner().overrides, [set]);
        let delete = pb::DeleteOverrideRequest {
            request_id: "d".to_owned(),
            customer_id: "acme".to_owned(),
            subaccount_id: String::new(),
            feature_id: "tokens".to_owned(),
        };
        to.entitlements.delete_override(delete).await.unwrap();
        let made = to.entitlements.check_entitlement(check(8)).await.unwrap();
        assert_eq!(made.into_inner().decision.unwrap().limit, Some(100));

        let seat = |id: &str| pb::AllocateRequest {
            request_id: format!("r-{id}"),
            customer_id: "acme".to_owned(),
            feature_id: "seats".to_owned(),
            allocation_id: id.to_owned(),
            ..pb::AllocateRequest::default()
        };
        for id in ["ann", "bob", "ann"] {
            let answer = to
                .entitlements
                .allocate(seat(id))
                .await
                .unwrap()
                .into_inner();
            assert!(answer.decision.unwrap().allowed);
            assert_eq!(answer.allocation.unwrap().allocation_id, id);
        }
        let full = to
            .entitlements
            .allocate(seat("cem"))
            .await
            .unwrap()
            .into_inner();
        let reason = full.decision.unwrap().reason;
        assert_eq!(
            reason,
            i32::from(pb::DecisionReason::AllocationLimitExceeded)
        );
        let free = pb::DeallocateRequest {
            request_id: "f".to_owned(),
            customer_id: "acme".to_owned(),
            feature_id: "seats".to_owned(),
            allocation_id: "ann".to_owned(),
        };
        to.entitlements.deallocate(free).await.unwrap();
        let list = pb::ListAllocationsRequest {
            customer_id: "acme".to_owned(),
            ..pb::ListAllocationsRequest::default()
        };
        let listed = to.entitlements.list_allocations(list).await.unwrap();
        assert_eq!(listed.into_inner().allocations.len(), 1);
    });
    run(server_stopped(server));
}

#[test]
fn plans_are_assigned_from_the_catalog_that_is_applied() {
    let server = TestServer::start(Kind::Sqlite);
    run(async {
        let mut to = Clients::of(&server).await;
        to.create(acme()).await.unwrap();
        let get = pb::GetSubscriptionRequest {
            customer_id: "acme".to_owned(),
        };
        let none = to
            .subscriptions
            .get_subscription(get.clone())
            .await
            .unwrap();
        let none = none.into_inner().subscription.unwrap();
        assert_eq!(none.status, i32::from(pb::SubscriptionStatus::None));
        assert_eq!((&*none.plan_id, none.assign_time), ("basic", None));

        let toml = format!(
            "{CATALOG}\n[plans.pro]\nextends = \"basic\"\nprices = {{ year = \"99.00\" }}\n\
             [plans.pro.entitlements]\ngold = true\n"
        );
        let mut apply = pb::ApplyCatalogRequest {
            request_id: "a".to_owned(),
            toml: toml.clone(),
            dry_run: true,
            expected_version: Some(1),
        };
        let dry = to
            .catalogs
            .apply_catalog(apply.clone())
            .await
            .unwrap()
            .into_inner();
        apply.dry_run = false;
        let applied = to.catalogs.apply_catalog(apply).await.unwrap().into_inner();
        assert_eq!(applied, dry);
        assert_eq!(applied.version, 2);
        let paths: Vec<&str> = applied.changes.iter().map(|change| &*change.path).collect();
        assert!(paths.contains(&"plans.pro.entitlements.gold"), "{paths:?}");
        let got = to
            .catalogs
            .get_catalog(pb::GetCatalogRequest::default())
            .await;
        let got = got.unwrap().into_inner();
        assert_eq!((got.version, got.toml, got.apply_time), (2, toml, at(0)));
        let plans = to
            .catalogs
            .list_plans(pb::ListPlansRequest::default())
            .await;
        let plans = plans.unwrap().into_inner().plans;
        assert!(plans[0].is_default && plans[1].prices[0].amount_micros == Some(99_000_000));

        let assign = pb::AssignPlanRequest {
            request_id: "p".to_owned(),
            customer_id: "acme".to_owned(),
            plan_id: "pro".to_owned(),
            interval: pb::BillingInterval::Year.into(),
            ..pb::AssignPlanRequest::default()
        };
        let held = to.subscriptions.assign_plan(assign).await.unwrap();
        let held = held.into_inner().subscription.unwrap();
        assert_eq!((held.catalog_version, held.assign_time), (2, at(0)));
        assert_eq!(held.current_period_end, at(365 * 86_400));
        let found = to.subscriptions.get_subscription(get).await.unwrap();
        assert_eq!(found.into_inner().subscription.as_ref(), Some(&held));
        let list = pb::ListSubscriptionsRequest {
            plan_id: "pro".to_owned(),
            status: pb::SubscriptionStatus::Active.into(),
            ..pb::ListSubscriptionsRequest::default()
        };
        let listed = to.subscriptions.list_subscriptions(list).await.unwrap();
        assert_eq!(listed.into_inner().subscriptions, [held]);
        let check = pb::CheckEntitlementRequest {
            customer_id: "acme".to_owned(),
            feature_id: "gold".to_owned(),
            ..pb::CheckEntitlementRequest::default()
        };
        let made = to.entitlements.check_entitlement(check).await.unwrap();
        assert!(made.into_inner().decision.unwrap().allowed);
    });
    run(server_stopped(server));
}

/// What a call must be refused with: code, reason, field.
type Refusal = (Code, &'static str, &'static str);

fn is_refused<T: std::fmt::Debug>(answer: Result<T, Status>, expected: Refusal) {
    let (code, reason, field) = seen(&answer.unwrap_err());
    assert_eq!((Code::from_i32(code), &*reason, &*field), expected);
}

#[test]
fn bad_administration_is_refused_with_code_reason_and_field() {
    const BAD: Code = Code::InvalidArgument;
    let server = TestServer::start(Kind::Memory);
    run(async {
        let mut to = Clients::of(&server).await;
        to.create(acme()).await.unwrap();
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
    run(server_stopped(server));
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
