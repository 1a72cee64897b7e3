//! What work would cost, from what was used before it.

use super::setting::{Setting, cause, customer, feature, labels};
use crate::domain::id::{MeterId, PlanId, ProductId};
use crate::domain::rating::{Destination, Seller};
use crate::engine::{CostAnswer, CostAsk, CostItem, CostOf, Error, ItemCost, Whose};

/// A meter that a product sells, two that the plan charges beyond a limit, one that draws on a wallet, one that is free.
pub const CATALOG: &str = r#"
default_plan = "free"
credit_units.USD = { per_dollar = 1 }
meters.calls = { aggregation = "count", dimensions = ["model"] }
meters.hits = { aggregation = "sum" }
meters.coins = { aggregation = "sum" }
meters.space = { aggregation = "sum" }
meters.level = { aggregation = "latest" }
features.sso = "boolean"
features.hits = { metered = { meter = "hits" } }
features.coins = { metered = { meter = "coins" } }
features.tokens = { metered = { meter = "tokens" } }
features.large = { metered = { meter = "tokens", filter = { model = "large" } } }

[meters.tokens]
aggregation = "sum"
dimensions = ["model"]
stripe_event_name = "tokens"
weights.model = { large = "2" }

[products]
report = { outcome = "2.00" }
call = { usage = { meter = "calls", graduated = [{ up_to = 10, unit = "0.10" }, { unit = "0.05" }], minimum = "0.50" } }

[plans.free.entitlements]
sso = true
large = {}
hits = { limits = [{ amount = 10, window = "day", on_limit = "allow" }], overage = { package = "1", size = 5 } }
coins.wallet = { credit_unit = "USD", from_first_unit = true, per_unit = "0.5" }

[plans.free.entitlements.tokens]
limits = [{ amount = 100, window = "month", on_limit = "allow" }, { amount = 1000, window = "day" }]
overage.graduated = [{ up_to = 50, unit = "0.02" }, { unit = "0.01" }]
"#;

/// Starts with [`CATALOG`] and the customer `acme`.
pub async fn setting() -> Setting {
    let setting = Setting::new().await;
    setting.apply(CATALOG).await.unwrap();
    setting
}

pub fn item(of: CostOf, quantity: i64, pairs: &[(&str, &str)]) -> CostItem {
    CostItem {
        of,
        quantity,
        dimensions: labels(pairs),
    }
}

pub fn of_feature(id: &str) -> CostOf {
    CostOf::Feature(feature(id))
}

fn of_product(id: &str) -> CostOf {
    CostOf::Product(ProductId::new(id).unwrap())
}

fn of_meter(id: &str) -> CostOf {
    CostOf::Meter(MeterId::new(id).unwrap())
}

impl Setting {
    pub async fn estimate(&self, items: Vec<CostItem>) -> Result<CostAnswer, Error> {
        let whose = Whose::Customer(customer("acme"));
        self.engine.estimate_cost(CostAsk { whose, items }).await
    }
}

/// Units included and charged, in thousandths, and the amount in micro-units.
pub fn seen(item: &ItemCost) -> (i64, i64, i64) {
    let line = item.line;
    (item.included.0, line.quantity.0, line.amount.micros)
}

#[tokio::test]
async fn what_a_product_sells_costs_what_it_adds_to_the_period() {
    let setting = setting().await;
    let first = setting
        .estimate(vec![item(of_product("call"), 1, &[])])
        .await;
    let first = first.unwrap();
    assert_eq!(
        seen(&first.items[0]),
        (0, 1_000, 500_000),
        "the minimum comes with the first"
    );
    let events = (0..8).map(|n| setting.event(&format!("c{n}"), "calls", 1, 0));
    setting.recorded(events.collect()).await;
    let items = vec![
        item(of_product("call"), 4, &[("model", "large")]),
        item(of_meter("calls"), 1, &[]),
        item(of_product("report"), 3, &[]),
        item(of_meter("space"), 7, &[]),
    ];
    let made = setting.estimate(items.clone()).await.unwrap();
    let all: Vec<_> = made.items.iter().map(seen).collect();
    assert_eq!(
        all,
        [
            (0, 4_000, 300_000),
            (0, 1_000, 50_000),
            (0, 3_000, 6_000_000),
            (7_000, 0, 0),
        ]
    );
    assert_eq!((made.total.micros, made.total.cents), (6_350_000, 635));
    let ends = made.items.iter().map(|item| item.destination);
    let [own, included] = [Destination::OwnInvoice, Destination::Included];
    assert_eq!(ends.collect::<Vec<_>>(), [own, own, own, included]);
    assert_eq!(made.items[3].seller, None);

    // Half off; what was used so far costs the minimum, with four more it is 55 cents.
    let half = "50".parse().unwrap();
    let acme = customer("acme");
    let set = setting
        .engine
        .set_discount("t", setting.fresh(), &acme, half);
    set.await.unwrap();
    let made = setting.estimate(items).await.unwrap();
    let line = made.items[0].line;
    assert_eq!(
        (line.full.cents, line.discount.cents, line.amount.cents),
        (30, 15, 5)
    );
    assert_eq!(seen(&made.items[1]), (0, 1_000, 25_000));
    assert_eq!(
        seen(&made.items[2]),
        (0, 3_000, 6_000_000),
        "reports are not discounted"
    );
    // The next billing period begins anew.
    setting.pass(31, 0);
    let later = setting
        .estimate(vec![item(of_meter("calls"), 1, &[])])
        .await;
    assert_eq!(seen(&later.unwrap().items[0]), (0, 1_000, 500_000));
}

