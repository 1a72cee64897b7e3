//! When a payment fails: retries, and what becomes of the subscription.

use serde_json::Value;

use super::super::agenda::Due;
use super::super::shape::{int, text};
use super::super::store::Kind;
use super::super::{DunningEnd, Model};

/// The days after each failed try until the next; after the last of them the account's setting decides.
const RETRY_DAYS: [i64; 3] = [3, 5, 7];

impl Model {
    /// A retry is due.
    pub(in super::super) fn retries(&mut self, id: &str) {
        let invoice = self.object(Kind::Invoice, id);
        let due = invoice["next_payment_attempt"]
            .as_i64()
            .is_some_and(|at| at <= self.now);
        if invoice["status"] == "open" && due {
            // What came of it is in the invoice and in events.
            let _ = self.collect(id, None, true);
        }
    }

    /// A try to collect an invoice failed.
    pub(in super::super) fn invoice_failed(&mut self, id: &str, automatic: bool) {
        let mut invoice = self.object(Kind::Invoice, id);
        let first = invoice["billing_reason"] == "subscription_create";
        let subscription =
            text(&invoice["parent"]["subscription_details"]["subscription"]).to_owned();
        let mut ended = false;
        if !first && automatic && invoice["auto_advance"] == true {
            let tries = usize::try_from(int(&invoice["attempt_count"])).unwrap_or_default();
            let next = tries
                .checked_sub(1)
                .and_then(|index| RETRY_DAYS.get(index))
                .map(|days| self.now + days * 86_400);
            invoice["next_payment_attempt"] = next.map_or(Value::Null, Into::into);
            match next {
                Some(at) => self.note(at, Due::Retries(id.to_owned())),
                None => ended = true,
            }
        }
        self.store.put(Kind::Invoice, invoice.clone());
        self.tell("invoice.payment_failed", &invoice);
        if subscription.is_empty() || self.is_pending_update(&subscription, id) {
            return;
        }
        if !first {
            self.moves(&subscription, &["active", "trialing"], "past_due");
        }
        if ended {
            self.dunning_ended(&subscription);
        }
    }

    fn dunning_ended(&mut self, subscription: &str) {
        match self.dunning_end {
            DunningEnd::Cancel => {
                self.end_subscription(subscription, "canceled", "payment_failed");
            }
            DunningEnd::Unpaid => self.moves(subscription, &["past_due"], "unpaid"),
            DunningEnd::PastDue => {}
        }
    }

    /// An invoice needs no more payment: its subscription recovers, or a change that waited for it takes place.
    pub(super) fn invoice_settled(&mut self, invoice: &Value) {
        let id = text(&invoice["parent"]["subscription_details"]["subscription"]).to_owned();
        if id.is_empty() {
            return;
        }
        let invoice_id = text(&invoice["id"]);
        if self.is_pending_update(&id, invoice_id) {
            if invoice["status"] == "paid" {
                self.apply_pending_update(&id);
            } else {
                self.drop_pending_update(&id);
            }
            return;
        }
        let subscription = self.object(Kind::Subscription, &id);
        if subscription["latest_invoice"] != invoice["id"] {
            return;
        }
        let trial = subscription["trial_end"]
            .as_i64()
            .is_some_and(|end| end > self.now);
        let to = if trial { "trialing" } else { "active" };
        match (text(&subscription["status"]), text(&invoice["status"])) {
            ("incomplete", "void") => {
                self.end_subscription(&id, "incomplete_expired", "");
            }
            ("incomplete", _) => self.moves(&id, &["incomplete"], to),
            _ => self.moves(&id, &["past_due", "unpaid"], to),
        }
    }

    /// Moves a subscription that is in one of some statuses to another, and tells of it.
    pub(in super::super) fn moves(&mut self, id: &str, from: &[&str], to: &str) {
        let mut subscription = self.object(Kind::Subscription, id);
        if from.contains(&text(&subscription["status"])) {
            subscription["status"] = to.into();
            self.changed(
                Kind::Subscription,
                subscription,
                "customer.subscription.updated",
            );
        }
    }
}
