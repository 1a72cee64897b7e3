//! Lines of invoices.

use serde_json::{Value, json};

use super::super::Model;
use super::super::catalog::amounts;
use super::super::shape::{int, text, with_nulls};
use super::super::store::Kind;

/// What a line comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Source {
    /// An item of a subscription.
    SubscriptionItem { subscription: String, item: String },
    /// An invoice item.
    InvoiceItem(Value),
}

/// A line before it is on an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Line {
    /// In cents; below zero: a credit.
    pub(in super::super) amount: i64,
    pub(in super::super) currency: String,
    pub(in super::super) description: String,
    pub(in super::super) quantity: Option<i64>,
    /// The price's id and product, or `null`s.
    pub(in super::super) price: (Value, Value),
    /// What a unit costs, in decimal cents, or `null`.
    pub(in super::super) unit: Value,
    pub(in super::super) period: (i64, i64),
    pub(in super::super) source: Source,
    /// Whether the line is for metered usage, and is worked out again when the invoice becomes final.
    pub(in super::super) metered: bool,
}

impl Line {
    /// Returns the line as the API shows it.
    pub(super) fn object(&self, id: &str, invoice: &str) -> Value {
        let pricing = if self.price.0.is_null() {
            Value::Null
        } else {
            json!({
                "price_details": {"price": self.price.0, "product": self.price.1},
                "type": "price_details",
                "unit_amount_decimal": self.unit,
            })
        };
        let (parent, subscription, metadata, discountable) = self.origin();
        let line = json!({
            "id": id,
            "object": "line_item",
            "amount": self.amount,
            "currency": self.currency,
            "description": self.description,
            "discount_amounts": [],
            "discountable": discountable,
            "discounts": [],
            "invoice": invoice,
            "livemode": false,
            "metadata": metadata,
            "parent": parent,
            "period": {"end": self.period.1, "start": self.period.0},
            "pretax_credit_amounts": [],
            "pricing": pricing,
            "quantity": self.quantity,
            "subscription": subscription,
            "subtotal": self.amount,
            "taxes": [],
            "_metered": self.metered,
            "_product": self.price.1,
        });
        line
    }

    fn origin(&self) -> (Value, Value, Value, bool) {
        match &self.source {
            Source::SubscriptionItem { subscription, item } => {
                let details = json!({
                    "invoice_item": null,
                    "proration": false,
                    "proration_details": {"credited_items": null},
                    "subscription": subscription,
                    "subscription_item": item,
                });
                let parent = json!({
                    "subscription_item_details": details,
                    "type": "subscription_item_details",
                });
                let parent = with_nulls(parent, "invoice_item_details");
                (parent, subscription.as_str().into(), json!({}), true)
            }
            Source::InvoiceItem(item) => {
                let of = &item["parent"]["subscription_details"];
                let mut details = json!({
                    "invoice_item": item["id"],
                    "proration": item["proration"],
                    "proration_details": {"credited_items": null},
                    "subscription": of["subscription"],
                });
                let kind = if of["subscription_item"].is_string() {
                    details["subscription_item"] = of["subscription_item"].clone();
                    "subscription_item_details"
                } else {
                    "invoice_item_details"
                };
                let mut parent = json!({"type": kind});
                parent[kind] = details;
                let parent = with_nulls(parent, "invoice_item_details subscription_item_details");
                let discountable = item["discountable"] == true;
                (
                    parent,
                    of["subscription"].clone(),
                    item["metadata"].clone(),
                    discountable,
                )
            }
        }
    }
}

impl Model {
    /// Returns the lines of a quantity of a subscription item's price, for a period.
    pub(in super::super) fn lines_of(
        &self,
        subscription: &Value,
        item: &Value,
        quantity: i64,
        period: (i64, i64),
    ) -> Vec<Line> {
        let price = self.object(Kind::Price, text(&item["price"]));
        let product = self.object(Kind::Product, text(&price["product"]));
        let name = text(&product["name"]);
        let metered = price["recurring"]["usage_type"] == "metered";
        amounts::parts(&price, quantity)
            .into_iter()
            .map(|part| Line {
                amount: part.amount,
                currency: text(&price["currency"]).to_owned(),
                description: described(&part, name, &price),
                quantity: Some(part.quantity),
                price: (price["id"].clone(), price["product"].clone()),
                unit: part.unit.map_or(Value::Null, Into::into),
                period,
                source: Source::SubscriptionItem {
                    subscription: text(&subscription["id"]).to_owned(),
                    item: text(&item["id"]).to_owned(),
                },
                metered,
            })
            .collect()
    }

    /// Returns the lines of what a metered item counted from a time on, before another.
    pub(in super::super) fn usage_lines(
        &self,
        subscription: &Value,
        item: &Value,
        range: (i64, i64),
    ) -> Vec<Line> {
        let price = self.object(Kind::Price, text(&item["price"]));
        let meter = self.object(Kind::Meter, text(&price["recurring"]["meter"]));
        let formula = text(&meter["default_aggregation"]["formula"]);
        let customer = text(&subscription["customer"]);
        let counted = self
            .usage
            .aggregate((text(&meter["id"]), formula), customer, range, self.now)
            .unwrap_or_default()
            .max(0);
        self.lines_of(subscription, item, counted, range)
    }
}

fn described(part: &amounts::Part, name: &str, price: &Value) -> String {
    let recurring = &price["recurring"];
    let every = match (
        int(&recurring["interval_count"]),
        text(&recurring["interval"]),
    ) {
        (0, _) => String::new(),
        (1, interval) => format!(" / {interval}"),
        (count, interval) => format!(" every {count} {interval}s"),
    };
    let label = if part.label.is_empty() { "" } else { " - " };
    match &part.unit {
        Some(unit) => format!(
            "{} × {name}{label}{} (at {unit} cents{every})",
            part.quantity, part.label
        ),
        None => format!("{name}{label}{}", part.label),
    }
}
