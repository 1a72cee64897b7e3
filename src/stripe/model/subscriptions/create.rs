//! New subscriptions.

use serde_json::{Value, json};

use super::super::Model;
use super::super::agenda::Due;
use super::super::fault::Fault;
use super::super::form::Params;
use super::super::invoices::{Collected, Draft};
use super::super::render::page;
use super::super::shape::{elements, int, text, with_nulls};
use super::super::store::Kind;
use super::calendar;
use super::item::{check_items, is_metered};
use super::update::PaymentBehavior;

/// How long the first payment may take.
const INCOMPLETE_SECONDS: i64 = 23 * 3_600;

pub(super) const PARAMS: &str = "customer! \
    items![](price quantity=i metadata{} \
     price_data(currency! product! unit_amount=i unit_amount_decimal \
      recurring!(interval!=day|week|month|year interval_count=i))) \
    payment_behavior=default_incomplete|allow_incomplete|error_if_incomplete|pending_if_incomplete \
    proration_behavior=create_prorations|always_invoice|none trial_end trial_period_days=i \
    trial_settings(end_behavior(missing_payment_method=cancel|create_invoice|pause)) \
    cancel_at_period_end=b cancel_at billing_cycle_anchor=i default_payment_method \
    discounts[](coupon discount promotion_code) metadata{} description \
    collection_method=charge_automatically|send_invoice days_until_due=i off_session=b currency \
    payment_settings(save_default_payment_method=off|on_subscription payment_method_types[]) \
    billing_mode(type!=classic|flexible flexible(proration_discounts=included|itemized)) \
    automatic_tax(enabled!=b)";

impl Model {
    /// Makes a subscription, its first invoice, and tries to collect it as the call says; returns the id.
    pub(in super::super) fn create_subscription(
        &mut self,
        params: &Params,
    ) -> Result<String, Fault> {
        let customer = params.text("customer").unwrap_or_default();
        self.need(Kind::Customer, customer, "customer")?;
        let id = self.store.new_id(Kind::Subscription.prefix());
        let mut items = Vec::new();
        for (index, given) in params.parts("items").unwrap_or_default().iter().enumerate() {
            items.push(self.new_item(&id, given, &format!("items[{index}]"))?);
        }
        check_items(&items)?;
        let trial_end = self.trial_end(params)?;
        let anchor = match (trial_end, params.int("billing_cycle_anchor")) {
            (Some(end), _) => end,
            (None, Some(anchor)) if anchor <= self.now => {
                return Err(Fault::invalid(
                    "billing_cycle_anchor",
                    "billing_cycle_anchor must be in the future.",
                ));
            }
            (None, Some(anchor)) => anchor,
            (None, None) => self.now,
        };
        for item in &mut items {
            let price = self.price_of(item);
            let end = if anchor > self.now {
                anchor
            } else {
                calendar::period(anchor, &price, self.now).1
            };
            item["current_period_start"] = self.now.into();
            item["current_period_end"] = end.into();
        }
        let mut subscription = self.subscription_base(params, &id, items);
        subscription["billing_cycle_anchor"] = anchor.into();
        if let Some(end) = trial_end {
            subscription["trial_start"] = self.now.into();
            subscription["trial_end"] = end.into();
        }
        if let Some(method) = params.text("default_payment_method") {
            subscription["default_payment_method"] = self.method_of(method, customer)?.into();
        }
        self.store.put(Kind::Subscription, subscription.clone());
        let given = params.parts("discounts").unwrap_or_default();
        subscription["discounts"] = self
            .discounts(&given, "subscription", &id, &subscription["customer"])?
            .into();
        self.set_cancel(&mut subscription, params)?;
        self.store.put(Kind::Subscription, subscription);
        self.begin(&id, params)?;
        Ok(id)
    }

    /// Makes the first invoice and collects it.
    fn begin(&mut self, id: &str, params: &Params) -> Result<(), Fault> {
        let mut subscription = self.object(Kind::Subscription, id);
        let invoice = self.first_invoice(&subscription, params);
        let due = int(&invoice["amount_due"]);
        let sent = subscription["collection_method"] == "send_invoice";
        let behavior = PaymentBehavior::of(params);
        subscription["latest_invoice"] = invoice["id"].clone();
        let status = if !subscription["trial_end"].is_null() {
            "trialing"
        } else if due == 0 || sent {
            "active"
        } else {
            "incomplete"
        };
        subscription["status"] = status.into();
        let invoice_id = text(&invoice["id"]).to_owned();
        self.store.put(Kind::Subscription, subscription.clone());
        self.tell("customer.subscription.created", &subscription);
        self.plan(id);
        self.publish_draft(invoice);
        self.finalize(&invoice_id);
        if status == "incomplete" {
            self.note(
                self.now + INCOMPLETE_SECONDS,
                Due::IncompleteExpires(id.to_owned()),
            );
        }
        if due == 0 || sent || behavior == PaymentBehavior::Default {
            return Ok(());
        }
        match self.collect(&invoice_id, None, true) {
            Collected::Paid | Collected::Sent => Ok(()),
            Collected::NoMethod => Err(Fault::no_payment_method()),
            Collected::Declined(decline) if behavior == PaymentBehavior::Error => {
                Err(Fault::declined(decline))
            }
            Collected::Declined(_) => Ok(()),
        }
    }

