//! Quantities and amounts that are more than can be counted, charged or owed, as callers see them.

use super::Fault;
use crate::domain::quantity::{COUNTED_MAX, Excess};
use crate::engine::Overrun;

/// Says which field asks for too much, with the numbers behind it; of a sum that no one field made, that it is too large.
pub(super) fn overrun(overrun: Option<&Overrun>, text: String) -> Fault {
    let Some(overrun) = overrun else {
        return Fault::beyond(text, &[]);
    };
    let mut metadata = vec![
        ("field", overrun.field.clone()),
        ("quantity", overrun.quantity.to_string()),
    ];
    match overrun.excess {
        Excess::Counted => metadata.push(("limit", COUNTED_MAX.to_string())),
        Excess::Charged { cost, limit } => {
            metadata.extend(cost.map(|cost| ("cost_micros", cost.to_string())));
            metadata.push(("limit_micros", limit.to_string()));
        }
    }
    let rule = overrun.excess.to_string();
    Fault::beyond(text, &metadata).field(&overrun.field, &rule)
}

/// Says that a wallet cannot owe so much more.
pub(super) fn owed(amount: i64, owed: i64, text: String) -> Fault {
    let metadata = [
        ("field", "amount_micros".to_owned()),
        ("amount_micros", amount.to_string()),
        ("owed_micros", owed.to_string()),
        ("limit_micros", i64::MAX.to_string()),
    ];
    let rule = text.clone();
    Fault::beyond(text, &metadata).field("amount_micros", &rule)
}
