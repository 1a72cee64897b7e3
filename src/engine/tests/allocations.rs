use super::setting::{Setting, cause, customer, feature, plan, request, seat, subaccount};
use crate::domain::catalog::EntitlementSpec;
use crate::domain::decision::Reason;
use crate::domain::id::AllocationId;
use crate::engine::OverrideCall;
use crate::storage::AllocationQuery;

fn id(text: &str) -> AllocationId {
    AllocationId::new(text).unwrap()
}

#[tokio::test]
async fn the_same_id_counts_once_and_no_room_is_a_denial() {
    let setting = Setting::new().await;
    let first = setting.allocate(seat("ann")).await.unwrap();
    assert_eq!(first.decision.used.units_up(), 1);
    let again = setting.allocate(seat("ann")).await.unwrap();
    assert!(again.decision.allowed);
    assert_eq!(again.allocation, first.allocation);
    let denied = setting.allocate(seat("bob")).await.unwrap();
    assert_eq!(denied.decision.reason, Reason::AllocationLimitExceeded);
    assert_eq!(denied.allocation, None);
    let plan = denied.decision.upgrade_plan.unwrap();
    assert_eq!(plan.as_str(), "carry");
    assert_eq!(setting.look("seats", None).await.used.units_up(), 1);
}

#[tokio::test]
async fn a_request_is_done_once_and_a_refused_one_may_be_asked_again() {
    let setting = Setting::new().await;
    let engine = &setting.engine;
    let allocate = |request, id: &str| engine.allocate("t", request, seat(id));
    let first = allocate(request("a"), "ann").await.unwrap();
    let denied = allocate(request("b"), "bob").await.unwrap();
    assert!(!denied.decision.allowed);
    let acme = customer("acme");
    let free = |request| engine.deallocate("t", request, &acme, feature("seats"), id("ann"));
    let freed = free(request("c")).await.unwrap();
    assert_eq!(Some(&freed), first.allocation.as_ref());
    assert_eq!(free(request("c")).await.unwrap(), freed);
    assert_eq!(cause(free(request("d")).await), "no allocation");
    assert_eq!(
        allocate(request("a"), "ann").await.unwrap(),
        first,
        "its first answer"
    );
    assert_eq!(setting.look("seats", None).await.used.units_up(), 0);
    assert!(
        allocate(request("b"), "bob")
            .await
            .unwrap()
            .decision
            .allowed
    );
    assert_eq!(cause(allocate(request("b"), "cem").await), "request reused");
}

#[tokio::test]
async fn only_allocation_features_of_known_parts_are_allocated() {
    let setting = Setting::new().await;
    for (of, sub, who, expected) in [
        ("jobs", None, "acme", "not allocation"),
        ("nothing", None, "acme", "no feature"),
        ("seats", Some("s9"), "acme", "no subaccount"),
        ("seats", None, "nobody", "no customer"),
    ] {
        let mut call = seat("ann");
        call.customer = customer(who);
        call.feature = feature(of);
        call.subaccount = sub.map(subaccount);
        assert_eq!(cause(setting.allocate(call).await), expected);
    }
    let acme = customer("acme");
    let engine = &setting.engine;
    let free = engine.deallocate("t", setting.fresh(), &acme, feature("nothing"), id("ann"));
    assert_eq!(cause(free.await), "no feature");
}

#[tokio::test]
async fn lowering_the_number_takes_nothing_away() {
    let setting = Setting::new().await;
    setting.assign(plan("carry")).await.unwrap();
    for id in ["a", "b", "c"] {
        assert!(setting.allocate(seat(id)).await.unwrap().decision.allowed);
    }
    let call = OverrideCall {
        customer: customer("acme"),
        subaccount: None,
        feature: feature("seats"),
        spec: EntitlementSpec::Allocation(Some(2)),
        expire_time: None,
        note: Box::default(),
    };
    let engine = &setting.engine;
    engine
        .set_override("t", setting.fresh(), call)
        .await
        .unwrap();
    let seen = setting.look("seats", None).await;
    assert_eq!((seen.limit, seen.used.units_up()), (Some(2), 3));
    assert!(setting.allocate(seat("a")).await.unwrap().decision.allowed);
    assert!(!setting.allocate(seat("d")).await.unwrap().decision.allowed);
    let query = AllocationQuery {
        customer: customer("acme"),
        feature: None,
        subaccount: None,
        after: None,
        limit: 9,
    };
    let held = engine.list_allocations(query.clone()).await.unwrap().items;
    assert_eq!(held.len(), 3);
    let unknown = AllocationQuery {
        customer: customer("nobody"),
        ..query
    };
    assert_eq!(cause(engine.list_allocations(unknown).await), "no customer");
}
