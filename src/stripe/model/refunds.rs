//! Refunds: giving money back.

use serde_json::{Value, json};

use super::Model;
use super::fault::Fault;
use super::list;
use super::route::{Answer, Call, Route};
use super::shape::{int, text, with_nulls};
use super::store::Kind;

pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/refunds",
        "payment_intent charge amount=i metadata{} \
         reason=duplicate|fraudulent|requested_by_customer",
        create,
    ),
    Route::get(
        "/v1/refunds",
        "payment_intent charge created(gt=i gte=i lt=i lte=i) limit=i starting_after ending_before",
        |model, call| {
            list::answer(model, call, Kind::Refund, "/v1/refunds", |refund| {
                ["payment_intent", "charge"].into_iter().all(|name| {
                    call.params
                        .text(name)
                        .is_none_or(|value| refund[name] == value)
                })
            })
        },
    ),
    Route::get("/v1/refunds/*", "", |model, call| {
        model.named(Kind::Refund, call)
    }),
];

fn create(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let mut charge = charge_of(model, call)?;
    let left = int(&charge["amount"]) - int(&charge["amount_refunded"]);
    let amount = params.int("amount").unwrap_or(left);
    if left == 0 {
        return Err(Fault::invalid(
            "",
            format!("Charge {} has already been refunded.", text(&charge["id"])),
        )
        .code("charge_already_refunded"));
    }
    if charge["disputed"] == true {
        return Err(Fault::invalid(
            "",
            format!(
                "Charge {} has been charged back; it cannot be refunded.",
                text(&charge["id"])
            ),
        )
        .code("charge_disputed"));
    }
    if amount < 1 {
        return Err(
            Fault::invalid("amount", "This value must be greater than or equal to 1.")
                .code("parameter_invalid_integer"),
        );
    }
    if amount > left {
        return Err(Fault::invalid(
            "amount",
            format!(
                "Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            ),
        ));
    }
    let refund = json!({
        "id": model.store.new_id(Kind::Refund.prefix()),
        "object": "refund",
        "amount": amount,
        "balance_transaction": model.store.new_id("txn"),
        "charge": charge["id"],
        "created": model.now,
        "currency": charge["currency"],
        "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        "metadata": params.merge_metadata(&json!({})),
        "payment_intent": charge["payment_intent"],
        "reason": params.text_or_null("reason"),
        "status": "succeeded",
    });
    let refund = with_nulls(
        refund,
        "receipt_number source_transfer_reversal transfer_reversal",
    );
    charge["amount_refunded"] = (int(&charge["amount_refunded"]) + amount).into();
    charge["refunded"] = (amount == left).into();
    let before = model.object(Kind::Charge, text(&charge["id"]));
    model.store.put(Kind::Charge, charge.clone());
    let refund = model.made(Kind::Refund, refund, "refund.created");
    model.tell_change("charge.refunded", &before, &charge);
    Ok(refund)
}

/// Returns the paid charge that a call names, itself or by its intent.
fn charge_of(model: &Model, call: &Call) -> Result<Value, Fault> {
    let id = match (
        call.params.text("charge"),
        call.params.text("payment_intent"),
    ) {
        (Some(charge), _) => charge.to_owned(),
        (None, Some(intent)) => {
            let intent = model.need(Kind::PaymentIntent, intent, "payment_intent")?;
            if intent["status"] != "succeeded" {
                return Err(Fault::invalid(
                    "payment_intent",
                    "This PaymentIntent does not have a successful charge to refund.",
                ));
            }
            text(&intent["latest_charge"]).to_owned()
        }
        (None, None) => {
            return Err(Fault::missing_parameter("payment_intent"));
        }
    };
    let charge = model.need(Kind::Charge, &id, "charge")?;
    if charge["paid"] != true {
        return Err(Fault::invalid("charge", "This charge was not paid."));
    }
    Ok(charge)
}
