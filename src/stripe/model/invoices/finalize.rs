//! From draft to open: the number, the customer's balance, the payment intent; and closing without payment.

use serde_json::{Value, json};

use super::super::Model;
use super::super::fault::Fault;
use super::super::payment_intents::{AMOUNT_MIN, Ask};
use super::super::render::page;
use super::super::shape::{elements, int, text};
use super::super::store::Kind;

impl Model {
    /// A draft's hour has passed: it becomes final and is collected.
    pub(in super::super) fn finalizes(&mut self, id: &str) {
        let invoice = self.object(Kind::Invoice, id);
        let due = invoice["automatically_finalizes_at"]
            .as_i64()
            .is_some_and(|at| at <= self.now);
        if invoice["status"] != "draft" || invoice["auto_advance"] != true || !due {
            return;
        }
        self.finalize(id);
        let subscription = text(&invoice["parent"]["subscription_details"]["subscription"]);
        let paused = self.object(Kind::Subscription, subscription)["pause_collection"].clone();
        match text(&paused["behavior"]) {
            // What was paid by then stays paid; the refusal that a closed invoice gives says nothing here.
            "void" => drop(self.close_invoice(id, "void")),
            "mark_uncollectible" => drop(self.close_invoice(id, "uncollectible")),
            _ => drop(self.collect(id, None, true)),
        }
    }

    /// Makes a draft final: it has a number and can be paid. What needs no payment is paid by this.
    pub(in super::super) fn finalize(&mut self, id: &str) {
        let mut invoice = self.object(Kind::Invoice, id);
        self.refresh(&mut invoice);
        let mut customer = self.object(Kind::Customer, text(&invoice["customer"]));
        let sequence = int(&customer["next_invoice_sequence"]);
        let number = format!("{}-{sequence:04}", text(&customer["invoice_prefix"]));
        let due = int(&invoice["total"]) + int(&customer["balance"]);
        // What is too small to be charged is owed with the next invoice.
        let (amount, ending) = if due < AMOUNT_MIN { (0, due) } else { (due, 0) };
        let before = customer.clone();
        customer["next_invoice_sequence"] = (sequence + 1).into();
        customer["balance"] = ending.into();
        self.store.put(Kind::Customer, customer.clone());
        if before["balance"] != customer["balance"] {
            self.tell_change("customer.updated", &before, &customer);
        }
        invoice["number"] = number.into();
        invoice["amount_due"] = amount.into();
        invoice["amount_remaining"] = amount.into();
        invoice["ending_balance"] = ending.into();
        invoice["status"] = "open".into();
        invoice["automatically_finalizes_at"] = Value::Null;
        invoice["effective_at"] = self.now.into();
        invoice["status_transitions"]["finalized_at"] = self.now.into();
        let url = format!("https://invoice.stripe.com/i/{id}");
        invoice["invoice_pdf"] = format!("{url}/pdf").into();
        invoice["hosted_invoice_url"] = url.into();
        if amount > 0 {
            self.with_payment(&mut invoice);
        }
        self.store.put(Kind::Invoice, invoice.clone());
        self.used_once(&invoice);
        self.tell("invoice.finalized", &invoice);
        if amount == 0 {
            self.invoice_paid(id);
        }
    }

    fn with_payment(&mut self, invoice: &mut Value) {
        let id = text(&invoice["id"]).to_owned();
        let ask = Ask {
            amount: int(&invoice["amount_due"]),
            currency: text(&invoice["currency"]).to_owned(),
            customer: invoice["customer"].clone(),
            description: match text(&invoice["billing_reason"]) {
                "subscription_create" => "Subscription creation".into(),
                "subscription_cycle" | "subscription_update" => "Subscription update".into(),
                _ => Value::Null,
            },
            metadata: json!({}),
            invoice: id.clone(),
        };
        let intent = self.new_intent(&ask);
        self.tell("payment_intent.created", &intent);
        invoice["confirmation_secret"] =
            json!({"client_secret": intent["client_secret"], "type": "payment_intent"});
        let payment = json!({
            "id": self.store.new_id("inpay"),
            "object": "invoice_payment",
            "amount_paid": null,
            "amount_requested": ask.amount,
            "created": self.now,
            "currency": ask.currency,
            "invoice": id,
            "is_default": true,
            "livemode": false,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": null, "paid_at": null},
        });
        invoice["payments"] = page(vec![payment], false, &format!("/v1/invoices/{id}/payments"));
    }

    /// Takes discounts that hold for one invoice off the subscription, now that they were used.
    fn used_once(&mut self, invoice: &Value) {
        let id = text(&invoice["parent"]["subscription_details"]["subscription"]);
        let mut subscription = self.object(Kind::Subscription, id);
        let kept: Vec<Value> = elements(&subscription["discounts"])
            .iter()
            .filter(|discount| {
                let used = elements(&invoice["discounts"]).contains(discount);
                !(used && self.coupon_of(text(discount))["duration"] == "once")
            })
            .cloned()
            .collect();
        if kept.len() < elements(&subscription["discounts"]).len() {
            subscription["discounts"] = kept.into();
            self.changed(
                Kind::Subscription,
                subscription,
                "customer.subscription.updated",
            );
        }
    }

    /// Ends an open invoice without payment: `void` or `uncollectible`.
    pub(in super::super) fn close_invoice(&mut self, id: &str, status: &str) -> Result<(), Fault> {
        let mut invoice = self.find(Kind::Invoice, id)?;
        let can = match text(&invoice["status"]) {
            "open" => true,
            "uncollectible" => status == "void",
            _ => false,
        };
        if !can {
            return Err(Fault::invalid(
                "",
                format!(
                    "You can only do this to open invoices; this one is {}.",
                    text(&invoice["status"])
                ),
            )
            .code("invoice_not_editable"));
        }
        let (key, event) = match status {
            "void" => ("voided_at", "invoice.voided"),
            _ => ("marked_uncollectible_at", "invoice.marked_uncollectible"),
        };
        invoice["status"] = status.into();
        invoice["status_transitions"][key] = self.now.into();
        invoice["auto_advance"] = false.into();
        invoice["next_payment_attempt"] = Value::Null;
        let intent = payment_intent(&invoice).to_owned();
        if status == "void" && !intent.is_empty() {
            self.cancel_intent(&intent, "void_invoice".into());
            invoice["payments"]["data"][0]["status"] = "canceled".into();
            invoice["payments"]["data"][0]["status_transitions"]["canceled_at"] = self.now.into();
        }
        self.store.put(Kind::Invoice, invoice.clone());
        self.tell(event, &invoice);
        self.invoice_settled(&invoice);
        Ok(())
    }
}

/// Returns the payment intent of an invoice; empty: it has none.
pub(super) fn payment_intent(invoice: &Value) -> &str {
    elements(&invoice["payments"]["data"])
        .first()
        .map_or("", |payment| text(&payment["payment"]["payment_intent"]))
}
