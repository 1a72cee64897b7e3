//! What a plan grants for one feature: a value whose form follows from the feature's kind.

use std::collections::BTreeMap;

use super::node::{Node, Table};
use super::pricing::{PRICING_KEYS, read_pricing};
use super::values::{self, AMOUNT_MAX};
use crate::domain::catalog::limit::{LIMITS_MAX, RATE_MAX};
use crate::domain::catalog::{
    Charge, EntitlementSpec, FeatureKind, Limit, MeteredSpec, Mode, OnLimit, Pricing, RateSpec,
};
use crate::domain::time::Span;
use crate::domain::window::{InvalidWindow, Window};

pub(super) fn read_entitlement(node: &Node<'_>, kind: &FeatureKind) -> Option<EntitlementSpec> {
    match kind {
        FeatureKind::Boolean => {
            let granted = node.boolean("true or false, since the feature is boolean");
            granted.map(EntitlementSpec::Boolean)
        }
        FeatureKind::Static => {
            let value = values::label(node, "a text, since the feature is static");
            value.map(EntitlementSpec::Static)
        }
        FeatureKind::Metered { .. } => {
            let table = node.table_or(
                "a table such as { limits = [{ amount = 1000, window = \"month\" }] }, \
                 since the feature is metered",
            )?;
            read_metered(&table).map(EntitlementSpec::Metered)
        }
        FeatureKind::Allocation => read_number(node, "allocation").map(EntitlementSpec::Allocation),
        FeatureKind::Concurrency => {
            read_number(node, "concurrency").map(EntitlementSpec::Concurrency)
        }
        FeatureKind::Rate => {
            let table = node.table_or(
                "a table such as { rate = 50, per = \"second\" }, since the feature is a rate",
            )?;
            read_rate(&table).map(EntitlementSpec::Rate)
        }
    }
}

/// Reads how many may exist or be in flight.
#[expect(
    clippy::option_option,
    reason = "the outer one says whether it could be read"
)]
fn read_number(node: &Node<'_>, kind: &str) -> Option<Option<i64>> {
    if node.as_str() == Some("unlimited") {
        return Some(None);
    }
    let expected = format!(
        "a whole number from 0 to {AMOUNT_MAX} or \"unlimited\", since the feature is {kind}"
    );
    node.integer_or(0..=AMOUNT_MAX, &expected).map(Some)
}

fn read_rate(table: &Table<'_>) -> Option<RateSpec> {
    table.only(&["rate", "per", "burst"]);
    let number = |node: Node<'_>| u32::try_from(node.integer(1..=RATE_MAX)?).ok();
    let amount = table.required("rate").and_then(number);
    let burst = table.get("burst").map_or(amount, number);
    let per = table.required("per").and_then(|node| {
        let word = node.text("\"second\" or \"minute\"")?;
        match word {
            "second" => Some(Span::from_secs(1)),
            "minute" => Some(Span::from_minutes(1)),
            longer => {
                node.fault(format!(
                    "must be \"second\" or \"minute\", not {longer:?}: for longer times make the \
                     feature metered and use a limit with a window such as \"hour\""
                ));
                None
            }
        }
    });
    Some(RateSpec {
        amount: amount?,
        per: per?,
        burst: burst?,
    })
}

fn read_metered(table: &Table<'_>) -> Option<MeteredSpec> {
    let destinations = ["overage", "wallet"];
    table.only(&[
        "limits",
        "subaccount_limits",
        "concurrency",
        "rate",
        "overage",
        "wallet",
    ]);
    let limits = table
        .get("limits")
        .map_or(Some(Vec::new()), |node| read_limits(&node));
    let subaccount_limits = table
        .get("subaccount_limits")
        .map_or(Some(Vec::new()), |node| read_limits(&node));
    if let [Some(_), Some(wallet)] = destinations.map(|key| table.get(key)) {
        wallet.fault(
            "usage has one destination: give \"overage\", billed after it, or \"wallet\", \
             drawn from credits, not both",
        );
        return None;
    }
    let overage = table.get("overage").map(|node| read_overage(&node));
    let wallet = table.get("wallet").map(|node| read_wallet(&node));
    let concurrency = table
        .get("concurrency")
        .map_or(Some(None), |node| values::amount(&node));
    let rate = match table.get("rate") {
        Some(node) => {
            let table = node.table_or("a table such as { rate = 50, per = \"second\" }");
            table.and_then(|table| read_rate(&table)).map(Some)
        }
        None => Some(None),
    };
    let charge = match overage.or(wallet) {
        Some(charge) => Some(charge?),
        None => None,
    };
    let limits = limits?;
    check_beyond(table, &limits, charge.as_ref());
    Some(MeteredSpec {
        limits,
        subaccount_limits: subaccount_limits?,
        concurrency: concurrency?,
        rate: rate?,
        charge,
    })
}

