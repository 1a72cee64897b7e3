use super::setting::{CATALOG, Setting, cause, customer, request, start, stored_catalog};
use crate::domain::catalog::{EntitlementSpec, Interval, MeteredSpec};
use crate::domain::decision::Reason;
use crate::domain::subscription::SubscriptionStatus;
use crate::domain::time::Span;
use crate::domain::window::Window;
use crate::engine::{OverrideCall, PlanCall, SubscriptionQuery};

fn at_start(setting: &Setting, plan: &str) -> PlanCall {
    PlanCall {
        anchor: Some(start()),
        ..setting.plan(plan)
    }
}

/// What is left of the month's tokens, and its amount.
async fn month(setting: &Setting) -> (Option<i64>, i64) {
    let seen = setting.look("tokens", None).await;
    let month = seen
        .limits
        .iter()
        .find(|limit| limit.window == Window::Month);
    let month = month.unwrap();
    (month.amount, month.used.units_up())
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
        setting.assign(at_start(&setting, from)).await.unwrap();
        setting.pass(2, 0);
        setting.used(80).await;
        setting
            .clock
            .advance(Span::from_micros_clamped(898_560_000_000));
        setting.assign(setting.plan(to)).await.unwrap();
        assert_eq!(month(&setting).await, expected, "{from} to {to}");
        setting.used(7).await;
        let used = month(&setting).await.1;
        assert_eq!(used, expected.1 + 7, "{from} to {to}");
        setting.counters_are_right().await;
        // The next window is the new plan's alone.
        setting.pass(31, 0);
        let plan = stored_catalog(CATALOG, 1).catalog.plan(to).unwrap().clone();
        let spec = plan.entitlements.values().find_map(|spec| match spec {
            EntitlementSpec::Metered(MeteredSpec { limits, .. }) => Some(limits[0].amount),
            _ => None,
        });
        assert_eq!(month(&setting).await, (spec.unwrap(), 0), "{from} to {to}");
    }
}

#[tokio::test]
async fn several_changes_in_one_window_each_have_their_part() {
    let setting = Setting::new().await;
    setting.assign(at_start(&setting, "free")).await.unwrap();
    setting
        .clock
        .advance(Span::from_micros_clamped(1_071_360_000_000));
    setting.assign(setting.plan("prorate")).await.unwrap();
    assert_eq!(month(&setting).await, (Some(40 + 1800), 0));
    setting.used(10).await;
    setting
        .clock
        .advance(Span::from_micros_clamped(803_520_000_000));
    // 40 % at 100, 30 % at 3000, and the rest by carry: the amount applies to all of it.
    setting.assign(setting.plan("carry")).await.unwrap();
    assert_eq!(month(&setting).await, (Some(1000), 10));
    setting.assign(setting.plan("prorate")).await.unwrap();
    assert_eq!(month(&setting).await, (Some(700 + 900), 10));
    // The same plan again changes nothing, neither does another status.
    let mut late = setting.plan("prorate");
    late.status = Some(SubscriptionStatus::PastDue);
    setting.assign(late).await.unwrap();
    assert_eq!(month(&setting).await, (Some(700 + 900), 10));
}

#[tokio::test]
async fn what_an_override_decides_is_not_changed_by_a_plan() {
    let setting = Setting::new().await;
    setting.assign(at_start(&setting, "free")).await.unwrap();
    setting.used(60).await;
    setting.pass(10, 0);
    setting.assign(setting.plan("prorate")).await.unwrap();
    let (prorated, _) = month(&setting).await;
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
        feature: super::setting::feature("tokens"),
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
    assert_eq!(month(&setting).await, (Some(1000), 60));
    setting.assign(setting.plan("reset")).await.unwrap();
    assert_eq!(month(&setting).await, (Some(1000), 60));
}

