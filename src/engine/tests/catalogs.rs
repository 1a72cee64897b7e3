use super::setting::{CATALOG, Setting, cause, plan, request};
use crate::engine::CatalogCall;

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
