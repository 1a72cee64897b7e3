//! What a wallet will be charged, told before: what is estimated, what a check says is needed, and what use then draws.

use proptest::prelude::*;

use super::estimates::{item, of_feature, seen};
use super::setting::{Setting, customer, feature, labels};
use crate::domain::catalog::parse_catalog;
use crate::domain::id::PlanId;
use crate::domain::rating::{Destination, Seller};
use crate::domain::reservation::Reservation;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::UsageEvent;
use crate::domain::wallet::{Category, Source};
use crate::engine::{
    CheckAsk, CheckMode, ConsumeAsk, CostAsk, GrantCall, ReserveCall, WalletName, Whose,
};

/// More than anything here costs.
const GRANTED: i64 = 1_000_000_000_000;

/// Three tokens of a month are free, seven cost a dollar, more a tenth of that.
const TIERS: &str = r#"limits = [{ amount = 3, window = "month", on_limit = "allow" }], wallet = { credit_unit = "USD", graduated = [{ up_to = 7, unit = "1" }, { unit = "0.10" }] }"#;

/// Sells tokens for credits on these terms; those of the large model count two and a half times.
fn catalog(terms: &str) -> String {
    let text = r#"
default_plan = "free"
credit_units.USD = { per_dollar = 1, receivable_limit = "unlimited" }
credit_units.LUC = { per_dollar = 100 }
meters.tokens = { aggregation = "sum", dimensions = ["model"], weights.model = { large = "2.5" } }
features.tokens = { metered = { meter = "tokens" } }
"#;
    format!("{text}[plans.free.entitlements]\ntokens = {{ {terms} }}\n")
}

async fn setting(terms: &str) -> Setting {
    let setting = Setting::new().await;
    setting.apply(&catalog(terms)).await.unwrap();
    for unit in ["USD", "LUC"] {
        let paid = GrantCall {
            wallet: name(unit),
            id: None,
            amount: GRANTED,
            priority: 0,
            category: Category::Paid,
            source: Source::Manual,
            reference: "".into(),
            expire_time: None,
            note: "".into(),
        };
        let granted = setting.engine.grant_credits("t", setting.fresh(), paid);
        granted.await.unwrap();
    }
    setting
}

fn name(unit: &str) -> WalletName {
    WalletName {
        customer: customer("acme"),
        subaccount: None,
        unit: unit.into(),
    }
}

impl Setting {
    /// Tokens included and charged, in thousandths, and what they would cost in micro-units.
    async fn told(&self, tokens: i64, model: &str) -> (i64, i64, i64) {
        let items = vec![item(of_feature("tokens"), tokens, &[("model", model)])];
        seen(&self.estimate(items).await.unwrap().items[0])
    }

    /// What all of them cost.
    async fn cost(&self, tokens: i64) -> i64 {
        self.told(tokens, "small").await.2
    }

    /// What a check says they would draw at most.
    async fn needed(&self, tokens: i64, model: &str) -> i64 {
        let ask = CheckAsk {
            feature: feature("tokens"),
            quantity: tokens,
            dimensions: labels(&[("model", model)]),
        };
        let how = CheckMode::default();
        let (acme, asks) = (customer("acme"), [ask]);
        let made = self.engine.check(&acme, None, &asks, how);
        let decision = made.await.unwrap().remove(0);
        assert!(decision.allowed, "{decision:?}");
        decision.credits.expect("it draws on a wallet").needed
    }

    fn tokens(&self, tokens: i64, model: &str, minutes: u32) -> UsageEvent {
        let id = self.fresh();
        let mut event = self.event(id.as_str(), "tokens", tokens, minutes);
        event.dimensions = labels(&[("model", model)]);
        event
    }

    /// Uses tokens and returns what that drew.
    async fn draws(&self, tokens: i64, model: &str) -> i64 {
        let before = self.spent("USD").await;
        let consume = ConsumeAsk {
            event: self.tokens(tokens, model, 0),
            feature: feature("tokens"),
            verbose: false,
        };
        let consumed = self.engine.consume(consume).await.unwrap();
        assert!(consumed.decision.allowed, "{consumed:?}");
        self.spent("USD").await - before
    }

    async fn spent(&self, unit: &str) -> i64 {
        let view = self.engine.get_wallet(&name(unit)).await.unwrap();
        let held = view.balance.available + view.balance.held;
        GRANTED - held + view.balance.receivable
    }

