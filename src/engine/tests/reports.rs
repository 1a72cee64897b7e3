//! Usage reports, against a naive fold of the events.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::setting::{Setting, cause, customer, labels};
use super::usage::{event_id, setting};
use crate::domain::id::MeterId;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::domain::window::TimeRange;
use crate::engine::{Granularity, UsageAsk, UsageTotal};

fn ask(setting: &Setting, meter: &str, granularity: Granularity) -> UsageAsk {
    let now = setting.engine.now();
    UsageAsk {
        customer: customer("acme"),
        subaccount: None,
        meter: MeterId::new(meter).unwrap(),
        range: TimeRange {
            start: now.minus(Span::from_days(35)),
            end: now.plus(Span::from_minutes(5)),
        },
        granularity,
        group_by: Vec::new(),
        filter: Labels::new(),
        after: None,
        limit: 1000,
        with_cost: false,
    }
}

/// Reads all pages.
async fn totals(setting: &Setting, mut ask: UsageAsk) -> Vec<UsageTotal> {
    let mut all = Vec::new();
    loop {
        let page = setting.engine.usage(ask.clone()).await.unwrap();
        assert!(page.items.len() <= ask.limit);
        all.extend(page.items);
        match page.next {
            Some(next) => ask.after = Some(next),
            None => return all,
        }
    }
}

async fn value(setting: &Setting, meter: &str) -> i64 {
    let rows = totals(setting, ask(setting, meter, Granularity::None)).await;
    rows.first().map_or(0, |row| row.value.0 / 1000)
}

#[tokio::test]
async fn each_meter_is_reported_by_its_own_aggregation() {
    let setting = setting().await;
    let mut events = Vec::new();
    for (nth, (quantity, minutes)) in [(3, 90), (9, 50), (4, 10)].into_iter().enumerate() {
        for meter in ["tokens", "calls", "peak", "level"] {
            events.push(setting.event(&format!("{meter}{nth}"), meter, quantity, minutes));
        }
    }
    for (nth, user) in ["ann", "bob", "ann", "cyd"].into_iter().enumerate() {
        let mut event = setting.event(&format!("users{nth}"), "users", 1, 30);
        event.dimensions = labels(&[("user", user)]);
        events.push(event);
    }
    setting.recorded(events).await;
    let all = async || {
        let mut values = Vec::new();
        for meter in ["tokens", "calls", "peak", "level", "users"] {
            values.push(value(&setting, meter).await);
        }
        values
    };
    assert_eq!(all().await, [16, 3, 9, 4, 3]);
    setting.void(&["peak1", "level2", "users1", "users0"]).await;
    assert_eq!(all().await, [16, 3, 4, 9, 2], "ann is still there once");
    setting.void(&["users2"]).await;
    assert_eq!(value(&setting, "users").await, 1);
}

#[tokio::test]
async fn groups_are_told_apart_page_by_page() {
    let setting = setting().await;
    let mut events = Vec::new();
    for nth in 0..40_u32 {
        let id = format!("e{nth}");
        let mut event = setting.event(&id, "tokens", i64::from(nth), 60 * nth);
        if nth % 3 > 0 {
            event.dimensions = labels(&[("model", ["large", "small"][nth as usize % 2])]);
        }
        events.push(event);
    }
    setting.recorded(events).await;
    for granularity in [Granularity::Hour, Granularity::Day, Granularity::None] {
        let mut asked = ask(&setting, "tokens", granularity);
        asked.group_by = vec![Box::from("model")];
        let whole = totals(&setting, asked.clone()).await;
        assert_eq!(whole.iter().map(|row| row.value.0).sum::<i64>(), 780_000);
        for limit in [1, 2, 7] {
            asked.limit = limit;
            assert_eq!(
                totals(&setting, asked.clone()).await,
                whole,
                "{limit} a page"
            );
        }
    }
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let setting = setting().await;
    let asked = ask(&setting, "tokens", Granularity::Day);
    let refuse = async |change: &dyn Fn(&mut UsageAsk)| {
        let mut ask = asked.clone();
        change(&mut ask);
        cause(setting.engine.usage(ask).await)
    };
    let grouped = refuse(&|ask| ask.group_by = vec![Box::from("colour")]).await;
    assert_eq!(grouped, "invalid group_by[0]");
    let filtered = refuse(&|ask| ask.filter = labels(&[("colour", "red")])).await;
    assert_eq!(filtered, "invalid filter[\"colour\"]");
    let empty = refuse(&|ask| ask.range.end = ask.range.start).await;
    assert_eq!(empty, "invalid end_time");
    let foreign = refuse(&|ask| ask.after = Some("nonsense".to_owned())).await;
    assert_eq!(foreign, "invalid page_token");
    let stray = refuse(&|ask| ask.after = Some("[5,null]".to_owned())).await;
    assert_eq!(stray, "invalid page_token");
    let unknown = refuse(&|ask| ask.meter = MeterId::new("none").unwrap()).await;
    assert_eq!(unknown, "no meter");
    let nobody = refuse(&|ask| ask.customer = customer("nobody")).await;
    assert_eq!(nobody, "no customer");
}

