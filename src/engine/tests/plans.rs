use super::setting::{CATALOG, Setting, customer, feature, plan, start, stored_catalog};
use crate::domain::catalog::{EntitlementSpec, Interval, MeteredSpec};
use crate::domain::id::EventId;
use crate::domain::subscription::SubscriptionStatus;
use crate::domain::time::Span;
use crate::domain::window::Window;
use crate::engine::{OverrideCall, PlanCall, VoidAsk, VoidStatus, VoidWhat};

fn at_start(id: &str) -> PlanCall {
    PlanCall {
        anchor: Some(start()),
        ..plan(id)
    }
}

#[tokio::test]
async fn running_windows_count_as_the_new_plan_says() {
    // January has 31 days: after 12.4 of them 60 % of it are left.
    for (from, to, expected) in [
        ("free", "carry", (Some(1000), 80)),
        ("carry", "free", (Some(100), 80)),
        ("free", "reset", (Some(500), 0)),
        ("unlimited", "reset", (Some(500), 0)),
        ("carry", "prorate", (Some(400 + 1800), 80)),
        ("free", "prorate", (Some(40 + 1800), 80)),
        ("unlimited", "prorate", (Some(3000), 80)),
        ("carry", "unlimited", (None, 80)),
    ] {
        let setting = Setting::new().await;
        setting.assign(at_start(from)).await.unwrap();
        setting.pass(2, 0);
        setting.used(80).await;
        setting
            .clock
            .advance(Span::from_micros_clamped(898_560_000_000));
        setting.assign(plan(to)).await.unwrap();
        assert_eq!(setting.month().await, expected, "{from} to {to}");
        setting.used(7).await;
        let used = setting.month().await.1;
        assert_eq!(used, expected.1 + 7, "{from} to {to}");
        setting.counters_are_right().await;
        // The next window is the new plan's alone.
        setting.pass(31, 0);
        let plan = stored_catalog(CATALOG, 1).catalog.plan(to).unwrap().clone();
        let spec = plan.entitlements.values().find_map(|spec| match spec {
            EntitlementSpec::Metered(MeteredSpec { limits, .. }) => Some(limits[0].amount),
            _ => None,
        });
        assert_eq!(setting.month().await, (spec.unwrap(), 0), "{from} to {to}");
    }
}

#[tokio::test]
async fn several_changes_in_one_window_each_have_their_part() {
    let setting = Setting::new().await;
    setting.assign(at_start("free")).await.unwrap();
    setting
        .clock
        .advance(Span::from_micros_clamped(1_071_360_000_000));
    setting.assign(plan("prorate")).await.unwrap();
    assert_eq!(setting.month().await, (Some(40 + 1800), 0));
    setting.used(10).await;
    setting
        .clock
        .advance(Span::from_micros_clamped(803_520_000_000));
    // 40 % at 100, 30 % at 3000, and the rest by carry: the amount applies to all of it.
    setting.assign(plan("carry")).await.unwrap();
    assert_eq!(setting.month().await, (Some(1000), 10));
    setting.assign(plan("prorate")).await.unwrap();
    assert_eq!(setting.month().await, (Some(700 + 900), 10));
    // The same plan again changes nothing, neither does another status.
    let mut late = plan("prorate");
    late.status = Some(SubscriptionStatus::PastDue);
    setting.assign(late).await.unwrap();
    assert_eq!(setting.month().await, (Some(700 + 900), 10));
}

#[tokio::test]
async fn what_an_override_decides_is_not_changed_by_a_plan() {
    let setting = Setting::new().await;
    setting.assign(at_start("free")).await.unwrap();
    setting.used(60).await;
    setting.pass(10, 0);
    setting.assign(plan("prorate")).await.unwrap();
    let (prorated, _) = setting.month().await;
    assert_ne!(prorated, Some(3000));
    let mut limits = Vec::new();
    if let Some(EntitlementSpec::Metered(spec)) = stored_catalog(CATALOG, 1)
        .catalog
        .plan("carry")
        .and_then(|plan| plan.entitlements.get("tokens").cloned())
    {
        limits = spec.limits;
    }
    let set = OverrideCall {
        customer: customer("acme"),
        subaccount: None,
        feature: feature("tokens"),
        spec: EntitlementSpec::Metered(MeteredSpec {
            limits,
            ..MeteredSpec::default()
        }),
        expire_time: None,
        note: Box::default(),
    };
    setting
        .engine
        .set_override("t", setting.fresh(), set)
        .await
        .unwrap();
    assert_eq!(setting.month().await, (Some(1000), 60));
    setting.assign(plan("reset")).await.unwrap();
    assert_eq!(setting.month().await, (Some(1000), 60));
}