    async fn set_aside(&self, tokens: i64, model: &str) -> Reservation {
        let call = ReserveCall {
            customer: customer("acme"),
            subaccount: None,
            items: vec![(
                feature("tokens"),
                tokens,
                tokens,
                labels(&[("model", model)]),
            )],
            ttl: Span::from_hours(24),
            holder: Box::default(),
            metadata: labels(&[]),
            verbose: false,
        };
        let answer = self.engine.reserve("t", self.fresh(), call).await.unwrap();
        answer.reservation.expect("credits cover it")
    }

    /// Uses tokens so long ago, and ends the reservation that had set them aside.
    async fn commit(&self, held: &Reservation, tokens: i64, model: &str, minutes: u32) {
        let (key, id) = (self.fresh(), held.id.clone());
        let events = vec![self.tokens(tokens, model, minutes)];
        let commit = self.engine.commit("t", key, customer("acme"), id, events);
        commit.await.unwrap();
    }
}

#[tokio::test]
async fn of_several_limits_what_lies_beyond_any_is_charged() {
    let terms = r#"limits = [{ amount = 10, window = "month", on_limit = "allow" }, { amount = 5, window = "day", on_limit = "allow" }], wallet = { credit_unit = "USD", per_unit = "1" }"#;
    let setting = setting(terms).await;
    assert_eq!(
        setting.told(8, "small").await,
        (5_000, 3_000, 3_000_000),
        "the day's five are all"
    );
    let items = vec![
        item(of_feature("tokens"), 4, &[]),
        item(of_feature("tokens"), 4, &[]),
    ];
    let whose = Whose::Plan(PlanId::new("free").unwrap());
    let made = setting.engine.estimate_cost(CostAsk { whose, items }).await;
    let made = made.unwrap();
    let all: Vec<_> = made.items.iter().map(seen).collect();
    assert_eq!(all, [(4_000, 0, 0), (1_000, 3_000, 3_000_000)]);
    let ends: Vec<_> = made.items.iter().map(|item| item.destination).collect();
    assert_eq!(ends, [Destination::Included, Destination::Wallet]);
    let seller = Some(Seller::Feature(feature("tokens")));
    assert_eq!(made.items[1].seller, seller);
    assert_eq!(setting.draws(8, "small").await, 3_000_000);
    setting.pass(1, 0);
    // Two are left of the month, and five of the day.
    assert_eq!(setting.cost(4).await, 2_000_000);
    assert_eq!(setting.draws(4, "small").await, 2_000_000);
}

#[tokio::test]
async fn what_is_set_aside_takes_what_is_included_and_moves_the_tiers_as_use_would() {
    let setting = setting(TIERS).await;
    let held = setting.set_aside(8, "small").await;
    // Five of eight are charged: two are left at a dollar.
    assert_eq!(setting.cost(5).await, 2_300_000);
    assert_eq!(setting.needed(5, "small").await, 2_300_000);
    setting.commit(&held, 8, "small", 0).await;
    assert_eq!(setting.cost(5).await, 2_300_000);
    assert_eq!(setting.draws(5, "small").await, 2_300_000);
    // What a reservation that is over had set aside is nobody's.
    setting.set_aside(8, "small").await;
    setting.pass(31, 0);
    assert_eq!(setting.cost(5).await, 2_000_000);
}

#[tokio::test]
async fn late_use_takes_what_the_running_window_includes() {
    let setting = setting(TIERS).await;
    setting.pass(30, 23);
    let held = setting.set_aside(8, "small").await;
    setting.pass(0, 2);
    setting.commit(&held, 8, "small", 90).await;
    assert_eq!(setting.spent("USD").await, 5_000_000);
    assert_eq!(setting.cost(3).await, 2_100_000);
    assert_eq!(setting.draws(3, "small").await, 2_100_000);
}

#[tokio::test]
async fn credits_of_another_unit_are_told_in_dollars() {
    let setting = setting(&TIERS.replace("USD", "LUC")).await;
    assert_eq!(setting.told(5, "large").await, (3_000, 9_500, 7_250_000));
    setting.recorded(vec![setting.tokens(5, "large", 0)]).await;
    assert_eq!(setting.spent("LUC").await, 725_000_000);
}

