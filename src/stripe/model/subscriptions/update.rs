//! Changing a subscription: its items now, and all that can be set on it.

use serde_json::{Value, json};

use super::super::Model;
use super::super::agenda::Due;
use super::super::fault::Fault;
use super::super::form::Params;
use super::super::invoices::{Collected, Draft, Line};
use super::super::shape::{elements, int, text};
use super::super::store::Kind;
use super::is_running;
use super::proration::Change;

pub(super) const PARAMS: &str = "items[](id price quantity=i deleted=b clear_usage=b metadata{} \
     price_data(currency! product! unit_amount=i unit_amount_decimal \
      recurring!(interval!=day|week|month|year interval_count=i))) \
    payment_behavior=default_incomplete|allow_incomplete|error_if_incomplete|pending_if_incomplete \
    proration_behavior=create_prorations|always_invoice|none proration_date=i \
    billing_cycle_anchor=now|unchanged trial_end \
    trial_settings(end_behavior(missing_payment_method=cancel|create_invoice|pause)) \
    cancel_at_period_end=b cancel_at cancellation_details(comment feedback) \
    pause_collection(behavior!=keep_as_draft|mark_uncollectible|void resumes_at=i) \
    discounts[](coupon discount promotion_code) metadata{} description default_payment_method \
    collection_method=charge_automatically|send_invoice days_until_due=i off_session=b \
    payment_settings(save_default_payment_method=off|on_subscription payment_method_types[]) \
    automatic_tax(enabled!=b)";

/// What can be changed together with `pending_if_incomplete`.
const PENDING_CAN: [&str; 9] = [
    "items",
    "payment_behavior",
    "proration_behavior",
    "proration_date",
    "billing_cycle_anchor",
    "trial_end",
    "off_session",
    "expand",
    "collection_method",
];

/// What happens when a payment that a change needs does not succeed: `payment_behavior`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum PaymentBehavior {
    /// The change stays, and the subscription shows that it is not paid.
    Allow,
    /// No payment is tried; the customer is to make it.
    Default,
    /// The call is refused.
    Error,
    /// The change waits for its payment.
    Pending,
}

impl PaymentBehavior {
    /// Returns what a call asks for.
    pub(super) fn of(params: &Params) -> Self {
        match params.text("payment_behavior") {
            Some("default_incomplete") => Self::Default,
            Some("error_if_incomplete") => Self::Error,
            Some("pending_if_incomplete") => Self::Pending,
            _ => Self::Allow,
        }
    }
}

impl Model {
    /// Changes a subscription as a call says.
    pub(in super::super) fn update_subscription(
        &mut self,
        id: &str,
        params: &Params,
    ) -> Result<(), Fault> {
        let before = self.find(Kind::Subscription, id)?;
        let behavior = PaymentBehavior::of(params);
        check(&before, params, behavior)?;
        let mut after = before.clone();
        self.set_details(&mut after, params)?;
        let (lines, at_once) = self.change(&mut after, params)?;
        let draft = at_once
            .then(|| self.update_invoice(&after, lines))
            .flatten();
        let Some(draft) = draft else {
            self.changed(Kind::Subscription, after, "customer.subscription.updated");
            self.plan(id);
            return Ok(());
        };
        let invoice = text(&draft["id"]).to_owned();
        after["latest_invoice"] = invoice.as_str().into();
        let waits = behavior == PaymentBehavior::Pending && int(&draft["amount_due"]) > 0;
        if waits {
            let mut waiting = before;
            waiting["latest_invoice"] = invoice.as_str().into();
            waiting["_pending"] = json!({"invoice": invoice, "after": after});
            self.store.put(Kind::Subscription, waiting);
        } else {
            self.changed(Kind::Subscription, after, "customer.subscription.updated");
            self.plan(id);
        }
        self.publish_draft(draft);
        self.finalize(&invoice);
        self.settle_update(id, &invoice, behavior)
    }

    /// Collects the invoice of a change.
    fn settle_update(
        &mut self,
        id: &str,
        invoice: &str,
        behavior: PaymentBehavior,
    ) -> Result<(), Fault> {
        if behavior == PaymentBehavior::Default {
            if self.object(Kind::Invoice, invoice)["status"] == "open" {
                self.moves(id, &["active"], "past_due");
            }
            return Ok(());
        }
        let collected = self.collect(invoice, None, true);
        match (collected, behavior) {
            (Collected::Paid | Collected::Sent, _) => Ok(()),
            (Collected::Declined(decline), PaymentBehavior::Error) => Err(Fault::declined(decline)),
            (Collected::NoMethod, PaymentBehavior::Error) => Err(Fault::no_payment_method()),
            (_, PaymentBehavior::Pending) => {
                self.show_pending_update(id);
                Ok(())
            }
            (_, PaymentBehavior::Allow | PaymentBehavior::Default) => Ok(()),
        }
    }

