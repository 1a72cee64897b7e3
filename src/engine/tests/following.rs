//! Plans that follow Stripe, and webhooks that say when to look.

use super::setting::{Setting, customer, plan, start};
use crate::domain::billing::{Inbound, InboundState, Mirrored, StripeStatus};
use crate::domain::catalog::Interval;
use crate::domain::id::PlanId;
use crate::domain::subscription::SubscriptionStatus;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;

fn day(days: u32) -> Timestamp {
    start().plus(Span::from_days(days))
}

fn mirrored(plan: &str, status: &str) -> Mirrored {
    Mirrored {
        id: "sub_1".into(),
        status: StripeStatus::of(status),
        plan: Some((PlanId::new(plan).unwrap(), Interval::Month)),
        anchor: day(3),
        period: TimeRange {
            start: day(3),
            end: day(34),
        },
        trial_end: None,
        cancel_at: None,
        invoice_time: Some(day(3)),
        schedule: None,
        create_time: day(3),
    }
}

impl Setting {
    async fn linked() -> Self {
        let setting = Self::new().await;
        let linked = setting.engine.link_payer(&customer("acme"), "cus_1").await;
        linked.unwrap();
        setting
    }

    async fn token(&self) -> i64 {
        let acme = customer("acme");
        self.engine.ask_about(&acme, "cus_1").await.unwrap()
    }

    async fn answer(&self, token: i64, all: Vec<Mirrored>) -> bool {
        let acme = customer("acme");
        let of = (&acme, "cus_1");
        self.engine
            .take_subscriptions(of, token, all)
            .await
            .unwrap()
    }

    async fn standing(&self) -> (Option<String>, Option<SubscriptionStatus>) {
        let standing = self
            .engine
            .get_subscription(&customer("acme"))
            .await
            .unwrap();
        let plan = standing.plan.map(|plan| plan.to_string());
        (plan, standing.subscription.map(|held| held.status))
    }
}

#[tokio::test]
async fn a_plan_follows_the_answer_to_the_newest_question() {
    let setting = Setting::linked().await;
    let (first, second) = (setting.token().await, setting.token().await);
    assert!(first < second);
    assert!(
        setting
            .answer(second, vec![mirrored("reset", "active")])
            .await
    );
    let active = Some(SubscriptionStatus::Active);
    assert_eq!(setting.standing().await, (Some("reset".to_owned()), active));
    // The answer to the older question comes later, and is older.
    assert!(
        !setting
            .answer(first, vec![mirrored("carry", "past_due")])
            .await
    );
    assert_eq!(setting.standing().await, (Some("reset".to_owned()), active));
    let third = setting.token().await;
    assert!(
        setting
            .answer(third, vec![mirrored("reset", "canceled")])
            .await
    );
    assert_eq!(setting.standing().await.0.as_deref(), Some("free"));
}

#[tokio::test]
async fn windows_step_from_where_stripe_begins_its_periods() {
    let setting = Setting::linked().await;
    setting.pass(5, 0);
    setting.used(40).await;
    let token = setting.token().await;
    setting
        .answer(token, vec![mirrored("reset", "active")])
        .await;
    let standing = setting
        .engine
        .get_subscription(&customer("acme"))
        .await
        .unwrap();
    assert_eq!(standing.period, mirrored("reset", "active").period);
    setting.counters_are_right().await;
    let decision = setting.check("tokens", 0, None).await;
    assert_eq!(decision.window.map(|window| window.start), Some(day(3)));
}

#[tokio::test]
async fn late_payers_are_entitled_until_their_grace_ends() {
    let setting = Setting::linked().await;
    setting.pass(4, 0);
    let token = setting.token().await;
    setting
        .answer(token, vec![mirrored("reset", "past_due")])
        .await;
    assert!(setting.check("tokens", 1, None).await.allowed);
    setting.pass(6, 1);
    assert!(!setting.check("tokens", 1, None).await.allowed);
    // Hearing of it again does not begin another grace.
    let token = setting.token().await;
    setting
        .answer(token, vec![mirrored("reset", "past_due")])
        .await;
    assert!(!setting.check("tokens", 1, None).await.allowed);
    let token = setting.token().await;
    setting
        .answer(token, vec![mirrored("reset", "active")])
        .await;
    assert!(setting.check("tokens", 1, None).await.allowed);
}

#[tokio::test]
async fn what_was_assigned_here_stays_when_stripe_has_nothing_running() {
    let setting = Setting::linked().await;
    setting.assign(plan("carry")).await.unwrap();
    let token = setting.token().await;
    assert!(
        setting
            .answer(token, vec![mirrored("reset", "canceled")])
            .await
    );
    assert_eq!(setting.standing().await.0.as_deref(), Some("carry"));
}

fn inbound(kind: &str) -> Inbound {
    Inbound {
        kind: kind.into(),
        object: Some("sub_1".into()),
        payment: None,
        payer: Some("cus_1".into()),
        through: None,
        api_version: None,
        livemode: false,
        create_time: start(),
        receive_time: start(),
        state: InboundState::Waiting,
        attempts: 0,
        fault: None,
        due_time: start(),
    }
}

