//! The file as a whole: places, bounds, inheritance and differences.

use std::fmt::Write as _;

use super::{BASE, parse};
use crate::domain::catalog::{AddOnBase, CATALOG_BYTES_MAX, EntitlementSpec, diff, parse_catalog};

const AIAS: &str = include_str!("../../../../catalogs/aias.toml");

#[test]
fn lines_and_several_faults_are_told_at_once() {
    let toml =
        "default_plan = \"x\"\n\n[plans.a]\ntrial_days = -1\n[plans.a.prices]\nmonth = 1.0\n";
    let shown: Vec<_> = parse_catalog(toml).expect_err("three faults");
    let places: Vec<_> = shown.iter().map(|it| (it.line, it.path.as_str())).collect();
    assert_eq!(
        places,
        [
            (Some(1), "default_plan"),
            (Some(4), "plans.a.trial_days"),
            (Some(6), "plans.a.prices.month")
        ]
    );
    let twice =
        parse_catalog("[plans.a]\nname = \"a\"\n\n[plans.a]\nrnk = 1\n").expect_err("twice");
    assert_eq!(
        (twice[0].line, twice[0].path.as_str()),
        (Some(4), "plans.a"),
        "{twice:#?}"
    );
    let key = parse_catalog("[plans.a]\nname = \"a\"\nname = \"b\"\n").expect_err("twice");
    assert_eq!(
        (key[0].line, key[0].path.as_str()),
        (Some(3), "plans.a.name"),
        "{key:#?}"
    );
    let broken = parse_catalog("[plans.a]\nname = \n[plans.b]\nrank = \"\n").expect_err("not TOML");
    assert!(
        broken.iter().all(|it| it.line.is_some()) && broken.len() >= 2,
        "{broken:#?}"
    );
}

#[test]
fn size_is_bounded_and_so_are_the_answers() {
    let faults = parse_catalog(&"#".repeat(CATALOG_BYTES_MAX + 1)).expect_err("too long");
    assert!(faults[0].message.contains("at most 1048576 bytes"));

    let mut many = String::new();
    for plan in 0..1001 {
        let _ = writeln!(many, "[plans.p{plan}]");
    }
    let faults = parse_catalog(&many).expect_err("1001 plans");
    assert!(
        faults[0].message.contains("at most 1000 plans, not 1001"),
        "{faults:#?}"
    );

    let mut chain = String::from("[features]\n");
    for feature in 0..100 {
        let _ = writeln!(chain, "f{feature} = \"boolean\"");
    }
    chain.push_str("[plans.p0.entitlements]\n");
    for feature in 0..100 {
        let _ = writeln!(chain, "f{feature} = true");
    }
    for plan in 1..300 {
        let _ = writeln!(chain, "[plans.p{plan}]\nextends = \"p{}\"", plan - 1);
    }
    let faults = parse_catalog(&chain).expect_err("30,000 entitlements");
    assert!(
        faults[0].message.contains("at most 20000 entitlements"),
        "{faults:#?}"
    );

    let unknown: String = (0..1000).fold(String::new(), |mut text, key| {
        let _ = writeln!(text, "unknown{key} = 1");
        text
    });
    let faults = parse_catalog(&unknown).expect_err("1000 unknown keys");
    assert_eq!(faults.len(), 201);
    assert_eq!(faults[200].message, "800 more faults are not listed");
    assert!(parse_catalog(&"[".repeat(10_000)).is_err());
    assert!(parse_catalog(&format!("a = {}", "[".repeat(100_000))).is_err());
}