    /// Applies a change of items, periods or the trial, and returns the lines of new periods and whether an invoice is
    /// made at once.
    pub(in super::super) fn change(
        &mut self,
        after: &mut Value,
        params: &Params,
    ) -> Result<(Vec<Line>, bool), Fault> {
        let behavior = params
            .text("proration_behavior")
            .unwrap_or("create_prorations");
        let trial_ended = self.set_trial(after, params)?;
        let given = params.parts("items").unwrap_or_default();
        let anchor_now = params.text("billing_cycle_anchor") == Some("now") || trial_ended;
        if given.is_empty() && !anchor_now {
            return Ok((Vec::new(), false));
        }
        let at = self.proration_date(after, params)?;
        let new = self.items_after(after, &given)?;
        let trialing = after["status"] == "trialing" && !trial_ended;
        let reset = (anchor_now || self.interval_changes(after, &new)) && !trialing;
        let change = Change {
            at: if reset { self.now } else { at },
            prorate: behavior != "none" && !trial_ended,
            reset,
        };
        let lines = self.replace_items(after, new, change);
        if trial_ended {
            after["status"] = "active".into();
        }
        Ok((lines, reset || behavior == "always_invoice"))
    }

    /// Returns the invoice of a change; `None`: there is nothing to bill.
    pub(in super::super) fn update_invoice(
        &mut self,
        after: &Value,
        lines: Vec<Line>,
    ) -> Option<Value> {
        let mut draft = Draft::of(after, "subscription_update", (self.now, self.now));
        draft.lines = lines;
        // The draft looks at the discounts of the stored subscription.
        let id = text(&after["id"]);
        let stored = self.object(Kind::Subscription, id);
        self.store.put(Kind::Subscription, after.clone());
        let invoice = self.draft(draft);
        self.store.put(Kind::Subscription, stored);
        (!elements(&invoice["lines"]["data"]).is_empty()).then_some(invoice)
    }

    fn interval_changes(&self, before: &Value, new: &[Value]) -> bool {
        let every = |item: &Value| {
            let price = self.price_of(item);
            (
                price["recurring"]["interval"].clone(),
                price["recurring"]["interval_count"].clone(),
            )
        };
        elements(&before["items"]["data"]).iter().any(|old| {
            new.iter()
                .any(|item| item["id"] == old["id"] && every(item) != every(old))
        })
    }

    fn proration_date(&self, subscription: &Value, params: &Params) -> Result<i64, Fault> {
        let Some(at) = params.int("proration_date") else {
            return Ok(self.now);
        };
        let items = elements(&subscription["items"]["data"]);
        let start = items
            .iter()
            .map(|item| int(&item["current_period_start"]))
            .min();
        let end = items
            .iter()
            .map(|item| int(&item["current_period_end"]))
            .max();
        if start.is_some_and(|start| at < start) || end.is_some_and(|end| at > end) {
            return Err(Fault::invalid(
                "proration_date",
                "The proration_date must lie in the current billing period.",
            ));
        }
        Ok(at)
    }

    /// Sets the end of a trial, and returns whether it ends now.
    fn set_trial(&mut self, after: &mut Value, params: &Params) -> Result<bool, Fault> {
        let end = match params.text("trial_end") {
            None => return Ok(false),
            Some("now") => self.now,
            Some(end) => end.parse().map_err(|_| {
                Fault::invalid("trial_end", "Invalid trial_end: must be a time or `now`.")
            })?,
        };
        if end <= self.now {
            let was = after["status"] == "trialing";
            if was {
                after["trial_end"] = self.now.into();
            }
            return Ok(was);
        }
        if after["trial_start"].is_null() {
            after["trial_start"] = self.now.into();
        }
        after["trial_end"] = end.into();
        after["status"] = "trialing".into();
        after["billing_cycle_anchor"] = end.into();
        if let Some(items) = after["items"]["data"].as_array_mut() {
            for item in items {
                item["current_period_end"] = end.into();
            }
        }
        Ok(false)
    }