#[tokio::test]
async fn overage_costs_what_lies_beyond_the_limit() {
    let setting = setting().await;
    setting
        .recorded(vec![setting.event("t", "tokens", 85, 0)])
        .await;
    assert!(setting.hold(5, None).await);
    // 30 of the large model count twice: 10 of the 60 are left of the month.
    let items = vec![
        item(of_feature("tokens"), 30, &[("model", "large")]),
        item(of_feature("large"), 5, &[]),
        item(of_meter("tokens"), 10, &[("model", "small")]),
    ];
    let made = setting.estimate(items.clone()).await.unwrap();
    let all: Vec<_> = made.items.iter().map(seen).collect();
    assert_eq!(
        all,
        [
            (10_000, 50_000, 1_000_000),
            (0, 10_000, 100_000),
            (0, 10_000, 100_000)
        ]
    );
    assert_eq!(made.items[0].weighted.0, 60_000);
    assert_eq!(made.items[0].destination, Destination::StripeMeter);
    assert_eq!(
        made.items[1].seller,
        Some(Seller::Feature(feature("tokens")))
    );
    // A newcomer to the plan has all of the month before it.
    let whose = Whose::Plan(PlanId::new("free").unwrap());
    let made = setting.engine.estimate_cost(CostAsk { whose, items });
    let made = made.await.unwrap();
    let all: Vec<_> = made.items.iter().map(seen).collect();
    assert_eq!(all, [(60_000, 0, 0), (10_000, 0, 0), (10_000, 0, 0)]);
    assert_eq!(made.items[0].destination, Destination::Included);
}

#[tokio::test]
async fn packages_are_filled_up_over_the_days_of_a_period() {
    let setting = setting().await;
    // Seven beyond the first day's ten: two packages, of which three are left.
    setting
        .recorded(vec![setting.event("h1", "hits", 17, 0)])
        .await;
    setting.pass(1, 0);
    setting
        .recorded(vec![setting.event("h2", "hits", 4, 0)])
        .await;
    let items = vec![
        item(of_feature("hits"), 9, &[]),
        item(of_feature("hits"), 1, &[]),
    ];
    let made = setting.estimate(items).await.unwrap();
    let all: Vec<_> = made.items.iter().map(seen).collect();
    assert_eq!(all, [(6_000, 3_000, 0), (0, 1_000, 1_000_000)]);
    let drawn = setting
        .estimate(vec![item(of_feature("coins"), 3, &[])])
        .await;
    let drawn = drawn.unwrap().items.remove(0);
    assert_eq!(seen(&drawn), (0, 3_000, 1_500_000));
    assert_eq!(drawn.destination, Destination::Wallet);
}

#[tokio::test]
async fn an_override_sets_limits_and_leaves_the_price() {
    let setting = setting().await;
    let text = CATALOG.replace("amount = 100,", "amount = 30,");
    setting.apply(&text).await.unwrap();
    let before = setting
        .estimate(vec![item(of_feature("tokens"), 40, &[])])
        .await;
    assert_eq!(seen(&before.unwrap().items[0]), (30_000, 10_000, 200_000));
    let plan = crate::domain::catalog::parse_catalog(CATALOG).unwrap();
    let mut spec = plan.plans["free"].entitlements["tokens"].clone();
    if let crate::domain::catalog::EntitlementSpec::Metered(metered) = &mut spec {
        metered.charge = None;
        metered.limits.truncate(1);
        metered.limits[0].amount = Some(35);
    }
    let call = crate::engine::OverrideCall {
        customer: customer("acme"),
        subaccount: None,
        feature: feature("tokens"),
        spec,
        expire_time: None,
        note: Box::default(),
    };
    let set = setting.engine.set_override("t", setting.fresh(), call);
    set.await.unwrap();
    let after = setting
        .estimate(vec![item(of_feature("tokens"), 40, &[])])
        .await;
    assert_eq!(seen(&after.unwrap().items[0]), (35_000, 5_000, 100_000));
}

#[tokio::test]
async fn what_cannot_be_estimated_is_refused() {
    let setting = setting().await;
    for (of, quantity, pairs, expected) in [
        (of_feature("nothing"), 1, &[][..], "no feature"),
        (of_product("nothing"), 1, &[], "no product"),
        (of_meter("nothing"), 1, &[], "no meter"),
        (of_feature("sso"), 1, &[], "not metered"),
        (of_meter("level"), 1, &[], "invalid items[1].subject"),
        (
            of_meter("hits"),
            1,
            &[("model", "x")],
            "invalid items[1].dimensions[\"model\"]",
        ),
        (
            of_feature("large"),
            1,
            &[("model", "x")],
            "invalid items[1].dimensions[\"model\"]",
        ),
    ] {
        let items = vec![item(of_meter("space"), 1, &[]), item(of, quantity, pairs)];
        assert_eq!(cause(setting.estimate(items).await), expected);
    }
    let nobody = CostAsk {
        whose: Whose::Customer(customer("nobody")),
        items: Vec::new(),
    };
    assert_eq!(
        cause(setting.engine.estimate_cost(nobody).await),
        "no customer"
    );
    let plan = CostAsk {
        whose: Whose::Plan(PlanId::new("nothing").unwrap()),
        items: Vec::new(),
    };
    assert_eq!(cause(setting.engine.estimate_cost(plan).await), "no plan");
    let acme = customer("acme");
    let delete = setting.engine.delete_customer("t", setting.fresh(), &acme);
    delete.await.unwrap();
    assert_eq!(cause(setting.estimate(Vec::new()).await), "no customer");
}
