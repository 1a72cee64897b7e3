//! Drafts: an invoice and its sums before it is final.

use serde_json::{Value, json};

use super::super::Model;
use super::super::agenda::Due;
use super::super::render::page;
use super::super::shape::{elements, int, text, with_nulls};
use super::super::store::Kind;
use super::{DRAFT_SECONDS, Line, Source};

/// What a new invoice is made of.
#[derive(Debug, Clone)]
pub(in super::super) struct Draft {
    pub(in super::super) customer: String,
    pub(in super::super) subscription: Option<String>,
    /// `billing_reason`.
    pub(in super::super) reason: &'static str,
    pub(in super::super) period: (i64, i64),
    pub(in super::super) lines: Vec<Line>,
    /// What is metered, worked out again when the invoice becomes final: the item as it was, and the range.
    pub(in super::super) usage: Vec<(Value, (i64, i64))>,
    pub(in super::super) auto_advance: bool,
    /// Whether invoice items that wait are put on it.
    pub(in super::super) pending: bool,
}

impl Draft {
    /// Returns an invoice without lines, which takes the items that wait, and becomes final by itself.
    pub(in super::super) fn new(customer: &str, reason: &'static str, period: (i64, i64)) -> Self {
        Self {
            customer: customer.to_owned(),
            subscription: None,
            reason,
            period,
            lines: Vec::new(),
            usage: Vec::new(),
            auto_advance: true,
            pending: true,
        }
    }

    /// Returns the same for a subscription.
    pub(in super::super) fn of(
        subscription: &Value,
        reason: &'static str,
        period: (i64, i64),
    ) -> Self {
        Self {
            subscription: Some(text(&subscription["id"]).to_owned()),
            ..Self::new(text(&subscription["customer"]), reason, period)
        }
    }
}

impl Model {
    /// Makes a draft without storing it: sums, lines, the items that wait for it.
    pub(in super::super) fn draft(&mut self, draft: Draft) -> Value {
        let id = self.store.new_id(Kind::Invoice.prefix());
        let customer = self.object(Kind::Customer, &draft.customer);
        let subscription = self.object(
            Kind::Subscription,
            draft.subscription.as_deref().unwrap_or(""),
        );
        let discounts = self.discounts_in_force(&subscription["discounts"], self.now);
        let mut lines = draft.lines;
        if draft.pending {
            lines.extend(self.waiting(&draft.customer, draft.subscription.as_deref(), &id));
        }
        let shown: Vec<Value> = lines
            .iter()
            .map(|line| line.object(&self.store.new_id("il"), &id))
            .collect();
        let usage: Vec<Value> = draft
            .usage
            .iter()
            .map(|(item, range)| json!({"item": item, "from": range.0, "to": range.1}))
            .collect();
        let currency = match text(&subscription["currency"]) {
            "" => lines.first().map_or("usd", |line| line.currency.as_str()),
            currency => currency,
        };
        let mut invoice = json!({
            "id": id,
            "object": "invoice",
            "account_country": "US",
            "account_name": "Sandbox",
            "attempt_count": 0,
            "attempted": false,
            "auto_advance": draft.auto_advance,
            "billing_reason": draft.reason,
            "collection_method": "charge_automatically",
            "created": self.now,
            "currency": currency,
            "customer": customer["id"],
            "customer_address": customer["address"],
            "customer_email": customer["email"],
            "customer_name": customer["name"],
            "customer_phone": customer["phone"],
            "customer_shipping": customer["shipping"],
            "customer_tax_exempt": customer["tax_exempt"],
            "customer_tax_ids": [],
            "discounts": discounts,
            "livemode": false,
            "lines": page(shown, false, &format!("/v1/invoices/{id}/lines")),
            "metadata": {},
            "parent": parent(&subscription),
            "payments": page(Vec::<Value>::new(), false, &format!("/v1/invoices/{id}/payments")),
            "period_end": draft.period.1,
            "period_start": draft.period.0,
            "_usage": usage,
        });
        if subscription["collection_method"] == "send_invoice" {
            invoice["collection_method"] = "send_invoice".into();
            let days = int(&subscription["days_until_due"]);
            invoice["due_date"] = (self.now + days * 86_400).into();
        }
        if draft.auto_advance {
            invoice["automatically_finalizes_at"] = (self.now + DRAFT_SECONDS).into();
        }
        let mut invoice = blank(invoice);
        self.refresh(&mut invoice);
        invoice
    }

    /// Stores a draft, tells of it, and notes when it becomes final.
    pub(in super::super) fn publish_draft(&mut self, invoice: Value) -> Value {
        if let Some(at) = invoice["automatically_finalizes_at"].as_i64() {
            self.note(at, Due::Finalizes(text(&invoice["id"]).to_owned()));
        }
        self.made(Kind::Invoice, invoice, "invoice.created")
    }

    /// Works out the metered lines and the sums again.
    pub(super) fn refresh(&mut self, invoice: &mut Value) {
        let subscription = text(&invoice["parent"]["subscription_details"]["subscription"]);
        let subscription = self.object(Kind::Subscription, subscription);
        let id = text(&invoice["id"]).to_owned();
        let mut lines: Vec<Value> = elements(&invoice["lines"]["data"])
            .iter()
            .filter(|line| line["_metered"] != true)
            .cloned()
            .collect();
        for usage in elements(&invoice["_usage"]).to_vec() {
            let range = (int(&usage["from"]), int(&usage["to"]));
            for line in self.usage_lines(&subscription, &usage["item"], range) {
                lines.push(line.object(&self.store.new_id("il"), &id));
            }
        }
        invoice["lines"]["data"] = lines.into();
        self.total(invoice);
    }

