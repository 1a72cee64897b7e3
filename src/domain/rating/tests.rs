//! The numbers of the shipped catalogs, and prices against counting one by one.

use proptest::prelude::*;

use super::{Amount, Line, Money, Percent, Terms, add_on, charge, dearest, line, price};
use crate::domain::catalog::{
    Catalog, Charge, EntitlementSpec, Interval, PriceTier, Pricing, Product, parse_catalog,
};
use crate::domain::quantity::Milli;

const AEGIS: &str = include_str!("../../../catalogs/aegis.toml");
const AIAS: &str = include_str!("../../../catalogs/aias.toml");
const AIMS: &str = include_str!("../../../catalogs/aims.toml");

fn catalog(text: &str) -> Catalog {
    parse_catalog(text).expect("a shipped catalog has no faults")
}

fn usage_price(catalog: &Catalog, id: &str) -> Pricing {
    let Product::Usage { pricing, .. } = &catalog.products[id] else {
        panic!("the product is sold by use");
    };
    pricing.clone()
}

fn units(units: i64) -> Milli {
    Milli::from_units(units).unwrap()
}

fn dollars(cents: i64) -> Money {
    Money {
        micros: cents * 10_000,
        cents,
    }
}

fn percent(whole: u32) -> Percent {
    Percent::from_thousandths(whole * 1000).unwrap()
}

#[test]
fn calls_of_aegis_cost_what_its_document_says() {
    let api_call = usage_price(&catalog(AEGIS), "api_call");
    let cost = |calls| {
        line(&api_call, units(calls), Terms::default())
            .unwrap()
            .amount
    };
    assert_eq!(cost(0), dollars(0));
    assert_eq!(cost(1), dollars(10));
    assert_eq!(cost(1_000), dollars(10_000));
    assert_eq!(cost(1_001), dollars(10_008));
    assert_eq!(cost(5_000), dollars(42_000));
    assert_eq!(cost(10_000), dollars(82_000));
    assert_eq!(cost(10_001), dollars(82_005));
    let terms = Terms {
        discount: percent(20),
        minimum_micros: 0,
    };
    let less = line(&api_call, units(1_000), terms).unwrap();
    assert_eq!(less.full, dollars(10_000));
    assert_eq!(less.discount, dollars(2_000));
    assert_eq!(less.amount, dollars(8_000));
}

#[test]
fn outcomes_and_plans_of_aegis_cost_what_its_document_says() {
    let aegis = catalog(AEGIS);
    let Product::Outcome { amount_micros, .. } = &aegis.products["geoint_report"] else {
        panic!("a report is an outcome");
    };
    assert_eq!(*amount_micros, 99_900 * 10_000);
    for (plan, cents) in [
        ("junior", Some(99_900)),
        ("analyst", Some(199_900)),
        ("lead", Some(499_900)),
        ("principal", None),
    ] {
        assert_eq!(monthly(&aegis, plan, 0), cents.map(dollars), "{plan}");
    }
}

fn monthly(catalog: &Catalog, plan: &str, nth: u32) -> Option<Money> {
    charge(&catalog.plans[plan], Interval::Month, nth).unwrap()
}

#[test]
fn plans_of_aias_are_paid_by_the_month_or_the_year() {
    let aias = catalog(AIAS);
    assert_eq!(monthly(&aias, "pro", 0), Some(dollars(9_900)));
    let pro = &aias.plans["pro"];
    assert_eq!(charge(pro, Interval::Year, 0), Ok(Some(dollars(99_000))));
    assert_eq!(monthly(&aias, "free", 0), Some(dollars(0)));
    assert_eq!(monthly(&aias, "enterprise", 0), None);
}

#[test]
fn plans_of_aims_cost_what_its_tables_say() {
    let aims = catalog(AIMS);
    for (plan, cents) in [
        ("starter", 300),
        ("pro", 600),
        ("enterprise", 900),
        ("p2p", 0),
        ("3mo", 1_999),
        ("6mo", 1_799),
        ("9mo", 1_499),
    ] {
        assert_eq!(monthly(&aims, plan, 0), Some(dollars(cents)), "{plan}");
    }
    // Nine months are paid and twelve delivered, and so again.
    let year: Vec<_> = (0..24)
        .map(|nth| monthly(&aims, "9mo", nth).unwrap().cents)
        .collect();
    let cycle = [1_499; 9].iter().chain(&[0; 3]).copied();
    let cycle: Vec<i64> = cycle.collect();
    assert_eq!(year, [cycle.clone(), cycle].concat());
}

