//! Voids and amendments leave counters, rollups and lists as if the event had never been.

use super::setting::{Setting, cause, customer, labels, subaccount};
use super::usage::{event_id, setting};
use crate::domain::id::MeterId;
use crate::domain::quantity::Milli;
use crate::domain::time::Span;
use crate::domain::usage::UsageEvent;
use crate::domain::window::TimeRange;
use crate::engine::{
    AmendAsk, Amended, Error, RecordOutcome, SubaccountProfile, VoidAsk, VoidFilter, VoidStatus,
    VoidWhat,
};
use crate::storage::{EventKind, EventQuery, StoredEvent};

/// Ages of events in minutes: in every running window, in one that ended, in the one ahead.
const AGES: [u32; 6] = [0, 3, 90, 400, 2_000, 30_000];

fn various(setting: &Setting, prefix: &str) -> Vec<UsageEvent> {
    let mut events = Vec::new();
    for (nth, age) in AGES.into_iter().enumerate() {
        for (model, sub) in [("large", None), ("small", Some("bot"))] {
            let mut event = setting.event(&format!("{prefix}{nth}{model}"), "tokens", 7, age);
            event.dimensions = labels(&[("model", model)]);
            event.subaccount_id = sub.map(subaccount);
            events.push(event);
        }
    }
    let mut ahead = setting.event(&format!("{prefix}ahead"), "tokens", 5, 0);
    ahead.event_time = Some(setting.engine.now().plus(Span::from_minutes(4)));
    events.push(ahead);
    events
}

async fn listed(setting: &Setting, id: &str) -> Vec<StoredEvent> {
    let query = EventQuery {
        customer: customer("acme"),
        subaccount: None,
        meter: None,
        range: TimeRange::ALWAYS,
        dimensions: labels(&[]),
        ids: vec![event_id(id)],
        reservation: None,
        standing: false,
        after: None,
        limit: 10,
    };
    setting.engine.events(query).await.unwrap().items
}

#[tokio::test]
async fn a_void_restores_every_counter() {
    let setting = setting().await;
    setting.recorded(various(&setting, "kept")).await;
    let before = setting.counted().await;
    let events = various(&setting, "gone");
    setting.recorded(events.clone()).await;
    assert_ne!(setting.counted().await, before);
    let ids: Vec<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
    let answer = setting.void(&ids).await;
    assert_eq!(answer.count(), events.len());
    assert_eq!(answer.amount(), Milli(1000 * (7 * 12 + 5)));
    assert_eq!(setting.counted().await, before);
    setting.counters_are_right().await;
}

#[tokio::test]
async fn each_id_has_its_own_outcome() {
    let setting = setting().await;
    setting
        .recorded(vec![
            setting.event("a", "tokens", 1, 0),
            setting.event("b", "tokens", 1, 0),
            setting.event("old", "tokens", 1, 30 * 1440),
        ])
        .await;
    setting.pass(6, 0);
    setting.void(&["a"]).await;
    let answer = setting.void(&["none", "b", "a", "old"]).await;
    let statuses: Vec<VoidStatus> = answer.results.iter().map(|result| result.status).collect();
    assert_eq!(
        statuses,
        [
            VoidStatus::NotFound,
            VoidStatus::Voided,
            VoidStatus::AlreadyVoided,
            VoidStatus::TooOld
        ]
    );
    let rows = listed(&setting, "a").await;
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].row.kind, rows[0].voided), (EventKind::Usage, true));
    let void = &rows[1];
    assert_eq!((void.row.kind, void.voided), (EventKind::Void, false));
    assert_eq!(void.row.event.quantity, -1);
    assert_eq!(void.row.count_time, rows[0].row.count_time);
    assert_eq!(
        void.row.event.metadata,
        labels(&[("reason", "counted twice")])
    );
    setting.counters_are_right().await;
}

#[tokio::test]
async fn a_repeated_call_gets_the_first_answer() {
    let setting = setting().await;
    setting
        .recorded(vec![setting.event("a", "tokens", 1, 0)])
        .await;
    let (request, ask) = (setting.fresh(), Setting::void_ask(&["a"]));
    let first = setting.engine.void("t", request.clone(), ask.clone()).await;
    let again = setting.engine.void("t", request.clone(), ask).await;
    assert_eq!(first.unwrap(), again.unwrap());
    let other = Setting::void_ask(&["b"]);
    let refused = setting.engine.void("t", request, other).await;
    assert_eq!(cause(refused), "request reused");
    let twice = Setting::void_ask(&["a", "a"]);
    let refused = setting.engine.void("t", setting.fresh(), twice).await;
    assert_eq!(cause(refused), "invalid event_ids[1]");
}

#[tokio::test]
async fn a_filter_voids_a_thousand_at_a_time() {
    let setting = setting().await;
    let events = |from: usize, to: usize, model: &str| -> Vec<UsageEvent> {
        let one = |nth| {
            let mut event = setting.event(&format!("{model}{nth}"), "tokens", 1, 60);
            event.dimensions = labels(&[("model", model)]);
            event
        };
        (from..to).map(one).collect()
    };
    setting.recorded(events(0, 1000, "large")).await;
    setting.recorded(events(1000, 1200, "large")).await;
    setting.recorded(events(0, 10, "small")).await;
    let now = setting.engine.now();
    let mut ask = VoidAsk {
        customer: customer("acme"),
        what: VoidWhat::Like(VoidFilter {
            meter: MeterId::new("tokens").unwrap(),
            range: TimeRange {
                start: now.minus(Span::from_hours(2)),
                end: now,
            },
            subaccount: None,
            dimensions: labels(&[("model", "large")]),
        }),
        reason: Box::default(),
        dry_run: true,
    };
    let before = setting.counted().await;
    let void = async |ask: &VoidAsk| {
        let made = setting.engine.void("t", setting.fresh(), ask.clone()).await;
        let made = made.unwrap();
        (made.count(), made.more)
    };
    assert_eq!(void(&ask).await, (1000, true));
    assert_eq!(setting.counted().await, before);
    ask.dry_run = false;
    assert_eq!(void(&ask).await, (1000, true));
    assert_eq!(void(&ask).await, (200, false));
    assert_eq!(void(&ask).await, (0, false));
    assert_eq!(
        setting.check("tokens", 0, None).await.limits[0].used,
        Milli(10_000)
    );
    setting.counters_are_right().await;
}

