//! Payment intents: asking for money, and trying a card.

use serde_json::{Value, json};

use super::Model;
use super::cards::{Card, Decline};
use super::fault::Fault;
use super::list;
use super::route::{Answer, Call, Route};
use super::shape::{int, text, with_nulls};
use super::store::Kind;

/// The smallest payment, in cents.
pub(super) const AMOUNT_MIN: i64 = 50;
/// The largest payment, in cents.
pub(super) const AMOUNT_MAX: i64 = 99_999_999;

pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/payment_intents",
        "amount!=i currency! customer payment_method confirm=b off_session description metadata{} \
         receipt_email setup_future_usage=off_session|on_session statement_descriptor \
         statement_descriptor_suffix payment_method_types[] error_on_requires_action=b \
         automatic_payment_methods(enabled!=b allow_redirects=always|never) return_url \
         capture_method=automatic|automatic_async",
        create,
    ),
    Route::get(
        "/v1/payment_intents",
        "customer created(gt=i gte=i lt=i lte=i) limit=i starting_after ending_before",
        |model, call| {
            let customer = call.params.text("customer");
            list::answer(
                model,
                call,
                Kind::PaymentIntent,
                "/v1/payment_intents",
                |intent| customer.is_none_or(|customer| intent["customer"] == customer),
            )
        },
    ),
    Route::get("/v1/payment_intents/*", "client_secret", |model, call| {
        model.named(Kind::PaymentIntent, call)
    }),
    Route::post("/v1/payment_intents/*", "description metadata{}", update),
    Route::post(
        "/v1/payment_intents/*/confirm",
        "payment_method off_session return_url error_on_requires_action=b",
        confirm,
    ),
    Route::post(
        "/v1/payment_intents/*/cancel",
        "cancellation_reason=duplicate|fraudulent|requested_by_customer|abandoned",
        cancel,
    ),
];

/// What a payment is for.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    /// In cents.
    pub(super) amount: i64,
    pub(super) currency: String,
    /// The customer's id, or `null`.
    pub(super) customer: Value,
    pub(super) description: Value,
    pub(super) metadata: Value,
    /// The invoice that it pays; empty: none.
    pub(super) invoice: String,
}

fn create(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let amount = params.int("amount").unwrap_or_default();
    if !(AMOUNT_MIN..=AMOUNT_MAX).contains(&amount) {
        let small = amount < AMOUNT_MIN;
        let fault = Fault::invalid(
            "amount",
            if amount < 1 {
                "This value must be greater than or equal to 1."
            } else if small {
                "Amount must be at least $0.50 usd"
            } else {
                "Amount must be no more than $999,999.99"
            },
        );
        return Err(fault.code(if small {
            "amount_too_small"
        } else {
            "amount_too_large"
        }));
    }
    if let Some(customer) = params.text("customer") {
        model.need(Kind::Customer, customer, "customer")?;
    }
    let ask = Ask {
        amount,
        currency: params.text("currency").unwrap_or_default().to_lowercase(),
        customer: params.text_or_null("customer"),
        description: params.text_or_null("description"),
        metadata: params.merge_metadata(&json!({})),
        invoice: String::new(),
    };
    let mut intent = model.new_intent(&ask);
    let id = text(&intent["id"]).to_owned();
    for key in [
        "receipt_email",
        "setup_future_usage",
        "statement_descriptor",
    ] {
        intent[key] = params.text_or_null(key);
    }
    if let Some(method) = params.text("payment_method") {
        let method = model.payable(method, &intent)?;
        intent["payment_method"] = method.into();
        intent["status"] = "requires_confirmation".into();
    }
    model.store.put(Kind::PaymentIntent, intent.clone());
    model.tell("payment_intent.created", &intent);
    if params.flag("confirm") == Some(true) {
        return model.confirm(&id);
    }
    Ok(model.object(Kind::PaymentIntent, &id))
}

fn update(model: &mut Model, call: &Call) -> Answer {
    let mut intent = model.find(Kind::PaymentIntent, call.id())?;
    if call.params.has("description") {
        intent["description"] = call.params.text_or_null("description");
    }
    intent["metadata"] = call.params.merge_metadata(&intent["metadata"]);
    model.store.put(Kind::PaymentIntent, intent.clone());
    Ok(intent)
}

fn confirm(model: &mut Model, call: &Call) -> Answer {
    let mut intent = model.find(Kind::PaymentIntent, call.id())?;
    open(&intent, "confirm")?;
    if let Some(method) = call.params.text("payment_method") {
        let method = model.payable(method, &intent)?;
        intent["payment_method"] = method.into();
        model.store.put(Kind::PaymentIntent, intent);
    }
    model.confirm(call.id())
}

fn cancel(model: &mut Model, call: &Call) -> Answer {
    let intent = model.find(Kind::PaymentIntent, call.id())?;
    open(&intent, "cancel")?;
    if intent["_invoice"].is_string() {
        return Err(Fault::invalid(
            "",
            "The payment of an invoice cannot be canceled; void the invoice instead.",
        ));
    }
    model.cancel_intent(call.id(), call.params.text_or_null("cancellation_reason"));
    Ok(model.object(Kind::PaymentIntent, call.id()))
}