/// An event: minutes ago, quantity, model, whether it is voided.
type Drawn = (u32, i64, u8, bool);

fn step_of(at: Timestamp, granularity: Granularity, range: TimeRange) -> Timestamp {
    let micros = at.as_micros();
    let floor = match granularity {
        Granularity::None => return range.start,
        Granularity::Hour => micros - micros % 3_600_000_000,
        Granularity::Day => micros - micros % 86_400_000_000,
        Granularity::Month => {
            let instant = jiff::Timestamp::from_microsecond(micros).unwrap();
            let first = instant.to_zoned(jiff::tz::TimeZone::UTC).first_of_month();
            let first = first.unwrap().start_of_day().unwrap();
            first.timestamp().as_microsecond()
        }
    };
    Timestamp::from_micros_clamped(floor).max(range.start)
}

async fn agrees(drawn: Vec<Drawn>, bounds: (u32, u32), granularity: Granularity, limit: usize) {
    let setting = setting().await;
    let now = setting.engine.now();
    let mut events = Vec::new();
    for (nth, (minutes, quantity, model, _)) in drawn.iter().enumerate() {
        let mut event = setting.event(&format!("e{nth}"), "tokens", *quantity, *minutes);
        event.dimensions = labels(&[("model", ["large", "small"][usize::from(*model)])]);
        events.push(event);
    }
    setting.recorded(events.clone()).await;
    let voided: Vec<String> = (0..drawn.len())
        .filter(|nth| drawn[*nth].3)
        .map(|nth| format!("e{nth}"))
        .collect();
    if !voided.is_empty() {
        let ids: Vec<&str> = voided.iter().map(String::as_str).collect();
        setting.void(&ids).await;
    }
    let mut asked = ask(&setting, "tokens", granularity);
    asked.range = TimeRange {
        start: now.minus(Span::from_minutes(bounds.0 + bounds.1)),
        end: now.minus(Span::from_minutes(bounds.0)),
    };
    asked.group_by = vec![Box::from("model")];
    asked.limit = limit;
    let mut expected: BTreeMap<(Timestamp, Labels), (i64, i64)> = BTreeMap::new();
    for event in &events {
        let at = event.event_time.unwrap();
        let standing = !voided.iter().any(|id| event.event_id == event_id(id));
        if standing && asked.range.contains(at) {
            let step = step_of(at, granularity, asked.range);
            let sum = expected
                .entry((step, event.dimensions.clone()))
                .or_default();
            *sum = (sum.0 + 1000 * event.quantity, sum.1 + 1);
        }
    }
    let found: Vec<_> = totals(&setting, asked)
        .await
        .into_iter()
        .map(|row| ((row.range.start, row.group), (row.value.0, row.events)))
        .collect();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn totals_are_the_fold_of_events(
        drawn in prop::collection::vec((0..50_000_u32, 1..100_i64, 0..2_u8, prop::bool::weighted(0.2)), 0..40),
        bounds in (0..20_000_u32, 1..50_000_u32),
        granularity in prop::sample::select(vec![
            Granularity::None, Granularity::Hour, Granularity::Day, Granularity::Month,
        ]),
        limit in 1..60_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agrees(drawn, bounds, granularity, limit));
    }
}

#[tokio::test]
async fn an_empty_stretch_has_no_rows() {
    let setting = setting().await;
    let rows = totals(&setting, ask(&setting, "tokens", Granularity::Hour)).await;
    assert_eq!(rows, []);
    assert_eq!(value(&setting, "tokens").await, 0);
}
