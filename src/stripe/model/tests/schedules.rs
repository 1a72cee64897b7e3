//! Schedules: commitments, downgrades, and how they end.

use super::{Api, DAY, Given, HOUR, id, int};

#[test]
fn nine_months_are_paid_and_twelve_delivered() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let (plan, usage) = (api.product("Plan"), api.product("Calls"));
    let meter = api.meter("calls");
    let (price, metered) = (api.flat(&plan, 1_000, "month"), api.metered(&usage, &meter));
    let coupon = id(&api.post(
        "/v1/coupons",
        &[
            ("percent_off", "100"),
            ("duration", "forever"),
            ("applies_to[products][]", &plan),
        ],
    ));
    let subscription = api.post(
        "/v1/subscriptions",
        &[
            ("customer", &customer),
            ("items[0][price]", &price),
            ("items[1][price]", &metered),
        ],
    );
    let start = subscription["items"]["data"][0]["current_period_start"].to_string();
    let schedule = id(&api.post(
        "/v1/subscription_schedules",
        &[("from_subscription", &id(&subscription))],
    ));
    let path = format!("/v1/subscription_schedules/{schedule}");
    api.post(
        &path,
        &[
            ("phases[0][items][0][price]", &price),
            ("phases[0][items][1][price]", &metered),
            ("phases[0][start_date]", &start),
            ("phases[0][duration][interval]", "month"),
            ("phases[0][duration][interval_count]", "9"),
            ("phases[1][items][0][price]", &price),
            ("phases[1][items][1][price]", &metered),
            ("phases[1][duration][interval]", "month"),
            ("phases[1][duration][interval_count]", "3"),
            ("phases[1][discounts][0][coupon]", &coupon),
            ("end_behavior", "cancel"),
        ],
    );
    // 150 calls each month, of which 50 cost 2 cents.
    let mut paid = vec![1_000];
    for month in 0..12 {
        api.pass(DAY);
        api.use_meter("calls", &customer, 150, &format!("u{month}"));
        let now = api.subscription(&subscription);
        api.model
            .advance(int(&now["items"]["data"][0]["current_period_end"]) + HOUR);
        paid.push(int(&api.newest_invoice(&customer)["total"]));
    }
    assert!(
        api.told()
            .contains(&"subscription_schedule.expiring".to_owned())
    );
    let mut expected = vec![1_000];
    expected.extend([1_100; 8]);
    expected.extend([100; 4]);
    assert_eq!(paid, expected);
    assert_eq!(api.subscription(&subscription)["status"], "canceled");
    assert_eq!(api.get(&path, &[])["status"], "completed");
}

#[test]
fn a_year_can_be_sold_at_once() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let (plan, usage) = (api.product("Plan"), api.product("Calls"));
    let meter = api.meter("calls");
    let (year, metered) = (api.flat(&plan, 9_000, "year"), api.metered(&usage, &meter));
    let subscription = api.post(
        "/v1/subscriptions",
        &[
            ("customer", &customer),
            ("items[0][price]", &year),
            ("items[1][price]", &metered),
        ],
    );
    api.use_meter("calls", &customer, 200, "u");
    api.pass(31 * DAY + HOUR);
    let month = api.newest_invoice(&customer);
    assert_eq!(
        (&month["total"], &month["status"]),
        (&200.into(), &"paid".into())
    );
    let now = api.subscription(&subscription);
    let ends: Vec<i64> = (0..2)
        .map(|index| int(&now["items"]["data"][index]["current_period_end"]))
        .collect();
    assert!(ends[1] < ends[0]);
    api.model.advance(ends[0] + HOUR);
    let renewed = api.newest_invoice(&customer);
    assert_eq!(renewed["total"], 9_000);
}

#[test]
fn schedules_that_make_no_sense_are_refused() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let product = api.product("Pro");
    let price = api.flat(&product, 1_000, "month");
    let subscription = id(&api.subscribe(&customer, &price));
    let given = [("from_subscription", subscription.as_str())];
    let schedule = api.post("/v1/subscription_schedules", &given);
    assert_eq!(
        api.refused("/v1/subscription_schedules", &given).status,
        400
    );
    let path = format!("/v1/subscription_schedules/{}", id(&schedule));
    let start = schedule["phases"][0]["start_date"].to_string();
    let wrong = (super::START + DAY).to_string();
    let phase = ("phases[0][items][0][price]", price.as_str());
    let cases: [(Given, &str); 4] = [
        (
            &[phase, ("phases[0][start_date]", &wrong)],
            "phases[0][start_date]",
        ),
        (
            &[phase, ("phases[0][end_date]", &start)],
            "phases[0][end_date]",
        ),
        (
            &[phase, ("phases[0][iterations]", "3")],
            "phases[0][iterations]",
        ),
        (
            &[
                phase,
                ("phases[0][end_date]", &wrong),
                ("phases[0][duration][interval]", "month"),
            ],
            "phases[0][duration]",
        ),
    ];
    for (given, param) in cases {
        assert_eq!(api.refused(&path, given).error["param"], param);
    }
    assert_eq!(
        api.post(&format!("{path}/release"), &[])["released_subscription"],
        subscription.as_str()
    );
    assert_eq!(api.refused(&format!("{path}/release"), &[]).status, 400);
}

#[test]
fn canceling_a_schedule_ends_the_subscription() {
    let mut api = Api::new();
    let customer = api.payer("pm_card_visa");
    let product = api.product("Pro");
    let price = api.flat(&product, 1_000, "month");
    let subscription = api.subscribe(&customer, &price);
    let given = [("from_subscription", id(&subscription))];
    let given: Vec<(&str, &str)> = given.iter().map(|one| (one.0, one.1.as_str())).collect();
    let schedule = id(&api.post("/v1/subscription_schedules", &given));
    let canceled = api.post(
        &format!("/v1/subscription_schedules/{schedule}/cancel"),
        &[],
    );
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(api.subscription(&subscription)["status"], "canceled");
}
