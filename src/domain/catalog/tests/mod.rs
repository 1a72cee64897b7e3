//! Bad catalogs with the place and the words of their faults, and the four that ship.

mod bad;
mod destinations;
mod edit;
mod shape;
mod shipped;

use super::{Catalog, parse_catalog};

/// Something sound to be wrong about; the lines of a case follow from line 24.
const BASE: &str = r#"
[credit_units.USD]
per_dollar = 1

[meters.tokens]
aggregation = "sum"
dimensions = ["model", "operation"]

[meters.bytes]
aggregation = "latest"

[features]
sso = "boolean"
support = "static"
seats = "allocation"
jobs = "concurrency"
rps = "rate"
bytes = { metered = { meter = "bytes" } }
tokens = { metered = { meter = "tokens" } }
large = { metered = { meter = "tokens", filter = { model = "large" } } }
small = { metered = { meter = "tokens", filter = { model = "small" } } }
[plans.base]
prices = { month = "10.00" }
"#;

fn parse(toml: &str) -> Catalog {
    match parse_catalog(toml) {
        Ok(catalog) => catalog,
        Err(faults) => panic!("{faults:#?}"),
    }
}

/// Asserts the faults of BASE with `toml` added: paths and a fragment of each message, in order.
fn assert_faults(toml: &str, expected: &[(&str, &str)]) {
    let faults = parse_catalog(&format!("{BASE}{toml}")).expect_err(toml);
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), expected.len(), "{toml}\n{shown:#?}");
    for (fault, (path, fragment)) in faults.iter().zip(expected) {
        assert_eq!(fault.path, *path, "{toml}\n{shown:#?}");
        assert!(
            fault.message.contains(fragment),
            "{toml}\n{fragment}\n{shown:#?}"
        );
        assert!(fault.line.is_some(), "{toml}\n{shown:#?}");
    }
}

/// Asserts the only fault of an entitlement of a plan `p`.
fn assert_entitlement_fault(entitlement: &str, path: &str, fragment: &str) {
    let toml = format!("[plans.p.entitlements]\n{entitlement}");
    assert_faults(
        &toml,
        &[(&format!("plans.p.entitlements.{path}"), fragment)],
    );
}
