//! Changes that wait for their payment.

use serde_json::{Value, json};

use super::super::Model;
use super::super::agenda::Due;
use super::super::shape::text;
use super::super::store::Kind;

/// How long a change waits for its payment.
const PENDING_SECONDS: i64 = 23 * 3_600;

impl Model {
    /// Whether a change of a subscription waits for an invoice.
    pub(in super::super) fn is_pending_update(&self, id: &str, invoice: &str) -> bool {
        self.object(Kind::Subscription, id)["_pending"]["invoice"] == invoice
    }

    /// Shows on a subscription that a change waits.
    pub(super) fn show_pending_update(&mut self, id: &str) {
        let mut subscription = self.object(Kind::Subscription, id);
        let expires = self.now + PENDING_SECONDS;
        let after = subscription["_pending"]["after"].clone();
        let differs = |key: &str| {
            if after[key] == subscription[key] {
                Value::Null
            } else {
                after[key].clone()
            }
        };
        subscription["pending_update"] = json!({
            "billing_cycle_anchor": differs("billing_cycle_anchor"),
            "expires_at": expires,
            "subscription_items": after["items"]["data"],
            "trial_end": differs("trial_end"),
            "trial_from_plan": null,
        });
        self.changed(
            Kind::Subscription,
            subscription,
            "customer.subscription.updated",
        );
        self.note(expires, Due::PendingUpdateExpires(id.to_owned()));
    }

    /// The payment came: the change takes place.
    pub(in super::super) fn apply_pending_update(&mut self, id: &str) {
        let now = self.object(Kind::Subscription, id);
        let mut after = now["_pending"]["after"].clone();
        // What was set meanwhile stays.
        for key in [
            "metadata",
            "cancel_at",
            "cancel_at_period_end",
            "canceled_at",
            "schedule",
        ] {
            after[key] = now[key].clone();
        }
        let waited = !now["pending_update"].is_null();
        let after = self.changed(Kind::Subscription, after, "customer.subscription.updated");
        if waited {
            self.tell("customer.subscription.pending_update_applied", &after);
        }
        self.plan(id);
    }

    /// The change does not take place.
    pub(in super::super) fn drop_pending_update(&mut self, id: &str) {
        let mut subscription = self.object(Kind::Subscription, id);
        subscription["pending_update"] = Value::Null;
        if let Some(map) = subscription.as_object_mut() {
            map.remove("_pending");
        }
        self.changed(
            Kind::Subscription,
            subscription,
            "customer.subscription.updated",
        );
    }

    /// The time for the payment is over.
    pub(in super::super) fn pending_update_expires(&mut self, id: &str) {
        let subscription = self.object(Kind::Subscription, id);
        let due = subscription["pending_update"]["expires_at"]
            .as_i64()
            .is_some_and(|at| at <= self.now);
        if !due {
            return;
        }
        let invoice = text(&subscription["_pending"]["invoice"]).to_owned();
        // Voiding the invoice drops the change; an invoice that was closed by hand did it before.
        if self.close_invoice(&invoice, "void").is_err() {
            self.drop_pending_update(id);
        }
        let subscription = self.object(Kind::Subscription, id);
        self.tell(
            "customer.subscription.pending_update_expired",
            &subscription,
        );
    }
}
