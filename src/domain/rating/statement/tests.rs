//! Whole statements against the numbers of the shipped catalogs; and that each unit has one destination.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    Basis, Drawn, DrawnPart, Period, Statement, StatementFault, StatementLine, Subject, rate,
};
use crate::domain::catalog::{Catalog, Interval, parse_catalog};
use crate::domain::id::{FeatureId, MeterId, ProductId};
use crate::domain::quantity::Milli;
use crate::domain::rating::{Destination, Money, Percent};

const AEGIS: &str = include_str!("../../../../catalogs/aegis.toml");
const AIAS: &str = include_str!("../../../../catalogs/aias.toml");
const AIMS: &str = include_str!("../../../../catalogs/aims.toml");

fn catalog(text: &str) -> Catalog {
    parse_catalog(text).expect("it has no faults")
}

fn period<'a>(catalog: &'a Catalog, plan: &str) -> Period<'a> {
    Period {
        catalog,
        plan: Some(&catalog.plans[plan]),
        interval: Interval::Month,
        nth: 0,
        discount: Percent::ZERO,
        used: BTreeMap::new(),
        overage: BTreeMap::new(),
        drawn: BTreeMap::new(),
        outcomes: BTreeMap::new(),
    }
}

fn units(units: i64) -> Milli {
    Milli::from_units(units).unwrap()
}

fn meter(id: &str) -> MeterId {
    MeterId::new(id).unwrap()
}

fn feature(id: &str) -> FeatureId {
    FeatureId::new(id).unwrap()
}

fn product(id: &str) -> ProductId {
    ProductId::new(id).unwrap()
}

/// What a line is about, where it ends up, thousandths and micro-units.
fn seen(line: &StatementLine) -> (String, Destination, i64, i64) {
    let subject = match &line.subject {
        Subject::Plan(id) => format!("plan {id}"),
        Subject::Product(id) => format!("product {id}"),
        Subject::Feature(id) => format!("feature {id}"),
        Subject::Meter(id) => format!("meter {id}"),
        Subject::AddOn(id) => format!("add-on {id}"),
    };
    let rated = line.rated;
    (
        subject,
        line.destination,
        rated.quantity.0,
        rated.amount.micros,
    )
}

fn line(
    subject: &str,
    destination: Destination,
    milli: i64,
    micros: i64,
) -> (String, Destination, i64, i64) {
    (subject.to_owned(), destination, milli, micros)
}

fn lines(statement: &Statement) -> Vec<(String, Destination, i64, i64)> {
    statement.lines.iter().map(seen).collect()
}

#[test]
fn a_month_of_aims_costs_the_plan_and_its_overage() {
    let aims = catalog(AIMS);
    // Included tokens, tokens beyond them, and what the month comes to.
    for (plan, included, beyond, nth, micros, cents) in [
        ("starter", 50_000, 0, 0, 3_000_000, 300),
        ("starter", 50_000, 5_000, 0, 3_150_000, 315),
        ("pro", 150_000, 10_000, 0, 6_250_000, 625),
        // 37.5 and 62.5 cents are as near to the even cent above and below.
        ("pro", 150_000, 15_000, 0, 6_375_000, 638),
        ("3mo", 100_000, 10_000, 0, 20_290_000, 2_029),
        ("6mo", 250_000, 25_000, 0, 18_615_000, 1_861),
        ("9mo", 500_000, 50_000, 8, 15_990_000, 1_599),
        // The tenth month of a commitment is free, what exceeds it is not.
        ("9mo", 500_000, 50_000, 9, 1_000_000, 100),
    ] {
        let mut month = period(&aims, plan);
        month.nth = nth;
        month.used.insert(meter("tokens"), units(included + beyond));
        month.overage.insert(feature("tokens"), units(beyond));
        let made = rate(&month).unwrap();
        assert_eq!(made.totals.due, Money { micros, cents }, "{plan}");
        let split: Vec<_> = made.lines.iter().map(|line| line.destination).collect();
        let mut expected = vec![Destination::OwnInvoice];
        expected.extend((beyond > 0).then_some(Destination::StripeMeter));
        expected.push(Destination::Included);
        assert_eq!(split, expected, "{plan}");
    }
}

