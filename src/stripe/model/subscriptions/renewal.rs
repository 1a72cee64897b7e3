//! What time does to a subscription: periods end, trials end.

use serde_json::Value;

use super::super::Model;
use super::super::agenda::Due;
use super::super::invoices::Draft;
use super::super::shape::{elements, int, text};
use super::super::store::Kind;
use super::calendar;
use super::is_running;
use super::item::is_metered;

/// How long before its end a trial is told of.
const NOTICE_SECONDS: i64 = 3 * 86_400;

impl Model {
    /// Notes when a subscription's next period begins, and when its trial is told of.
    pub(in super::super) fn plan(&mut self, id: &str) {
        let subscription = self.object(Kind::Subscription, id);
        for item in elements(&subscription["items"]["data"]) {
            self.note(int(&item["current_period_end"]), Due::Renews(id.to_owned()));
        }
        if subscription["status"] == "trialing"
            && let Some(end) = subscription["trial_end"].as_i64()
        {
            let at = (end - NOTICE_SECONDS).max(self.now);
            self.note(at, Due::TrialWillEnd(id.to_owned()));
        }
    }

    /// A trial ends soon.
    pub(in super::super) fn trial_will_end(&mut self, id: &str) {
        let mut subscription = self.object(Kind::Subscription, id);
        let end = int(&subscription["trial_end"]);
        let due = end - NOTICE_SECONDS <= self.now && subscription["_told_of_end"] != end;
        if subscription["status"] == "trialing" && due {
            subscription["_told_of_end"] = end.into();
            self.store.put(Kind::Subscription, subscription.clone());
            self.tell("customer.subscription.trial_will_end", &subscription);
        }
    }

    /// The period of one or more items has ended.
    pub(in super::super) fn renews(&mut self, id: &str) {
        let mut subscription = self.object(Kind::Subscription, id);
        let due = elements(&subscription["items"]["data"])
            .iter()
            .any(|item| int(&item["current_period_end"]) <= self.now);
        if !due || !is_running(&subscription) || subscription["status"] == "paused" {
            return;
        }
        if subscription["status"] == "incomplete" {
            return;
        }
        let trial = subscription["status"] == "trialing";
        if trial && self.trial_ends_unpayable(&subscription) {
            return;
        }
        if subscription["pause_collection"]["resumes_at"]
            .as_i64()
            .is_some_and(|at| at <= self.now)
        {
            subscription["pause_collection"] = Value::Null;
        }
        let draft = self.renewal(&mut subscription);
        let before = self.object(Kind::Subscription, id);
        if trial {
            subscription["status"] = "active".into();
        }
        self.store.put(Kind::Subscription, subscription.clone());
        let invoice = self.draft(draft);
        subscription["latest_invoice"] = invoice["id"].clone();
        subscription["discounts"] = self
            .discounts_in_force(&subscription["discounts"], self.now)
            .into();
        self.store.put(Kind::Subscription, subscription.clone());
        self.publish_draft(invoice);
        self.tell_change("customer.subscription.updated", &before, &subscription);
        self.plan(id);
    }

    /// Gives the items whose period has ended their next one, and returns the invoice for it.
    pub(in super::super) fn renewal(&mut self, subscription: &mut Value) -> Draft {
        let anchor = int(&subscription["billing_cycle_anchor"]);
        let trial = subscription["status"] == "trialing";
        let mut items = elements(&subscription["items"]["data"]).to_vec();
        let first = items
            .iter()
            .map(|item| int(&item["current_period_start"]))
            .min();
        let mut draft = Draft::of(
            subscription,
            "subscription_cycle",
            (first.unwrap_or(self.now), self.now),
        );
        for item in &mut items {
            if int(&item["current_period_end"]) > self.now {
                continue;
            }
            let price = self.price_of(item);
            if is_metered(&price) && !trial {
                draft.usage.push((item.clone(), unbilled(item)));
            }
            let next = calendar::period(anchor, &price, self.now);
            item["current_period_start"] = self.now.into();
            item["current_period_end"] = next.1.into();
            if let Some(map) = item.as_object_mut() {
                map.remove("_usage_from");
            }
            draft.lines.extend(self.period_lines(subscription, item));
        }
        for gone in elements(&subscription["_departed"]) {
            draft
                .usage
                .push((gone["item"].clone(), (int(&gone["from"]), int(&gone["to"]))));
        }
        if let Some(map) = subscription.as_object_mut() {
            map.remove("_departed");
        }
        subscription["items"]["data"] = items.into();
        let held = subscription["pause_collection"]["behavior"] == "keep_as_draft"
            || subscription["status"] == "unpaid";
        draft.auto_advance = !held;
        draft
    }

    /// A trial ends and there is nothing to pay with: some settings end or pause the subscription. Returns whether they
    /// did.
    fn trial_ends_unpayable(&mut self, subscription: &Value) -> bool {
        let id = text(&subscription["id"]);
        let own = subscription["default_payment_method"].is_string();
        if own
            || self
                .default_method(text(&subscription["customer"]))
                .is_some()
        {
            return false;
        }
        match text(&subscription["trial_settings"]["end_behavior"]["missing_payment_method"]) {
            "cancel" => {
                self.end_subscription(id, "canceled", "cancellation_requested");
                true
            }
            "pause" => {
                let mut paused = subscription.clone();
                paused["status"] = "paused".into();
                let paused =
                    self.changed(Kind::Subscription, paused, "customer.subscription.updated");
                self.tell("customer.subscription.paused", &paused);
                true
            }
            _ => false,
        }
    }
}

/// Returns the range in which what an item counted was not billed yet.
pub(super) fn unbilled(item: &Value) -> (i64, i64) {
    let start = int(&item["current_period_start"]);
    let from = item["_usage_from"].as_i64().unwrap_or(start).max(start);
    (from, int(&item["current_period_end"]))
}
