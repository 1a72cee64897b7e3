//! From what is stored to what an answer shows.
//!
//! Stored objects name others by id; an answer shows these whole where Stripe always does (the price of an item) or where
//! the call asks for it (`expand`). Keys that start with `_` are the model's own notes and never shown. Some keys are
//! shown only when they are asked for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::shape::with_nulls;
use super::store::{Kind, Store};

/// Keys that an answer holds only when `expand` names them: the object and the key.
const ON_REQUEST: [(&str, &str); 6] = [
    ("invoice", "payments"),
    ("invoice", "confirmation_secret"),
    ("price", "tiers"),
    ("coupon", "applies_to"),
    ("checkout.session", "line_items"),
    ("payment_link", "line_items"),
];

/// How deep `expand` may go.
const DEPTH_MAX: usize = 4;

/// What is to be expanded, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted(BTreeMap<String, Wanted>);

impl Wanted {
    /// Reads the values of `expand`.
    pub(super) fn new(paths: &[String]) -> Result<Self, Fault> {
        let mut root = Self::default();
        for path in paths {
            if path.split('.').count() > DEPTH_MAX {
                return Err(Fault::invalid(
                    "expand",
                    format!("Cannot expand more than {DEPTH_MAX} levels deep (property: {path})."),
                ));
            }
            let mut at = &mut root;
            for part in path.split('.') {
                at = at.0.entry(part.to_owned()).or_default();
            }
        }
        Ok(root)
    }
}

/// Returns what an answer shows of a stored object.
pub(super) fn render(store: &Store, stored: &Value, wanted: &Wanted) -> Result<Value, Fault> {
    match stored {
        Value::Object(map) => object(store, map, wanted),
        Value::Array(list) => list
            .iter()
            .map(|one| render(store, one, wanted))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array),
        _ => Ok(stored.clone()),
    }
}

/// Returns what an event shows of a stored object: nothing is expanded.
pub(super) fn plain(store: &Store, stored: &Value) -> Value {
    render(store, stored, &Wanted::default()).unwrap_or_default()
}

fn object(store: &Store, map: &Map<String, Value>, wanted: &Wanted) -> Result<Value, Fault> {
    let name = map
        .get("object")
        .and_then(Value::as_str)
        .unwrap_or_default();
    for (key, deeper) in &wanted.0 {
        let listed = name == "customer" && key == "subscriptions";
        // A price without tiers has none to show, which is no fault of who asks for them.
        let absent = ON_REQUEST.contains(&(name, key.as_str()));
        let known = name.is_empty() || listed || absent || map.contains_key(key);
        if !known {
            return Err(cannot_expand(key));
        }
        if !deeper.0.is_empty() && map.get(key).is_some_and(Value::is_number) {
            return Err(cannot_expand(key));
        }
    }
    let mut shown = Map::new();
    for (key, value) in map {
        let asked = wanted.0.get(key);
        if key.starts_with('_') || (asked.is_none() && ON_REQUEST.contains(&(name, key.as_str()))) {
            continue;
        }
        if matches!(key.as_str(), "metadata" | "payload") {
            // What callers put there is theirs, whatever it is called.
            shown.insert(key.clone(), value.clone());
            continue;
        }
        let always = key == "price" && matches!(name, "subscription_item" | "item");
        let nothing = Wanted::default();
        let deeper = asked.unwrap_or(&nothing);
        let value = if asked.is_some() || always {
            whole(store, value, deeper)?
        } else {
            render(store, value, deeper)?
        };
        shown.insert(key.clone(), value);
    }
    if name == "subscription_item" {
        shown.insert("plan".into(), plan(&shown["price"]));
    }
    if name == "customer" && wanted.0.contains_key("subscriptions") {
        let id = &map["id"];
        let of_customer = |sub: &&Value| sub["customer"] == *id && sub["status"] != "canceled";
        let data: Vec<Value> = store
            .all(Kind::Subscription)
            .rev()
            .filter(of_customer)
            .map(|sub| plain(store, sub))
            .collect();
        let url = format!(
            "/v1/customers/{}/subscriptions",
            id.as_str().unwrap_or_default()
        );
        shown.insert("subscriptions".into(), page(data, false, &url));
    }
    Ok(Value::Object(shown))
}

/// Replaces an id, or each id of a list, by the object that it names.
fn whole(store: &Store, value: &Value, deeper: &Wanted) -> Result<Value, Fault> {
    match value {
        Value::String(id) => {
            let found = Kind::of_id(id)
                .and_then(|kind| store.get(kind, id))
                .or_else(|| {
                    [Kind::Product, Kind::Coupon]
                        .into_iter()
                        .find_map(|kind| store.get(kind, id))
                });
            found.map_or_else(|| Ok(value.clone()), |found| render(store, found, deeper))
        }
        Value::Array(list) => list
            .iter()
            .map(|one| whole(store, one, deeper))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array),
        _ => render(store, value, deeper),
    }
}

fn cannot_expand(key: &str) -> Fault {
    Fault::invalid(
        "expand",
        format!("This property cannot be expanded ({key})."),
    )
}

/// Returns the older form of a price, which items still carry.
fn plan(price: &Value) -> Value {
    let recurring = &price["recurring"];
    let plan = json!({
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": false,
        "metadata": price["metadata"],
        "meter": recurring["meter"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": price["transform_quantity"],
        "usage_type": recurring["usage_type"],
    });
    with_nulls(plan, "nickname trial_period_days")
}

/// Returns a list as the API writes it.
pub(super) fn page(data: impl Into<Value>, has_more: bool, url: &str) -> Value {
    let data: Value = data.into();
    json!({"object": "list", "data": data, "has_more": has_more, "url": url})
}
