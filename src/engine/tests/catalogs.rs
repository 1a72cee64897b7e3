use super::setting::{CATALOG, Setting, cause, customer, plan, request};
use crate::domain::catalog::{Catalog, CatalogEdit, Interval, Product, parse_catalog};
use crate::domain::id::{PlanId, ProductId};
use crate::engine::{CatalogCall, EditCall, PlanCall};

fn call(toml: &str, expected_version: Option<i64>) -> CatalogCall {
    CatalogCall {
        source: Box::from(toml),
        expected_version,
    }
}

fn with_free(amount: &str) -> String {
    let text = "{ amount = 100, window = \"month\" }";
    assert!(CATALOG.contains(text));
    CATALOG.replace(text, &format!("{{ amount = {amount}, window = \"week\" }}"))
}

#[tokio::test]
async fn a_new_default_plan_reaches_customers_without_a_subscription() {
    let setting = Setting::new().await;
    setting.used(40).await;
    assert_eq!(setting.look("tokens", None).await.limit, Some(100));
    let answer = setting.apply(&with_free("70")).await.unwrap();
    assert_eq!(answer.version, 2);
    assert!(!answer.changes.is_empty());
    // Another amount in another window, which is counted from what was used before.
    let seen = setting.look("tokens", None).await;
    assert_eq!((seen.limit, seen.used.units_up()), (Some(70), 40));
    setting.counters_are_right().await;
    let stored = setting.engine.get_catalog(Some(2)).await.unwrap();
    assert_eq!(&*stored.source, with_free("70"));
    assert_eq!(
        &*setting.engine.get_catalog(Some(1)).await.unwrap().source,
        CATALOG
    );
    assert_eq!(setting.engine.get_catalog(None).await.unwrap().version(), 2);
    assert_eq!(
        cause(setting.engine.get_catalog(Some(3)).await),
        "no catalog version"
    );
}

#[tokio::test]
async fn an_assigned_plan_stays_on_its_version() {
    let setting = Setting::new().await;
    setting.assign(plan("free")).await.unwrap();
    setting.apply(&with_free("70")).await.unwrap();
    assert_eq!(setting.look("tokens", None).await.limit, Some(100));
    let standing = setting.assign(plan("free")).await.unwrap();
    assert_eq!(standing.catalog_version, 2);
    assert_eq!(setting.look("tokens", None).await.limit, Some(70));
}

#[tokio::test]
async fn what_is_equal_changes_nothing_and_faults_are_all_told() {
    let setting = Setting::new().await;
    let engine = &setting.engine;
    let same = setting
        .apply(&format!("# a comment\n{CATALOG}"))
        .await
        .unwrap();
    assert_eq!((same.version, same.changes.len()), (1, 0));
    assert_eq!(&*engine.get_catalog(None).await.unwrap().source, CATALOG);

    let bad = CATALOG
        .replace("seats = 3", "seats = -1")
        .replace("jobs = 2", "job = 2");
    assert_eq!(cause(setting.apply(&bad).await), "2 faults");
    assert_eq!(cause(engine.compare_catalog(&call(&bad, None))), "2 faults");

    let other = with_free("70");
    let dry = engine.compare_catalog(&call(&other, Some(1))).unwrap();
    assert_eq!(dry.version, 2);
    assert_eq!(engine.catalog().version(), 1, "a dry run changes nothing");
    let late = engine.apply_catalog("t", request("x"), call(&other, Some(7)));
    assert_eq!(cause(late.await), "at version 1");
    let applied = engine.apply_catalog("t", request("x"), call(&other, Some(1)));
    assert_eq!(applied.await.unwrap(), dry);
    let repeat = engine.apply_catalog("t", request("x"), call(&other, Some(1)));
    assert_eq!(repeat.await.unwrap(), dry, "its first answer");
    let reused = engine.apply_catalog("t", request("x"), call(CATALOG, None));
    assert_eq!(cause(reused.await), "request reused");
}

