//! What is billed after use, told before and after: by plans that come within a window, what is estimated is what usage
//! then costs.

use proptest::prelude::*;

use super::estimates::{item, of_feature, seen};
use super::setting::{Setting, customer, plan};
use crate::domain::id::MeterId;
use crate::domain::rating::Money;
use crate::domain::window::TimeRange;
use crate::engine::{Granularity, UsageAsk};

const MONTH: &str = r#"{ amount = AMOUNT, window = "month", on_limit = "allow" }"#;

/// Three plans that include so many tokens within the same limits, at the same price.
fn catalog(limits: &str, price: &str) -> String {
    let plan = |id: &str, amount: &str, on_change: &str| {
        let limits = limits.replace("AMOUNT", amount);
        format!(
            r#"
[plans.{id}]
on_change = "{on_change}"
[plans.{id}.entitlements.tokens]
limits = [{limits}]
overage = {{ {price} }}
"#
        )
    };
    let head = r#"
default_plan = "big"
meters.tokens = { aggregation = "sum" }
features.tokens = { metered = { meter = "tokens" } }
"#;
    [
        head,
        &plan("big", "100", "carry"),
        &plan("small", "10", "reset"),
        &plan("shared", "7", "prorate"),
    ]
    .concat()
}

async fn setting(limits: &str, price: &str) -> Setting {
    let setting = Setting::new().await;
    setting.apply(&catalog(limits, price)).await.unwrap();
    setting
}

impl Setting {
    async fn estimated(&self, tokens: i64) -> i64 {
        let items = vec![item(of_feature("tokens"), tokens, &[])];
        seen(&self.estimate(items).await.unwrap().items[0]).2
    }

    async fn use_tokens(&self, tokens: i64, minutes: u32) {
        let id = self.fresh();
        let event = self.event(id.as_str(), "tokens", tokens, minutes);
        self.recorded(vec![event]).await;
    }

    /// What all usage cost, by day: micro-units.
    async fn costs_by_day(&self) -> Vec<i64> {
        let ask = UsageAsk {
            range: TimeRange::ALWAYS,
            granularity: Granularity::Day,
            limit: 1000,
            with_cost: true,
            ..UsageAsk::of(customer("acme"), MeterId::new("tokens").unwrap())
        };
        let page = self.engine.usage(ask).await.unwrap();
        assert_eq!(page.next, None);
        let cost = |cost: Option<Money>| cost.expect("it is charged").micros;
        page.items.iter().map(|row| cost(row.cost)).collect()
    }

    async fn cost_of_all(&self) -> i64 {
        self.costs_by_day().await.iter().sum()
    }
}

