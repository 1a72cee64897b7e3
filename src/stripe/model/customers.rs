//! Customers: who pays.

use serde_json::{Value, json};

use super::Model;
use super::fault::Fault;
use super::form::Params;
use super::list;
use super::route::{Answer, Call, Route};
use super::shape::{text, with_nulls};
use super::store::Kind;

const CREATE: &str = "email name phone description metadata{} balance=i payment_method \
    preferred_locales[] tax_exempt=none|exempt|reverse \
    address(line1 line2 city state postal_code country) \
    invoice_settings(default_payment_method footer)";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/customers", CREATE, create),
    Route::get(
        "/v1/customers",
        "email created(gt=i gte=i lt=i lte=i) limit=i starting_after ending_before",
        list_customers,
    ),
    Route::get("/v1/customers/*", "", |model, call| {
        model.named(Kind::Customer, call)
    }),
    Route::post("/v1/customers/*", CREATE, update),
    Route::delete("/v1/customers/*", "", delete),
];

fn create(model: &mut Model, call: &Call) -> Answer {
    model.new_customer(&call.params)
}

fn update(model: &mut Model, call: &Call) -> Answer {
    let customer = model.find(Kind::Customer, call.id())?;
    let customer = model.with_details(customer, &call.params)?;
    Ok(model.changed(Kind::Customer, customer, "customer.updated"))
}

fn list_customers(model: &mut Model, call: &Call) -> Answer {
    let email = call.params.text("email");
    list::answer(model, call, Kind::Customer, "/v1/customers", |customer| {
        email.is_none_or(|email| customer["email"] == email)
    })
}

fn delete(model: &mut Model, call: &Call) -> Answer {
    let customer = model.find(Kind::Customer, call.id())?;
    model.tell("customer.deleted", &customer);
    let running: Vec<String> = model
        .store
        .all(Kind::Subscription)
        .filter(|sub| sub["customer"] == customer["id"] && sub["ended_at"].is_null())
        .map(|sub| text(&sub["id"]).to_owned())
        .collect();
    for id in running {
        model.end_subscription(&id, "canceled", "cancellation_requested");
    }
    let stub = json!({"id": customer["id"], "object": "customer", "deleted": true});
    model.store.put(Kind::Customer, stub.clone());
    Ok(stub)
}

impl Model {
    /// Makes a customer.
    pub(super) fn new_customer(&mut self, params: &Params) -> Result<Value, Fault> {
        let id = self.store.new_id(Kind::Customer.prefix());
        let prefix: String = id.chars().rev().take(8).collect();
        let customer = json!({
            "id": id,
            "object": "customer",
            "balance": 0,
            "created": self.now,
            "delinquent": false,
            "invoice_prefix": prefix,
            "invoice_settings": with_nulls(
                json!({}),
                "custom_fields default_payment_method footer rendering_options",
            ),
            "livemode": false,
            "metadata": {},
            "next_invoice_sequence": 1,
            "preferred_locales": [],
            "tax_exempt": "none",
        });
        let customer = with_nulls(
            customer,
            "address currency default_source description discount email name phone shipping \
             test_clock",
        );
        self.store.put(Kind::Customer, customer.clone());
        let customer = self.with_details(customer, params)?;
        Ok(self.made(Kind::Customer, customer, "customer.created"))
    }

    fn with_details(&mut self, mut customer: Value, params: &Params) -> Result<Value, Fault> {
        for key in ["email", "name", "phone", "description", "tax_exempt"] {
            if params.has(key) {
                customer[key] = params.text_or_null(key);
            }
        }
        if let Some(address) = params.part("address") {
            customer["address"] =
                with_nulls(address.0, "city country line1 line2 postal_code state");
        }
        if let Some(balance) = params.int("balance") {
            customer["balance"] = balance.into();
        }
        if params.has("preferred_locales") {
            customer["preferred_locales"] = params.texts("preferred_locales").into();
        }
        if params.has("metadata") {
            customer["metadata"] = params.merge_metadata(&customer["metadata"]);
        }
        let id = text(&customer["id"]).to_owned();
        if let Some(method) = params.text("payment_method") {
            self.attach(method, &id)?;
        }
        if let Some(settings) = params.part("invoice_settings") {
            if let Some(method) = settings.text("default_payment_method") {
                let method = self.method_of(method, &id)?;
                customer["invoice_settings"]["default_payment_method"] = method.into();
            } else if settings.clears("default_payment_method") {
                customer["invoice_settings"]["default_payment_method"] = Value::Null;
            }
            if settings.has("footer") {
                customer["invoice_settings"]["footer"] = settings.text_or_null("footer");
            }
        }
        Ok(customer)
    }
}
