//! Changes inside a period: unused time is credited, remaining time charged, by the second; metered use until then is
//! billed.

use serde_json::{Value, json};

use super::super::Model;
use super::super::catalog::amounts::{divided, total};
use super::super::invoices::Line;
use super::super::shape::{day, elements, int, text};
use super::super::store::Kind;
use super::calendar;
use super::item::is_metered;

/// What a change costs, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Change {
    /// The time that counts as the time of the change.
    pub(in super::super) at: i64,
    /// Whether anything is credited and charged for the running period.
    pub(in super::super) prorate: bool,
    /// Whether the periods begin anew with the change.
    pub(in super::super) reset: bool,
}

/// Returns the part of an amount that falls to a part of a period.
pub(super) fn share(amount: i64, part: (i64, i64), whole: (i64, i64)) -> i64 {
    let length = i128::from(whole.1 - whole.0).max(1);
    divided(i128::from(amount) * i128::from(part.1 - part.0), length)
}

impl Model {
    /// Gives a subscription other items. What that costs waits as invoice items; with new periods the whole new periods
    /// are returned as lines for an invoice that is made at once.
    pub(super) fn replace_items(
        &mut self,
        subscription: &mut Value,
        new: Vec<Value>,
        change: Change,
    ) -> Vec<Line> {
        let old = elements(&subscription["items"]["data"]).to_vec();
        let charged = change.prepared(subscription);
        for item in &old {
            let after = new.iter().find(|one| one["id"] == item["id"]);
            let same = after.is_some_and(|after| {
                after["price"] == item["price"] && after["quantity"] == item["quantity"]
            });
            if same && !change.reset {
                continue;
            }
            if change.at >= int(&item["current_period_end"]) {
                self.departs(subscription, item);
            } else if charged {
                self.credit(subscription, item, change.at);
            }
        }
        let mut lines = Vec::new();
        let mut items = Vec::new();
        for mut item in new {
            let before = old.iter().find(|one| one["id"] == item["id"]);
            let same = before.is_some_and(|before| {
                before["price"] == item["price"] && before["quantity"] == item["quantity"]
            });
            self.set_period(subscription, &old, &mut item, change);
            if change.reset {
                lines.extend(self.period_lines(subscription, &item));
            } else if !same && charged {
                self.charge_rest(subscription, &item, change.at);
            }
            if !same || change.reset {
                item["_usage_from"] = change.at.into();
            }
            items.push(item);
        }
        subscription["items"]["data"] = items.into();
        lines
    }

    /// Returns the lines of the period that an item is in: licensed items are paid ahead, metered ones when it is over.
    pub(super) fn period_lines(&self, subscription: &Value, item: &Value) -> Vec<Line> {
        let price = self.price_of(item);
        if is_metered(&price) {
            return Vec::new();
        }
        let period = (
            int(&item["current_period_start"]),
            int(&item["current_period_end"]),
        );
        self.lines_of(subscription, item, int(&item["quantity"]), period)
    }

    fn set_period(&self, subscription: &Value, old: &[Value], item: &mut Value, change: Change) {
        let price = self.price_of(item);
        let interval = |price: &Value| {
            (
                price["recurring"]["interval"].clone(),
                price["recurring"]["interval_count"].clone(),
            )
        };
        if change.reset {
            item["current_period_start"] = change.at.into();
            item["current_period_end"] = calendar::period(change.at, &price, change.at).1.into();
            return;
        }
        if int(&item["current_period_end"]) > 0 {
            return;
        }
        if old
            .iter()
            .all(|one| int(&one["current_period_end"]) <= change.at)
        {
            // It comes where periods end: the renewal that follows gives it its first.
            item["current_period_start"] = change.at.into();
            item["current_period_end"] = change.at.into();
            return;
        }
        // A new item joins the period of one that is billed as often, or has the one that the anchor gives.
        let twin = old
            .iter()
            .find(|one| interval(&self.price_of(one)) == interval(&price));
        let (start, end) = twin.map_or_else(
            || calendar::period(int(&subscription["billing_cycle_anchor"]), &price, self.now),
            |twin| {
                (
                    int(&twin["current_period_start"]),
                    int(&twin["current_period_end"]),
                )
            },
        );
        item["current_period_start"] = start.into();
        item["current_period_end"] = end.into();
    }

