//! The catalogs that ship, against the numbers of the documents they come from.

use super::parse;
use crate::domain::catalog::{Catalog, Charge, EntitlementSpec, Interval, Pricing, Product, diff};
use crate::domain::id::PlanId;

const DEFAULT: &str = include_str!("../../../../catalogs/default.toml");
const AIMS: &str = include_str!("../../../../catalogs/aims.toml");
const AEGIS: &str = include_str!("../../../../catalogs/aegis.toml");
const AIAS: &str = include_str!("../../../../catalogs/aias.toml");

#[test]
fn shipped_catalogs_differ_from_themselves_in_nothing() {
    for toml in [DEFAULT, AIMS, AEGIS, AIAS] {
        let catalog = parse(toml);
        assert_eq!(diff(&catalog, &catalog), []);
    }
}

/// Returns amount and window of each limit.
fn limits(catalog: &Catalog, plan: &str, feature: &str) -> Vec<(Option<i64>, String)> {
    match &catalog.plan(plan).expect("declared").entitlements[feature] {
        EntitlementSpec::Metered(spec) => spec
            .limits
            .iter()
            .map(|it| (it.amount, it.window.to_string()))
            .collect(),
        other => panic!("{feature} of {plan} is {other:?}"),
    }
}

fn prices(catalog: &Catalog, plan: &str) -> Vec<(Interval, Option<i64>)> {
    let plan = catalog.plan(plan).expect("declared");
    plan.prices
        .iter()
        .map(|it| (it.interval, it.amount_micros))
        .collect()
}

const fn month(cents: i64) -> (Interval, Option<i64>) {
    (Interval::Month, Some(cents * 10_000))
}

#[test]
fn the_default_catalog_uses_every_kind_of_feature() {
    let catalog = parse(DEFAULT);
    assert_eq!(
        catalog.default_plan.as_ref().map(PlanId::as_str),
        Some("free")
    );
    assert_eq!(catalog.auto_create_per_minute, Some(60));
    assert_eq!(
        limits(&catalog, "free", "tokens"),
        [(Some(10_000), "month".into())]
    );
    let calls = [
        (Some(1_000), "day".to_owned()),
        (Some(500), "5h".to_owned()),
    ];
    assert_eq!(limits(&catalog, "free", "api_calls"), calls);
    let weights = &catalog.meter("tokens").expect("declared").weights;
    let factors: Vec<_> = weights
        .iter()
        .map(|it| (&*it.value, it.factor_milli))
        .collect();
    assert_eq!(factors, [("code_generation", 1_500), ("research", 3_000)]);
    let kinds: std::collections::BTreeSet<_> = catalog
        .features
        .values()
        .map(|it| std::mem::discriminant(&it.kind))
        .map(|it| format!("{it:?}"))
        .collect();
    assert_eq!(kinds.len(), 6);
}