#[tokio::test]
async fn a_batch_voids_what_it_recorded_and_nothing_that_comes_after() {
    let setting = setting().await;
    let engine = &setting.engine;
    let prepare = async |id: &str| {
        let event = setting.event(id, "tokens", 3, 0);
        engine.prepare(vec![event]).await.unwrap()
    };
    let (first, second) = (prepare("a").await, prepare("b").await);
    let (recorded, voided) = tokio::join!(
        engine.record(first),
        engine.void("t", setting.fresh(), Setting::void_ask(&["a"])),
    );
    assert!(matches!(recorded.unwrap()[0], RecordOutcome::Recorded(_)));
    assert_eq!(voided.unwrap().results[0].status, VoidStatus::Voided);
    let (voided, recorded) = tokio::join!(
        engine.void("t", setting.fresh(), Setting::void_ask(&["b"])),
        engine.record(second),
    );
    assert!(matches!(recorded.unwrap()[0], RecordOutcome::Recorded(_)));
    assert_eq!(voided.unwrap().results[0].status, VoidStatus::NotFound);
    assert_eq!(
        setting.check("tokens", 0, None).await.limits[0].used,
        Milli(3_000)
    );
    setting.counters_are_right().await;
}

#[tokio::test]
async fn what_a_batch_refuses_and_then_takes_is_stored() {
    let setting = setting().await;
    let engine = &setting.engine;
    let prepare = async || {
        let mut event = setting.event("a", "tokens", 3, 0);
        event.subaccount_id = Some(subaccount("late"));
        engine.prepare(vec![event]).await.unwrap()
    };
    let (first, second, third) = (prepare().await, prepare().await, prepare().await);
    let (acme, profile) = (customer("acme"), SubaccountProfile::default());
    let (refused, made, taken, repeated) = tokio::join!(
        engine.record(first),
        engine.create_subaccount("t", setting.fresh(), &acme, subaccount("late"), profile),
        engine.record(second),
        engine.record(third),
    );
    made.unwrap();
    assert!(matches!(refused.unwrap()[0], RecordOutcome::Rejected(_)));
    assert!(matches!(taken.unwrap()[0], RecordOutcome::Recorded(_)));
    assert!(matches!(repeated.unwrap()[0], RecordOutcome::Duplicate(_)));
    assert_eq!(listed(&setting, "a").await.len(), 1);
    setting.counters_are_right().await;
}

impl Setting {
    async fn amend(&self, id: &str, replacement: UsageEvent) -> Result<Amended, Error> {
        let ask = AmendAsk {
            customer: customer("acme"),
            event: event_id(id),
            replacement,
            reason: Box::from("wrong model"),
        };
        self.engine.amend("t", self.fresh(), ask).await
    }
}

#[tokio::test]
async fn an_amendment_replaces_an_event_in_its_time() {
    let setting = setting().await;
    let mut wrong = setting.event("a", "tokens", 50, 2_000);
    wrong.dimensions = labels(&[("model", "large")]);
    setting.recorded(vec![wrong]).await;
    let mut right = setting.event("b", "tokens", 20, 0);
    right.event_time = None;
    let amended = setting.amend("a", right).await.unwrap();
    assert!(!amended.duplicate);
    assert_eq!(amended.original.event.quantity, 50);
    let row = &listed(&setting, "b").await[0].row;
    assert_eq!(row.count_time, amended.original.count_time);
    let notes = labels(&[("reason", "wrong model"), ("replacement_event_id", "b")]);
    assert_eq!(listed(&setting, "a").await[1].row.event.metadata, notes);
    setting.counters_are_right().await;
}

#[tokio::test]
async fn an_amendment_is_made_whole_or_not_at_all() {
    let setting = setting().await;
    setting
        .recorded(vec![
            setting.event("a", "tokens", 50, 0),
            setting.event("taken", "tokens", 9, 0),
        ])
        .await;
    let before = setting.counted().await;
    let used = setting.event("taken", "tokens", 1, 0);
    let refused = setting.amend("a", used).await.unwrap_err();
    assert!(
        matches!(refused, Error::EventIdReused { .. }),
        "{refused:?}"
    );
    let mut unknown = setting.event("b", "tokens", 1, 0);
    unknown.subaccount_id = Some(subaccount("nobody"));
    assert_eq!(cause(setting.amend("a", unknown).await), "no subaccount");
    let mut wrong = setting.event("b", "tokens", 1, 0);
    wrong.dimensions = labels(&[("colour", "red")]);
    let refused = cause(setting.amend("a", wrong).await);
    assert_eq!(refused, "invalid replacement.dimensions[\"colour\"]");
    let fine = || setting.event("b", "tokens", 1, 0);
    assert_eq!(cause(setting.amend("none", fine()).await), "no event");
    assert_eq!(setting.counted().await, before);
    assert!(!listed(&setting, "a").await[0].voided);
    setting.amend("a", fine()).await.unwrap();
    let again = setting.amend("a", setting.event("c", "tokens", 1, 0)).await;
    assert!(matches!(again, Err(Error::EventVoided { .. })), "{again:?}");
    setting.counters_are_right().await;
}
