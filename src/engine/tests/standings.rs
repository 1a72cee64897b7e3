use super::setting::{Setting, cause, customer, plan, request, start};
use crate::domain::catalog::Interval;
use crate::domain::decision::Reason;
use crate::domain::subscription::SubscriptionStatus;
use crate::domain::time::Span;
use crate::engine::{PlanCall, SubscriptionQuery};

#[tokio::test]
async fn a_first_plan_keeps_what_was_used_and_a_given_anchor_starts_anew() {
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
    let first = setting.assign(plan("carry")).await.unwrap();
    assert_eq!(first.anchor.start, start(), "the customer's goes on");
    assert_eq!(setting.month().await, (Some(1000), 10));
    let mut moved = plan("carry");
    moved.anchor = Some(setting.engine.now());
    let first = setting.assign(moved).await.unwrap();
    assert_eq!(first.anchor.start, setting.engine.now());
    assert_eq!(setting.month().await, (Some(1000), 0));
    setting.pass(1, 0);
    let second = setting.assign(plan("prorate")).await.unwrap();
    assert_eq!(second.anchor, first.anchor, "the running one is kept");
    let mut cancel = plan("prorate");
    cancel.status = Some(SubscriptionStatus::Canceled);
    let ended = setting.assign(cancel).await.unwrap();
    assert_eq!(ended.plan.unwrap().as_str(), "free");
    assert_eq!(ended.anchor.start, start());
    assert_eq!(setting.month().await, (Some(100), 10));
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
        ..plan("paid")
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
        ..plan("paid")
    };
    let with = |status, trial_end, plan: PlanCall| PlanCall {
        status,
        trial_end,
        ..plan
    };
    let trial = Some(SubscriptionStatus::Trialing);
    let mut nobody = yearly();
    nobody.customer = customer("nobody");
    let mut graced = yearly();
    graced.grace_end = soon;
    let mut far = yearly();
    far.anchor = Some(start().plus(Span::from_days(36)));
    let cases = [
        (nobody, "no customer"),
        (plan("nothing"), "no plan"),
        (plan("paid"), "invalid interval"),
        (with(None, soon, yearly()), "invalid trial_end"),
        (graced, "invalid grace_end"),
        (with(trial, None, plan("carry")), "invalid trial_end"),
        (with(trial, Some(start()), yearly()), "invalid trial_end"),
        (far, "invalid billing_anchor"),
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
    assert_eq!(cause(assign(plan("carry")).await), "request reused");
    let unknown = setting.engine.get_subscription(&customer("nobody")).await;
    assert_eq!(cause(unknown), "no customer");
}
