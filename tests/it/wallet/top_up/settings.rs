//! Automatic top-ups that are unset and set again, and whose credit unit is gone for a while.

use super::*;

/// What is sold once dollars are no credit unit any more.
const WITHOUT_DOLLARS: &str = r#"
default_plan = "basic"

[credit_units.LUC]
per_dollar = 100

[plans.basic.entitlements]
"#;

on_each_store! {
    setting_it_anew_does_not_get_around_its_cap
    nothing_is_asked_for_in_a_unit_that_is_gone
}

mod scenes {
    use super::*;

    pub async fn setting_it_anew_does_not_get_around_its_cap<B: Backend>() {
        let mut scene = Scene::<B>::new().await;
        let again = async |scene: &mut Scene<B>| {
            scene.set("acme", None).await;
            scene.asks_no_more_than(scene.asked("acme").len()).await;
            scene.set("acme", Some(terms(11, 20))).await;
        };
        scene.set("acme", Some(terms(11, 20))).await;
        let first = scene.asks(1).await;
        scene.spend("acme", 20 * USD).await;
        // It was asked for less than an hour ago.
        again(&mut scene).await;
        scene.asks_no_more_than(1).await;
        scene.clock.advance(Span::from_hours(1));
        let second = scene.asks(2).await;
        assert_ne!(first.idempotency_key, second.idempotency_key);
        assert_eq!(scene.top_up().await.unwrap().state.crossing, 2);
        // A third would be 60 of 50 in the month.
        scene.spend("acme", 20 * USD).await;
        scene.clock.advance(Span::from_hours(2));
        again(&mut scene).await;
        scene.asks_no_more_than(2).await;
        assert_eq!(scene.top_up().await.unwrap().state.asked, 40 * USD);
        // While it is unset nothing is asked for, whatever the time.
        scene.set("acme", None).await;
        scene.clock.advance(Span::from_days(31));
        scene.asks_no_more_than(2).await;
        scene.set("acme", Some(terms(11, 20))).await;
        scene.asks(3).await;
        assert_eq!(scene.top_up().await.unwrap().state.asked, 20 * USD);
        scene.close().await;
    }

    pub async fn nothing_is_asked_for_in_a_unit_that_is_gone<B: Backend>() {
        let mut scene = Scene::<B>::new().await;
        let unknown = PaymentFault::Unknown("no answer".to_owned());
        scene.till.faults.lock().unwrap().push_back(unknown);
        scene.set("acme", Some(terms(11, 20))).await;
        let first = scene.asks(1).await;
        reopen(&mut scene, WITHOUT_DOLLARS).await;
        // What is pending waits.
        scene.clock.advance(Span::from_hours(1));
        scene.asks_no_more_than(1).await;
        reopen(&mut scene, CATALOG).await;
        scene.clock.advance(Span::from_minutes(1));
        assert_eq!(scene.asks(2).await, first);
        assert_eq!(scene.available("acme").await, 30 * USD);
        // What is not asked for yet waits, too.
        scene.spend("acme", 20 * USD).await;
        reopen(&mut scene, WITHOUT_DOLLARS).await;
        scene.clock.advance(Span::from_hours(2));
        scene.asks_no_more_than(2).await;
        assert_eq!(scene.top_up().await.unwrap().state.crossing, 1);
        reopen(&mut scene, CATALOG).await;
        scene.clock.advance(Span::from_minutes(1));
        assert_eq!(scene.asks(3).await.cents, 2_000);
        scene.close().await;
    }

    /// Ends the processes and starts others that sell something else.
    async fn reopen<B: Backend>(scene: &mut Scene<B>, catalog: &'static str) {
        scene.close().await;
        scene.catalog = catalog;
        scene.open().await;
    }
}
