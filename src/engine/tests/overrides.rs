use super::setting::{Setting, cause, customer, feature, labels, request, start, subaccount};
use crate::domain::catalog::{EntitlementSpec, Limit, MeteredSpec, Mode, OnLimit, RateSpec};
use crate::domain::decision::Reason;
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::Window;
use crate::engine::{OverrideCall, OverrideQuery, ReserveCall, SubaccountProfile};

fn limit(amount: i64, window: &str) -> Limit {
    Limit {
        amount: Some(amount),
        window: window.parse().unwrap(),
        on_limit: OnLimit::Block,
        mode: Mode::Enforce,
    }
}

fn metered(limits: Vec<Limit>) -> EntitlementSpec {
    EntitlementSpec::Metered(MeteredSpec {
        limits,
        ..MeteredSpec::default()
    })
}

fn call(of: &str, spec: EntitlementSpec) -> OverrideCall {
    OverrideCall {
        customer: customer("acme"),
        subaccount: None,
        feature: feature(of),
        spec,
        expire_time: None,
        note: Box::from("a favour"),
    }
}

async fn add_subaccount(setting: &Setting) {
    let (acme, s1) = (customer("acme"), subaccount("s1"));
    let profile = SubaccountProfile::default();
    let create = setting
        .engine
        .create_subaccount("t", setting.fresh(), &acme, s1, profile);
    create.await.unwrap();
}

#[tokio::test]
async fn an_override_holds_until_it_ends_and_then_the_plan_does() {
    let setting = Setting::new().await;
    let engine = &setting.engine;
    setting.used(90).await;
    let mut wide = call("tokens", metered(vec![limit(200, "month")]));
    wide.expire_time = Some(start().plus(Span::from_days(2)));
    let set = engine
        .set_override("t", request("a"), wide.clone())
        .await
        .unwrap();
    setting.pass(1, 0);
    let repeat = engine
        .set_override("t", request("a"), wide.clone())
        .await
        .unwrap();
    assert_eq!(repeat, set, "its first answer");
    let seen = setting.look("tokens", None).await;
    assert_eq!((seen.limit, seen.used.units_up()), (Some(200), 90));
    setting.pass(1, 0);
    let over = setting.look("tokens", None).await;
    assert_eq!((over.limit, over.used.units_up()), (Some(100), 90));
    assert!(!setting.hold(11, None).await);
    wide.expire_time = Some(engine.now());
    let late = engine.set_override("t", request("b"), wide.clone()).await;
    assert_eq!(cause(late), "invalid expire_time");
    wide.note = Box::from("another");
    let reused = engine.set_override("t", request("a"), wide).await;
    assert_eq!(cause(reused), "request reused");
}

#[tokio::test]
async fn a_window_that_was_not_counted_is_counted_from_events() {
    let setting = Setting::new().await;
    let hours = |hours| Span::from_hours(hours);
    setting.pass(3, 1);
    for (tokens, ago) in [(1, hours(60)), (2, hours(20)), (4, hours(4)), (8, hours(0))] {
        setting.used_ago(tokens, ago, None).await;
    }
    let limits = vec![limit(50, "day"), limit(50, "5h"), limit(50, "lifetime")];
    let set = call("tokens", metered(limits));
    setting
        .engine
        .set_override("t", setting.fresh(), set)
        .await
        .unwrap();
    let seen = setting.look("tokens", None).await;
    let used: Vec<(Window, i64)> = seen
        .limits
        .iter()
        .map(|limit| (limit.window, limit.used.units_up()))
        .collect();
    // The day began an hour ago.
    let rolling = Window::Rolling(Span::from_hours(5));
    assert_eq!(
        used,
        [(Window::Day, 8), (rolling, 12), (Window::Lifetime, 15)]
    );
    setting.counters_are_right().await;
    setting.used(3).await;
    assert_eq!(
        setting.look("tokens", None).await.limits[1].used.units_up(),
        15
    );
    setting.counters_are_right().await;
}

#[tokio::test]
async fn a_lowered_limit_takes_nothing_away_and_a_removed_override_gives_it_back() {
    let setting = Setting::new().await;
    let engine = &setting.engine;
    let held = setting
        .reserve("tokens", 60, None)
        .await
        .reservation
        .unwrap();
    setting.used(30).await;
    let low = call("tokens", metered(vec![limit(10, "month")]));
    engine
        .set_override("t", setting.fresh(), low)
        .await
        .unwrap();
    let seen = setting.look("tokens", None).await;
    assert_eq!((seen.limit, seen.reserved.units_up()), (Some(10), 60));
    assert!(!setting.hold(1, None).await);
    let acme = customer("acme");
    let ended = engine
        .release("t", setting.fresh(), acme.clone(), held.id)
        .await;
    ended.unwrap();
    let remove = |request| engine.delete_override("t", request, &acme, feature("tokens"), None);
    remove(request("r")).await.unwrap();
    remove(request("r")).await.unwrap();
    assert_eq!(cause(remove(request("s")).await), "no override");
    assert!(setting.hold(70, None).await);
    setting.counters_are_right().await;
}