#[tokio::test]
async fn a_webhook_is_taken_once_and_remembered_for_a_month() {
    let setting = Setting::new().await;
    let engine = &setting.engine;
    assert!(
        engine
            .receive_webhook("evt_1", inbound("invoice.paid"))
            .await
            .unwrap()
    );
    assert!(
        !engine
            .receive_webhook("evt_1", inbound("invoice.paid"))
            .await
            .unwrap()
    );
    assert_eq!(engine.due_webhooks(10).await.unwrap().len(), 1);
    engine
        .fail_webhooks(&["evt_1".into()], "Stripe is away")
        .await
        .unwrap();
    assert!(engine.due_webhooks(10).await.unwrap().is_empty());
    setting.pass(0, 1);
    let due = engine.due_webhooks(10).await.unwrap();
    assert_eq!(due[0].1.fault.as_deref(), Some("Stripe is away"));
    engine
        .end_webhooks(&["evt_1".into()], InboundState::Done)
        .await
        .unwrap();
    assert!(engine.due_webhooks(10).await.unwrap().is_empty());
    assert!(
        !engine
            .receive_webhook("evt_1", inbound("invoice.paid"))
            .await
            .unwrap()
    );
    setting.pass(32, 0);
    let due = engine.due_webhooks(10).await.unwrap();
    assert_eq!((due.len(), due[0].1.state), (1, InboundState::Done));
    engine.forget_webhooks(&["evt_1".into()]).await.unwrap();
    let page = engine.list_webhooks(None, (None, 10)).await.unwrap();
    assert!(page.items.is_empty());
}

#[tokio::test]
async fn webhooks_are_changed_many_at_a_time_and_each_by_how_it_stands() {
    let setting = Setting::new().await;
    let engine = &setting.engine;
    let ids: Vec<Box<str>> = (0..300).map(|id| format!("evt_{id}").into()).collect();
    let all = || {
        let views = ids.iter().map(|id| (id.clone(), inbound("invoice.paid")));
        views.collect::<Vec<_>>()
    };
    assert_eq!(engine.receive_webhooks(all(), false).await.unwrap(), 300);
    assert_eq!(engine.receive_webhooks(all(), false).await.unwrap(), 0);
    let done = engine.end_webhooks(&ids[..200], InboundState::Done);
    assert_eq!(done.await.unwrap(), 200);
    // What is done with does not fail, and is not forgotten before its time.
    let failed = engine.fail_webhooks(&ids, "Stripe is away").await.unwrap();
    assert_eq!(failed, 100);
    assert_eq!(engine.forget_webhooks(&ids).await.unwrap(), 0);
    // To be worked on once more, what was done waits as if it had just come.
    assert_eq!(engine.receive_webhooks(all(), true).await.unwrap(), 200);
    assert_eq!(engine.due_webhooks(1_000).await.unwrap().len(), 200);
    let end = engine.end_webhooks(&ids, InboundState::Done);
    assert_eq!(end.await.unwrap(), 300);
    setting.pass(32, 0);
    assert_eq!(engine.forget_webhooks(&ids).await.unwrap(), 300);
}

#[tokio::test]
async fn one_of_several_reads_the_list_of_events() {
    let setting = Setting::new().await;
    let engine = &setting.engine;
    let begun = engine.begin_listing(true).await.unwrap();
    assert_eq!(begun, Some(start()), "who never read it begins now");
    for at_once in [true, false] {
        assert_eq!(engine.begin_listing(at_once).await.unwrap(), None);
    }
    setting.pass(1, 0);
    // Whoever was at it is gone, and nothing was noted.
    let again = engine.begin_listing(false).await.unwrap();
    assert_eq!(again, Some(start()));
    engine.end_listing(day(1)).await.unwrap();
    assert_eq!(engine.begin_listing(false).await.unwrap(), None);
    // At a start it is read although it is not yet time to.
    assert_eq!(engine.begin_listing(true).await.unwrap(), Some(day(1)));
    engine.end_listing(start()).await.unwrap();
    let furthest = engine.begin_listing(true).await.unwrap();
    assert_eq!(furthest, Some(day(1)), "what was seen stays seen");
}

#[tokio::test]
async fn a_payer_is_looked_at_by_one_of_several() {
    let setting = Setting::linked().await;
    let (engine, acme) = (&setting.engine, customer("acme"));
    assert!(engine.due_payers(10).await.unwrap().is_empty());
    setting.pass(1, 0);
    let due = engine.due_payers(10).await.unwrap();
    assert_eq!(due, [("cus_1".into(), acme.clone())]);
    let token = engine.ask_if_due(&acme, "cus_1").await.unwrap().unwrap();
    assert_eq!(engine.ask_if_due(&acme, "cus_1").await.unwrap(), None);
    assert!(engine.due_payers(10).await.unwrap().is_empty());
    // An answer that never comes is asked for again.
    setting.pass(1, 0);
    assert_eq!(engine.due_payers(10).await.unwrap().len(), 1);
    assert!(
        setting
            .answer(token, vec![mirrored("reset", "active")])
            .await
    );
    assert!(engine.due_payers(10).await.unwrap().is_empty());
    setting.pass(2, 0);
    assert_eq!(engine.due_payers(10).await.unwrap().len(), 1);
}
