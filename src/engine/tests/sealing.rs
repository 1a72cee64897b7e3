//! Usage that Stripe bills, sealed and followed to one effect.

use std::sync::Arc;

use super::failing::Failure;
use super::setting::{Setting, customer, plan};
use crate::clock::Clock;
use crate::domain::billing::{ChunkState, Evidence, Outcome};
use crate::engine::{BillingTerms, ChunkView, Engine, Limits};
use crate::storage::Store;

const CATALOG: &str = r#"
default_plan = "plus"
meters.tokens = { aggregation = "sum", stripe_event_name = "acme_tokens" }
meters.calls = { aggregation = "count" }
meters.pages = { aggregation = "sum", stripe_event_name = "acme_pages" }
credit_units.USD = { name = "dollars", per_dollar = 1 }
features.tokens = { metered = { meter = "tokens" } }
features.pages = { metered = { meter = "pages" } }
[plans.plus.entitlements]
tokens = { limits = [{ amount = 100, window = "day", on_limit = "allow" }], overage = { per_unit = "1" } }
pages = { limits = [{ amount = "unlimited", window = "month" }], wallet = { credit_unit = "USD", from_first_unit = true, per_unit = "1" } }
[plans.more]
extends = "plus"
[plans.more.entitlements]
tokens = { limits = [{ amount = 200, window = "day", on_limit = "allow" }], overage = { per_unit = "1" } }
"#;

async fn setting(incarnation: &str) -> Setting {
    let setting = Setting::new().await;
    setting.apply(CATALOG).await.unwrap();
    setting.engine.set_billing(BillingTerms {
        incarnation: incarnation.into(),
        ..BillingTerms::default()
    });
    setting
}

impl Setting {
    /// Another engine on the same store, as another process has it.
    fn reopened(&self, terms: BillingTerms) -> Engine {
        let (engine, _) = Engine::start(
            Arc::clone(&self.store) as Arc<dyn Store>,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            self.engine.catalog(),
            Limits::default(),
        );
        engine.set_billing(terms);
        engine
    }

    async fn use_of(&self, meter: &str, quantity: i64, minutes_ago: u32) {
        let id = self.fresh();
        let event = self.event(id.as_str(), meter, quantity, minutes_ago);
        self.recorded(vec![event]).await;
    }

    async fn begin_billing(&self) {
        let acme = customer("acme");
        assert_eq!(
            &*self.engine.link_payer(&acme, "cus_1").await.unwrap(),
            "cus_1"
        );
        self.engine.open_tabs(&acme).await.unwrap();
    }

    /// All chunks, the oldest first.
    async fn chunks(&self) -> Vec<ChunkView> {
        let page = self
            .engine
            .list_chunks(None, None, (None, 100))
            .await
            .unwrap();
        assert!(page.next.is_none());
        let mut chunks = page.items;
        chunks.sort_by_key(|view| (view.chunk.period.start, view.chunk.number));
        chunks
    }

    async fn values(&self) -> Vec<i64> {
        self.chunks()
            .await
            .iter()
            .map(|view| view.chunk.value)
            .collect()
    }
}

#[tokio::test]
async fn what_exceeds_the_limit_is_sealed_and_nothing_else() {
    let setting = setting("life").await;
    setting.begin_billing().await;
    setting.use_of("tokens", 90, 0).await;
    setting.use_of("pages", 7, 0).await;
    setting.use_of("calls", 1, 0).await;
    assert_eq!(setting.engine.seal_due(10).await.unwrap(), 2);
    assert!(setting.values().await.is_empty());
    setting.use_of("tokens", 60, 0).await;
    assert_eq!(
        setting.engine.seal_due(10).await.unwrap(),
        0,
        "the window runs"
    );
    setting.pass(0, 2);
    assert_eq!(setting.engine.seal_due(10).await.unwrap(), 2);
    assert_eq!(setting.values().await, [50]);
    // Days that are over stay charged.
    setting.pass(1, 0);
    setting.use_of("tokens", 130, 0).await;
    setting.engine.seal_due(10).await.unwrap();
    setting.pass(0, 2);
    setting.engine.seal_due(10).await.unwrap();
    assert_eq!(setting.values().await.iter().sum::<i64>(), 80);
    let chunks = setting.chunks().await;
    assert!(
        chunks
            .iter()
            .all(|view| &*view.chunk.event_name == "acme_tokens")
    );
    assert!(chunks.iter().all(|view| &*view.chunk.payer == "cus_1"));
}

#[tokio::test]
async fn without_a_payer_usage_waits_and_then_comes_whole() {
    let setting = setting("life").await;
    let acme = customer("acme");
    setting.engine.open_tabs(&acme).await.unwrap();
    setting.use_of("tokens", 150, 0).await;
    setting.engine.seal_now(&acme).await.unwrap();
    assert!(setting.values().await.is_empty());
    setting.begin_billing().await;
    setting.engine.seal_now(&acme).await.unwrap();
    assert_eq!(setting.values().await, [50]);
    setting.engine.seal_now(&acme).await.unwrap();
    assert_eq!(setting.values().await, [50], "once");
}

