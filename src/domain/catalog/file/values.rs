//! Values that stand in several places of the file: ids, names, money, spans, amounts.

use super::node::{Node, Table};
use crate::domain::catalog::decimal::{InvalidDecimal, parse_decimal};
pub(super) use crate::domain::catalog::limit::AMOUNT_MAX;
use crate::domain::catalog::{OnOutage, WarningLevels};
use crate::domain::id::{InvalidId, check_id};
use crate::domain::time::Span;
use crate::domain::usage::LABEL_BYTES_MAX;

/// Largest sum of money, in micro-units: a thousand million dollars.
const MONEY_MAX_MICROS: i64 = 1_000_000_000_000_000;
/// Longest time that a check may be answered without the database.
const OUTAGE_MAX: Span = Span::from_hours(24);

/// Reads an id as a value; `expected` says of what.
pub(super) fn id<T>(node: &Node<'_>, expected: &str) -> Option<T>
where
    T: TryFrom<String, Error = InvalidId>,
{
    key_id(node, node.text(expected)?)
}

/// Takes the key of a node, or its text, as an id.
pub(super) fn key_id<T>(node: &Node<'_>, text: &str) -> Option<T>
where
    T: TryFrom<String, Error = InvalidId>,
{
    let id = T::try_from(text.to_owned());
    if let Err(invalid) = &id {
        node.fault(format!("the id {invalid}"));
    }
    id.ok()
}

/// Takes the key of a node as the id of a credit unit, which has no type of its own.
pub(super) fn credit_unit_id(node: &Node<'_>, text: &str) -> Option<Box<str>> {
    match check_id(text) {
        Ok(()) => Some(text.into()),
        Err(invalid) => {
            node.fault(format!("the id {invalid}"));
            None
        }
    }
}

/// Reads the `name` of a table, which is the id where none is given.
pub(super) fn name(table: &Table<'_>, id: &str) -> Box<str> {
    table
        .get("name")
        .and_then(|node| label(&node, "a text"))
        .unwrap_or_else(|| id.into())
}

/// Reads a text of bounded length without control characters; `expected` says what it should hold.
pub(super) fn label(node: &Node<'_>, expected: &str) -> Option<Box<str>> {
    let text = node.text(expected)?;
    is_label(node, text).then(|| text.into())
}

/// Whether a text, be it the key of the node or its value, may stand as a label.
pub(super) fn is_label(node: &Node<'_>, text: &str) -> bool {
    let is_sound =
        !text.is_empty() && text.len() <= LABEL_BYTES_MAX && !text.chars().any(char::is_control);
    if !is_sound {
        node.fault(format!(
            "must be a text of 1 to {LABEL_BYTES_MAX} bytes without control characters"
        ));
    }
    is_sound
}

/// Reads money: a quoted decimal in US dollars; returned in micro-units.
pub(super) fn money(node: &Node<'_>) -> Option<i64> {
    let text = node.text("a quoted decimal in US dollars, such as \"99.00\"")?;
    match parse_decimal(text, 6) {
        Ok(micros) if micros <= MONEY_MAX_MICROS => return Some(micros),
        Ok(_) | Err(InvalidDecimal::TooLarge) => {
            node.fault("must be at most \"1000000000\" dollars");
        }
        Err(InvalidDecimal::Malformed) => node.fault(format!(
            "must be a decimal in US dollars, such as \"99.00\", not {text:?}; \
             other currencies are refused"
        )),
        Err(invalid @ (InvalidDecimal::Negative | InvalidDecimal::TooFine(_))) => {
            node.fault(invalid.to_string());
        }
    }
    None
}

/// Reads an amount, of which `None` is unlimited.
#[expect(
    clippy::option_option,
    reason = "the outer one says whether it could be read"
)]
pub(super) fn amount(node: &Node<'_>) -> Option<Option<i64>> {
    if node.as_str() == Some("unlimited") {
        return Some(None);
    }
    let expected = format!("a whole number from 0 to {AMOUNT_MAX}, or \"unlimited\"");
    node.integer_or(0..=AMOUNT_MAX, &expected).map(Some)
}

/// Reads `"deny"` or `{ allow_for = "5m" }`.
pub(super) fn on_outage(node: &Node<'_>) -> Option<OnOutage> {
    const EXPECTED: &str = "\"deny\" or a table such as { allow_for = \"5m\" }";
    if !node.is_table() {
        if node.text(EXPECTED)? == "deny" {
            return Some(OnOutage::Deny);
        }
        node.fault(format!("must be {EXPECTED}"));
        return None;
    }
    let table = node.table()?;
    table.only(&["allow_for"]);
    let node = table.required("allow_for")?;
    let expected = "a time from \"1s\" to \"24h\", such as \"30s\", \"5m\" or \"2h\"";
    let span = parse_span(node.text(expected)?).filter(|span| *span <= OUTAGE_MAX);
    if span.is_none() {
        node.fault(format!("must be {expected}"));
    }
    span.map(OnOutage::AllowFor)
}

/// Reads a whole number of seconds, minutes or hours, at least one.
fn parse_span(text: &str) -> Option<Span> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let micros = number
        .parse::<i64>()
        .ok()?
        .checked_mul(seconds * 1_000_000)?;
    (micros > 0).then(|| Span::from_micros_clamped(micros))
}

/// Reads when decisions start to warn.
pub(super) fn warnings(node: &Node<'_>) -> WarningLevels {
    let mut levels = WarningLevels::default();
    let Some(table) = node.table_or("a table such as { notice_percent = 80 }") else {
        return levels;
    };
    table.only(&["notice_percent", "critical_percent"]);
    let percent = |key: &str| {
        let number = table.get(key)?.integer(1..=100)?;
        i32::try_from(number).ok()
    };
    levels.notice_percent = percent("notice_percent").unwrap_or(levels.notice_percent);
    levels.critical_percent = percent("critical_percent").unwrap_or(levels.critical_percent);
    if levels.critical_percent < levels.notice_percent {
        table.fault(format!(
            "critical_percent ({}) must be at least notice_percent ({})",
            levels.critical_percent, levels.notice_percent
        ));
    }
    levels
}