fn open(intent: &Value, deed: &str) -> Result<(), Fault> {
    let status = text(&intent["status"]);
    if matches!(status, "succeeded" | "canceled") {
        return Err(Fault::invalid(
            "",
            format!("You cannot {deed} this PaymentIntent because it has a status of {status}."),
        )
        .code("payment_intent_unexpected_state"));
    }
    Ok(())
}

impl Model {
    /// Makes a payment intent without telling of it, and stores it.
    pub(super) fn new_intent(&mut self, ask: &Ask) -> Value {
        let id = self.store.new_id(Kind::PaymentIntent.prefix());
        let mut intent = json!({
            "id": id,
            "object": "payment_intent",
            "amount": ask.amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "capture_method": "automatic",
            "client_secret": format!("{id}_secret_test"),
            "confirmation_method": "automatic",
            "created": self.now,
            "currency": ask.currency,
            "customer": ask.customer,
            "description": ask.description,
            "livemode": false,
            "metadata": ask.metadata,
            "payment_method_types": ["card"],
            "status": "requires_payment_method",
        });
        if !ask.invoice.is_empty() {
            intent["_invoice"] = ask.invoice.as_str().into();
            intent["payment_details"] =
                json!({"customer_reference": null, "order_reference": ask.invoice});
        }
        let intent = with_nulls(
            intent,
            "application application_fee_amount automatic_payment_methods canceled_at \
             cancellation_reason customer_account excluded_payment_method_types \
             last_payment_error latest_charge next_action on_behalf_of payment_method \
             payment_method_configuration_details payment_method_options processing \
             receipt_email review setup_future_usage shipping source statement_descriptor \
             statement_descriptor_suffix transfer_data transfer_group",
        );
        self.store.put(Kind::PaymentIntent, intent.clone());
        intent
    }

    /// Returns the payment method that an intent may use; a test token becomes a new one.
    fn payable(&mut self, method: &str, intent: &Value) -> Result<String, Fault> {
        match intent["customer"].as_str() {
            // A declining token cannot be attached, but a payment may be tried with it.
            Some(_) | None if Card::of_token(method).is_some() => {
                let card = Card::of_token(method).unwrap_or(Card::Good);
                Ok(self.new_method(card))
            }
            Some(customer) => self.method_of(method, customer),
            None => {
                self.need(Kind::PaymentMethod, method, "payment_method")?;
                Ok(method.to_owned())
            }
        }
    }

    fn confirm(&mut self, id: &str) -> Answer {
        let intent = self.object(Kind::PaymentIntent, id);
        let Some(method) = intent["payment_method"].as_str() else {
            return Err(Fault::invalid(
                "payment_method",
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
            )
            .code("payment_intent_unexpected_state"));
        };
        match self.attempt(id, method) {
            Ok(()) => Ok(self.object(Kind::PaymentIntent, id)),
            Err(decline) => {
                let mut fault = Fault::declined(decline);
                fault.keeps_changes = true;
                if let Some(invoice) = intent["_invoice"].as_str() {
                    self.invoice_failed(invoice, false);
                }
                let intent = self.object(Kind::PaymentIntent, id);
                fault.payment_intent = Some(Box::new(super::render::plain(&self.store, &intent)));
                Err(fault)
            }
        }
    }

    /// Tries to pay an intent with a payment method. What it pays for follows: an invoice, a dispute at once.
    pub(super) fn attempt(&mut self, id: &str, method: &str) -> Result<(), Decline> {
        let mut intent = self.object(Kind::PaymentIntent, id);
        let card = self.card_of(method).unwrap_or(Card::Good);
        let decline = card.declines();
        let charge = self.new_charge(&intent, method, decline);
        intent["latest_charge"] = charge["id"].clone();
        if let Some(decline) = decline {
            intent["status"] = "requires_payment_method".into();
            intent["payment_method"] = Value::Null;
            intent["last_payment_error"] = json!({
                "charge": charge["id"],
                "code": "card_declined",
                "decline_code": decline.code(),
                "doc_url": "https://stripe.com/docs/error-codes/card-declined",
                "message": decline.message(),
                "payment_method": super::render::plain(
                    &self.store,
                    &self.object(Kind::PaymentMethod, method),
                ),
                "type": "card_error",
            });
            self.store.put(Kind::PaymentIntent, intent.clone());
            self.tell("charge.failed", &charge);
            self.tell("payment_intent.payment_failed", &intent);
            return Err(decline);
        }
        intent["status"] = "succeeded".into();
        intent["payment_method"] = method.into();
        intent["last_payment_error"] = Value::Null;
        intent["amount_received"] = int(&intent["amount"]).into();
        self.store.put(Kind::PaymentIntent, intent.clone());
        self.tell("charge.succeeded", &charge);
        self.tell("payment_intent.succeeded", &intent);
        if let Some(invoice) = intent["_invoice"].as_str() {
            self.invoice_paid(invoice);
        }
        if card == Card::Disputes {
            self.open_dispute(text(&charge["id"]), int(&charge["amount"]));
        }
        Ok(())
    }

    /// Cancels an intent that was not paid.
    pub(super) fn cancel_intent(&mut self, id: &str, reason: Value) {
        let mut intent = self.object(Kind::PaymentIntent, id);
        intent["status"] = "canceled".into();
        intent["canceled_at"] = self.now.into();
        intent["cancellation_reason"] = reason;
        self.store.put(Kind::PaymentIntent, intent.clone());
        self.tell("payment_intent.canceled", &intent);
    }
}
