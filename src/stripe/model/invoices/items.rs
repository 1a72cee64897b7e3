//! Invoice items: charges and credits that wait for an invoice.

use serde_json::{Value, json};

use super::super::Model;
use super::super::catalog::amounts;
use super::super::fault::Fault;
use super::super::list;
use super::super::route::{Answer, Call, Route};
use super::super::shape::{elements, int, text, with_nulls};
use super::super::store::Kind;
use super::draft::line_of;

pub(in super::super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/invoiceitems",
        "customer! amount=i currency description discountable=b invoice subscription quantity=i \
         unit_amount_decimal metadata{} period(start!=i end!=i) pricing(price) \
         price_data(currency! product! unit_amount=i unit_amount_decimal)",
        create,
    ),
    Route::get(
        "/v1/invoiceitems",
        "customer invoice pending=b created(gt=i gte=i lt=i lte=i) limit=i starting_after \
         ending_before",
        list_items,
    ),
    Route::get("/v1/invoiceitems/*", "", |model, call| {
        model.named(Kind::InvoiceItem, call)
    }),
    Route::delete("/v1/invoiceitems/*", "", delete),
];

fn create(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let customer = params.text("customer").unwrap_or_default();
    model.need(Kind::Customer, customer, "customer")?;
    let quantity = params.int("quantity").unwrap_or(1);
    let (amount, pricing) = priced(model, call, quantity)?;
    let parent = match params.text("subscription") {
        Some(id) => {
            model.need(Kind::Subscription, id, "subscription")?;
            json!({"subscription_details": {"subscription": id}, "type": "subscription_details"})
        }
        None => Value::Null,
    };
    let period = params.part("period");
    let bound = |name: &str| {
        period
            .as_ref()
            .and_then(|part| part.int(name))
            .unwrap_or(model.now)
    };
    let item = json!({
        "id": "",
        "amount": amount,
        "currency": params.text("currency").unwrap_or("usd"),
        "customer": customer,
        "description": params.text_or_null("description"),
        "discountable": params.flag("discountable").unwrap_or(amount > 0),
        "metadata": params.merge_metadata(&json!({})),
        "parent": parent,
        "period": {"end": bound("end"), "start": bound("start")},
        "pricing": pricing,
        "proration": false,
        "quantity": quantity,
    });
    let invoice = match params.text("invoice") {
        Some(id) => Some(model.need(Kind::Invoice, id, "invoice")?),
        None => None,
    };
    let Some(mut invoice) = invoice else {
        return Ok(model.new_invoice_item(item));
    };
    if invoice["status"] != "draft" {
        return Err(
            Fault::invalid("invoice", "This invoice is no longer editable.")
                .code("invoice_not_editable"),
        );
    }
    let mut item = item;
    item["invoice"] = invoice["id"].clone();
    let item = model.new_invoice_item(item);
    let line = line_of(item.clone()).object(&model.store.new_id("il"), text(&invoice["id"]));
    if let Some(lines) = invoice["lines"]["data"].as_array_mut() {
        lines.push(line);
    }
    model.total(&mut invoice);
    model.changed(Kind::Invoice, invoice, "invoice.updated");
    Ok(item)
}

/// Returns what an item costs, and its price.
fn priced(model: &mut Model, call: &Call, quantity: i64) -> Result<(i64, Value), Fault> {
    let params = &call.params;
    let price = match (params.part("pricing"), params.part("price_data")) {
        (Some(pricing), _) => {
            let price = pricing.text("price").unwrap_or_default();
            model.need(Kind::Price, price, "pricing[price]")?
        }
        (None, Some(data)) => model.new_price(&data)?,
        (None, None) => {
            let amount = match (params.int("amount"), params.text("unit_amount_decimal")) {
                (Some(amount), _) => amount,
                (None, Some(unit)) => {
                    let value = amounts::decimal(unit).ok_or_else(|| {
                        Fault::invalid("unit_amount_decimal", format!("Invalid decimal: {unit}"))
                    })?;
                    amounts::divided(value.saturating_mul(i128::from(quantity)), amounts::PICO)
                }
                (None, None) => return Err(Fault::missing_parameter("amount")),
            };
            if !params.has("currency") {
                return Err(Fault::missing_parameter("currency"));
            }
            return Ok((amount, Value::Null));
        }
    };
    let pricing = json!({
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    });
    Ok((amounts::total(&price, quantity), pricing))
}

fn list_items(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    list::answer(model, call, Kind::InvoiceItem, "/v1/invoiceitems", |item| {
        let same = |name: &str| params.text(name).is_none_or(|value| item[name] == value);
        same("customer")
            && same("invoice")
            && params
                .flag("pending")
                .is_none_or(|pending| item["invoice"].is_null() == pending)
    })
}

fn delete(model: &mut Model, call: &Call) -> Answer {
    let item = model.find(Kind::InvoiceItem, call.id())?;
    if let Some(id) = item["invoice"].as_str() {
        let mut invoice = model.object(Kind::Invoice, id);
        if invoice["status"] != "draft" {
            return Err(
                Fault::invalid("", "The invoice of this item is no longer editable.")
                    .code("invoice_not_editable"),
            );
        }
        let kept: Vec<Value> = elements(&invoice["lines"]["data"])
            .iter()
            .filter(|line| {
                let of = &line["parent"];
                of["invoice_item_details"]["invoice_item"] != item["id"]
                    && of["subscription_item_details"]["invoice_item"] != item["id"]
            })
            .cloned()
            .collect();
        invoice["lines"]["data"] = kept.into();
        model.total(&mut invoice);
        model.changed(Kind::Invoice, invoice, "invoice.updated");
    }
    model.tell("invoiceitem.deleted", &item);
    model.store.remove(Kind::InvoiceItem, call.id());
    Ok(json!({"id": call.id(), "object": "invoiceitem", "deleted": true}))
}

impl Model {
    /// Makes an invoice item from what is particular to it.
    pub(in super::super) fn new_invoice_item(&mut self, mut item: Value) -> Value {
        item["id"] = self.store.new_id(Kind::InvoiceItem.prefix()).into();
        item["object"] = "invoiceitem".into();
        item["date"] = self.now.into();
        item["discounts"] = json!([]);
        item["livemode"] = false.into();
        item["net_amount"] = int(&item["amount"]).into();
        item["tax_rates"] = json!([]);
        let item = with_nulls(
            item,
            "customer_account description invoice parent pricing test_clock",
        );
        self.made(Kind::InvoiceItem, item, "invoiceitem.created")
    }
}