#[test]
fn tasks_of_aims_weigh_before_they_cost() {
    let aims = catalog(AIMS);
    let research = [("operation".into(), "research".into())];
    let weighted = |tokens: i64| {
        let dimensions = research.clone().into_iter().collect();
        aims.meters["tokens"]
            .weigh_units(tokens, &dimensions)
            .unwrap()
    };
    // 60,000 tokens of research count three times: 30,000 beyond what pro includes.
    let mut month = period(&aims, "pro");
    month.used.insert(meter("tokens"), weighted(60_000));
    month.overage.insert(feature("tokens"), units(30_000));
    assert_eq!(
        lines(&rate(&month).unwrap()),
        [
            line("plan pro", Destination::OwnInvoice, 1_000, 6_000_000),
            line(
                "feature tokens",
                Destination::StripeMeter,
                30_000_000,
                750_000
            ),
            line("meter tokens", Destination::Included, 150_000_000, 0),
        ]
    );
    // Pay-per-use: 1,000 tokens of research were 12 cents of credits, a third of which were missing.
    let mut month = period(&aims, "p2p");
    month.used.insert(meter("tokens"), weighted(1_000));
    let part = |quantity, amount_micros| DrawnPart {
        quantity: units(quantity),
        amount_micros,
    };
    let drawn = Drawn {
        paid: part(2_000, 80_000),
        owed: part(1_000, 40_000),
    };
    month.drawn.insert(feature("tokens"), drawn);
    let made = rate(&month).unwrap();
    assert_eq!(
        lines(&made),
        [
            line("plan p2p", Destination::OwnInvoice, 1_000, 0),
            line("feature tokens", Destination::Wallet, 2_000_000, 80_000),
            line("feature tokens", Destination::Receivable, 1_000_000, 40_000),
        ]
    );
    let totals = made.totals;
    assert_eq!(
        (totals.due.cents, totals.paid.cents, totals.owed.cents),
        (0, 8, 4)
    );
    assert_eq!(made.lines[1].basis, Basis::Charged);
}

#[test]
fn a_month_of_aegis_has_tiers_a_discount_and_a_report() {
    let aegis = catalog(AEGIS);
    let mut month = period(&aegis, "junior");
    month.used.insert(meter("api_calls"), units(5_000));
    month.used.insert(meter("work_seconds"), units(144_000));
    month.outcomes.insert(product("geoint_report"), 2);
    let made = rate(&month).unwrap();
    assert_eq!(
        lines(&made),
        [
            line("plan junior", Destination::OwnInvoice, 1_000, 999_000_000),
            line(
                "product api_call",
                Destination::StripeMeter,
                5_000_000,
                420_000_000
            ),
            line("meter work_seconds", Destination::Included, 144_000_000, 0),
            line(
                "product geoint_report",
                Destination::OwnInvoice,
                2_000,
                1_998_000_000
            ),
        ]
    );
    assert_eq!(made.totals.due.cents, 99_900 + 42_000 + 2 * 99_900);

    // 20 percent off 10,000 cents leaves 8,000; plan and reports cost what they cost.
    month.discount = "20".parse().unwrap();
    month.used.insert(meter("api_calls"), units(1_000));
    let made = rate(&month).unwrap();
    let calls = made.lines[1].rated;
    assert_eq!(
        (calls.full.cents, calls.discount.cents, calls.amount.cents),
        (10_000, 2_000, 8_000)
    );
    assert_eq!(made.totals.due.cents, 99_900 + 8_000 + 2 * 99_900);
    assert_eq!(made.totals.discount.cents, 2_000);
    let principal = rate(&period(&aegis, "principal")).unwrap();
    assert!(principal.by_agreement && principal.lines.is_empty());
}

#[test]
fn a_period_of_aias_is_a_month_or_a_year_of_its_plan() {
    let aias = catalog(AIAS);
    let mut month = period(&aias, "pro");
    month.used.insert(meter("api_calls"), units(100_000));
    let made = rate(&month).unwrap();
    assert_eq!(
        lines(&made),
        [
            line("plan pro", Destination::OwnInvoice, 1_000, 99_000_000),
            line("meter api_calls", Destination::Included, 100_000_000, 0),
        ]
    );
    month.interval = Interval::Year;
    assert_eq!(rate(&month).unwrap().totals.due.cents, 99_000);
    assert_eq!(rate(&period(&aias, "free")).unwrap().totals.due.cents, 0);
    month.plan = None;
    assert_eq!(
        rate(&month).unwrap().lines.len(),
        1,
        "use is counted, whatever the plan"
    );
}

/// A meter that a product sells, one that the plan charges in two ways, and one that is free.
const MIXED: &str = r#"
credit_units.USD = { per_dollar = 1 }
meters.sold = { aggregation = "sum", stripe_event_name = "sold" }
meters.mixed = { aggregation = "sum", dimensions = ["model"] }
meters.free = { aggregation = "sum" }
features.large = { metered = { meter = "mixed", filter = { model = "large" } } }
features.small = { metered = { meter = "mixed", filter = { model = "small" } } }
features.sso = "boolean"
add_ons.care = { percent = "10", of = "usage" }
add_ons.support = { percent = "8.5" }

[products]
report = { outcome = "2" }
use = { usage = { meter = "sold", per_unit = "0.01", minimum = "5" } }

[plans.p]
prices = { month = "10" }
add_ons = ["care", "support"]
[plans.p.entitlements]
sso = true
large = { limits = [{ amount = 1, window = "month" }], overage = { flat = "1" } }
small = { wallet = { credit_unit = "USD", from_first_unit = true, per_unit = "0.01" } }
"#;

