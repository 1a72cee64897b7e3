//! What the features of the naive customers cost, and when their billing periods are.

use super::caps::DAY;

pub const FEATURES: [&str; 3] = ["calls", "tokens", "pages"];
/// The feature whose price is graduated.
pub const PAGES: usize = 2;
/// Units of tokens that a billing period includes.
pub const INCLUDED: i64 = 40;

pub const CATALOG: &str = r#"
default_plan = "mixed"
[credit_units.USD]
per_dollar = 1
[meters.calls]
unit = "call"
aggregation = "sum"
[meters.tokens]
unit = "token"
aggregation = "sum"
[meters.pages]
unit = "page"
aggregation = "sum"
[features]
calls = { metered = { meter = "calls" } }
tokens = { metered = { meter = "tokens" } }
pages = { metered = { meter = "pages" } }
[plans.mixed]
[plans.mixed.entitlements]
calls = { wallet = { credit_unit = "USD", from_first_unit = true, per_unit = "0.000003" } }
tokens = { limits = [{ amount = 40, window = "billing_period", on_limit = "allow" }], wallet = { credit_unit = "USD", per_unit = "0.000005" } }
[plans.mixed.entitlements.pages.wallet]
credit_unit = "USD"
from_first_unit = true
graduated = [{ up_to = 20, unit = "0.00001" }, { up_to = 50, unit = "0.000004" }, { unit = "0.000007" }]
"#;

/// What the first units of a feature cost in a period.
pub fn price(feature: usize, units: i64) -> i64 {
    let tier = |from: i64, to: i64, each: i64| (units.min(to) - from).max(0) * each;
    match feature {
        0 => 3 * units,
        1 => 5 * units,
        _ => tier(0, 20, 10) + tier(20, 50, 4) + tier(50, i64::MAX, 7),
    }
}

/// When the billing periods end: months from the second of February on.
fn period_ends() -> impl Iterator<Item = i64> {
    let months = [28, 31, 30, 31, 30, 31, 31, 30, 31, 30];
    months.into_iter().scan(0, |end, days| {
        *end += days * DAY;
        Some(*end)
    })
}

/// The billing period of an instant; all that were before the start are -1.
pub fn period(at: i64) -> i64 {
    let over = period_ends().take_while(|end| *end <= at).count();
    if at < 0 {
        -1
    } else {
        i64::try_from(over).unwrap()
    }
}

/// The first end of a billing period after an instant.
pub fn period_end(at: i64) -> i64 {
    period_ends()
        .find(|end| at < *end)
        .expect("a time of the test")
}

/// When the billing period of an instant began.
pub fn period_start(at: i64) -> i64 {
    period_ends()
        .take_while(|end| *end <= at)
        .last()
        .unwrap_or(0)
}