#[tokio::test]
async fn a_subaccount_may_be_narrowed() {
    let setting = Setting::new().await;
    let engine = &setting.engine;
    add_subaccount(&setting).await;
    setting.used_ago(5, Span::ZERO, Some("s1")).await;
    let mut narrow = call("tokens", metered(vec![limit(10, "day")]));
    narrow.subaccount = Some(subaccount("s1"));
    engine
        .set_override("t", setting.fresh(), narrow)
        .await
        .unwrap();
    let denied = setting.check("tokens", 6, Some("s1")).await;
    assert_eq!(denied.reason, Reason::SubaccountLimitExceeded);
    assert!(setting.check("tokens", 5, Some("s1")).await.allowed);
    assert!(setting.check("tokens", 95, None).await.allowed);
    setting.look("tokens", Some("s1")).await;
    setting.counters_are_right().await;
}

/// Sets each, which must be refused as it says, and leaves nothing behind.
async fn refused(setting: &Setting, cases: Vec<(&str, Option<&str>, EntitlementSpec, &str)>) {
    for (of, sub, spec, expected) in cases {
        let mut bad = call(of, spec);
        bad.subaccount = sub.map(subaccount);
        let set = setting.engine.set_override("t", request("bad"), bad).await;
        assert_eq!(cause(set), expected, "{of}");
    }
    let query = |who: &str| OverrideQuery {
        customer: customer(who),
        subaccount: None,
        feature: None,
        after: None,
        limit: 9,
    };
    let left = setting.engine.list_overrides(query("acme")).await.unwrap();
    assert!(left.items.is_empty());
    let unknown = setting.engine.list_overrides(query("nobody")).await;
    assert_eq!(cause(unknown), "no customer");
}

#[tokio::test]
async fn values_must_fit_their_feature() {
    let setting = Setting::new().await;
    add_subaccount(&setting).await;
    let rate = |amount, per| {
        let burst = 1;
        EntitlementSpec::Rate(RateSpec { amount, per, burst })
    };
    let flag = || EntitlementSpec::Boolean(true);
    let text = |text: &str| EntitlementSpec::Static(text.into());
    let seats = EntitlementSpec::Allocation(Some(-1));
    let jobs = EntitlementSpec::Concurrency(Some(i64::MAX));
    let narrowing = "not boolean, metered, allocation or concurrency";
    let (second, hour) = (Span::from_secs(1), Span::from_hours(1));
    let cases = vec![
        ("nothing", None, flag(), "no feature"),
        ("sso", Some("s9"), flag(), "no subaccount"),
        ("seats", None, flag(), "not boolean"),
        ("tier", Some("s1"), text("x"), narrowing),
        ("tier", None, text(""), "invalid value.static_value"),
        ("seats", None, seats, "invalid value.allocation.amount"),
        ("jobs", None, jobs, "invalid value.concurrency.amount"),
        ("calls", None, rate(0, second), "invalid value.rate"),
        ("calls", None, rate(1, hour), "invalid value.rate.per"),
    ];
    refused(&setting, cases).await;
}

#[tokio::test]
async fn limits_obey_the_rules_of_catalogs() {
    let setting = Setting::new().await;
    add_subaccount(&setting).await;
    let twice = vec![limit(1, "day"), limit(2, "day")];
    let mut buffer = limit(1, "day");
    buffer.on_limit = OnLimit::AllowUpTo(0);
    let mut odd = limit(1, "day");
    odd.window = Window::Rolling(Span::from_secs(90));
    let below = EntitlementSpec::Metered(MeteredSpec {
        subaccount_limits: vec![limit(1, "day")],
        ..MeteredSpec::default()
    });
    let many = metered(vec![limit(1, "day"); 17]);
    let cases = [
        (metered(vec![limit(-1, "day")]), "limits[0].amount"),
        (metered(twice), "limits[1].window"),
        (metered(vec![buffer]), "limits[0].buffer"),
        (metered(vec![odd]), "limits[0].window.length"),
        (many, "limits"),
    ];
    for (spec, field) in cases {
        let expected = format!("invalid value.metered.{field}");
        refused(&setting, vec![("tokens", None, spec, &expected)]).await;
    }
    let field = "invalid value.metered.subaccount_limits";
    refused(&setting, vec![("tokens", Some("s1"), below, field)]).await;
    let peak = metered(vec![limit(1, "day")]);
    let field = "invalid value.metered.limits";
    refused(&setting, vec![("peak", None, peak, field)]).await;
}

