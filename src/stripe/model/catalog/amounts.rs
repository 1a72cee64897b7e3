//! What a quantity of a price costs, in parts as an invoice shows them. Pure.

use serde_json::Value;

use super::super::shape::{elements, int, text};

/// Decimal amounts are whole numbers of 10⁻¹² cents.
pub(in super::super) const PICO: i128 = 1_000_000_000_000;

/// One line's worth of a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Part {
    /// In cents, rounded half away from zero.
    pub(in super::super) amount: i64,
    /// How many units it is for.
    pub(in super::super) quantity: i64,
    /// What a unit costs; `None`: the part is a flat fee.
    pub(in super::super) unit: Option<String>,
    /// What sets it apart from the other parts: `First 100`; empty: there are no other parts.
    pub(in super::super) label: String,
}

/// Reads a decimal of at most twelve places.
pub(in super::super) fn decimal(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && part.is_empty()) || part.len() > 12 || whole.len() > 18 {
        return None;
    }
    let all = format!("{whole}{part:0<12}");
    if !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    all.parse::<i128>().ok().map(|value| sign * value)
}

/// Writes a decimal without needless zeros.
pub(in super::super) fn decimal_text(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let (whole, part) = (value.abs() / PICO, value.abs() % PICO);
    let places = format!("{part:012}");
    let places = places.trim_end_matches('0');
    if places.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{places}")
    }
}

/// Divides and rounds half away from zero.
pub(in super::super) fn divided(value: i128, by: i128) -> i64 {
    let half = by / 2;
    let rounded = if value < 0 {
        -((half - value) / by)
    } else {
        (value + half) / by
    };
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

/// Returns the parts that a quantity of a price costs: one, or one for each tier that it reaches.
pub(in super::super) fn parts(price: &Value, quantity: i64) -> Vec<Part> {
    match (text(&price["billing_scheme"]), text(&price["tiers_mode"])) {
        ("tiered", "volume") => volume(elements(&price["tiers"]), quantity),
        ("tiered", _) => graduated(elements(&price["tiers"]), quantity),
        _ => vec![flat(price, quantity)],
    }
}

/// Returns what a quantity of a price costs, in cents.
pub(in super::super) fn total(price: &Value, quantity: i64) -> i64 {
    parts(price, quantity).iter().map(|part| part.amount).sum()
}

fn flat(price: &Value, quantity: i64) -> Part {
    let transform = &price["transform_quantity"];
    let units = match int(&transform["divide_by"]) {
        0 => quantity,
        by if transform["round"] == "up" => {
            quantity.div_euclid(by) + i64::from(quantity.rem_euclid(by) != 0)
        }
        by => quantity.div_euclid(by),
    };
    let unit = text(&price["unit_amount_decimal"]);
    Part {
        amount: product(unit, units),
        quantity,
        unit: Some(unit.to_owned()),
        label: String::new(),
    }
}

fn product(unit: &str, quantity: i64) -> i64 {
    let value = decimal(unit)
        .unwrap_or_default()
        .saturating_mul(i128::from(quantity));
    divided(value, PICO)
}

fn graduated(tiers: &[Value], quantity: i64) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (index, tier) in tiers.iter().enumerate() {
        let up_to = tier["up_to"].as_i64();
        let reached = quantity.min(up_to.unwrap_or(quantity));
        if index > 0 && reached <= from {
            break;
        }
        let label = match up_to {
            Some(up_to) if index == 0 => format!("First {up_to}"),
            Some(up_to) => format!("Next {}", up_to - from),
            None => format!("{} and above", from + 1),
        };
        priced(tier, (reached - from).max(0), &label, &mut parts);
        from = reached;
    }
    parts
}

fn volume(tiers: &[Value], quantity: i64) -> Vec<Part> {
    let mut parts = Vec::new();
    let tier = tiers
        .iter()
        .find(|tier| tier["up_to"].as_i64().is_none_or(|up_to| quantity <= up_to));
    if let Some(tier) = tier {
        priced(tier, quantity.max(0), "", &mut parts);
    }
    parts
}

/// Adds the units of a tier, and its flat fee.
fn priced(tier: &Value, quantity: i64, label: &str, parts: &mut Vec<Part>) {
    let unit = tier["unit_amount_decimal"].as_str();
    let flat = tier["flat_amount_decimal"].as_str();
    if unit.is_some() || flat.is_none() {
        let unit = unit.unwrap_or("0");
        parts.push(Part {
            amount: product(unit, quantity),
            quantity,
            unit: Some(unit.to_owned()),
            label: label.to_owned(),
        });
    }
    if let Some(flat) = flat.filter(|flat| *flat != "0") {
        parts.push(Part {
            amount: product(flat, 1),
            quantity: 0,
            unit: None,
            label: format!("{label} flat fee").trim_start().to_owned(),
        });
    }
}
