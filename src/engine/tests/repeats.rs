//! Calls that are repeated after time passed or the catalog changed, and events that harm only themselves.

use super::setting::{customer, feature};
use super::usage::{CATALOG, event_id, setting};
use crate::domain::time::Span;
use crate::domain::usage::EVENT_AGE_MAX;
use crate::engine::{AmendAsk, ConsumeAsk, Error, RecordOutcome};

const EMPTY: &str = r#"default_plan = "free"
plans.free = {}"#;

#[tokio::test]
async fn a_repeat_is_one_although_the_first_could_not_be_made_any_more() {
    for passes_time in [true, false] {
        let setting = setting().await;
        let mut old = setting.event("old", "tokens", 5, 0);
        old.event_time = Some(setting.engine.now().minus(EVENT_AGE_MAX));
        setting
            .recorded(vec![old.clone(), setting.event("amended", "tokens", 1, 0)])
            .await;
        let consume = ConsumeAsk {
            event: setting.event("consumed", "tokens", 7, 0),
            feature: feature("tokens"),
            verbose: false,
        };
        setting.engine.consume(consume.clone()).await.unwrap();
        let held = setting
            .reserve("tokens", 10, None)
            .await
            .reservation
            .unwrap();
        let (commit, amend) = (setting.fresh(), setting.fresh());
        let settle = async |event| {
            let (request, id) = (commit.clone(), held.id.clone());
            let call = setting
                .engine
                .commit("t", request, customer("acme"), id, vec![event]);
            call.await
        };
        let settling = setting.event("settled", "tokens", 3, 0);
        let first = settle(settling.clone()).await.unwrap();
        let amending = AmendAsk {
            customer: customer("acme"),
            event: event_id("amended"),
            replacement: setting.event("instead", "tokens", 2, 0),
            reason: Box::default(),
        };
        let correct = async || {
            let call = setting.engine.amend("t", amend.clone(), amending.clone());
            call.await
        };
        let amended = correct().await.unwrap();

        if passes_time {
            setting.clock.advance(EVENT_AGE_MAX);
            setting.clock.advance(Span::from_secs(1));
        } else {
            setting.apply(EMPTY).await.unwrap();
        }
        let mut fresh = old.clone();
        fresh.event_id = event_id("fresh");
        let outcomes = setting.record(vec![old, fresh]).await;
        assert!(
            matches!(outcomes[0], RecordOutcome::Duplicate(_)),
            "{outcomes:?}"
        );
        let why = format!("{:?}", outcomes[1]);
        let expected = if passes_time { "TooOld" } else { "Meter" };
        assert!(why.contains("Rejected") && why.contains(expected), "{why}");
        let again = setting.engine.consume(consume).await.unwrap();
        assert!(matches!(again.outcome, Some(RecordOutcome::Duplicate(_))));
        assert_eq!(settle(settling).await.unwrap().0, first.0);
        assert_eq!(correct().await.unwrap(), amended);
    }
}

#[tokio::test]
async fn events_that_make_a_sum_overflow_are_rejected_and_no_others() {
    let setting = setting().await;
    let catalog = CATALOG.replacen(
        "meters.calls",
        "meters.bytes = { aggregation = \"sum\", unit = \"byte\" }\nmeters.calls",
        1,
    );
    setting.apply(&catalog).await.unwrap();
    let most = crate::domain::quantity::QUANTITY_MAX;
    let mut rejected = 0;
    for round in 0..10 {
        let mut events: Vec<_> = (0..1000)
            .map(|nth| setting.event(&format!("big-{round}-{nth}"), "bytes", most, 0))
            .collect();
        events.insert(500, setting.event(&format!("good-{round}"), "tokens", 1, 0));
        for (nth, outcome) in setting.record(events).await.into_iter().enumerate() {
            match outcome {
                RecordOutcome::Recorded(_) => {}
                RecordOutcome::Rejected(Error::Overflow(_)) if nth != 500 => rejected += 1,
                other => panic!("{nth}: {other:?}"),
            }
        }
    }
    // Thousandths of 10^12 units, summed up by the hour in 64 bits.
    assert_eq!(rejected, 10_000 - i64::MAX / (most * 1000));
    assert_eq!(setting.look("tokens", None).await.used.units_up(), 10);
    setting.counters_are_right().await;
}

#[tokio::test]
async fn a_consume_counts_in_the_windows_it_was_decided_on() {
    let setting = setting().await;
    let late = |nth: u32| ConsumeAsk {
        event: setting.event(&format!("late-{nth}"), "tokens", 100_000, 20 * 24 * 60),
        feature: feature("tokens"),
        verbose: false,
    };
    let mut granted = 0;
    for nth in 0..12 {
        granted += u32::from(
            setting
                .engine
                .consume(late(nth))
                .await
                .unwrap()
                .decision
                .allowed,
        );
    }
    assert_eq!(granted, 5, "500,000 in any five hours");
    setting.counters_are_right().await;
}
