//! What is declared wrong is told with its path and what would be right.

use super::{BASE, assert_entitlement_fault, assert_faults};
use crate::domain::catalog::parse_catalog;

const UNKNOWN_WORDS: &[(&str, &str, &str)] = &[
    (
        "[plans.p]\nextend = \"base\"",
        "plans.p.extend",
        "did you mean \"extends\"?",
    ),
    (
        "[plans.p]\nextends = \"bsae\"",
        "plans.p.extends",
        "unknown plan \"bsae\"",
    ),
    (
        "[plans.p]\nextends = \"bas\"",
        "plans.p.extends",
        "did you mean \"base\"?",
    ),
    (
        "[plans.p]\non_change = \"cary\"",
        "plans.p.on_change",
        "did you mean \"carry\"?",
    ),
    (
        "[plans.p.entitlements]\nseat = 1",
        "plans.p.entitlements.seat",
        "did you mean \"seats\"?",
    ),
    (
        "[meter.m]\naggregation = \"sum\"",
        "meter",
        "did you mean \"meters\"?",
    ),
    (
        "[features.f]\nmetered = { meter = \"token\" }",
        "features.f.metered.meter",
        "\"tokens\"?",
    ),
    (
        "[features.f.metered]\nmeter = \"tokens\"\nfilter = { modle = \"x\" }",
        "features.f.metered.filter.modle",
        "did you mean \"model\"?",
    ),
    (
        "[features.f]\nkind = \"bolean\"",
        "features.f.kind",
        "did you mean \"boolean\"?",
    ),
    (
        "[features.f]\nkind = \"metered\"",
        "features.f.kind",
        "names its meter",
    ),
    (
        "[meters.m]\naggregation = \"sum\"\ndimensions = [\"op\"]\nweights.ops = { a = \"2\" }",
        "meters.m.weights.ops",
        "did you mean \"op\"?",
    ),
    (
        "[add_ons.help]\npercent = \"5\"\n[plans.p]\nadd_ons = [\"help\", \"hlp\"]",
        "plans.p.add_ons[1]",
        "did you mean \"help\"?",
    ),
    (
        "[add_ons.help]\npercent = \"5\"\nof = \"usge\"",
        "add_ons.help.of",
        "did you mean \"usage\"?",
    ),
    (
        "[add_ons.help]\npercents = \"5\"\npercent = \"5\"",
        "add_ons.help.percents",
        "did you mean \"percent\"?",
    ),
    (
        "[products.x]\nusage = { meter = \"tokns\", flat = \"1\" }",
        "products.x.usage.meter",
        "tokens",
    ),
    (
        "[products.x.credit_pack]\ncredit_unit = \"USB\"\ncredits = 5\nprice = \"5\"",
        "products.x.credit_pack.credit_unit",
        "did you mean \"USD\"?",
    ),
];

#[test]
fn unknown_words_are_reported_with_the_nearest_known_one() {
    for (toml, path, fragment) in UNKNOWN_WORDS {
        assert_faults(toml, &[(path, fragment)]);
    }
    let faults = parse_catalog("default_plan = \"pro\"").expect_err("there is no plan");
    assert_eq!(
        faults[0].to_string(),
        "line 1: default_plan: unknown plan \"pro\""
    );
}

const BAD_LIMITS: &[(&str, &str, &str)] = &[
    (
        "amount = -1, window = \"day\"",
        "[0].amount",
        "from 0 to 1000000000000000",
    ),
    (
        "amount = 1_000_000_000_000_001, window = \"day\"",
        "[0].amount",
        "not 1000000000000001",
    ),
    (
        "amount = 1.5, window = \"day\"",
        "[0].amount",
        "floats are refused",
    ),
    (
        "amount = \"1\", window = \"day\"",
        "[0].amount",
        "or \"unlimited\"",
    ),
    ("window = \"day\"", "[0]", "needs \"amount\""),
    ("amount = 1, window = \"36d\"", "[0].window", "1m to 35d"),
    ("amount = 1, window = \"30s\"", "[0].window", "1m to 35d"),
    (
        "amount = 1, window = \"day\", on_limit = \"deny\"",
        "[0].on_limit",
        "\"block\", \"allow\"",
    ),
    (
        "amount = 1, window = \"day\", on_limit = { allow_up_to = 0 }",
        "[0].on_limit.allow_up_to",
        "from 1",
    ),
    (
        "amount = 1, window = \"day\", mode = \"dry\"",
        "[0].mode",
        "\"enforce\", \"observe\"",
    ),
    (
        "amount = 1, window = \"24h\" }, { amount = 2, window = \"1d\"",
        "[1]",
        "one limit per window",
    ),
];

