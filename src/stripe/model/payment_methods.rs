//! Payment methods: the cards of customers.

use serde_json::{Value, json};

use super::Model;
use super::cards::Card;
use super::fault::Fault;
use super::list;
use super::route::{Answer, Call, Route};
use super::shape::{text, with_nulls};
use super::store::Kind;

pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/payment_methods",
        "type!=card card(number token exp_month=i exp_year=i cvc) metadata{}",
        create,
    ),
    Route::get(
        "/v1/payment_methods",
        "customer type limit=i starting_after ending_before",
        list_methods,
    ),
    Route::get("/v1/payment_methods/*", "", |model, call| {
        model.named(Kind::PaymentMethod, call)
    }),
    Route::post(
        "/v1/payment_methods/*/attach",
        "customer!",
        |model, call| {
            let customer = call.params.text("customer").unwrap_or_default();
            model.need(Kind::Customer, customer, "customer")?;
            let id = model.attach(call.id(), customer)?;
            Ok(model.object(Kind::PaymentMethod, &id))
        },
    ),
    Route::post("/v1/payment_methods/*/detach", "", detach),
    Route::get(
        "/v1/customers/*/payment_methods",
        "type limit=i starting_after ending_before",
        |model, call| {
            let url = format!("/v1/customers/{}/payment_methods", call.id());
            list::answer(model, call, Kind::PaymentMethod, &url, |method| {
                text(&method["customer"]) == call.id()
            })
        },
    ),
];

fn create(model: &mut Model, call: &Call) -> Answer {
    let card = call.params.part("card");
    let number = card
        .as_ref()
        .and_then(|card| card.text("number").or_else(|| card.text("token")));
    let card = number
        .and_then(|number| Card::of_number(number).or_else(|| Card::of_token(number)))
        .ok_or_else(|| {
            Fault::invalid("card[number]", "Your card number is incorrect.")
                .code("incorrect_number")
        })?;
    let id = model.new_method(card);
    Ok(model.object(Kind::PaymentMethod, &id))
}

fn list_methods(model: &mut Model, call: &Call) -> Answer {
    let customer = call.params.text("customer");
    list::answer(
        model,
        call,
        Kind::PaymentMethod,
        "/v1/payment_methods",
        |method| customer.is_none_or(|customer| method["customer"] == customer),
    )
}

fn detach(model: &mut Model, call: &Call) -> Answer {
    let mut method = model.find(Kind::PaymentMethod, call.id())?;
    let customer = text(&method["customer"]).to_owned();
    let mut owner = model.object(Kind::Customer, &customer);
    if owner["invoice_settings"]["default_payment_method"] == method["id"] {
        owner["invoice_settings"]["default_payment_method"] = Value::Null;
        model.changed(Kind::Customer, owner, "customer.updated");
    }
    method["customer"] = Value::Null;
    Ok(model.changed(Kind::PaymentMethod, method, "payment_method.detached"))
}

impl Model {
    /// Makes a payment method that belongs to nobody yet, and returns its id.
    pub(super) fn new_method(&mut self, card: Card) -> String {
        let id = self.store.new_id(Kind::PaymentMethod.prefix());
        let number = card.number();
        let details = json!({
            "brand": "visa",
            "checks": {
                "address_line1_check": null,
                "address_postal_code_check": null,
                "cvc_check": "pass",
            },
            "country": "US",
            "display_brand": "visa",
            "exp_month": 12,
            "exp_year": 2040,
            "fingerprint": format!("fp{number}"),
            "funding": "credit",
            "last4": &number[number.len().saturating_sub(4)..],
            "networks": {"available": ["visa"], "preferred": null},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": true},
        });
        let method = json!({
            "id": id,
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": with_nulls(json!({}), "address email name phone tax_id"),
            "card": with_nulls(details, "generated_from wallet"),
            "created": self.now,
            "customer": null,
            "customer_account": null,
            "livemode": false,
            "metadata": {},
            "type": "card",
            "_number": number,
        });
        self.store.put(Kind::PaymentMethod, method);
        id
    }

    /// Attaches a payment method, or a new one that a test token stands for, to a customer, and returns its id. Some cards
    /// are refused already here.
    pub(super) fn attach(&mut self, method: &str, customer: &str) -> Result<String, Fault> {
        let id = match Card::of_token(method) {
            Some(card) => self.new_method(card),
            None => method.to_owned(),
        };
        let mut method = self.need(Kind::PaymentMethod, &id, "payment_method")?;
        if method["customer"] == customer {
            return Ok(id);
        }
        if !method["customer"].is_null() {
            return Err(Fault::invalid(
                "payment_method",
                "The payment method you provided has already been attached to a customer.",
            ));
        }
        if let Some(Card::Declines(decline)) = self.card_of(&id) {
            return Err(Fault::declined(decline));
        }
        method["customer"] = customer.into();
        self.store.put(Kind::PaymentMethod, method.clone());
        self.tell("payment_method.attached", &method);
        Ok(id)
    }

    /// Returns the id of a customer's payment method; a test token becomes a new one.
    pub(super) fn method_of(&mut self, method: &str, customer: &str) -> Result<String, Fault> {
        if Card::of_token(method).is_some() {
            return self.attach(method, customer);
        }
        let found = self.need(Kind::PaymentMethod, method, "payment_method")?;
        if found["customer"] == customer {
            return Ok(method.to_owned());
        }
        Err(Fault::invalid(
            "payment_method",
            format!("The customer does not have a payment method with the ID {method}."),
        )
        .code("resource_missing"))
    }

    /// Returns what the card of a payment method does.
    pub(super) fn card_of(&self, method: &str) -> Option<Card> {
        let method = self.store.get(Kind::PaymentMethod, method)?;
        Card::of_number(text(&method["_number"]))
    }

    /// Returns the payment method that a customer pays invoices with.
    pub(super) fn default_method(&self, customer: &str) -> Option<String> {
        let customer = self.store.get(Kind::Customer, customer)?;
        customer["invoice_settings"]["default_payment_method"]
            .as_str()
            .map(str::to_owned)
    }
}
