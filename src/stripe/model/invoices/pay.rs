//! Payment of invoices.

use serde_json::Value;

use super::super::Model;
use super::super::cards::Decline;
use super::super::fault::Fault;
use super::super::route::{Answer, Call};
use super::super::shape::{int, text};
use super::super::store::Kind;
use super::finalize::payment_intent;

/// What came of trying to collect an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Collected {
    /// It is paid, or needs no payment.
    Paid,
    /// The card was refused.
    Declined(Decline),
    /// There is nothing to pay with.
    NoMethod,
    /// It is not up to the model to collect it: the customer was asked to pay.
    Sent,
}

pub(super) fn pay(model: &mut Model, call: &Call) -> Answer {
    let invoice = model.find(Kind::Invoice, call.id())?;
    if invoice["status"] == "draft" {
        model.finalize(call.id());
    }
    let invoice = model.object(Kind::Invoice, call.id());
    match text(&invoice["status"]) {
        "paid" if int(&invoice["amount_due"]) == 0 => return Ok(invoice),
        "open" | "uncollectible" => {}
        "paid" => return Err(Fault::invalid("", "Invoice is already paid")),
        status => {
            let message = format!("A {status} invoice cannot be paid.");
            return Err(Fault::invalid("", message).code("invoice_not_editable"));
        }
    }
    if call.params.flag("paid_out_of_band") == Some(true) {
        let intent = payment_intent(&invoice).to_owned();
        model.cancel_intent(&intent, Value::Null);
        model.invoice_paid(call.id());
        return Ok(model.object(Kind::Invoice, call.id()));
    }
    let method = match call.params.text("payment_method") {
        Some(method) => Some(model.method_of(method, text(&invoice["customer"]))?),
        None => None,
    };
    match model.collect(call.id(), method, false) {
        Collected::Paid | Collected::Sent => Ok(model.object(Kind::Invoice, call.id())),
        Collected::Declined(decline) => {
            let mut fault = Fault::declined(decline);
            fault.keeps_changes = true;
            Err(fault)
        }
        Collected::NoMethod => Err(Fault::no_payment_method()),
    }
}

impl Model {
    /// Tries to collect an open invoice, with a payment method or the one that is set for it. A try that the model makes
    /// by itself (`automatic`) counts for the retries.
    pub(in super::super) fn collect(
        &mut self,
        id: &str,
        method: Option<String>,
        automatic: bool,
    ) -> Collected {
        let mut invoice = self.object(Kind::Invoice, id);
        if !matches!(text(&invoice["status"]), "open" | "uncollectible") {
            return Collected::Paid;
        }
        if automatic && invoice["collection_method"] == "send_invoice" {
            return Collected::Sent;
        }
        let method = method.or_else(|| self.method_for(&invoice));
        let Some(method) = method else {
            if automatic {
                invoice["attempted"] = true.into();
                invoice["attempt_count"] = (int(&invoice["attempt_count"]) + 1).into();
                self.store.put(Kind::Invoice, invoice);
                self.invoice_failed(id, automatic);
            }
            return Collected::NoMethod;
        };
        invoice["attempted"] = true.into();
        if automatic || int(&invoice["attempt_count"]) == 0 {
            invoice["attempt_count"] = (int(&invoice["attempt_count"]) + 1).into();
        }
        let intent = payment_intent(&invoice).to_owned();
        self.store.put(Kind::Invoice, invoice);
        match self.attempt(&intent, &method) {
            Ok(()) => Collected::Paid,
            Err(decline) => {
                self.invoice_failed(id, automatic);
                Collected::Declined(decline)
            }
        }
    }

    /// Returns the payment method that is set for an invoice: its own, its subscription's or its customer's.
    fn method_for(&self, invoice: &Value) -> Option<String> {
        let subscription = text(&invoice["parent"]["subscription_details"]["subscription"]);
        let subscription = self.object(Kind::Subscription, subscription);
        let own = [invoice, &subscription]
            .into_iter()
            .find_map(|object| object["default_payment_method"].as_str().map(str::to_owned));
        own.or_else(|| self.default_method(text(&invoice["customer"])))
    }

    /// An invoice was paid, or needs no payment.
    pub(in super::super) fn invoice_paid(&mut self, id: &str) {
        let mut invoice = self.object(Kind::Invoice, id);
        let amount = invoice["amount_due"].clone();
        invoice["status"] = "paid".into();
        invoice["attempted"] = true.into();
        invoice["auto_advance"] = false.into();
        invoice["amount_paid"] = amount.clone();
        invoice["amount_remaining"] = 0.into();
        invoice["next_payment_attempt"] = Value::Null;
        invoice["status_transitions"]["paid_at"] = self.now.into();
        let paid_with = payment_intent(&invoice).to_owned();
        if !paid_with.is_empty() {
            let payment = &mut invoice["payments"]["data"][0];
            payment["status"] = "paid".into();
            payment["amount_paid"] = amount;
            payment["status_transitions"]["paid_at"] = self.now.into();
        }
        self.store.put(Kind::Invoice, invoice.clone());
        self.tell("invoice.paid", &invoice);
        self.tell("invoice.payment_succeeded", &invoice);
        if !paid_with.is_empty() {
            self.tell(
                "invoice_payment.paid",
                &invoice["payments"]["data"][0].clone(),
            );
        }
        self.invoice_settled(&invoice);
    }
}