#[test]
fn values_out_of_range_are_reported_where_they_stand() {
    for (limit, path, fragment) in BAD_LIMITS {
        let entitlement = format!("tokens = {{ limits = [{{ {limit} }}] }}");
        assert_entitlement_fault(&entitlement, &format!("tokens.limits{path}"), fragment);
    }
    let many = "{ amount = 1, window = \"day\" }, ".repeat(17);
    let faults = parse_catalog(&format!(
        "{BASE}[plans.p.entitlements]\ntokens.limits = [{many}]"
    ));
    let faults = faults.expect_err("17 limits");
    assert!(
        faults[0].message.contains("at most 16 limits, not 17"),
        "{faults:#?}"
    );

    let weights = ["0", "-1", "1.2345", "1000.001", "much"];
    for weight in weights {
        let toml = format!(
            "[meters.m]\naggregation = \"sum\"\ndimensions = [\"a\"]\nweights.a = {{ b = \"{weight}\" }}"
        );
        assert_faults(&toml, &[("meters.m.weights.a.b", "at most three decimals")]);
    }
    let float = "[meters.m]\naggregation = \"sum\"\ndimensions = [\"a\"]\nweights.a = { b = 1.5 }";
    assert_faults(float, &[("meters.m.weights.a.b", "quote decimals")]);
}

#[test]
fn entitlements_must_fit_the_kind_of_their_feature() {
    let cases = [
        ("sso = 1", "sso", "since the feature is boolean"),
        ("sso = 0.5", "sso", "floats are refused"),
        ("support = true", "support", "since the feature is static"),
        ("seats = true", "seats", "since the feature is allocation"),
        ("seats = -1", "seats", "from 0"),
        (
            "jobs = \"many\"",
            "jobs",
            "since the feature is concurrency",
        ),
        ("rps = 5", "rps", "since the feature is a rate"),
        ("tokens = 1000", "tokens", "since the feature is metered"),
        (
            "rps = { rate = 5, per = \"hour\" }",
            "rps.per",
            "a window such as \"hour\"",
        ),
        (
            "rps = { rate = 0, per = \"second\" }",
            "rps.rate",
            "from 1 to",
        ),
        ("rps = { rate = 5 }", "rps", "needs \"per\""),
        (
            "tokens = { rate = { rate = 5, per = \"day\" } }",
            "tokens.rate.per",
            "a window",
        ),
        (
            "bytes = { limits = [{ amount = 1, window = \"day\" }] }",
            "bytes.limits",
            "is a latest",
        ),
        (
            "tokens = { overage = { per_unit = \"1\" } }",
            "tokens.overage",
            "no limit has an amount",
        ),
    ];
    for (entitlement, path, fragment) in cases {
        assert_entitlement_fault(entitlement, path, fragment);
    }
}

#[test]
fn prices_are_exact_rising_and_in_dollars() {
    let cases = [
        ("month = 99.0", "month", "floats are refused"),
        ("month = 99", "month", "a quoted decimal in US dollars"),
        (
            "month = \"99.00 EUR\"",
            "month",
            "other currencies are refused",
        ),
        ("month = \"-1\"", "month", "must not be negative"),
        ("month = \"0.0000001\"", "month", "at most 6 decimals"),
        ("month = \"1000000001\"", "month", "at most"),
        ("months = \"1\"", "months", "did you mean \"month\"?"),
    ];
    for (price, path, fragment) in cases {
        let toml = format!("[plans.p]\nprices = {{ {price} }}");
        assert_faults(&toml, &[(&format!("plans.p.prices.{path}"), fragment)]);
    }
    let currency = parse_catalog("currency = \"EUR\"").expect_err("only dollars");
    assert_eq!(
        (currency[0].path.as_str(), currency[0].line),
        ("currency", Some(1))
    );

    let pricings = [
        (
            "graduated = [{ up_to = 5, unit = \"2\" }, { up_to = 5, unit = \"1\" }, { unit = \"1\" }]",
            ".graduated[1].up_to",
            "tiers must rise",
        ),
        (
            "volume = [{ unit = \"2\" }, { unit = \"1\" }]",
            ".volume[0]",
            "needs \"up_to\"",
        ),
        (
            "volume = [{ up_to = 5, unit = \"2\" }]",
            ".volume[0].up_to",
            "has no end",
        ),
        ("volume = []", ".volume", "at least one tier"),
        (
            "per_unit = \"1\", flat = \"1\"",
            ".per_unit",
            "cannot stand beside",
        ),
        ("flat = \"1\", per = 2", ".per", "only beside \"per_unit\""),
        ("package = \"1\"", "", "needs \"size\""),
        ("per = 5", "", "needs one of \"flat\""),
    ];
    for (pricing, path, fragment) in pricings {
        let toml = format!("[products.x]\nusage = {{ meter = \"tokens\", {pricing} }}");
        assert_faults(&toml, &[(&format!("products.x.usage{path}"), fragment)]);
    }
}