#[test]
fn aims_has_the_numbers_of_its_documents() {
    let catalog = parse(AIMS);
    for (plan, cents) in [
        ("starter", 300),
        ("pro", 600),
        ("enterprise", 900),
        ("p2p", 0),
    ] {
        assert_eq!(prices(&catalog, plan), [month(cents)], "{plan}");
    }
    let committed = [
        ("3mo", 1_999, 100_000, 5, 2, (3, 3)),
        ("6mo", 1_799, 250_000, 15, 5, (6, 6)),
        ("9mo", 1_499, 500_000, 50, 25, (9, 12)),
    ];
    for (id, cents, tokens, agents, concurrent, months) in committed {
        let plan = catalog.plan(id).expect("declared");
        assert_eq!(prices(&catalog, id), [month(cents)], "{id}");
        assert_eq!(
            limits(&catalog, id, "tokens"),
            [(Some(tokens), "month".into())]
        );
        assert_eq!(
            plan.entitlements["agents"],
            EntitlementSpec::Allocation(Some(agents))
        );
        assert_eq!(
            plan.entitlements["concurrent"],
            EntitlementSpec::Concurrency(Some(concurrent))
        );
        let commitment = plan
            .commitment
            .map(|it| (it.months_paid, it.months_delivered));
        assert_eq!(commitment, Some(months));
    }
    let p2p = catalog.plan("p2p").expect("declared");
    assert_eq!(
        p2p.entitlements["agents"],
        EntitlementSpec::Allocation(Some(0))
    );
    assert_eq!(
        p2p.entitlements["concurrent"],
        EntitlementSpec::Concurrency(Some(1))
    );
    let EntitlementSpec::Metered(tokens) = &p2p.entitlements["tokens"] else {
        panic!("tokens are metered");
    };
    let charge = Some(Charge::Wallet {
        credit_unit: "LUC".into(),
        from_first_unit: true,
        pricing: Pricing::PerUnit {
            amount_micros: 40_000,
            per: 1_000,
        },
    });
    assert_eq!(tokens.charge, charge);
    assert_eq!(catalog.credit_units["LUC"].per_dollar, 100);
    let weights = &catalog.meter("tokens").expect("declared").weights;
    let range = (
        weights.iter().map(|it| it.factor_milli).min(),
        weights.iter().map(|it| it.factor_milli).max(),
    );
    assert_eq!(range, (Some(1_000), Some(3_000)));
}

#[test]
fn aegis_has_the_numbers_of_its_document() {
    let catalog = parse(AEGIS);
    let plans = [
        ("junior", 99_900, 40),
        ("analyst", 199_900, 80),
        ("lead", 499_900, 160),
    ];
    for (plan, cents, hours) in plans {
        assert_eq!(prices(&catalog, plan), [month(cents)], "{plan}");
        assert_eq!(
            limits(&catalog, plan, "work"),
            [(Some(hours * 3600), "month".into())]
        );
    }
    assert_eq!(prices(&catalog, "principal"), [(Interval::Month, None)]);
    assert_eq!(
        limits(&catalog, "principal", "work"),
        [(None, "month".into())]
    );
    assert!(matches!(
        catalog.product("geoint_report"),
        Some(Product::Outcome {
            amount_micros: 999_000_000,
            ..
        })
    ));
    let Some(Product::Usage {
        pricing: Pricing::Graduated { tiers },
        ..
    }) = catalog.product("api_call")
    else {
        panic!("calls are graduated");
    };
    let tiers: Vec<_> = tiers.iter().map(|it| (it.up_to, it.unit_micros)).collect();
    assert_eq!(
        tiers,
        [
            (Some(1_000), 100_000),
            (Some(10_000), 80_000),
            (None, 50_000)
        ]
    );
}

#[test]
fn aias_has_the_numbers_of_its_document() {
    let catalog = parse(AIAS);
    assert_eq!(
        catalog.default_plan.as_ref().map(PlanId::as_str),
        Some("free")
    );
    assert_eq!(prices(&catalog, "free"), []);
    assert_eq!(
        prices(&catalog, "pro"),
        [month(9_900), (Interval::Year, Some(990_000_000))]
    );
    assert_eq!(
        prices(&catalog, "enterprise"),
        [(Interval::Month, None), (Interval::Year, None)]
    );
    let rights = |plan: &str| {
        let entitlements = &catalog.plan(plan).expect("declared").entitlements;
        (
            entitlements["workflows"].clone(),
            entitlements["agents"].clone(),
        )
    };
    let number = EntitlementSpec::Allocation;
    assert_eq!(rights("free"), (number(Some(3)), number(Some(1))));
    assert_eq!(rights("pro"), (number(None), number(Some(10))));
    assert_eq!(rights("enterprise"), (number(None), number(None)));
    assert_eq!(
        limits(&catalog, "free", "api_calls")[0],
        (Some(1_000), "month".into())
    );
    assert_eq!(
        limits(&catalog, "pro", "api_calls")[0],
        (Some(100_000), "month".into())
    );
}
