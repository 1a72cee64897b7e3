//! What is asked for is done, and read back as it was answered.

use bursar::grpc::pb;
use prost_types::FieldMask;

use super::{acme, at, override_of, tokens, with_acme};
use crate::harness::{CATALOG, Kind, seen};

#[test]
fn customers_are_kept_changed_and_found() {
    with_acme(Kind::Sqlite, async |mut to| {
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
    });
}

#[test]
fn subaccounts_come_and_go_and_customers_too() {
    with_acme(Kind::Sqlite, async |mut to| {
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
}

#[test]
fn overrides_hold_in_place_of_the_plan() {
    with_acme(Kind::Sqlite, async |mut to| {
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
    });
}

#[test]
fn allocations_count_things_that_exist() {
    with_acme(Kind::Sqlite, async |mut to| {
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
}

/// A catalog with one plan more.
fn with_pro() -> String {
    format!(
        "{CATALOG}\n[plans.pro]\nextends = \"basic\"\nprices = {{ year = \"99.00\" }}\n\
         [plans.pro.entitlements]\ngold = true\n"
    )
}

#[test]
fn a_catalog_is_compared_applied_and_read() {
    with_acme(Kind::Sqlite, async |mut to| {
        let toml = with_pro();
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
    });
}

#[test]
fn a_plan_is_assigned_and_found() {
    with_acme(Kind::Sqlite, async |mut to| {
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
        let apply = pb::ApplyCatalogRequest {
            request_id: "a".to_owned(),
            toml: with_pro(),
            ..pb::ApplyCatalogRequest::default()
        };
        to.catalogs.apply_catalog(apply).await.unwrap();
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
}