#[test]
fn overage_and_task_weights_of_aims_cost_what_its_table_says() {
    let aims = catalog(AIMS);
    let tokens = |plan: &str| match &aims.plans[plan].entitlements["tokens"] {
        EntitlementSpec::Metered(spec) => spec.charge.clone(),
        _ => None,
    };
    for (plan, cents_per_million) in [
        ("starter", 3_000),
        ("pro", 2_500),
        ("3mo", 3_000),
        ("6mo", 2_500),
        ("9mo", 2_000),
    ] {
        let Some(Charge::Overage(pricing)) = tokens(plan) else {
            panic!("{plan} bills what exceeds");
        };
        let cost = line(&pricing, units(1_000_000), Terms::default()).unwrap();
        assert_eq!(cost.amount, dollars(cents_per_million), "{plan}");
    }
    let Some(Charge::Wallet { pricing, .. }) = tokens("p2p") else {
        panic!("pay-per-use draws on a wallet");
    };
    // 1,000 tokens of each kind of task, by its weight.
    for (operation, micros) in [
        ("chat", 40_000),
        ("summarize", 48_000),
        ("code_generation", 60_000),
        ("workflow", 80_000),
        ("deep_analysis", 100_000),
        ("research", 120_000),
        ("anything else", 40_000),
    ] {
        let dimensions = [("operation".into(), operation.into())]
            .into_iter()
            .collect();
        let weighted = aims.meters["tokens"]
            .weigh_units(1_000, &dimensions)
            .unwrap();
        let cost = price(&pricing, weighted).unwrap().round().unwrap();
        assert_eq!(cost.micros, micros, "{operation}");
    }
}

#[test]
fn a_line_is_rounded_half_to_even_from_the_exact_amount() {
    let third = Pricing::PerUnit {
        amount_micros: 10_000,
        per: 3,
    };
    let cost = |units_used| {
        line(&third, units(units_used), Terms::default())
            .unwrap()
            .amount
    };
    assert_eq!((cost(1).micros, cost(1).cents), (3_333, 0));
    assert_eq!((cost(2).micros, cost(2).cents), (6_667, 1));
    assert_eq!((cost(3).micros, cost(3).cents), (10_000, 1));
    for (micros, cents) in [
        (5_000, 0),
        (5_001, 1),
        (15_000, 2),
        (25_000, 2),
        (-5_000, 0),
        (-15_000, -2),
    ] {
        assert_eq!(Amount::from_micros(micros).round().unwrap().cents, cents);
    }
    // Rounded to micro-units first, this would be a whole half, and even.
    let exact = Amount::from_micros(25_000).plus(Amount::from_micros(1).times(1, 3).unwrap());
    assert_eq!(exact.unwrap().round().unwrap().cents, 3);
}

#[test]
fn a_minimum_holds_after_the_discount_and_add_ons_are_of_what_is_paid() {
    let pricing = Pricing::PerUnit {
        amount_micros: 1_000_000,
        per: 1,
    };
    let terms = Terms {
        discount: percent(50),
        minimum_micros: 3_000_000,
    };
    let small = line(&pricing, units(4), terms).unwrap();
    assert_eq!((small.full.cents, small.discount.cents), (400, 200));
    assert_eq!(small.amount, dollars(300));
    let large = line(&pricing, units(10), terms).unwrap();
    assert_eq!(large.amount, dollars(500));
    let support = add_on(percent(15), &[small, large]).unwrap();
    assert_eq!(support.amount, dollars(120));
    let total = Money::sum([small, large, support].map(|line| line.amount));
    assert_eq!(total, Ok(dollars(920)));
}

#[test]
fn what_leaves_the_range_is_an_error() {
    let dear = Pricing::PerUnit {
        amount_micros: i64::MAX,
        per: 1,
    };
    assert!(line(&dear, Milli(i64::MAX), Terms::default()).is_err());
}

fn tiers() -> impl Strategy<Value = Vec<PriceTier>> {
    let steps = prop::collection::vec((1..40_i64, 0..2_000_000_i64), 0..5);
    (steps, 0..2_000_000_i64).prop_map(|(steps, last)| {
        let mut end = 0;
        let mut tiers: Vec<PriceTier> = steps
            .into_iter()
            .map(|(length, unit_micros)| {
                end += length;
                PriceTier {
                    up_to: Some(end),
                    unit_micros,
                }
            })
            .collect();
        tiers.push(PriceTier {
            up_to: None,
            unit_micros: last,
        });
        tiers
    })
}

