//! The account's balance: what was paid, less what went back.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Model;
use super::route::Route;
use super::shape::{int, text};
use super::store::Kind;

pub(super) const ROUTES: &[Route] = &[Route::get("/v1/balance", "", |model, _| Ok(balance(model)))];

fn balance(model: &Model) -> Value {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    sums.insert("usd", 0);
    for charge in model
        .store
        .all(Kind::Charge)
        .filter(|charge| charge["paid"] == true)
    {
        *sums.entry(text(&charge["currency"])).or_default() +=
            int(&charge["amount"]) - int(&charge["amount_refunded"]);
    }
    let amounts =
        |available: bool| -> Vec<Value> {
            sums.iter()
            .map(|(currency, sum)| {
                let amount = if available { sum - model.disputed(currency) } else { 0 };
                json!({"amount": amount, "currency": currency, "source_types": {"card": amount}})
            })
            .collect()
        };
    json!({
        "object": "balance",
        "available": amounts(true),
        "livemode": false,
        "pending": amounts(false),
    })
}