#[tokio::test]
async fn plans_are_listed_by_rank_in_pages() {
    let setting = Setting::new().await;
    let mut ids = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let list = setting.engine.list_plans(None, after.as_deref(), 4);
        let (_, page) = list.await.unwrap();
        ids.extend(page.items.iter().map(|plan| plan.id.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(
        ids,
        ["free", "carry", "reset", "prorate", "unlimited", "paid"]
    );
    let foreign = setting.engine.list_plans(None, Some("nothing"), 4).await;
    assert_eq!(cause(foreign), "invalid page_token");
}

fn outcome(id: &str, micros: i64) -> EditCall {
    EditCall {
        edit: CatalogEdit::Register(Product::Outcome {
            id: ProductId::new(id).unwrap(),
            name: Box::from(id),
            amount_micros: micros,
        }),
        expected_version: None,
    }
}

fn paid(amount_micros: i64) -> EditCall {
    EditCall {
        edit: CatalogEdit::PricePlan {
            plan: PlanId::new("paid").unwrap(),
            interval: Interval::Year,
            amount_micros: Some(amount_micros),
        },
        expected_version: None,
    }
}

#[tokio::test]
async fn prices_change_once_per_request_and_running_subscriptions_keep_theirs() {
    let setting = Setting::new().await;
    let engine = &setting.engine;
    let yearly = || PlanCall {
        interval: Some(Interval::Year),
        ..plan("paid")
    };
    let held = setting.assign(yearly()).await.unwrap();
    assert_eq!(held.catalog_version, 1);

    let dry = engine.compare_edit(&paid(300_000_000)).unwrap();
    assert_eq!((dry.version, engine.catalog().version()), (2, 1));
    let call = paid(300_000_000);
    let first = engine.edit_catalog("t", request("p"), call.clone());
    assert_eq!(first.await.unwrap(), dry);
    let repeat = engine.edit_catalog("t", request("p"), call.clone());
    assert_eq!(repeat.await.unwrap(), dry, "its first answer");
    let same = engine.edit_catalog("t", request("q"), call).await.unwrap();
    assert_eq!((same.version, same.changes.len()), (2, 0));
    let reused = engine.edit_catalog("t", request("p"), paid(1));
    assert_eq!(cause(reused.await), "request reused");

    let added = engine
        .edit_catalog("t", request("p"), outcome("report", 5))
        .await;
    assert_eq!(
        added.unwrap().version,
        3,
        "requests are told apart by method"
    );
    let same = engine
        .edit_catalog("t", request("r"), outcome("report", 5))
        .await;
    assert_eq!(same.unwrap().changes, []);
    let other = engine
        .edit_catalog("t", request("s"), outcome("report", 6))
        .await;
    assert_eq!(cause(other), "other product");
    let mut late = outcome("second", 5);
    late.expected_version = Some(2);
    assert_eq!(cause(engine.compare_edit(&late)), "at version 3");
    let late = engine.edit_catalog("t", request("u"), late).await;
    assert_eq!(cause(late), "at version 3");
    let negative = engine
        .edit_catalog("t", request("v"), outcome("third", -1))
        .await;
    assert_eq!(cause(negative), "1 faults");
    assert_eq!(engine.catalog().version(), 3);

    let (_, running) = engine.get_customer(&customer("acme")).await.unwrap();
    assert_eq!(running.unwrap().catalog_version, 1, "it stays where it was");
    let held = setting.assign(yearly()).await;
    assert_eq!(held.unwrap().catalog_version, 3, "assigned anew");
    let before = engine.get_catalog(Some(1)).await.unwrap();
    assert_eq!(
        before.catalog.plans["paid"].prices[0].amount_micros,
        Some(290_000_000)
    );
    let now = engine.catalog();
    assert_eq!(
        now.catalog.plans["paid"].prices[0].amount_micros,
        Some(300_000_000)
    );
    assert!(now.source.contains("trial_days = 14\n"), "{}", now.source);
}

#[test]
fn catalogs_that_were_stored_before_are_still_read() {
    let catalog = parse_catalog(super::estimates::CATALOG).unwrap();
    let mut json = serde_json::to_value(&catalog).unwrap();
    let remove = |value: &mut serde_json::Value, key: &str| {
        let object = value.as_object_mut().unwrap();
        assert!(object.remove(key).is_some(), "{key}");
    };
    remove(&mut json, "add_ons");
    remove(&mut json["plans"]["free"], "add_ons");
    remove(&mut json["credit_units"]["USD"], "receivable_limit_micros");
    remove(&mut json["products"]["call"]["usage"], "minimum_micros");
    let read: Catalog = serde_json::from_value(json).unwrap();
    let text = super::estimates::CATALOG.replace(", minimum = \"0.50\"", "");
    assert_eq!(read, parse_catalog(&text).unwrap());
}
