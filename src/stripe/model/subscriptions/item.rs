//! Items of subscriptions: a price each, with its quantity and its period.

use serde_json::{Value, json};

use super::super::Model;
use super::super::fault::Fault;
use super::super::form::Params;
use super::super::shape::{elements, int, text};
use super::super::store::Kind;

/// Most items of a subscription.
const ITEMS_MAX: usize = 20;

/// Whether an item's price counts usage.
pub(super) fn is_metered(price: &Value) -> bool {
    price["recurring"]["usage_type"] == "metered"
}

impl Model {
    /// Returns the price of an item.
    pub(in super::super) fn price_of(&self, item: &Value) -> Value {
        self.object(Kind::Price, text(&item["price"]))
    }

    /// Makes an item of a subscription, without a period yet.
    pub(in super::super) fn new_item(
        &mut self,
        subscription: &str,
        given: &Params,
        path: &str,
    ) -> Result<Value, Fault> {
        let name = format!("{path}[price]");
        let price = match (given.text("price"), given.part("price_data")) {
            (Some(price), _) => self.need(Kind::Price, price, &name)?,
            (None, Some(data)) => self.new_price(&data)?,
            (None, None) => return Err(Fault::missing_parameter(&name)),
        };
        check_price(&price, &name)?;
        let mut item = json!({
            "id": self.store.new_id("si"),
            "object": "subscription_item",
            "billing_thresholds": null,
            "created": self.now,
            "current_period_end": 0,
            "current_period_start": 0,
            "discounts": [],
            "metadata": given.merge_metadata(&json!({})),
            "price": price["id"],
            "subscription": subscription,
            "tax_rates": [],
        });
        set_quantity(&mut item, &price, given, path)?;
        Ok(item)
    }

    /// Returns the items that a subscription has after a change: those that are named change or go, new ones come, others
    /// stay.
    pub(super) fn items_after(
        &mut self,
        subscription: &Value,
        given: &[Params],
    ) -> Result<Vec<Value>, Fault> {
        let id = text(&subscription["id"]).to_owned();
        let mut items = elements(&subscription["items"]["data"]).to_vec();
        for (index, change) in given.iter().enumerate() {
            let path = format!("items[{index}]");
            let Some(item_id) = change.text("id") else {
                items.push(self.new_item(&id, change, &path)?);
                continue;
            };
            let at = items
                .iter()
                .position(|item| item["id"] == item_id)
                .ok_or_else(|| {
                    Fault::invalid(
                        &format!("{path}[id]"),
                        format!("No such subscription item: '{item_id}'"),
                    )
                    .code("resource_missing")
                })?;
            if change.flag("deleted") == Some(true) {
                items.remove(at);
                continue;
            }
            let mut item = items[at].clone();
            if let Some(price) = change.text("price") {
                let name = format!("{path}[price]");
                let price = self.need(Kind::Price, price, &name)?;
                check_price(&price, &name)?;
                item["price"] = price["id"].clone();
            }
            let price = self.price_of(&item);
            set_quantity(&mut item, &price, change, &path)?;
            if change.has("metadata") {
                item["metadata"] = change.merge_metadata(&item["metadata"]);
            }
            items[at] = item;
        }
        check_items(&items)?;
        Ok(items)
    }
}

fn set_quantity(item: &mut Value, price: &Value, given: &Params, path: &str) -> Result<(), Fault> {
    if is_metered(price) {
        if given.has("quantity") {
            return Err(Fault::invalid(
                &format!("{path}[quantity]"),
                "Quantity should not be specified where usage_type is `metered`.",
            ));
        }
        if let Some(map) = item.as_object_mut() {
            map.remove("quantity");
        }
    } else if let Some(quantity) = given.int("quantity") {
        item["quantity"] = quantity.into();
    } else if item["quantity"].is_null() {
        item["quantity"] = 1.into();
    }
    if int(&item["quantity"]) < 0 {
        return Err(Fault::invalid(
            &format!("{path}[quantity]"),
            "This value must be greater than or equal to 0.",
        ));
    }
    Ok(())
}

fn check_price(price: &Value, name: &str) -> Result<(), Fault> {
    if price["type"] != "recurring" {
        return Err(Fault::invalid(
            name,
            "The price specified is set to `type=one_time` but this field only accepts prices \
             with `type=recurring`.",
        ));
    }
    if price["active"] != true {
        return Err(Fault::invalid(
            name,
            "The price specified is inactive. This field only accepts active prices.",
        ));
    }
    Ok(())
}

/// Refuses a set of items that a subscription cannot have.
pub(super) fn check_items(items: &[Value]) -> Result<(), Fault> {
    if items.is_empty() {
        return Err(Fault::invalid(
            "items",
            "A subscription must have at least one active price.",
        ));
    }
    if items.len() > ITEMS_MAX {
        return Err(Fault::invalid(
            "items",
            format!("A subscription can have at most {ITEMS_MAX} items."),
        ));
    }
    for (index, item) in items.iter().enumerate() {
        if items[..index]
            .iter()
            .any(|other| other["price"] == item["price"])
        {
            return Err(Fault::invalid(
                &format!("items[{index}][price]"),
                "A subscription cannot have two items with the same price.",
            ));
        }
    }
    Ok(())
}