#[tokio::test]
async fn a_tab_without_a_payer_rests_until_it_is_woken() {
    let setting = setting("life").await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    engine.open_tabs(&acme).await.unwrap();
    setting.use_of("tokens", 150, 0).await;
    assert_eq!(engine.seal_due(10).await.unwrap(), 2);
    setting.pass(0, 2);
    assert_eq!(engine.seal_due(10).await.unwrap(), 0, "it rests");
    setting.begin_billing().await;
    assert_eq!(engine.seal_due(10).await.unwrap(), 2);
    assert_eq!(setting.values().await, [50]);
    // Those that are open are not looked at earlier for it.
    engine.open_tabs(&acme).await.unwrap();
    assert_eq!(engine.seal_due(10).await.unwrap(), 0);
}

#[tokio::test]
async fn a_tab_whose_meter_is_gone_rests_and_comes_back_with_it() {
    let setting = setting("life").await;
    setting.begin_billing().await;
    setting.use_of("tokens", 150, 0).await;
    let silent = CATALOG.replace(", stripe_event_name = \"acme_tokens\"", "");
    setting.apply(&silent).await.unwrap();
    assert_eq!(setting.engine.seal_due(10).await.unwrap(), 2);
    assert!(setting.values().await.is_empty());
    setting.pass(0, 2);
    setting.engine.seal_due(10).await.unwrap();
    setting.apply(CATALOG).await.unwrap();
    setting.engine.seal_due(10).await.unwrap();
    assert!(setting.values().await.is_empty(), "it rests");
    setting.begin_billing().await;
    setting.engine.seal_due(10).await.unwrap();
    assert_eq!(setting.values().await, [50]);
}

#[tokio::test]
async fn many_customers_share_commits() {
    let setting = setting("life").await;
    let mut due = 0;
    for number in 0..150 {
        let id = format!("c{number}");
        setting.create(&id).await;
        let id = customer(&id);
        setting
            .engine
            .link_payer(&id, &format!("cus_{number}"))
            .await
            .unwrap();
        setting.engine.open_tabs(&id).await.unwrap();
        due += 2;
    }
    let before = setting.store.commits();
    assert_eq!(setting.engine.seal_due(1_000).await.unwrap(), due);
    let batches = setting.store.commits() - before;
    assert!(batches < 60, "{batches} commits for {due} tabs");
}

#[tokio::test]
async fn while_the_store_fails_sealing_says_so_once_and_then_goes_on() {
    let setting = setting("life").await;
    setting.begin_billing().await;
    setting.use_of("tokens", 150, 0).await;
    setting.store.fail(Failure::All);
    let failed = setting.engine.seal_due(10).await.unwrap_err();
    assert!(failed.concerns_all(), "{failed}");
    setting.store.work();
    setting.engine.seal_due(10).await.unwrap();
    assert_eq!(setting.values().await, [50]);
}

#[tokio::test]
async fn only_the_period_of_a_chunk_counts_beside_it() {
    let setting = setting("life").await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    setting.begin_billing().await;
    for used in [150, 7, 20] {
        setting.use_of("tokens", used, 0).await;
        engine.seal_now(&acme).await.unwrap();
        for view in engine.due_chunks(10).await.unwrap() {
            let claimed = engine.claim_chunk(&view).await.unwrap().unwrap();
            engine
                .settle_chunk(&claimed, Outcome::Delivered)
                .await
                .unwrap();
        }
    }
    let last = setting.chunks().await.pop().unwrap();
    let ledger = engine.ledger_of(&last).await.unwrap();
    assert_eq!((ledger.delivered, ledger.perhaps), (Some(77), vec![]));
    assert!(engine.unsettled_chunks(&acme).await.unwrap().is_empty());
    // Another period is another sum.
    let mut other = last.clone();
    other.chunk.period.start = other
        .chunk
        .period
        .start
        .plus(crate::domain::time::Span::from_days(31));
    assert_eq!(engine.ledger_of(&other).await.unwrap().delivered, Some(0));
}

#[tokio::test]
async fn whoever_waits_goes_at_once_when_the_other_is_done() {
    let setting = setting("life").await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    setting.begin_billing().await;
    for _ in 0..2 {
        setting.use_of("tokens", 150, 0).await;
        engine.seal_now(&acme).await.unwrap();
    }
    let due = engine.due_chunks(10).await.unwrap();
    let first = engine.claim_chunk(&due[0]).await.unwrap().unwrap();
    setting.pass(0, 3);
    assert_eq!(engine.claim_chunk(&due[1]).await.unwrap(), None);
    assert!(engine.due_chunks(10).await.unwrap().len() <= 1, "it waits");
    engine
        .settle_chunk(&first, Outcome::Delivered)
        .await
        .unwrap();
    let due = engine.due_chunks(10).await.unwrap();
    assert_eq!(due.len(), 1, "its turn has come");
    assert!(engine.claim_chunk(&due[0]).await.unwrap().is_some());
}

#[tokio::test]
async fn what_a_plan_includes_later_is_taken_off() {
    let setting = setting("life").await;
    setting.begin_billing().await;
    setting.use_of("tokens", 250, 0).await;
    setting.engine.seal_now(&customer("acme")).await.unwrap();
    setting.assign(plan("more")).await.unwrap();
    setting.engine.seal_now(&customer("acme")).await.unwrap();
    assert_eq!(setting.values().await, [150, -100]);
}