#[tokio::test]
async fn overrides_that_hold_are_listed_in_pages() {
    let setting = Setting::new().await;
    let engine = &setting.engine;
    add_subaccount(&setting).await;
    let ends = |days| Some(start().plus(Span::from_days(days)));
    let sets: [(&str, Option<&str>, Option<Timestamp>); 4] = [
        ("seats", Some("s1"), None),
        ("seats", None, ends(9)),
        ("jobs", None, ends(1)),
        ("jobs", Some("s1"), ends(9)),
    ];
    for (of, sub, expire_time) in sets {
        let spec = match of {
            "seats" => EntitlementSpec::Allocation(None),
            _ => EntitlementSpec::Concurrency(Some(4)),
        };
        let mut set = call(of, spec);
        set.subaccount = sub.map(subaccount);
        set.expire_time = expire_time;
        engine
            .set_override("t", setting.fresh(), set)
            .await
            .unwrap();
    }
    setting.pass(1, 0);
    let list = async |of: Option<&str>, sub: Option<&str>| {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let query = OverrideQuery {
                customer: customer("acme"),
                subaccount: sub.map(subaccount),
                feature: of.map(feature),
                after,
                limit: 1,
            };
            let page = engine.list_overrides(query).await.unwrap();
            let name = |set: &crate::domain::customer::Override| {
                let sub = set.subaccount.as_ref().map_or("", |id| id.as_str());
                format!("{} {sub}", set.feature)
            };
            names.extend(page.items.iter().map(name));
            after = page.next;
            if after.is_none() {
                return names;
            }
        }
    };
    assert_eq!(list(None, None).await, ["jobs s1", "seats ", "seats s1"]);
    assert_eq!(list(Some("seats"), None).await, ["seats ", "seats s1"]);
    assert_eq!(list(None, Some("s1")).await, ["jobs s1", "seats s1"]);
}

#[tokio::test]
async fn open_reservations_hold_the_windows_that_come_later() {
    let setting = Setting::new().await;
    add_subaccount(&setting).await;
    assert!(setting.hold(60, Some("s1")).await);
    let engine = &setting.engine;
    let days = ["day", "5h", "lifetime"];
    let limits = days.map(|window| limit(100, window)).to_vec();
    let wide = call("tokens", metered(limits));
    engine
        .set_override("t", setting.fresh(), wide)
        .await
        .unwrap();
    let mut narrow = call("tokens", metered(vec![limit(70, "day")]));
    narrow.subaccount = Some(subaccount("s1"));
    engine
        .set_override("t", setting.fresh(), narrow)
        .await
        .unwrap();
    for status in &setting.look("tokens", None).await.limits {
        assert_eq!(status.reserved.units_up(), 60, "{}", status.window);
    }
    assert!(!setting.hold(41, None).await);
    assert!(!setting.hold(11, Some("s1")).await);
    assert!(setting.hold(10, Some("s1")).await);
    setting.counters_are_right().await;
    // Another anchor lays windows out anew, and does not let go of what is held.
    let mut moved = super::setting::plan("carry");
    moved.anchor = Some(engine.now().minus(Span::from_hours(3)));
    setting.assign(moved).await.unwrap();
    for status in &setting.look("tokens", None).await.limits {
        assert_eq!(status.reserved.units_up(), 70, "{}", status.window);
    }
    assert!(!setting.hold(31, None).await);
    setting.pass(2, 0);
    assert!(
        setting.hold(100, None).await,
        "what expired is held no more"
    );
    setting.counters_are_right().await;
}

#[tokio::test]
async fn what_a_subaccount_may_have_in_flight_is_its_own_cap() {
    let setting = Setting::new().await;
    add_subaccount(&setting).await;
    let engine = &setting.engine;
    let wide = call("jobs", EntitlementSpec::Concurrency(Some(5)));
    engine
        .set_override("t", setting.fresh(), wide)
        .await
        .unwrap();
    let mut narrow = call("jobs", EntitlementSpec::Concurrency(Some(2)));
    narrow.subaccount = Some(subaccount("s1"));
    engine
        .set_override("t", setting.fresh(), narrow)
        .await
        .unwrap();
    let reserve = async |items: &[(i64, i64)]| {
        let item =
            |(quantity, least): &(i64, i64)| (feature("jobs"), *quantity, *least, labels(&[]));
        let call = ReserveCall {
            customer: customer("acme"),
            subaccount: Some(subaccount("s1")),
            items: items.iter().map(item).collect(),
            ttl: Span::from_hours(1),
            holder: Box::default(),
            metadata: labels(&[]),
            verbose: false,
        };
        engine.reserve("t", setting.fresh(), call).await.unwrap()
    };
    let denied = reserve(&[(2, 2), (1, 1)]).await;
    assert_eq!(denied.decisions[1].reason, Reason::SubaccountLimitExceeded);
    let held = reserve(&[(8, 1)]).await.reservation.unwrap();
    assert_eq!(held.items[0].granted, 2);
    assert!(reserve(&[(1, 1)]).await.reservation.is_none());
}