    fn set_details(&mut self, after: &mut Value, params: &Params) -> Result<(), Fault> {
        if params.has("metadata") {
            after["metadata"] = params.merge_metadata(&after["metadata"]);
        }
        if params.has("description") {
            after["description"] = params.text_or_null("description");
        }
        if params.has("default_payment_method") {
            after["default_payment_method"] = match params.text("default_payment_method") {
                Some(method) => self.method_of(method, text(&after["customer"]))?.into(),
                None => Value::Null,
            };
        }
        if let Some(method) = params.text("collection_method") {
            after["collection_method"] = method.into();
        }
        if let Some(days) = params.int("days_until_due") {
            after["days_until_due"] = days.into();
        }
        if params.clears("pause_collection") {
            after["pause_collection"] = Value::Null;
        } else if let Some(pause) = params.part("pause_collection") {
            after["pause_collection"] =
                json!({"behavior": pause.0["behavior"], "resumes_at": pause.int("resumes_at")});
        }
        if let Some(end) = params
            .part("trial_settings")
            .and_then(|part| part.part("end_behavior"))
        {
            after["trial_settings"]["end_behavior"]["missing_payment_method"] =
                end.0["missing_payment_method"].clone();
        }
        if let Some(saves) = params
            .part("payment_settings")
            .and_then(|part| part.text("save_default_payment_method").map(str::to_owned))
        {
            after["payment_settings"]["save_default_payment_method"] = saves.into();
        }
        if let Some(details) = params.part("cancellation_details") {
            for key in ["comment", "feedback"] {
                after["cancellation_details"][key] = details.text_or_null(key);
            }
        }
        if let Some(given) = params.parts("discounts") {
            let id = text(&after["id"]).to_owned();
            after["discounts"] = self
                .discounts(&given, "subscription", &id, &after["customer"])?
                .into();
        }
        self.set_cancel(after, params)
    }

    /// Sets or takes back when a subscription is to end.
    pub(super) fn set_cancel(&mut self, after: &mut Value, params: &Params) -> Result<(), Fault> {
        let ends = elements(&after["items"]["data"])
            .iter()
            .map(|item| int(&item["current_period_end"]));
        let (first, last) = (ends.clone().min(), ends.max());
        let at_period_end = params.flag("cancel_at_period_end");
        let at =
            match params.text("cancel_at") {
                Some("min_period_end") => first,
                Some("max_period_end") => last,
                Some(at) => Some(at.parse::<i64>().map_err(|_| {
                    Fault::invalid("cancel_at", "Invalid cancel_at: must be a time.")
                })?),
                None if at_period_end == Some(true) => last,
                None if params.clears("cancel_at") || at_period_end == Some(false) => None,
                None => return Ok(()),
            };
        if at.is_some() && at_period_end == Some(true) && params.has("cancel_at") {
            return Err(Fault::invalid(
                "cancel_at",
                "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
            ));
        }
        if at.is_some_and(|at| at <= self.now) {
            return Err(Fault::invalid(
                "cancel_at",
                "The timestamp must be in the future.",
            ));
        }
        after["cancel_at_period_end"] = (at_period_end == Some(true)).into();
        after["cancel_at"] = at.map_or(Value::Null, Into::into);
        after["canceled_at"] = at.map_or(Value::Null, |_| self.now.into());
        after["cancellation_details"]["reason"] =
            at.map_or(Value::Null, |_| "cancellation_requested".into());
        if let Some(at) = at {
            self.note(at, Due::Cancels(text(&after["id"]).to_owned()));
        }
        Ok(())
    }
}

fn check(before: &Value, params: &Params, behavior: PaymentBehavior) -> Result<(), Fault> {
    let given = params.0.as_object().into_iter().flat_map(|map| map.keys());
    let mut given = given.map(String::as_str);
    if !is_running(before) {
        let harmless = ["metadata", "cancellation_details", "expand"];
        if given.any(|name| !harmless.contains(&name)) {
            return Err(Fault::invalid(
                "",
                "A canceled subscription can only update its cancellation_details and metadata.",
            ));
        }
        return Ok(());
    }
    if behavior == PaymentBehavior::Pending
        && let Some(name) = given.find(|name| !PENDING_CAN.contains(name))
    {
        return Err(Fault::invalid(
            name,
            format!("You cannot set {name} together with payment_behavior=pending_if_incomplete."),
        ));
    }
    Ok(())
}