#[test]
fn shares_are_of_what_is_due_and_minimums_need_use() {
    let mixed = catalog(MIXED);
    let mut month = period(&mixed, "p");
    month.discount = "50".parse().unwrap();
    month.used.insert(meter("sold"), units(100));
    month.used.insert(meter("mixed"), units(30));
    month.overage.insert(feature("large"), units(3));
    let paid = DrawnPart {
        quantity: units(7),
        amount_micros: 70_000,
    };
    let drawn = Drawn {
        paid,
        ..Drawn::default()
    };
    month.drawn.insert(feature("small"), drawn);
    month.outcomes.insert(product("report"), 1);
    let made = rate(&month).unwrap();
    assert_eq!(
        lines(&made),
        [
            line("plan p", Destination::OwnInvoice, 1_000, 10_000_000),
            line("feature large", Destination::OwnInvoice, 3_000, 500_000),
            line("feature small", Destination::Wallet, 7_000, 70_000),
            line("meter mixed", Destination::Included, 20_000, 0),
            // 100 units are a dollar, half off; the minimum is five.
            line("product use", Destination::StripeMeter, 100_000, 5_000_000),
            line("product report", Destination::OwnInvoice, 1_000, 2_000_000),
            // Ten percent of 5.50, and 8.5 percent of 17.50.
            line("add-on care", Destination::OwnInvoice, 0, 550_000),
            line("add-on support", Destination::OwnInvoice, 0, 1_487_500),
        ]
    );
    let cents: i64 = [1_000, 50, 500, 200, 55, 149].iter().sum();
    assert_eq!(made.totals.due.cents, cents);
    // Without use there is neither a flat amount nor a minimum.
    month.used.clear();
    month.overage.clear();
    month.drawn.clear();
    month.outcomes.clear();
    assert_eq!(rate(&month).unwrap().totals.due.cents, 1_000 + 85);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let mixed = catalog(MIXED);
    let month = period(&mixed, "p");
    let fault = |change: &dyn Fn(&mut Period<'_>)| {
        let mut month = month.clone();
        change(&mut month);
        rate(&month).unwrap_err()
    };
    let over = |month: &mut Period<'_>| {
        month.used.insert(meter("mixed"), units(2));
        month.overage.insert(feature("large"), units(3));
    };
    assert_eq!(fault(&over), StatementFault::MoreThanUsed(meter("mixed")));
    let unused = |month: &mut Period<'_>| month.overage.extend([(feature("large"), units(1))]);
    assert_eq!(fault(&unused), StatementFault::MoreThanUsed(meter("mixed")));
    for other in ["small", "sso", "nothing"] {
        let priced = |month: &mut Period<'_>| month.overage.extend([(feature(other), units(1))]);
        assert_eq!(fault(&priced), StatementFault::Unpriced(feature(other)));
    }
    let piece = |month: &mut Period<'_>| month.outcomes.extend([(product("use"), 1)]);
    assert_eq!(fault(&piece), StatementFault::NoOutcome(product("use")));
}

proptest! {
    #[test]
    fn each_unit_of_usage_has_one_destination(
        used in [-50_000..90_000_i64, 0..90_000_i64, -5..90_000_i64],
        parts in [0..40_000_i64, 0..40_000_i64, 0..40_000_i64],
        amounts in [0..9_000_000_i64, 0..9_000_000_i64],
        off in 0..=100_000_u32,
    ) {
        let mixed = catalog(MIXED);
        let mut month = period(&mixed, "p");
        month.discount = Percent::from_thousandths(off).unwrap();
        for (id, milli) in ["sold", "mixed", "free"].into_iter().zip(used) {
            month.used.insert(meter(id), Milli(milli));
        }
        month.overage.insert(feature("large"), Milli(parts[0]));
        let part = |quantity, amount_micros| DrawnPart { quantity: Milli(quantity), amount_micros };
        let drawn = Drawn { paid: part(parts[1], amounts[0]), owed: part(parts[2], amounts[1]) };
        month.drawn.insert(feature("small"), drawn);
        let fits = parts.iter().sum::<i64>() <= used[1];
        let made = rate(&month);
        if !fits {
            prop_assert_eq!(made, Err(StatementFault::MoreThanUsed(meter("mixed"))));
            return Ok(());
        }
        let made = made.unwrap();
        for (id, milli) in &month.used {
            let own = || made.lines.iter().filter(|line| line.meter.as_ref() == Some(id));
            let by_destination = |destination| own()
                .filter(|line| line.destination == destination)
                .map(|line| line.rated.quantity.0)
                .sum::<i64>();
            let all: i64 = Destination::ALL.into_iter().map(by_destination).sum();
            prop_assert_eq!(all, milli.0, "{}", id);
            // None stands in two lines of one destination, which would be the same use twice.
            let mut places: Vec<_> = own().map(|line| line.destination).collect();
            places.sort();
            places.dedup();
            prop_assert_eq!(places.len(), own().count());
        }
        let due = made.lines.iter().filter(|line| line.destination.is_due());
        prop_assert_eq!(Money::sum(due.map(|line| line.rated.amount)), Ok(made.totals.due));
        prop_assert_eq!(made.totals.paid.micros, amounts[0]);
        prop_assert_eq!(made.totals.owed.micros, amounts[1]);
    }
}