    /// Works out the sums of a draft from its lines, its discounts and the customer's balance.
    pub(super) fn total(&self, invoice: &mut Value) {
        let discounts = elements(&invoice["discounts"]).to_vec();
        let mut lines = elements(&invoice["lines"]["data"]).to_vec();
        let mut left: Vec<(i64, String)> = lines
            .iter()
            .map(|line| {
                let amount = if line["discountable"] == true {
                    int(&line["amount"])
                } else {
                    0
                };
                (amount, text(&line["_product"]).to_owned())
            })
            .collect();
        let mut taken: Vec<Vec<Value>> = vec![Vec::new(); lines.len()];
        let mut sums = Vec::new();
        for discount in &discounts {
            let amounts = self.discount_amounts(text(discount), &left);
            for (index, amount) in amounts.iter().enumerate() {
                left[index].0 -= amount;
                if *amount != 0 {
                    taken[index].push(json!({"amount": amount, "discount": discount}));
                }
            }
            sums.push(json!({"amount": amounts.iter().sum::<i64>(), "discount": discount}));
        }
        for (line, taken) in lines.iter_mut().zip(taken) {
            line["discount_amounts"] = taken.into();
        }
        let subtotal: i64 = lines.iter().map(|line| int(&line["amount"])).sum();
        let off: i64 = sums.iter().map(|sum| int(&sum["amount"])).sum();
        let total = subtotal - off;
        let customer = self.object(Kind::Customer, text(&invoice["customer"]));
        let starting = int(&customer["balance"]);
        let due = (total + starting).max(0);
        invoice["lines"]["data"] = lines.into();
        invoice["subtotal"] = subtotal.into();
        invoice["subtotal_excluding_tax"] = subtotal.into();
        invoice["total"] = total.into();
        invoice["total_excluding_tax"] = total.into();
        invoice["total_discount_amounts"] = sums.into();
        invoice["starting_balance"] = starting.into();
        invoice["amount_due"] = due.into();
        invoice["amount_remaining"] = due.into();
    }

    /// Puts the invoice items that wait for an invoice of a customer or subscription on one, and returns their lines.
    fn waiting(&mut self, customer: &str, subscription: Option<&str>, invoice: &str) -> Vec<Line> {
        let waiting: Vec<Value> = self
            .store
            .all(Kind::InvoiceItem)
            .filter(|item| {
                let of = item["parent"]["subscription_details"]["subscription"].as_str();
                item["invoice"].is_null()
                    && item["customer"] == customer
                    && (of.is_none() || of == subscription)
            })
            .cloned()
            .collect();
        waiting
            .into_iter()
            .map(|mut item| {
                item["invoice"] = invoice.into();
                self.store.put(Kind::InvoiceItem, item.clone());
                line_of(item)
            })
            .collect()
    }
}

/// Returns the line of an invoice item.
pub(super) fn line_of(item: Value) -> Line {
    let details = &item["pricing"]["price_details"];
    Line {
        amount: int(&item["amount"]),
        currency: text(&item["currency"]).to_owned(),
        description: text(&item["description"]).to_owned(),
        quantity: item["quantity"].as_i64(),
        price: (details["price"].clone(), details["product"].clone()),
        unit: item["pricing"]["unit_amount_decimal"].clone(),
        period: (int(&item["period"]["start"]), int(&item["period"]["end"])),
        source: Source::InvoiceItem(item),
        metered: false,
    }
}

fn parent(subscription: &Value) -> Value {
    if subscription.is_null() {
        return Value::Null;
    }
    json!({
        "quote_details": null,
        "subscription_details": {
            "metadata": subscription["metadata"],
            "subscription": subscription["id"],
        },
        "type": "subscription_details",
    })
}

/// Adds what every new invoice has and that says nothing yet.
fn blank(mut invoice: Value) -> Value {
    let zero = "amount_due amount_overpaid amount_paid amount_remaining amount_shipping \
        post_payment_credit_notes_amount pre_payment_credit_notes_amount starting_balance subtotal \
        total";
    for key in zero.split_ascii_whitespace() {
        invoice[key] = 0.into();
    }
    for key in [
        "default_tax_rates",
        "total_pretax_credit_amounts",
        "total_taxes",
    ] {
        invoice[key] = json!([]);
    }
    invoice["automatic_tax"] = with_nulls(
        json!({"enabled": false}),
        "disabled_reason liability provider status",
    );
    invoice["issuer"] = json!({"type": "self"});
    invoice["payment_settings"] = with_nulls(
        json!({}),
        "default_mandate payment_method_options payment_method_types",
    );
    invoice["status"] = "draft".into();
    invoice["status_transitions"] = with_nulls(
        json!({}),
        "finalized_at marked_uncollectible_at paid_at voided_at",
    );
    with_nulls(
        invoice,
        "account_tax_ids application automatically_finalizes_at confirmation_secret \
         custom_fields customer_account default_payment_method default_source description \
         due_date effective_at ending_balance footer from_invoice hosted_invoice_url \
         invoice_pdf last_finalization_error latest_revision next_payment_attempt number \
         on_behalf_of receipt_number rendering shipping_cost shipping_details \
         statement_descriptor test_clock webhooks_delivered_at",
    )
}
