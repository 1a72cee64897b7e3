//! Usage that would be charged twice.

use super::{BASE, assert_entitlement_fault, assert_faults, parse};

#[test]
fn usage_has_one_destination() {
    const LIMIT: &str = "limits = [{ amount = 1, window = \"day\" }]";
    const OVERAGE: &str = "overage = { per_unit = \"1\" }";
    const WALLET: &str = "wallet = { credit_unit = \"USD\", per_unit = \"1\" }";
    let overage = |feature: &str| format!("{feature} = {{ {LIMIT}, {OVERAGE} }}\n");
    let wallet = |feature: &str| format!("{feature} = {{ {LIMIT}, {WALLET} }}\n");
    let at = "[plans.p.entitlements]\n";

    let both = format!("tokens = {{ {LIMIT}, {OVERAGE}, {WALLET} }}");
    assert_entitlement_fault(&both, "tokens.wallet", "not both");
    // One event may be large and pass no other filter, so only disjoint filters may both be charged.
    parse(&format!(
        "{BASE}{at}{}{}",
        overage("large"),
        wallet("small")
    ));
    assert_faults(
        &format!("{at}{}{}", overage("large"), wallet("tokens")),
        &[(
            "plans.p.entitlements.tokens.wallet",
            "feature \"large\" charges it too",
        )],
    );
    // What is inherited is reported once, and again only where a plan adds to it.
    let child = format!(
        "[plans.q]\nextends = \"p\"\n[plans.q.entitlements]\n{}",
        overage("tokens")
    );
    assert_faults(
        &format!("{at}{}{child}", overage("large")),
        &[(
            "plans.q.entitlements.tokens.overage",
            "feature \"large\" charges it too",
        )],
    );
    let product = "[products.x]\nusage = { meter = \"tokens\", per_unit = \"1\" }\n";
    assert_faults(
        &format!("{at}{}{product}", overage("large")),
        &[(
            "plans.p.entitlements.large.overage",
            "product \"x\" charges it too",
        )],
    );
    let second = "[products.y]\nusage = { meter = \"tokens\", per_unit = \"1\" }\n";
    assert_faults(
        &format!("{product}{second}"),
        &[("products.y.usage.meter", "product \"x\" charges it too")],
    );
    let unit = wallet("tokens").replace("USD", "LUC");
    assert_entitlement_fault(
        &unit,
        "tokens.wallet.credit_unit",
        "unknown credit unit \"LUC\"",
    );
}

#[test]
fn what_draws_on_a_wallet_has_a_price_of_use_that_stays() {
    let wallet = |price: &str| {
        format!("tokens.wallet = {{ credit_unit = \"USD\", from_first_unit = true, {price} }}")
    };
    for price in [
        "per_unit = \"1\"",
        "package = \"1\", size = 10",
        "graduated = [{ unit = \"1\" }]",
    ] {
        parse(&format!("{BASE}[plans.p.entitlements]\n{}", wallet(price)));
    }
    for (price, key, why) in [
        ("flat = \"1\"", "flat", "no price of use"),
        ("volume = [{ unit = \"1\" }]", "volume", "already paid"),
    ] {
        assert_entitlement_fault(&wallet(price), &format!("tokens.wallet.{key}"), why);
    }
}