/// What is done.
#[derive(Debug, Clone)]
enum Act {
    Use(i64, bool),
    Late(i64, bool, u32),
    Reserve(i64, bool),
    Commit(usize, i64),
    Wait(u32),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        5 => (1..9_i64, any::<bool>()).prop_map(|(tokens, large)| Act::Use(tokens, large)),
        2 => (1..9_i64, any::<bool>(), 1..800_u32)
            .prop_map(|(tokens, large, hours)| Act::Late(tokens, large, hours)),
        3 => (1..9_i64, any::<bool>()).prop_map(|(tokens, large)| Act::Reserve(tokens, large)),
        3 => (0..4_usize, 1..9_i64).prop_map(|(which, tokens)| Act::Commit(which, tokens)),
        2 => prop_oneof![1..12_u32, 20..800_u32].prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..14)
}

/// Terms of a feature, and whether all its prices are whole micro-units.
fn terms() -> impl Strategy<Value = (String, bool)> {
    let price = prop::sample::select(vec![
        (r#"per_unit = "0.5""#, true),
        (r#"per_unit = "0.000001", per = 7"#, false),
        (r#"package = "1", size = 3"#, true),
        (
            r#"graduated = [{ up_to = 7, unit = "1" }, { unit = "0.10" }]"#,
            true,
        ),
        (
            r#"graduated = [{ up_to = 4, unit = "0.10" }, { up_to = 11, unit = "0.000003" }, { unit = "2" }]"#,
            false,
        ),
    ]);
    let limits = prop::sample::select(vec![
        &[][..],
        &[("month", 10)],
        &[("day", 5)],
        &[("5h", 6)],
        &[("month", 10), ("day", 5)],
        &[("day", 5), ("5h", 3)],
        &[("billing_period", 20), ("hour", 4), ("lifetime", 40)],
    ]);
    (price, limits, any::<bool>()).prop_map(|((price, is_whole), limits, is_first)| {
        let limit = |(window, amount): &(&str, i64)| {
            format!(r#"{{ amount = {amount}, window = "{window}", on_limit = "allow" }}"#)
        };
        let all: Vec<String> = limits.iter().map(limit).collect();
        let from_first = is_first || limits.is_empty();
        let terms = format!(
            r#"limits = [{}], wallet = {{ credit_unit = "USD", from_first_unit = {from_first}, {price} }}"#,
            all.join(", "),
        );
        (terms, is_whole)
    })
}

const fn model(is_large: bool) -> &'static str {
    if is_large { "large" } else { "small" }
}

/// Does all of it; what is told before use is what that draws.
async fn agrees(terms: &str, is_whole: bool, acts: Vec<Act>) {
    let slack = i64::from(!is_whole);
    let setting = setting(terms).await;
    let mut open: Vec<(Reservation, i64, &str, Timestamp)> = Vec::new();
    let last = [Act::Use(5, true), Act::Use(4, false)];
    for act in acts.into_iter().chain(last) {
        open.retain(|held| setting.engine.now() < held.3);
        match act {
            Act::Use(tokens, is_large) => {
                let of = model(is_large);
                let told = setting.told(tokens, of).await;
                let needed = setting.needed(tokens, of).await;
                let off = (told.2 - needed).abs();
                assert!(off <= slack, "{told:?} {needed}");
                // What is set aside counts as used.
                let order = if open.is_empty() { 0 } else { slack };
                for (held, tokens, of, _) in open.drain(..) {
                    setting.commit(&held, tokens, of, 0).await;
                }
                let drawn = setting.draws(tokens, of).await;
                assert!((told.2 - drawn).abs() <= order, "{told:?} {drawn}");
            }
            Act::Late(tokens, is_large, hours) => {
                let event = setting.tokens(tokens, model(is_large), hours * 60);
                setting.recorded(vec![event]).await;
            }
            Act::Reserve(tokens, is_large) => {
                let held = setting.set_aside(tokens, model(is_large)).await;
                let until = held.expire_time;
                open.push((held, tokens, model(is_large), until));
            }
            Act::Commit(which, tokens) if which < open.len() => {
                let (held, _, of, _) = open.remove(which);
                setting.commit(&held, tokens, of, 0).await;
            }
            Act::Commit(..) => {}
            Act::Wait(hours) => setting.pass(0, hours),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_before_use_is_what_it_draws((terms, is_whole) in terms(), acts in acts()) {
        parse_catalog(&catalog(&terms)).expect("terms are right");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agrees(&terms, is_whole, acts));
    }
}