#[test]
fn extending_inherits_entitlements_and_nothing_else() {
    let catalog = parse(&format!(
        "{BASE}trial_days = 7\ncommitment = {{ paid = 1, delivered = 2 }}\n\
         [plans.base.entitlements]\nsso = true\nseats = 1\n\
         [plans.top]\nextends = \"mid\"\n[plans.top.entitlements]\njobs = 3\n\
         [plans.mid]\nextends = \"base\"\n[plans.mid.entitlements]\nseats = 5\n"
    ));
    let top = catalog.plan("top").expect("it is declared");
    assert_eq!(
        top.entitlements.get("sso"),
        Some(&EntitlementSpec::Boolean(true))
    );
    assert_eq!(
        top.entitlements.get("seats"),
        Some(&EntitlementSpec::Allocation(Some(5)))
    );
    assert_eq!(
        top.entitlements.get("jobs"),
        Some(&EntitlementSpec::Concurrency(Some(3)))
    );
    assert_eq!(
        (top.prices.len(), top.trial_days, top.commitment),
        (0, 0, None)
    );
    // Without a rank, plans rank as they stand in the file.
    let ranks = ["base", "top", "mid"].map(|id| catalog.plan(id).map(|plan| plan.rank));
    assert_eq!(ranks, [Some(1), Some(2), Some(3)]);
}

#[test]
fn a_diff_names_single_values() {
    let old = parse(AIAS);
    let new = parse(
        &AIAS
            .replace("month = \"99.00\"", "month = \"109.00\"")
            .replace(
                "{ amount = 100, window = \"hour\" },",
                "{ amount = 100, window = \"5h\" },",
            )
            .replace("sla = true ", "# "),
    );
    let changes: Vec<String> = diff(&old, &new)
        .into_iter()
        .map(|it| {
            let value = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            format!(
                "{:?} {}: {} -> {}",
                it.kind,
                it.path,
                value(it.before),
                value(it.after)
            )
        })
        .collect();
    assert_eq!(
        changes,
        [
            "Changed plans.enterprise.entitlements.sla: true -> false",
            "Added plans.free.entitlements.api_calls.limits[5h].amount: - -> 100",
            "Added plans.free.entitlements.api_calls.limits[5h].mode: - -> enforce",
            "Added plans.free.entitlements.api_calls.limits[5h].on_limit: - -> block",
            "Removed plans.free.entitlements.api_calls.limits[hour].amount: 100 -> -",
            "Removed plans.free.entitlements.api_calls.limits[hour].mode: enforce -> -",
            "Removed plans.free.entitlements.api_calls.limits[hour].on_limit: block -> -",
            "Changed plans.pro.prices.month: 99.00 -> 109.00",
        ]
    );
}

#[test]
fn what_changes_a_price_is_read_and_compared() {
    let text = format!(
        "add_ons.support = {{ percent = \"8.5\", of = \"usage\" }}\n\
         add_ons.care = {{ name = \"Care\", percent = \"10\" }}\n{BASE}\
         add_ons = [\"support\", \"care\"]\n\
         [credit_units.LUC]\nper_dollar = 100\nreceivable_limit = \"2.5\"\n\
         [credit_units.EXP]\nper_dollar = 1\nreceivable_limit = \"unlimited\"\n\
         [products.x]\nusage = {{ meter = \"tokens\", per_unit = \"1\", minimum = \"5\" }}\n"
    );
    let new = parse(&text);
    let limits = ["USD", "LUC", "EXP"].map(|unit| new.credit_units[unit].receivable_limit_micros);
    assert_eq!(limits, [Some(0), Some(2_500_000), None]);
    assert_eq!(new.plans["base"].add_ons.len(), 2);
    assert_eq!(new.add_ons["support"].of, AddOnBase::Usage);
    assert_eq!(new.add_ons["support"].percent.thousandths(), 8_500);
    let changes = diff(&parse(BASE), &new);
    let seen = |path: &str| {
        let change = changes.iter().find(|change| change.path == path);
        change
            .and_then(|change| change.after.as_deref())
            .unwrap_or_default()
    };
    assert_eq!(seen("plans.base.add_ons"), "support, care");
    assert_eq!(seen("add_ons.support.percent"), "8.5");
    assert_eq!(seen("add_ons.care.of"), "all");
    assert_eq!(seen("add_ons.care.name"), "Care");
    assert_eq!(seen("credit_units.LUC.receivable_limit"), "2.50");
    assert_eq!(seen("credit_units.EXP.receivable_limit"), "unlimited");
    assert_eq!(seen("products.x.usage.minimum"), "5.00");
}
