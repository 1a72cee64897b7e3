use super::setting::{Setting, cause, customer, feature, labels, plan, request, subaccount};
use crate::domain::catalog::EntitlementSpec;
use crate::domain::decision::Reason;
use crate::domain::usage::Labels;
use crate::engine::{
    OverrideCall, OverrideQuery, SubaccountChange, SubaccountProfile, SubaccountQuery,
};

fn profile(name: &str) -> SubaccountProfile {
    SubaccountProfile {
        display_name: Box::from(name),
        metadata: labels(&[("team", name)]),
    }
}

async fn listed(setting: &Setting, metadata: Labels) -> Vec<String> {
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let query = SubaccountQuery {
            customer: customer("acme"),
            metadata: metadata.clone(),
            after,
            limit: 1,
        };
        let page = setting.engine.list_subaccounts(query).await.unwrap();
        ids.extend(page.items.iter().map(|part| part.id.to_string()));
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

#[tokio::test]
async fn a_subaccount_is_created_once_and_its_id_is_not_used_again() {
    let setting = Setting::new().await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    let create = |request, id: &str, name: &str| {
        engine.create_subaccount("t", request, &acme, subaccount(id), profile(name))
    };
    let first = create(request("a"), "s1", "blue").await.unwrap();
    setting.pass(0, 1);
    assert_eq!(create(request("a"), "s1", "blue").await.unwrap(), first);
    assert_eq!(create(request("b"), "s1", "blue").await.unwrap(), first);
    assert_eq!(
        cause(create(request("b"), "s1", "red").await),
        "request reused"
    );
    assert_eq!(
        cause(create(request("c"), "s1", "red").await),
        "other subaccount"
    );
    create(request("d"), "s2", "red").await.unwrap();
    assert_eq!(listed(&setting, Labels::new()).await, ["s1", "s2"]);
    assert_eq!(listed(&setting, labels(&[("team", "red")])).await, ["s2"]);

    let delete = |request| engine.delete_subaccount("t", request, &acme, subaccount("s1"));
    let time = delete(request("x")).await.unwrap();
    assert_eq!(delete(request("x")).await.unwrap(), time);
    assert_eq!(cause(delete(request("y")).await), "no subaccount");
    assert_eq!(
        cause(create(request("e"), "s1", "blue").await),
        "other subaccount"
    );
    let get = engine.get_subaccount(&acme, &subaccount("s1")).await;
    assert_eq!(cause(get), "no subaccount");
    assert_eq!(listed(&setting, Labels::new()).await, ["s2"]);
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let setting = Setting::new().await;
    let (engine, acme, s1) = (&setting.engine, customer("acme"), subaccount("s1"));
    let create = engine.create_subaccount("t", setting.fresh(), &acme, s1.clone(), profile("blue"));
    create.await.unwrap();
    let change = SubaccountChange {
        metadata: Some(labels(&[("team", "red")])),
        display_name: None,
    };
    setting.pass(0, 1);
    let update =
        |request| engine.update_subaccount("t", request, &acme, s1.clone(), change.clone());
    let updated = update(request("u")).await.unwrap();
    assert_eq!(&*updated.display_name, "blue");
    assert_eq!(updated.update_time, engine.now());
    assert_eq!(update(request("u")).await.unwrap(), updated);
    engine.forget_all();
    assert_eq!(engine.get_subaccount(&acme, &s1).await.unwrap(), updated);
    let unknown =
        engine.update_subaccount("t", request("v"), &acme, subaccount("s9"), change.clone());
    assert_eq!(cause(unknown.await), "no subaccount");
}

#[tokio::test]
async fn a_new_subaccount_has_the_limits_of_the_plan_and_loses_all_when_deleted() {
    let setting = Setting::new().await;
    let (engine, acme, s1) = (&setting.engine, customer("acme"), subaccount("s1"));
    setting.assign(plan("carry")).await.unwrap();
    let create = engine.create_subaccount("t", setting.fresh(), &acme, s1.clone(), profile("blue"));
    create.await.unwrap();
    setting
        .used_ago(250, crate::domain::time::Span::ZERO, Some("s1"))
        .await;
    let denied = setting.check("tokens", 51, Some("s1")).await;
    assert_eq!(denied.reason, Reason::SubaccountLimitExceeded);
    assert!(setting.hold(50, Some("s1")).await);
    setting.counters_are_right().await;

    let call = OverrideCall {
        customer: acme.clone(),
        subaccount: Some(s1.clone()),
        feature: feature("jobs"),
        spec: EntitlementSpec::Concurrency(Some(1)),
        expire_time: None,
        note: Box::default(),
    };
    engine
        .set_override("t", setting.fresh(), call)
        .await
        .unwrap();
    engine
        .delete_subaccount("t", setting.fresh(), &acme, s1)
        .await
        .unwrap();
    let seen = setting.look("tokens", Some("s1")).await;
    assert_eq!(seen.reason, Reason::SubaccountUnknown);
    let seen = setting.look("tokens", None).await;
    assert_eq!((seen.used.units_up(), seen.reserved.units_up()), (250, 0));
    let query = OverrideQuery {
        customer: acme,
        subaccount: None,
        feature: None,
        after: None,
        limit: 9,
    };
    assert!(engine.list_overrides(query).await.unwrap().items.is_empty());
    setting.counters_are_right().await;
}
