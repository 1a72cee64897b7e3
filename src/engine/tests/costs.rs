//! What usage cost, row by row: rows of a billing period add up to its line.

use super::estimates::setting;
use super::setting::{Setting, cause, customer, labels, start};
use crate::domain::id::MeterId;
use crate::domain::rating::Money;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;
use crate::engine::{Granularity, UsageAsk};

fn day(nth: u32) -> Timestamp {
    start().plus(Span::from_days(nth))
}

fn ask(meter: &str, days: std::ops::Range<u32>, granularity: Granularity) -> UsageAsk {
    UsageAsk {
        range: TimeRange {
            start: day(days.start),
            end: day(days.end),
        },
        granularity,
        limit: 100,
        with_cost: true,
        ..UsageAsk::of(customer("acme"), MeterId::new(meter).unwrap())
    }
}

/// Cents of each row, read page by page.
async fn cents(setting: &Setting, mut ask: UsageAsk) -> Vec<i64> {
    let mut all = Vec::new();
    loop {
        let page = setting.engine.usage(ask.clone()).await.unwrap();
        let cost = |cost: Option<Money>| cost.expect("it is charged").cents;
        all.extend(page.items.iter().map(|row| cost(row.cost)));
        match page.next {
            Some(next) => ask.after = Some(next),
            None => return all,
        }
    }
}

/// Uses hits and calls on days 0, 1 and 33, the last in another billing period.
async fn used() -> Setting {
    let setting = setting().await;
    let mut last = 0;
    for (days, hits, calls) in [(0, 17, 8), (1, 14, 4), (33, 12, 3)] {
        setting.pass(days - last, 0);
        last = days;
        let mut events = vec![setting.event(&format!("h{days}"), "hits", hits, 0)];
        for n in 0..calls {
            let mut call = setting.event(&format!("c{days}-{n}"), "calls", 1, 0);
            let model = if n == 0 { "large" } else { "small" };
            call.dimensions = labels(&[("model", model)]);
            events.push(call);
        }
        setting.recorded(events).await;
    }
    setting
}

#[tokio::test]
async fn rows_of_a_period_add_up_to_its_line() {
    let setting = used().await;
    // 8 calls are 80 cents, 12 are 110; the next period begins with its minimum.
    let by_day = ask("calls", 0..40, Granularity::Day);
    assert_eq!(cents(&setting, by_day.clone()).await, [80, 30, 50]);
    let paged = UsageAsk {
        limit: 1,
        ..by_day.clone()
    };
    assert_eq!(cents(&setting, paged).await, [80, 30, 50]);
    let whole = ask("calls", 0..40, Granularity::None);
    assert_eq!(cents(&setting, whole).await, [80 + 30 + 50]);
    // From the second day on the first does not count: four calls are less than the minimum.
    assert_eq!(
        cents(&setting, ask("calls", 1..40, Granularity::Day)).await,
        [50, 50]
    );
    // 17 hits are seven beyond the day's ten, 14 are four, 12 are two: packages of five, filled up.
    assert_eq!(
        cents(&setting, ask("hits", 0..40, Granularity::Day)).await,
        [200, 100, 100]
    );
    assert_eq!(
        cents(&setting, ask("hits", 0..40, Granularity::None)).await,
        [400]
    );
    assert_eq!(
        cents(&setting, ask("hits", 0..40, Granularity::Month)).await,
        [300, 100]
    );
    let half = "50".parse().unwrap();
    let (acme, key) = (customer("acme"), setting.fresh());
    let set = setting.engine.set_discount("t", key, &acme, half);
    set.await.unwrap();
    assert_eq!(cents(&setting, by_day).await, [50, 5, 50]);
    assert_eq!(
        cents(&setting, ask("hits", 0..40, Granularity::Month)).await,
        [150, 50]
    );
}

#[tokio::test]
async fn groups_cost_one_after_the_other_and_parts_stand_alone() {
    let setting = used().await;
    let grouped = UsageAsk {
        group_by: vec!["model".into()],
        ..ask("calls", 0..2, Granularity::Day)
    };
    // One large call brings the minimum; seven small ones the rest of 80 cents.
    assert_eq!(cents(&setting, grouped.clone()).await, [50, 30, 10, 20]);
    let paged = UsageAsk {
        limit: 1,
        ..grouped.clone()
    };
    assert_eq!(cents(&setting, paged).await, [50, 30, 10, 20]);
    let large = UsageAsk {
        filter: labels(&[("model", "large")]),
        ..ask("calls", 0..2, Granularity::Day)
    };
    assert_eq!(
        cents(&setting, large).await,
        [50, 0],
        "two calls are less than the minimum"
    );
}

#[tokio::test]
async fn only_what_is_charged_and_can_be_told_has_a_cost() {
    let setting = used().await;
    let events = ["space", "coins", "level"];
    let events = events.map(|meter| setting.event(meter, meter, 5, 0));
    setting.recorded(events.to_vec()).await;
    for meter in ["space", "coins", "level"] {
        let page = setting.engine.usage(ask(meter, 0..40, Granularity::None));
        let row = page.await.unwrap().items.remove(0);
        assert_eq!((row.events, row.cost), (1, None), "{meter}");
    }
    let unasked = UsageAsk {
        with_cost: false,
        ..ask("calls", 0..40, Granularity::None)
    };
    let page = setting.engine.usage(unasked).await.unwrap();
    assert_eq!(page.items[0].cost, None);
    let long = ask("hits", 0..3_000, Granularity::None);
    assert_eq!(cause(setting.engine.usage(long).await), "invalid with_cost");
    // A deleted customer has its books.
    let acme = customer("acme");
    let delete = setting.engine.delete_customer("t", setting.fresh(), &acme);
    delete.await.unwrap();
    assert_eq!(
        cents(&setting, ask("calls", 0..40, Granularity::None)).await,
        [160]
    );
}