#[tokio::test]
async fn a_chunk_goes_out_once_and_others_wait_for_it() {
    let setting = setting("life").await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    setting.begin_billing().await;
    for _ in 0..2 {
        setting.use_of("tokens", 150, 0).await;
        engine.seal_now(&acme).await.unwrap();
    }
    assert_eq!(setting.values().await, [50, 150]);
    let due = engine.due_chunks(10).await.unwrap();
    assert_eq!(due.len(), 2);
    let first = engine.claim_chunk(&due[0]).await.unwrap().unwrap();
    assert_eq!(
        engine.claim_chunk(&due[0]).await.unwrap(),
        None,
        "it is on its way"
    );
    assert_eq!(
        engine.claim_chunk(&due[1]).await.unwrap(),
        None,
        "one at a time"
    );
    let done = engine
        .settle_chunk(&first, Outcome::Delivered)
        .await
        .unwrap();
    assert_eq!(done.state, ChunkState::Delivered);
    setting.pass(0, 1);
    let due = engine.due_chunks(10).await.unwrap();
    assert_eq!(due.len(), 1);
    let second = engine.claim_chunk(&due[0]).await.unwrap().unwrap();
    assert_ne!(second.chunk.identifier, first.chunk.identifier);
    assert!(second.chunk.identifier.len() <= 100);
}

#[tokio::test]
async fn what_is_in_doubt_holds_up_others_until_it_is_resolved() {
    let setting = setting("life").await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    setting.begin_billing().await;
    setting.use_of("tokens", 150, 0).await;
    engine.seal_now(&acme).await.unwrap();
    let due = engine.due_chunks(10).await.unwrap();
    let claimed = engine.claim_chunk(&due[0]).await.unwrap().unwrap();
    let why = "timeout".into();
    engine
        .settle_chunk(&claimed, Outcome::Unknown { why })
        .await
        .unwrap();
    setting.use_of("tokens", 5, 0).await;
    setting.pass(0, 21);
    engine.seal_now(&acme).await.unwrap();
    let due = engine.due_chunks(10).await.unwrap();
    for view in &due {
        assert_eq!(engine.claim_chunk(view).await.unwrap(), None);
    }
    let states: Vec<_> = setting
        .chunks()
        .await
        .iter()
        .map(|view| view.chunk.state)
        .collect();
    assert_eq!(states, [ChunkState::InDoubt, ChunkState::Sealed]);
    assert!(
        engine
            .requeue_chunk(&setting.chunks().await[1].id)
            .await
            .is_err()
    );
    let doubted = setting.chunks().await.remove(0);
    let again = engine
        .resolve_chunk(&doubted, Evidence::Missing)
        .await
        .unwrap();
    assert_eq!((again.state, again.generation), (ChunkState::Sealed, 1));
    assert_ne!(again.identifier, doubted.chunk.identifier);
}

#[tokio::test]
async fn another_life_of_the_database_doubts_what_it_finds() {
    let setting = setting("life").await;
    setting.begin_billing().await;
    for used in [150, 20] {
        setting.use_of("tokens", used, 0).await;
        setting.engine.seal_now(&customer("acme")).await.unwrap();
    }
    let restored = setting.reopened(BillingTerms {
        incarnation: "another".into(),
        ..BillingTerms::default()
    });
    let due = restored.due_chunks(10).await.unwrap();
    assert_eq!(restored.claim_chunk(&due[0]).await.unwrap(), None);
    assert_eq!(setting.chunks().await[0].chunk.state, ChunkState::InDoubt);
    // Of those after it too nobody knows whether the other life sent them; of what this one seals everybody does.
    assert_eq!(
        restored.claim_chunk(&due[1]).await.unwrap(),
        None,
        "in order"
    );
    setting.use_of("tokens", 9, 0).await;
    restored.seal_now(&customer("acme")).await.unwrap();
    let first = setting.chunks().await.remove(0);
    let ledger = restored.ledger_of(&first).await.unwrap();
    assert_eq!((ledger.delivered, ledger.perhaps), (Some(0), vec![50, 20]));
}

#[tokio::test]
async fn a_payer_is_one_customers() {
    let setting = setting("life").await;
    setting.begin_billing().await;
    let engine = &setting.engine;
    assert_eq!(
        engine.customer_of_payer("cus_1").await.unwrap(),
        Some(customer("acme"))
    );
    assert_eq!(engine.customer_of_payer("cus_2").await.unwrap(), None);
    // Who has one keeps it.
    let kept = engine.link_payer(&customer("acme"), "cus_2").await.unwrap();
    assert_eq!(&*kept, "cus_1");
    assert_eq!(engine.customer_of_payer("cus_2").await.unwrap(), None);
    setting.create("other").await;
    let taken = engine.link_payer(&customer("other"), "cus_1").await;
    assert!(
        matches!(taken, Err(crate::engine::Error::Exists { .. })),
        "{taken:?}"
    );
}
