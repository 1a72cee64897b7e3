//! `[credit_units.*]` and `[products.*]`: what has a price and is not a plan.

use super::node::{Node, Table};
use super::pricing::{PRICING_KEYS, read_pricing};
use super::{DECLARED_MAX, values};
use crate::domain::catalog::decimal::parse_decimal;
use crate::domain::catalog::{Catalog, CreditPack, CreditUnit, Product};
use crate::domain::id::{MeterId, ProductId};

/// Most credits of one pack, in micro-units of the credit unit.
const CREDITS_MAX_MICROS: i64 = 1_000_000_000_000_000;

pub(super) fn read_credit_units(root: &Table<'_>, catalog: &mut Catalog) {
    let Some(table) = root.get("credit_units").and_then(|node| node.table()) else {
        return;
    };
    for (key, node) in table.entries(DECLARED_MAX, "credit units") {
        let Some(id) = values::credit_unit_id(&node, key) else {
            continue;
        };
        let Some(table) = node.table_or("a table such as { per_dollar = 100 }") else {
            continue;
        };
        table.only(&["name", "per_dollar", "receivable_limit"]);
        let per_dollar = table
            .required("per_dollar")
            .and_then(|node| node.integer(1..=1_000_000));
        let receivable_limit = table
            .get("receivable_limit")
            .and_then(|node| read_receivable_limit(&node));
        let unit = CreditUnit {
            name: values::name(&table, key),
            per_dollar: per_dollar.unwrap_or(1),
            receivable_limit_micros: receivable_limit.unwrap_or(Some(0)),
        };
        catalog.credit_units.insert(id, unit);
    }
}

pub(super) fn read_products(root: &Table<'_>, catalog: &mut Catalog) {
    let Some(table) = root.get("products").and_then(|node| node.table()) else {
        return;
    };
    for (key, node) in table.entries(DECLARED_MAX, "products") {
        let id = values::key_id::<ProductId>(&node, key);
        if let Some(table) = node.table()
            && let Some(id) = id
            && let Some(product) = read_product(&table, id.clone())
        {
            catalog.products.insert(id, product);
        }
    }
}

fn read_product(table: &Table<'_>, id: ProductId) -> Option<Product> {
    table.only(&["name", "usage", "outcome", "credit_pack"]);
    let name = values::name(table, id.as_str());
    let (key, node) = table.exactly_one(&["usage", "outcome", "credit_pack"])?;
    match key {
        "outcome" => Some(Product::Outcome {
            id,
            name,
            amount_micros: values::money(&node)?,
        }),
        "usage" => {
            let table = node.table()?;
            let keys = PRICING_KEYS.into_iter();
            let known: Vec<&str> = keys.chain(["meter", "minimum"]).collect();
            table.only(&known);
            let meter = table
                .required("meter")
                .and_then(|node| values::id::<MeterId>(&node, "the id of a meter"));
            let pricing = read_pricing(&table);
            let minimum = table
                .get("minimum")
                .map_or(Some(0), |node| values::money(&node));
            Some(Product::Usage {
                id,
                name,
                meter: meter?,
                pricing: pricing?,
                minimum_micros: minimum?,
            })
        }
        _ => read_pack(&node, id, name).map(Product::CreditPack),
    }
}

fn read_pack(node: &Node<'_>, id: ProductId, name: Box<str>) -> Option<CreditPack> {
    let table = node.table()?;
    table.only(&["credit_unit", "credits", "price"]);
    let credit_unit = table.required("credit_unit").and_then(|node| {
        let text = node.text("the id of a credit unit")?;
        values::credit_unit_id(&node, text)
    });
    let credits = table
        .required("credits")
        .and_then(|node| read_credits(&node));
    let price = table
        .required("price")
        .and_then(|node| values::money(&node));
    Some(CreditPack {
        id,
        name,
        credit_unit: credit_unit?,
        credits_micros: credits?,
        amount_micros: price?,
    })
}

/// Reads how much a wallet may owe, in the credit unit itself; `None` within is any amount.
#[expect(
    clippy::option_option,
    reason = "the outer one says whether it could be read"
)]
fn read_receivable_limit(node: &Node<'_>) -> Option<Option<i64>> {
    const EXPECTED: &str = "a quoted decimal in the credit unit, from \"0\" to \"1000000000\" with at \
                            most six decimals, or \"unlimited\"";
    let text = node.text(EXPECTED)?;
    if text == "unlimited" {
        return Some(None);
    }
    let micros = parse_decimal(text, 6)
        .ok()
        .filter(|micros| *micros <= CREDITS_MAX_MICROS);
    if micros.is_none() {
        node.fault(format!("must be {EXPECTED}, not {text:?}"));
    }
    micros.map(Some)
}

/// Reads credits: a whole number, or a quoted decimal.
fn read_credits(node: &Node<'_>) -> Option<i64> {
    let expected = "a whole number of credits from 1 to 1000000000, or a quoted decimal";
    let most = CREDITS_MAX_MICROS / 1_000_000;
    let Some(text) = node.as_str() else {
        return Some(node.integer_or(1..=most, expected)? * 1_000_000);
    };
    let credits = parse_decimal(text, 6)
        .ok()
        .filter(|micros| (1..=CREDITS_MAX_MICROS).contains(micros));
    if credits.is_none() {
        node.fault(format!("must be {expected}, not {text:?}"));
    }
    credits
}