/// The tier of the unit with this number, counted from 1.
fn tier_of(tiers: &[PriceTier], unit: i64) -> &PriceTier {
    let holds = |tier: &&PriceTier| tier.up_to.is_none_or(|end| unit <= end);
    tiers.iter().find(holds).unwrap()
}

proptest! {
    #[test]
    fn tiers_cost_what_counting_unit_by_unit_says(tiers in tiers(), used in 0..200_i64) {
        let each: i64 = (1..=used).map(|unit| tier_of(&tiers, unit).unit_micros).sum();
        let all: i64 = (1..=used).map(|_| tier_of(&tiers, used).unit_micros).sum();
        let cost = |pricing| price(&pricing, units(used)).unwrap();
        prop_assert_eq!(cost(Pricing::Graduated { tiers: tiers.clone() }), Amount::from_micros(each));
        prop_assert_eq!(cost(Pricing::Volume { tiers }), Amount::from_micros(all));
    }

    #[test]
    fn packages_cost_what_opening_one_after_the_other_says(size in 1..30_i64, milli in 0..300_000_i64) {
        let mut opened = 0;
        let mut left = milli;
        while left > 0 {
            opened += 1;
            left -= size * 1000;
        }
        let pricing = Pricing::Package { amount_micros: 700_001, size };
        prop_assert_eq!(price(&pricing, Milli(milli)).unwrap(), Amount::from_micros(opened * 700_001));
    }

    #[test]
    fn thousandths_cost_what_counting_them_says(tiers in tiers(), milli in 0..6_000_i64) {
        // A unit of the slow count is a thousandth here, so its price is a thousandth too.
        let fine = |tier: &PriceTier| PriceTier {
            up_to: tier.up_to.map(|end| end * 1000),
            unit_micros: tier.unit_micros,
        };
        let fine: Vec<PriceTier> = tiers.iter().map(fine).collect();
        let each: i64 = (1..=milli).map(|part| tier_of(&fine, part).unit_micros).sum();
        let cost = price(&Pricing::Graduated { tiers }, Milli(milli)).unwrap();
        prop_assert_eq!(cost, Amount::from_micros(each).times(1, 1000).unwrap());
    }

    #[test]
    fn a_line_adds_up(tiers in tiers(), milli in 0..1_000_000_i64, off in 0..=100_000_u32, least in 0..50_000_000_i64) {
        let terms = Terms {
            discount: Percent::from_thousandths(off).unwrap(),
            minimum_micros: least,
        };
        let Line { full, discount, amount, .. } =
            line(&Pricing::Graduated { tiers }, Milli(milli), terms).unwrap();
        let paid = full.minus(discount).unwrap();
        prop_assert!(amount.micros == paid.micros.max(least), "{amount:?} {paid:?} {least}");
        prop_assert!(amount.cents >= paid.cents && discount.micros >= 0 && discount.cents >= 0);
        // Both are the same amount, each off by at most half of its own unit.
        prop_assert!((amount.cents * 10_000 - amount.micros).abs() <= 5_001);
    }

    /// Of some of the next units each may be any of them: unit by unit, the dearest first.
    #[test]
    fn some_units_cost_at_most_what_the_dearest_of_them_do(
        tiers in tiers(),
        (amount_micros, size) in (1..2_000_000_i64, 1..9_i64),
        (base, total, part) in (0..120_i64, 0..60_i64, 0..60_i64),
    ) {
        let units = |units: i64| Milli::from_units(units).unwrap();
        let part = part.min(total);
        let each = Pricing::PerUnit { amount_micros, per: 1 };
        let packages = Pricing::Package { amount_micros, size };
        for pricing in [Pricing::Graduated { tiers: tiers.clone() }, each, packages] {
            let up_to = |end: i64| price(&pricing, units(end)).unwrap().round().unwrap().micros;
            let mut each: Vec<i64> = (base..base + total).map(|unit| up_to(unit + 1) - up_to(unit)).collect();
            each.sort_unstable_by_key(|unit| std::cmp::Reverse(*unit));
            let slow: i64 = each.iter().take(usize::try_from(part).unwrap()).sum();
            let ours = dearest(&pricing, units(base), units(total), units(part)).unwrap();
            prop_assert_eq!(ours.round().unwrap().micros, slow, "{:?}", pricing);
        }
    }
}
