//! Charges: each try of a payment, good or bad.

use serde_json::{Value, json};

use super::Model;
use super::cards::Decline;
use super::list;
use super::route::Route;
use super::shape::with_nulls;
use super::store::Kind;

pub(super) const ROUTES: &[Route] = &[
    Route::get(
        "/v1/charges",
        "customer payment_intent created(gt=i gte=i lt=i lte=i) limit=i starting_after \
         ending_before",
        |model, call| {
            list::answer(model, call, Kind::Charge, "/v1/charges", |charge| {
                ["customer", "payment_intent"].into_iter().all(|name| {
                    call.params
                        .text(name)
                        .is_none_or(|value| charge[name] == value)
                })
            })
        },
    ),
    Route::get("/v1/charges/*", "", |model, call| {
        model.named(Kind::Charge, call)
    }),
];

impl Model {
    /// Makes the charge of an intent with a payment method, and stores it.
    pub(super) fn new_charge(
        &mut self,
        intent: &Value,
        method: &str,
        decline: Option<Decline>,
    ) -> Value {
        let paid = decline.is_none();
        let method = self.object(Kind::PaymentMethod, method);
        let id = self.store.new_id(Kind::Charge.prefix());
        let transaction = if paid {
            self.store.new_id("txn").into()
        } else {
            Value::Null
        };
        let charge = json!({
            "id": id,
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": if paid { intent["amount"].clone() } else { 0.into() },
            "amount_refunded": 0,
            "balance_transaction": transaction,
            "billing_details": method["billing_details"],
            "captured": paid,
            "created": self.now,
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": false,
            "failure_code": decline.map(|_| "card_declined"),
            "failure_message": decline.map(Decline::message),
            "fraud_details": {},
            "livemode": false,
            "metadata": intent["metadata"],
            "outcome": outcome(decline),
            "paid": paid,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": {"card": card(&method), "type": "card"},
            "receipt_url": paid.then(|| format!("https://pay.stripe.com/receipts/{id}")),
            "refunded": false,
            "status": if paid { "succeeded" } else { "failed" },
        });
        let charge = with_nulls(
            charge,
            "application application_fee application_fee_amount calculated_statement_descriptor \
             failure_balance_transaction on_behalf_of receipt_email receipt_number review \
             shipping source source_transfer statement_descriptor statement_descriptor_suffix \
             transfer_data transfer_group",
        );
        self.store.put(Kind::Charge, charge.clone());
        charge
    }
}

fn outcome(decline: Option<Decline>) -> Value {
    let outcome = match decline {
        None => json!({
            "network_status": "approved_by_network",
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        }),
        Some(decline) => json!({
            "network_decline_code": "51",
            "network_status": "declined_by_network",
            "reason": decline.code(),
            "risk_level": "normal",
            "seller_message": "The bank returned a decline code.",
            "type": "issuer_declined",
        }),
    };
    with_nulls(
        outcome,
        "advice_code network_advice_code network_decline_code network_status reason \
         seller_message",
    )
}

fn card(method: &Value) -> Value {
    let shown = json!({
        "brand": method["card"]["brand"],
        "checks": method["card"]["checks"],
        "country": method["card"]["country"],
        "exp_month": method["card"]["exp_month"],
        "exp_year": method["card"]["exp_year"],
        "fingerprint": method["card"]["fingerprint"],
        "funding": method["card"]["funding"],
        "last4": method["card"]["last4"],
        "network": "visa",
        "regulated_status": "unregulated",
    });
    with_nulls(
        shown,
        "amount_authorized authorization_code installments mandate network_transaction_id \
         three_d_secure wallet",
    )
}