const THE_REST: &[(&str, &[(&str, &str)])] = &[
    ("[plans.base]\nrank = 1", &[("plans.base", "duplicate key")]),
    (
        "[plans.\"a b\"]\nrank = 1",
        &[("plans.\"a b\"", "printable ASCII without spaces")],
    ),
    (
        "[plans.p]\ncommitment = { paid = 12, delivered = 9 }",
        &[("plans.p.commitment", "at least")],
    ),
    (
        "[plans.p]\ntrial_days = 731",
        &[("plans.p.trial_days", "from 0 to 730")],
    ),
    (
        "[plans.a]\nextends = \"a\"",
        &[("plans.a.extends", "extends itself: a -> a")],
    ),
    (
        "[plans.c]\nextends = \"b\"\n[plans.b]\nextends = \"d\"\n[plans.d]\nextends = \"b\"",
        &[("plans.b.extends", "b -> d -> b")],
    ),
    (
        "[meters.m]\naggregation = \"unique_count\"",
        &[("meters.m", "needs \"unique_by\"")],
    ),
    (
        "[meters.m]\naggregation = \"max\"\nstripe_event_name = \"m\"",
        &[(
            "meters.m.stripe_event_name",
            "only meters that sum or count",
        )],
    ),
    (
        "[meters.m]\naggregation = \"sum\"\nstripe_event_name = \"s\"\n\
             [meters.n]\naggregation = \"sum\"\nstripe_event_name = \"s\"",
        &[("meters.n.stripe_event_name", "\"m\" has this name")],
    ),
    (
        "[features.f]\nkind = \"rate\"\non_outage = { allow_for = \"25h\" }",
        &[("features.f.on_outage.allow_for", "24h")],
    ),
    (
        "[plans.p]\nname = 5\nrank = []",
        &[
            ("plans.p.name", "a text, not a TOML integer"),
            ("plans.p.rank", "a whole number"),
        ],
    ),
    (
        "[add_ons.help]\npercent = \"5\"\n[plans.p]\nadd_ons = [\"help\", \"help\"]",
        &[("plans.p.add_ons[1]", "listed twice")],
    ),
    (
        "[add_ons.help]\npercent = \"101\"\n[add_ons.more]\npercent = 5\n[add_ons.none]\nof = \"all\"\n\
             [plans.p]\nadd_ons = [\"help\"]",
        &[
            ("add_ons.help.percent", "up to \"100\""),
            ("add_ons.more.percent", "not a TOML integer"),
            ("add_ons.none", "needs \"percent\""),
        ],
    ),
    (
        "[credit_units.LUC]\nper_dollar = 100\nreceivable_limit = \"much\"\n\
             [credit_units.EXP]\nper_dollar = 1\nreceivable_limit = 5",
        &[
            (
                "credit_units.LUC.receivable_limit",
                "or \"unlimited\", not \"much\"",
            ),
            ("credit_units.EXP.receivable_limit", "not a TOML integer"),
        ],
    ),
    (
        "[products.x]\nusage = { meter = \"tokens\", per_unit = \"1\", minimum = \"-5\" }",
        &[("products.x.usage.minimum", "must not be negative")],
    ),
    (
        "[products.x]\nusage = { meter = \"tokens\", per_unit = \"1\", minimun = \"5\" }",
        &[("products.x.usage.minimun", "did you mean \"minimum\"?")],
    ),
    (
        "[products.x]\nname = \"x\"",
        &[("products.x", "needs one of \"usage\"")],
    ),
];

#[test]
fn the_rest_of_what_can_be_declared_wrong() {
    for (toml, expected) in THE_REST {
        assert_faults(toml, expected);
    }
    let warnings = parse_catalog("warnings = { notice_percent = 90, critical_percent = 80 }");
    assert!(
        warnings.expect_err("falling")[0]
            .message
            .contains("at least notice_percent")
    );
    let quota = parse_catalog("auto_create_customers = true").expect_err("not a table");
    assert!(quota[0].message.contains("per_minute = 60"), "{quota:?}");
}
