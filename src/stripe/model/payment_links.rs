//! Payment links: a page that many can pay at.

use serde_json::{Value, json};

use super::Model;
use super::fault::Fault;
use super::form::Params;
use super::list;
use super::render::page;
use super::route::{Answer, Call, Route};
use super::shape::{elements, text, with_nulls};
use super::store::Kind;

pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/payment_links",
        "line_items![](price quantity=i adjustable_quantity(enabled!=b minimum=i maximum=i) \
         price_data(currency! product product_data(name! description metadata{}) unit_amount=i \
          unit_amount_decimal recurring(interval!=day|week|month|year interval_count=i))) \
         metadata{} active=b allow_promotion_codes=b currency inactive_message \
         customer_creation=always|if_required submit_type=auto|book|donate|pay|subscribe \
         after_completion(type!=hosted_confirmation|redirect redirect(url!) \
          hosted_confirmation(custom_message)) \
         payment_intent_data(metadata{} description setup_future_usage=off_session|on_session) \
         subscription_data(metadata{} trial_period_days=i description) \
         restrictions(completed_sessions!(limit!=i))",
        create,
    ),
    Route::get(
        "/v1/payment_links",
        "active=b limit=i starting_after ending_before",
        |model, call| {
            let active = call.params.flag("active");
            list::answer(
                model,
                call,
                Kind::PaymentLink,
                "/v1/payment_links",
                |link| active.is_none_or(|active| link["active"] == active),
            )
        },
    ),
    Route::get("/v1/payment_links/*", "", |model, call| {
        model.named(Kind::PaymentLink, call)
    }),
    Route::post(
        "/v1/payment_links/*",
        "active=b metadata{} inactive_message",
        update,
    ),
];

fn create(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let (mut given, session) = tried(model, params)?;
    if let Some(map) = given.as_object_mut() {
        for key in [
            "active",
            "after_completion",
            "inactive_message",
            "restrictions",
            "expand",
        ] {
            map.remove(key);
        }
    }
    let id = model.store.new_id(Kind::PaymentLink.prefix());
    let url = format!("/v1/payment_links/{id}/line_items");
    let link = json!({
        "id": id,
        "object": "payment_link",
        "active": params.flag("active").unwrap_or(true),
        "after_completion": after_completion(params),
        "allow_promotion_codes": params.flag("allow_promotion_codes").unwrap_or(false),
        "automatic_tax": {"enabled": false, "liability": null},
        "billing_address_collection": "auto",
        "currency": session["currency"],
        "custom_fields": [],
        "custom_text": with_nulls(
            json!({}),
            "after_submit shipping_address submit terms_of_service_acceptance",
        ),
        "customer_creation": params.text("customer_creation").unwrap_or("if_required"),
        "inactive_message": params.text_or_null("inactive_message"),
        "line_items": page(session["line_items"]["data"].clone(), false, &url),
        "livemode": false,
        "metadata": params.merge_metadata(&json!({})),
        "payment_method_collection": "always",
        "phone_number_collection": {"enabled": false},
        "shipping_options": [],
        "submit_type": params.text("submit_type").unwrap_or("auto"),
        "tax_id_collection": {"enabled": false, "required": "never"},
        "url": format!("https://buy.stripe.com/test_{id}"),
        "_given": given,
    });
    let link = with_nulls(
        link,
        "application application_fee_amount application_fee_percent consent_collection \
         invoice_creation on_behalf_of payment_intent_data payment_method_types restrictions \
         shipping_address_collection subscription_data transfer_data",
    );
    Ok(model.made(Kind::PaymentLink, link, "payment_link.created"))
}

/// Returns what sessions of a link are made from, and such a session, which was taken back: it checks the items and gives
/// their lines.
fn tried(model: &mut Model, params: &Params) -> Result<(Value, Value), Fault> {
    let mut given = params.0.clone();
    let recurring = params
        .parts("line_items")
        .unwrap_or_default()
        .iter()
        .any(|item| {
            let price = model.object(Kind::Price, item.text("price").unwrap_or_default());
            price["type"] == "recurring"
                || item
                    .part("price_data")
                    .is_some_and(|data| data.has("recurring"))
        });
    given["mode"] = if recurring { "subscription" } else { "payment" }.into();
    let id = model.store.new_id(Kind::PaymentLink.prefix());
    // A session that is taken back checks the items and gives their lines.
    let mark = model.mark();
    let session = model.new_session(&Params(given.clone()), Some(&id));
    model.back_to(mark);
    let session = session?;
    let lines = elements(&session["line_items"]["data"]).to_vec();
    if lines
        .iter()
        .any(|line| model.store.get(Kind::Price, text(&line["price"])).is_none())
    {
        return Err(Fault::invalid(
            "line_items[0][price_data]",
            "A payment link of this model needs prices that exist.",
        ));
    }
    Ok((given, session))
}

fn after_completion(params: &Params) -> Value {
    let part = params.part("after_completion");
    let redirect = part.as_ref().and_then(|part| part.part("redirect"));
    match redirect {
        Some(redirect) => json!({"redirect": {"url": redirect.0["url"]}, "type": "redirect"}),
        None => json!({
            "hosted_confirmation": {"custom_message": null},
            "type": "hosted_confirmation",
        }),
    }
}

fn update(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let mut link = model.find(Kind::PaymentLink, call.id())?;
    if let Some(active) = params.flag("active") {
        link["active"] = active.into();
    }
    if params.has("inactive_message") {
        link["inactive_message"] = params.text_or_null("inactive_message");
    }
    if params.has("metadata") {
        link["metadata"] = params.merge_metadata(&link["metadata"]);
    }
    Ok(model.changed(Kind::PaymentLink, link, "payment_link.updated"))
}