/// A charge of what lies beyond a limit needs a limit that something can lie beyond.
fn check_beyond(table: &Table<'_>, limits: &[Limit], charge: Option<&Charge>) {
    let (key, instead) = match charge {
        Some(Charge::Overage(_)) => ("overage", "a limit of 0 charges from the first unit"),
        Some(Charge::Wallet {
            from_first_unit: false,
            ..
        }) => ("wallet", "from_first_unit = true draws from the first unit"),
        Some(Charge::Wallet {
            from_first_unit: true,
            ..
        })
        | None => return,
    };
    if limits.iter().all(|limit| limit.amount.is_none())
        && let Some(node) = table.get(key)
    {
        node.fault(format!(
            "charges what exceeds a limit, but no limit has an amount; {instead}"
        ));
    }
}

fn read_overage(node: &Node<'_>) -> Option<Charge> {
    let table = node.table_or("a price such as { per_unit = \"0.02\", per = 1000 }")?;
    table.only(&PRICING_KEYS);
    read_pricing(&table).map(Charge::Overage)
}

fn read_wallet(node: &Node<'_>) -> Option<Charge> {
    let table = node
        .table_or("a table such as { credit_unit = \"USD\", per_unit = \"0.02\", per = 1000 }")?;
    let known: Vec<&str> = PRICING_KEYS
        .into_iter()
        .chain(["credit_unit", "from_first_unit"])
        .collect();
    table.only(&known);
    let credit_unit = table.required("credit_unit").and_then(|node| {
        let text = node.text("the id of a credit unit")?;
        values::credit_unit_id(&node, text)
    });
    let from_first_unit = table
        .get("from_first_unit")
        .map_or(Some(false), |node| node.boolean("true or false"));
    let pricing = read_pricing(&table);
    check_drawn(&table, pricing.as_ref());
    Some(Charge::Wallet {
        credit_unit: credit_unit?,
        from_first_unit: from_first_unit?,
        pricing: pricing?,
    })
}

/// What draws on a wallet is paid as it is used, so that its price must neither come without use nor change afterwards.
fn check_drawn(table: &Table<'_>, pricing: Option<&Pricing>) {
    let (key, why) = match pricing {
        Some(Pricing::Flat { .. }) => ("flat", "it is no price of use"),
        Some(Pricing::Volume { .. }) => ("volume", "it would change what was already paid"),
        Some(Pricing::PerUnit { .. } | Pricing::Package { .. } | Pricing::Graduated { .. })
        | None => return,
    };
    if let Some(node) = table.get(key) {
        node.fault(format!(
            "cannot draw on a wallet: {why}; use \"per_unit\", \"package\" or \"graduated\""
        ));
    }
}

/// Reads limits; `None` when any of them has a fault.
fn read_limits(node: &Node<'_>) -> Option<Vec<Limit>> {
    let items = node.list(LIMITS_MAX, "limits")?;
    let limits: Vec<Option<Limit>> = items.iter().map(read_limit).collect();
    let mut is_sound = true;
    let mut windows: BTreeMap<Window, &str> = BTreeMap::new();
    for (item, limit) in items.iter().zip(&limits) {
        let Some(window) = limit.as_ref().map(|limit| limit.window) else {
            continue;
        };
        if let Some(first) = windows.get(&window) {
            is_sound = false;
            item.fault(format!(
                "has the window \"{window}\" that {first} has already: \
                 a feature has one limit per window"
            ));
        } else {
            windows.insert(window, &item.path);
        }
    }
    if is_sound {
        limits.into_iter().collect()
    } else {
        None
    }
}

fn read_limit(node: &Node<'_>) -> Option<Limit> {
    let table = node.table_or("a limit such as { amount = 1000, window = \"month\" }")?;
    table.only(&["amount", "window", "on_limit", "mode"]);
    let amount = table
        .required("amount")
        .and_then(|node| values::amount(&node));
    let window = table.required("window").and_then(|node| {
        let window = node.text(&InvalidWindow.to_string())?.parse::<Window>();
        if let Err(invalid) = &window {
            node.fault(invalid.to_string());
        }
        window.ok()
    });
    let on_limit = table
        .get("on_limit")
        .map_or(Some(OnLimit::Block), |node| read_on_limit(&node));
    let mode = table.get("mode").map_or(Some(Mode::Enforce), |node| {
        node.choice(&[("enforce", Mode::Enforce), ("observe", Mode::Observe)])
    });
    Some(Limit {
        amount: amount?,
        window: window?,
        on_limit: on_limit?,
        mode: mode?,
    })
}

fn read_on_limit(node: &Node<'_>) -> Option<OnLimit> {
    if !node.is_table() {
        return node.choice(&[("block", OnLimit::Block), ("allow", OnLimit::Allow)]);
    }
    let table = node.table()?;
    table.only(&["allow_up_to"]);
    let buffer = table.required("allow_up_to")?.integer(1..=AMOUNT_MAX)?;
    Some(OnLimit::AllowUpTo(buffer))
}