#[tokio::test]
async fn after_a_reset_use_since_then_counts() {
    let setting = setting(MONTH, r#"per_unit = "1""#).await;
    setting.use_tokens(50, 0).await;
    setting.pass(0, 1);
    setting.assign(plan("small")).await.unwrap();
    assert_eq!(setting.estimated(5).await, 0);
    assert_eq!(setting.cost_of_all().await, 0);
    setting.use_tokens(5, 0).await;
    let decision = setting.check("tokens", 0, None).await;
    assert_eq!((decision.used.units_up(), decision.limit), (5, Some(10)));
    assert_eq!(setting.cost_of_all().await, 0);
    assert_eq!(setting.estimated(8).await, 3_000_000);
    setting.pass(1, 0);
    setting.use_tokens(8, 0).await;
    assert_eq!(setting.costs_by_day().await, [0, 3_000_000]);
    // What comes late of the time before the change counts as such.
    setting.use_tokens(20, 24 * 60 + 30).await;
    assert_eq!(setting.cost_of_all().await, 3_000_000);
    // The next window is the new plan's alone.
    setting.pass(31, 0);
    setting.use_tokens(12, 0).await;
    assert_eq!(setting.costs_by_day().await, [0, 3_000_000, 2_000_000]);
}

#[tokio::test]
async fn a_shared_out_amount_holds_for_its_window() {
    let setting = setting(MONTH, r#"per_unit = "1""#).await;
    setting.use_tokens(30, 0).await;
    setting.pass(10, 0);
    // Of 31 days 21 are left: 100 less 21 times 3 are 37.
    setting.assign(plan("shared")).await.unwrap();
    assert_eq!(setting.estimated(12).await, 5_000_000);
    assert_eq!(setting.cost_of_all().await, 0);
    setting.use_tokens(12, 0).await;
    assert_eq!(setting.costs_by_day().await, [0, 5_000_000]);
    setting.pass(31, 0);
    setting.use_tokens(12, 0).await;
    assert_eq!(setting.costs_by_day().await, [0, 5_000_000, 5_000_000]);
}

#[tokio::test]
async fn a_change_of_plan_leaves_the_days_before_it() {
    let day = MONTH.replace("month", "day");
    let setting = setting(&day, r#"package = "1", size = 5"#).await;
    setting.use_tokens(104, 0).await;
    setting.pass(1, 12);
    // Half of the day is left: 100 less 46.5 are 53.5, on this day alone. The first day has 97 beyond seven.
    setting.assign(plan("shared")).await.unwrap();
    setting.use_tokens(54, 0).await;
    let told = setting.estimated(14).await;
    let before = setting.costs_by_day().await;
    assert_eq!(before, [20_000_000, 0]);
    setting.use_tokens(14, 0).await;
    assert_eq!(setting.costs_by_day().await, [20_000_000, 3_000_000]);
    assert_eq!(told, 3_000_000);
}

/// What is done.
#[derive(Debug, Clone)]
enum Act {
    Use(i64),
    Late(i64, u32),
    Assign(&'static str),
    Wait(u32),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let plans = prop::sample::select(vec!["big", "small", "shared"]);
    let act = prop_oneof![
        5 => (1..60_i64).prop_map(Act::Use),
        2 => (1..60_i64, 1..800_u32).prop_map(|(tokens, hours)| Act::Late(tokens, hours)),
        2 => plans.prop_map(Act::Assign),
        2 => prop_oneof![1..12_u32, 20..300_u32].prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..14)
}

async fn agrees(limits: &str, price: &str, acts: Vec<Act>) {
    let setting = setting(limits, price).await;
    for act in acts.into_iter().chain([Act::Use(40)]) {
        match act {
            Act::Use(tokens) => {
                let told = setting.estimated(tokens).await;
                let before = setting.cost_of_all().await;
                setting.use_tokens(tokens, 0).await;
                assert_eq!(setting.cost_of_all().await - before, told);
            }
            Act::Late(tokens, hours) => setting.use_tokens(tokens, hours * 60).await,
            Act::Assign(id) => {
                // What was used before is of an earlier instant.
                setting.pass(0, 1);
                setting.assign(plan(id)).await.unwrap();
            }
            Act::Wait(hours) => setting.pass(0, hours),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_estimated_is_what_usage_then_costs(
        limits in prop::sample::select(vec![
            r#"{ amount = AMOUNT, window = "month", on_limit = "allow" }"#,
            r#"{ amount = AMOUNT, window = "day", on_limit = "allow" }"#,
            r#"{ amount = 90, window = "billing_period", on_limit = "allow" }, { amount = AMOUNT, window = "day", on_limit = "allow" }"#,
            r#"{ amount = 1_000, window = "month" }, { amount = AMOUNT, window = "week", on_limit = "allow" }"#,
        ]),
        price in prop::sample::select(vec![
            r#"per_unit = "0.07""#,
            r#"package = "1", size = 7"#,
            r#"graduated = [{ up_to = 20, unit = "1" }, { unit = "0.10" }]"#,
            r#"volume = [{ up_to = 20, unit = "1" }, { unit = "0.10" }]"#,
            r#"flat = "5.00""#,
        ]),
        acts in acts(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agrees(limits, price, acts));
    }
}