#[tokio::test]
async fn another_anchor_lays_out_every_window_anew() {
    let setting = Setting::new().await;
    setting.assign(at_start(&setting, "carry")).await.unwrap();
    setting.pass(40, 6);
    let hours = [830, 700, 500, 300, 100, 50, 30, 20, 12, 9, 5, 1, 0];
    let held = setting
        .reserve("tokens", 20, None)
        .await
        .reservation
        .unwrap();
    assert!(
        setting
            .reserve("tokens", 3, None)
            .await
            .reservation
            .is_some()
    );
    for (nth, hours) in hours.into_iter().enumerate() {
        setting
            .used_ago(1 << nth, Span::from_hours(hours), None)
            .await;
    }
    setting.counters_are_right().await;

    let anchor = setting.engine.now().minus(Span::from_hours(10));
    let moved = PlanCall {
        anchor: Some(anchor),
        ..setting.plan("carry")
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
        assert_eq!(
            status.reserved.units_up(),
            0,
            "they hold the windows before"
        );
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
    setting.assign(at_start(&setting, "carry")).await.unwrap();
    assert!(
        setting
            .reserve("tokens", 20, None)
            .await
            .reservation
            .is_some()
    );
    setting.used(5).await;
    // Its time is over, and the change is what finds it.
    setting.pass(1, 1);
    setting
        .assign(PlanCall {
            anchor: Some(setting.engine.now()),
            ..setting.plan("carry")
        })
        .await
        .unwrap();
    setting.counters_are_right().await;
    // Back to the windows before, which hold what they should.
    assert!(
        setting
            .reserve("tokens", 20, None)
            .await
            .reservation
            .is_some()
    );
    setting.assign(at_start(&setting, "carry")).await.unwrap();
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
    setting.assign(at_start(&setting, "carry")).await.unwrap();
    setting.used(10).await;
    setting.pass(5, 0);
    assert!(
        setting
            .reserve("tokens", 20, None)
            .await
            .reservation
            .is_some()
    );
    let yearly = PlanCall {
        interval: Some(Interval::Year),
        ..setting.plan("carry")
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
async fn a_first_plan_starts_its_windows_and_a_canceled_one_ends_them() {
    let setting = Setting::new().await;
    let none = setting
        .engine
        .get_subscription(&customer("acme"))
        .await
        .unwrap();
    assert_eq!(none.subscription, None);
    assert_eq!(none.plan.unwrap().as_str(), "free");
    setting.used(10).await;
    setting.pass(3, 0);
    let first = setting.assign(setting.plan("carry")).await.unwrap();
    assert_eq!(first.anchor.start, setting.engine.now());
    assert_eq!(month(&setting).await, (Some(1000), 0));
    setting.pass(1, 0);
    let second = setting.assign(setting.plan("prorate")).await.unwrap();
    assert_eq!(second.anchor, first.anchor, "the running one is kept");
    let mut cancel = setting.plan("prorate");
    cancel.status = Some(SubscriptionStatus::Canceled);
    let ended = setting.assign(cancel).await.unwrap();
    assert_eq!(ended.plan.unwrap().as_str(), "free");
    assert_eq!(ended.anchor.start, start());
    assert_eq!(month(&setting).await, (Some(100), 10));
    setting.counters_are_right().await;
    let query = SubscriptionQuery {
        status: Some(SubscriptionStatus::Canceled),
        limit: 9,
        ..SubscriptionQuery::default()
    };
    let found = setting.engine.list_subscriptions(query).await.unwrap();
    assert_eq!(found.items.len(), 1);
}

#[tokio::test]
async fn trials_grace_and_commitments_run_from_the_assignment() {
    let setting = Setting::new().await;
    let paid = |status| PlanCall {
        interval: Some(Interval::Year),
        status: Some(status),
        ..setting.plan("paid")
    };
    setting.pass(1, 0);
    let trial = setting
        .assign(paid(SubscriptionStatus::Trialing))
        .await
        .unwrap();
    let held = trial.subscription.unwrap();
    assert_eq!(held.trial_end, Some(start().plus(Span::from_days(15))));
    let commitment = trial.commitment.unwrap();
    assert_eq!(commitment.terms.months_paid, 9);
    assert_eq!(commitment.range.end, start().plus(Span::from_days(366)));
    setting.pass(14, 0);
    let seen = setting.look("sso", None).await;
    assert_eq!(seen.reason, Reason::SubscriptionInactive);
    let late = setting
        .assign(paid(SubscriptionStatus::PastDue))
        .await
        .unwrap();
    let kept = late.commitment.unwrap();
    assert_eq!(kept, commitment, "the same plan goes on");
    assert!(setting.look("sso", None).await.allowed);
    setting.pass(7, 0);
    let seen = setting.look("sso", None).await;
    assert_eq!(seen.reason, Reason::SubscriptionInactive);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_a_request_is_done_once() {
    let setting = Setting::new().await;
    let soon = Some(start().plus(Span::from_days(1)));
    let yearly = || PlanCall {
        interval: Some(Interval::Year),
        ..setting.plan("paid")
    };
    let cases = [
        (
            PlanCall {
                customer: customer("nobody"),
                ..yearly()
            },
            "no customer",
        ),
        (setting.plan("nothing"), "no plan"),
        (setting.plan("paid"), "invalid interval"),
        (
            PlanCall {
                trial_end: soon,
                ..yearly()
            },
            "invalid trial_end",
        ),
        (
            PlanCall {
                grace_end: soon,
                ..yearly()
            },
            "invalid grace_end",
        ),
        (
            PlanCall {
                status: Some(SubscriptionStatus::Trialing),
                ..setting.plan("carry")
            },
            "invalid trial_end",
        ),
        (
            PlanCall {
                status: Some(SubscriptionStatus::Trialing),
                trial_end: Some(start()),
                ..yearly()
            },
            "invalid trial_end",
        ),
        (
            PlanCall {
                anchor: Some(start().plus(Span::from_days(36))),
                ..yearly()
            },
            "invalid billing_anchor",
        ),
    ];
    for (call, expected) in cases {
        let assign = setting.engine.assign_plan("t", request("a"), call).await;
        assert_eq!(cause(assign), expected);
    }
    let standing = setting
        .engine
        .get_subscription(&customer("acme"))
        .await
        .unwrap();
    assert_eq!(
        standing.subscription, None,
        "nothing is left of what was refused"
    );
    let assign = |call| setting.engine.assign_plan("t", request("a"), call);
    let first = assign(yearly()).await.unwrap();
    setting.pass(0, 1);
    assert_eq!(assign(yearly()).await.unwrap(), first);
    assert_eq!(cause(assign(setting.plan("carry")).await), "request reused");
    let unknown = setting.engine.get_subscription(&customer("nobody")).await;
    assert_eq!(cause(unknown), "no customer");
}