    /// Returns the draft of the first invoice.
    pub(in super::super) fn first_invoice(
        &mut self,
        subscription: &Value,
        params: &Params,
    ) -> Value {
        let mut draft = Draft::of(subscription, "subscription_create", (self.now, self.now));
        let trial = !subscription["trial_end"].is_null();
        let prorated = params.text("proration_behavior") != Some("none");
        for item in elements(&subscription["items"]["data"]) {
            let price = self.price_of(item);
            let period = (
                int(&item["current_period_start"]),
                int(&item["current_period_end"]),
            );
            let quantity = if is_metered(&price) {
                0
            } else {
                int(&item["quantity"])
            };
            let mut lines = self.lines_of(subscription, item, quantity, period);
            for line in &mut lines {
                line.metered = false;
                if trial {
                    let product = self.object(Kind::Product, text(&price["product"]));
                    line.amount = 0;
                    line.description = format!("Trial period for {}", text(&product["name"]));
                } else if int(&subscription["billing_cycle_anchor"]) > self.now {
                    // The time until the anchor is a part of a period, and costs that part.
                    let anchor = int(&subscription["billing_cycle_anchor"]);
                    let whole = calendar::period(anchor, &price, self.now);
                    line.amount = if prorated {
                        super::proration::share(line.amount, (self.now, anchor), whole)
                    } else {
                        0
                    };
                }
            }
            draft.lines.extend(lines);
        }
        self.draft(draft)
    }

    fn trial_end(&self, params: &Params) -> Result<Option<i64>, Fault> {
        if params.text("trial_end") == Some("now") {
            return Ok(None);
        }
        let end = match (params.text("trial_end"), params.int("trial_period_days")) {
            (Some(end), _) => Some(end.parse::<i64>().map_err(|_| {
                Fault::invalid("trial_end", "Invalid trial_end: must be a time or `now`.")
            })?),
            (None, Some(days)) if days > 0 => Some(self.now + days * 86_400),
            (None, _) => None,
        };
        if end.is_some_and(|end| end <= self.now) {
            return Err(Fault::invalid(
                "trial_end",
                "Invalid timestamp: must be in the future.",
            ));
        }
        Ok(end)
    }

    fn subscription_base(&self, params: &Params, id: &str, items: Vec<Value>) -> Value {
        let currency = items
            .first()
            .map_or(Value::Null, |item| self.price_of(item)["currency"].clone());
        let mode = params.part("billing_mode");
        let mode = mode
            .as_ref()
            .and_then(|part| part.text("type"))
            .unwrap_or("flexible");
        let flexible = mode == "flexible";
        let saves = params.part("payment_settings").map_or(Value::Null, |part| {
            part.text_or_null("save_default_payment_method")
        });
        let missing = params
            .part("trial_settings")
            .and_then(|part| part.part("end_behavior"))
            .map_or_else(
                || "create_invoice".into(),
                |part| part.0["missing_payment_method"].clone(),
            );
        let url = format!("/v1/subscription_items?subscription={id}");
        let subscription = json!({
            "id": id,
            "object": "subscription",
            "automatic_tax": {"disabled_reason": null, "enabled": false, "liability": null},
            "billing_mode": {
                "flexible": flexible.then(|| json!({"proration_discounts": "included"})),
                "type": mode,
            },
            "cancel_at_period_end": false,
            "cancellation_details": {"comment": null, "feedback": null, "reason": null},
            "collection_method": params.text("collection_method").unwrap_or("charge_automatically"),
            "created": self.now,
            "currency": currency,
            "customer": params.0["customer"],
            "days_until_due": params.int("days_until_due"),
            "default_tax_rates": [],
            "description": params.text_or_null("description"),
            "discounts": [],
            "invoice_settings": {"account_tax_ids": null, "issuer": {"type": "self"}},
            "items": page(items, false, &url),
            "livemode": false,
            "metadata": params.merge_metadata(&json!({})),
            "payment_settings": {
                "payment_method_options": null,
                "payment_method_types": null,
                "save_default_payment_method": if saves.is_null() { "off".into() } else { saves },
            },
            "start_date": self.now,
            "status": "incomplete",
            "trial_settings": {"end_behavior": {"missing_payment_method": missing}},
        });
        with_nulls(
            subscription,
            "application application_fee_percent billing_cycle_anchor_config \
             billing_thresholds cancel_at canceled_at customer_account default_payment_method \
             default_source ended_at latest_invoice next_pending_invoice_item_invoice \
             on_behalf_of pause_collection pending_invoice_item_interval pending_setup_intent \
             pending_update schedule test_clock transfer_data trial_end trial_start",
        )
    }
}