    /// Notes what a metered item counted in the period that ends as the item goes: the renewal that follows bills it.
    fn departs(&self, subscription: &mut Value, item: &Value) {
        if !is_metered(&self.price_of(item)) || subscription["status"] == "trialing" {
            return;
        }
        let from = item["_usage_from"]
            .as_i64()
            .unwrap_or_else(|| int(&item["current_period_start"]));
        let entry = json!({"item": item, "from": from, "to": item["current_period_end"]});
        match subscription["_departed"].as_array_mut() {
            Some(list) => list.push(entry),
            None => subscription["_departed"] = json!([entry]),
        }
    }

    /// Credits the unused time of an item, or bills what it counted until now.
    pub(super) fn credit(&mut self, subscription: &Value, item: &Value, at: i64) {
        let price = self.price_of(item);
        let period = (
            int(&item["current_period_start"]),
            int(&item["current_period_end"]),
        );
        if is_metered(&price) {
            let from = item["_usage_from"]
                .as_i64()
                .unwrap_or(period.0)
                .max(period.0);
            for line in self.usage_lines(subscription, item, (from, at)) {
                if line.amount != 0 {
                    self.wait_for_invoice(subscription, item, &line, false);
                }
            }
            return;
        }
        let amount = -share(
            total(&price, int(&item["quantity"])),
            (at, period.1),
            period,
        );
        self.prorated(subscription, item, amount, (at, period.1));
    }

    /// Charges the rest of the period of an item.
    fn charge_rest(&mut self, subscription: &Value, item: &Value, at: i64) {
        let price = self.price_of(item);
        if is_metered(&price) {
            return;
        }
        let period = (
            int(&item["current_period_start"]),
            int(&item["current_period_end"]),
        );
        let amount = share(
            total(&price, int(&item["quantity"])),
            (at, period.1),
            period,
        );
        self.prorated(subscription, item, amount, (at, period.1));
    }

    fn prorated(&mut self, subscription: &Value, item: &Value, amount: i64, period: (i64, i64)) {
        if period.1 <= period.0 {
            return;
        }
        let price = self.price_of(item);
        let product = self.object(Kind::Product, text(&price["product"]));
        let quantity = int(&item["quantity"]);
        let times = if quantity == 1 {
            String::new()
        } else {
            format!("{quantity} × ")
        };
        let what = if amount < 0 { "Unused" } else { "Remaining" };
        let name = text(&product["name"]);
        let description = format!("{what} time on {times}{name} after {}", day(period.0));
        let mut lines = self.lines_of(subscription, item, quantity, period);
        lines.truncate(1);
        for mut line in lines {
            line.amount = amount;
            line.quantity = Some(quantity);
            line.description.clone_from(&description);
            self.wait_for_invoice(subscription, item, &line, true);
        }
    }

    /// Turns a line into an invoice item that waits for the subscription's next invoice.
    pub(super) fn wait_for_invoice(
        &mut self,
        subscription: &Value,
        item: &Value,
        line: &Line,
        proration: bool,
    ) {
        self.new_invoice_item(json!({
            "id": "",
            "amount": line.amount,
            "currency": line.currency,
            "customer": subscription["customer"],
            "description": line.description,
            "discountable": true,
            "metadata": {},
            "parent": {
                "subscription_details": {
                    "subscription": subscription["id"],
                    "subscription_item": item["id"],
                },
                "type": "subscription_details",
            },
            "period": {"end": line.period.1, "start": line.period.0},
            "pricing": {
                "price_details": {"price": line.price.0, "product": line.price.1},
                "type": "price_details",
                "unit_amount_decimal": line.unit,
            },
            "proration": proration,
            "quantity": line.quantity.unwrap_or(1),
        }));
    }
}

impl Change {
    /// Moves the anchor where periods begin anew, and returns whether the running period is credited and charged for:
    /// that of a trial costs nothing.
    fn prepared(self, subscription: &mut Value) -> bool {
        if self.reset {
            subscription["billing_cycle_anchor"] = self.at.into();
        }
        self.prorate && subscription["status"] != "trialing"
    }
}
