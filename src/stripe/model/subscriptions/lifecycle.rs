//! How subscriptions end, and come back from a pause.

use serde_json::Value;

use super::super::Model;
use super::super::fault::Fault;
use super::super::invoices::Draft;
use super::super::shape::{elements, int, text};
use super::super::store::Kind;
use super::is_running;
use super::item::is_metered;
use super::proration::Change;
use super::renewal::unbilled;

impl Model {
    /// Ends a subscription and tells of it; nothing if it has ended.
    pub(in super::super) fn end_subscription(&mut self, id: &str, status: &str, reason: &str) {
        let mut subscription = self.object(Kind::Subscription, id);
        if !is_running(&subscription) {
            return;
        }
        let schedule = text(&subscription["schedule"]).to_owned();
        subscription["status"] = status.into();
        subscription["ended_at"] = self.now.into();
        subscription["schedule"] = Value::Null;
        subscription["pending_update"] = Value::Null;
        if subscription["canceled_at"].is_null() {
            subscription["canceled_at"] = self.now.into();
        }
        if subscription["cancellation_details"]["reason"].is_null() && !reason.is_empty() {
            subscription["cancellation_details"]["reason"] = reason.into();
        }
        if status == "canceled" {
            self.store.put(Kind::Subscription, subscription.clone());
            self.tell("customer.subscription.deleted", &subscription);
        } else {
            self.changed(
                Kind::Subscription,
                subscription.clone(),
                "customer.subscription.updated",
            );
        }
        if !schedule.is_empty() {
            self.schedule_ends(&schedule, "canceled");
        }
        self.stop_collecting(id);
    }

    /// Invoices of a subscription that has ended are not collected by themselves any more, but for the last one.
    fn stop_collecting(&mut self, id: &str) {
        let open: Vec<Value> = self
            .store
            .all(Kind::Invoice)
            .rev()
            .filter(|invoice| {
                invoice["parent"]["subscription_details"]["subscription"] == id
                    && invoice["status"] == "open"
            })
            .cloned()
            .collect();
        for mut invoice in open {
            invoice["auto_advance"] = false.into();
            invoice["next_payment_attempt"] = Value::Null;
            self.changed(Kind::Invoice, invoice, "invoice.updated");
        }
    }

    /// The time at which a subscription was to end has come.
    pub(in super::super) fn cancels(&mut self, id: &str) {
        let subscription = self.object(Kind::Subscription, id);
        let due = subscription["cancel_at"]
            .as_i64()
            .is_some_and(|at| at <= self.now);
        if !due || !is_running(&subscription) {
            return;
        }
        let mut draft = Draft::of(&subscription, "subscription_cycle", (self.now, self.now));
        if subscription["status"] != "trialing" {
            for item in elements(&subscription["items"]["data"]) {
                if is_metered(&self.price_of(item)) {
                    let (from, end) = unbilled(item);
                    draft.usage.push((item.clone(), (from, end.min(self.now))));
                }
            }
        }
        self.end_subscription(id, "canceled", "cancellation_requested");
        self.last_invoice(id, draft);
    }

    /// Makes the invoice of what a subscription that has ended still owes, if there is anything. It stays a draft for an
    /// hour, in which late usage of its last period still counts.
    fn last_invoice(&mut self, id: &str, draft: Draft) -> Option<String> {
        let metered = !draft.usage.is_empty();
        let invoice = self.draft(draft);
        if elements(&invoice["lines"]["data"]).is_empty() && !metered {
            return None;
        }
        let mut subscription = self.object(Kind::Subscription, id);
        subscription["latest_invoice"] = invoice["id"].clone();
        self.store.put(Kind::Subscription, subscription);
        let invoice = self.publish_draft(invoice);
        Some(text(&invoice["id"]).to_owned())
    }

    /// Ends a subscription at once. Usage that was not billed yet is billed only if an invoice is asked for.
    pub(in super::super) fn cancel_now(&mut self, id: &str, invoice_now: bool, prorate: bool) {
        let subscription = self.object(Kind::Subscription, id);
        if subscription["status"] != "trialing" {
            for item in elements(&subscription["items"]["data"]) {
                let metered = is_metered(&self.price_of(item));
                let bill = if metered { invoice_now } else { prorate };
                if bill && int(&item["current_period_end"]) > self.now {
                    self.credit(&subscription, item, self.now);
                }
            }
        }
        self.end_subscription(id, "canceled", "cancellation_requested");
        if invoice_now {
            let draft = Draft::of(&subscription, "subscription_update", (self.now, self.now));
            if let Some(invoice) = self.last_invoice(id, draft) {
                self.finalize(&invoice);
                // What came of it is in the invoice and in events.
                let _ = self.collect(&invoice, None, true);
            }
        }
    }

    /// The first payment did not come in time.
    pub(in super::super) fn incomplete_expires(&mut self, id: &str) {
        let subscription = self.object(Kind::Subscription, id);
        if subscription["status"] != "incomplete" {
            return;
        }
        let invoice = text(&subscription["latest_invoice"]).to_owned();
        // Voiding the first invoice ends the subscription; one that cannot be voided leaves it to us.
        if self.close_invoice(&invoice, "void").is_err() {
            self.end_subscription(id, "incomplete_expired", "");
        }
    }

    /// Takes a paused subscription up again: a new period begins.
    pub(super) fn resume(&mut self, id: &str) -> Result<(), Fault> {
        let mut subscription = self.find(Kind::Subscription, id)?;
        if subscription["status"] != "paused" {
            return Err(Fault::invalid(
                "",
                "Only a subscription with the status `paused` can be resumed.",
            ));
        }
        let items = elements(&subscription["items"]["data"]).to_vec();
        let change = Change {
            at: self.now,
            prorate: false,
            reset: true,
        };
        let lines = self.replace_items(&mut subscription, items, change);
        subscription["status"] = "active".into();
        let invoice = self.update_invoice(&subscription, lines);
        if let Some(invoice) = &invoice {
            subscription["latest_invoice"] = invoice["id"].clone();
        }
        let subscription = self.changed(
            Kind::Subscription,
            subscription,
            "customer.subscription.updated",
        );
        self.tell("customer.subscription.resumed", &subscription);
        self.plan(id);
        if let Some(invoice) = invoice {
            let invoice = self.publish_draft(invoice);
            let invoice = text(&invoice["id"]);
            self.finalize(invoice);
            // What came of it is in the invoice and in events.
            let _ = self.collect(invoice, None, true);
        }
        Ok(())
    }
}