#[tokio::test]
async fn another_anchor_lays_out_every_window_anew() {
    let setting = Setting::new().await;
    setting.assign(at_start("carry")).await.unwrap();
    setting.pass(40, 6);
    let hours = [830, 700, 500, 300, 100, 50, 30, 20, 12, 9, 5, 1, 0];
    let held = setting
        .reserve("tokens", 20, None)
        .await
        .reservation
        .unwrap();
    assert!(setting.hold(3, None).await);
    for (nth, hours) in hours.into_iter().enumerate() {
        setting
            .used_ago(1 << nth, Span::from_hours(hours), None)
            .await;
    }
    setting.counters_are_right().await;

    let anchor = setting.engine.now().minus(Span::from_hours(10));
    let moved = PlanCall {
        anchor: Some(anchor),
        ..plan("carry")
    };
    let standing = setting.assign(moved).await.unwrap();
    assert_eq!(standing.anchor.start, anchor);
    assert_eq!(standing.period.start, anchor);
    let seen = setting.look("tokens", None).await;
    for status in &seen.limits {
        assert_eq!(
            status.range,
            status.window.range(standing.anchor, setting.engine.now())
        );
        let inside = |ago: u32| {
            let at = setting.engine.now().minus(Span::from_hours(ago));
            status.range.contains(at)
        };
        let shifts = hours.iter().enumerate().filter(|(_, ago)| inside(**ago));
        let expected: i64 = shifts.map(|(nth, _)| 1 << nth).sum();
        assert_eq!(status.used.units_up(), expected, "{}", status.window);
        let held = if inside(0) { 23 } else { 0 };
        assert_eq!(status.reserved.units_up(), held, "{}", status.window);
    }
    setting.counters_are_right().await;

    // Late usage, and the ends of what was reserved before, find their windows.
    setting.used_ago(5, Span::from_hours(200), None).await;
    setting.used_ago(6, Span::from_hours(2), None).await;
    let release = setting
        .engine
        .release("t", setting.fresh(), customer("acme"), held.id);
    release.await.unwrap();
    setting.counters_are_right().await;
    setting.pass(2, 0);
    setting.used(1).await;
    setting.counters_are_right().await;
}

#[tokio::test]
async fn reservations_that_ended_hold_nothing_after_the_anchor_moved() {
    let setting = Setting::new().await;
    setting.assign(at_start("carry")).await.unwrap();
    assert!(setting.hold(20, None).await);
    setting.used(5).await;
    // Its time is over, and the change is what finds it.
    setting.pass(1, 1);
    setting
        .assign(PlanCall {
            anchor: Some(setting.engine.now()),
            ..plan("carry")
        })
        .await
        .unwrap();
    setting.counters_are_right().await;
    // Back to the windows before, which hold what they should.
    assert!(setting.hold(20, None).await);
    setting.assign(at_start("carry")).await.unwrap();
    let seen = setting.look("tokens", None).await;
    let month = seen
        .limits
        .iter()
        .find(|limit| limit.window == Window::Month);
    assert_eq!(month.unwrap().used.units_up(), 5);
    setting.counters_are_right().await;
}

#[tokio::test]
async fn another_interval_moves_only_billing_periods() {
    let setting = Setting::new().await;
    setting.assign(at_start("carry")).await.unwrap();
    setting.used(10).await;
    setting.pass(5, 0);
    assert!(setting.hold(20, None).await);
    let yearly = PlanCall {
        interval: Some(Interval::Year),
        ..plan("carry")
    };
    let standing = setting.assign(yearly).await.unwrap();
    assert_eq!(standing.period.end, start().plus(Span::from_days(365)));
    let seen = setting.look("tokens", None).await;
    // The year starts where the month did, so what is held is held in it.
    for status in seen
        .limits
        .iter()
        .filter(|limit| limit.window != Window::Day)
    {
        assert_eq!(
            (status.used.units_up(), status.reserved.units_up()),
            (10, 20)
        );
    }
    setting.counters_are_right().await;
    setting.pass(40, 0);
    setting.used(4).await;
    setting.counters_are_right().await;
}

#[tokio::test]
async fn what_was_used_before_a_new_beginning_stays_before_it() {
    let setting = Setting::new().await;
    setting.assign(at_start("free")).await.unwrap();
    setting.pass(2, 0);
    setting.used(80).await;
    setting.pass(1, 0);
    setting.assign(plan("reset")).await.unwrap();
    setting.used(70).await;
    // Late usage of the time before, and usage of it that is taken back, change nothing of what counts since.
    setting.used_ago(9, Span::from_hours(30), None).await;
    assert_eq!(setting.month().await, (Some(500), 70));
    let id = EventId::new("fresh-3").unwrap();
    let ask = VoidAsk {
        customer: customer("acme"),
        what: VoidWhat::Ids(vec![id]),
        reason: Box::default(),
        dry_run: false,
    };
    let voided = setting
        .engine
        .void("t", setting.fresh(), ask)
        .await
        .unwrap();
    assert_eq!(voided.results[0].status, VoidStatus::Voided, "{voided:?}");
    assert_eq!(setting.month().await, (Some(500), 70));
    setting.used(5).await;
    assert_eq!(setting.month().await, (Some(500), 75));
    setting.counters_are_right().await;
}
