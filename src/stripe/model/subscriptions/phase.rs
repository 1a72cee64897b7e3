//! A change of items that a schedule makes.

use serde_json::Value;

use super::super::Model;
use super::super::shape::{elements, int, text};
use super::super::store::Kind;
use super::proration::Change;

impl Model {
    /// Gives a subscription the items of a phase. Where periods end as the phase begins, the renewal that follows bills the
    /// new items; elsewhere the change is prorated, as a change by a call is.
    pub(in super::super) fn change_phase(
        &mut self,
        mut after: Value,
        items: Vec<Value>,
        phase: &Value,
        behavior: &str,
    ) {
        let id = text(&after["id"]).to_owned();
        let old = elements(&after["items"]["data"]).to_vec();
        let boundary = old
            .iter()
            .all(|item| int(&item["current_period_end"]) <= self.now);
        let differs = self.every(&old) != self.every(&items);
        if boundary && (differs || phase["billing_cycle_anchor"] == "phase_start") {
            after["billing_cycle_anchor"] = self.now.into();
        }
        let change = Change {
            at: self.now,
            prorate: behavior != "none",
            reset: !boundary && differs,
        };
        let lines = self.replace_items(&mut after, items, change);
        let at_once = change.reset || (behavior == "always_invoice" && !boundary);
        let invoice = if at_once {
            self.update_invoice(&after, lines)
        } else {
            None
        };
        if let Some(invoice) = &invoice {
            after["latest_invoice"] = invoice["id"].clone();
        }
        self.changed(Kind::Subscription, after, "customer.subscription.updated");
        self.plan(&id);
        if let Some(invoice) = invoice {
            // It stays a draft for an hour, as every invoice that no call asked for.
            self.publish_draft(invoice);
        }
    }

    /// Returns how often items are billed: the longest interval, which moves the anchor when it changes.
    fn every(&self, items: &[Value]) -> Option<(i64, i64)> {
        items
            .iter()
            .map(|item| {
                let price = self.price_of(item);
                let rank = match text(&price["recurring"]["interval"]) {
                    "day" => 0,
                    "week" => 1,
                    "month" => 2,
                    _ => 3,
                };
                (rank, int(&price["recurring"]["interval_count"]))
            })
            .max()
    }
}
