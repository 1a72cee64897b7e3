//! Checkout sessions: the page where a customer pays.

use serde_json::{Value, json};

use super::Model;
use super::agenda::Due;
use super::catalog::amounts;
use super::fault::Fault;
use super::form::Params;
use super::list;
use super::render::page;
use super::route::{Answer, Call, Route};
use super::shape::{elements, int, text, with_nulls};
use super::store::Kind;

/// How long a session stays open unless the call says otherwise.
const OPEN_SECONDS: i64 = 24 * 3_600;

const CREATE: &str = "mode!=subscription|payment|setup line_items[](price quantity=i \
     price_data(currency! product product_data(name! description metadata{}) unit_amount=i \
      unit_amount_decimal recurring(interval!=day|week|month|year interval_count=i)) \
     adjustable_quantity(enabled!=b minimum=i maximum=i)) \
    customer customer_email client_reference_id success_url cancel_url return_url metadata{} \
    subscription_data(trial_period_days=i trial_end=i metadata{} description \
     billing_cycle_anchor=i proration_behavior=create_prorations|none \
     billing_mode(type!=classic|flexible flexible(proration_discounts=included|itemized)) \
     trial_settings(end_behavior(missing_payment_method=cancel|create_invoice|pause))) \
    payment_intent_data(metadata{} description setup_future_usage=off_session|on_session \
     receipt_email) \
    discounts[](coupon promotion_code) allow_promotion_codes=b expires_at=i \
    payment_method_types[] payment_method_collection=always|if_required \
    ui_mode=hosted|embedded|custom locale customer_creation=always|if_required \
    customer_update(address=auto|never name=auto|never shipping=auto|never) \
    automatic_tax(enabled!=b) billing_address_collection=auto|required \
    tax_id_collection(enabled!=b) invoice_creation(enabled!=b) submit_type=auto|book|donate|pay";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/checkout/sessions", CREATE, |model, call| {
        model.new_session(&call.params, None)
    }),
    Route::get(
        "/v1/checkout/sessions",
        "customer subscription payment_intent payment_link status=open|complete|expired \
         created(gt=i gte=i lt=i lte=i) limit=i starting_after ending_before",
        |model, call| {
            let names = [
                "customer",
                "subscription",
                "payment_intent",
                "payment_link",
                "status",
            ];
            list::answer(
                model,
                call,
                Kind::Session,
                "/v1/checkout/sessions",
                |session| {
                    names.into_iter().all(|name| {
                        call.params
                            .text(name)
                            .is_none_or(|value| session[name] == value)
                    })
                },
            )
        },
    ),
    Route::get("/v1/checkout/sessions/*", "", |model, call| {
        model.named(Kind::Session, call)
    }),
    Route::get(
        "/v1/checkout/sessions/*/line_items",
        "limit=i starting_after ending_before",
        |model, call| {
            let session = model.find(Kind::Session, call.id())?;
            let url = format!("/v1/checkout/sessions/{}/line_items", call.id());
            list::pages(
                elements(&session["line_items"]["data"]).to_vec(),
                &call.params,
                &url,
            )
        },
    ),
    Route::post("/v1/checkout/sessions/*/expire", "", expire),
];

fn expire(model: &mut Model, call: &Call) -> Answer {
    let session = model.find(Kind::Session, call.id())?;
    if session["status"] != "open" {
        return Err(Fault::invalid(
            "",
            format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This one is {}.",
                text(&session["status"])
            ),
        ));
    }
    model.end_session(call.id());
    Ok(model.object(Kind::Session, call.id()))
}

impl Model {
    /// A session's time may be over.
    pub(super) fn session_expires(&mut self, id: &str) {
        let session = self.object(Kind::Session, id);
        if session["status"] == "open" && int(&session["expires_at"]) <= self.now {
            self.end_session(id);
        }
    }

    /// Ends an open session without payment.
    pub(super) fn end_session(&mut self, id: &str) {
        let mut session = self.object(Kind::Session, id);
        session["status"] = "expired".into();
        session["url"] = Value::Null;
        self.store.put(Kind::Session, session.clone());
        self.tell("checkout.session.expired", &session);
    }

    /// Makes a session, of a payment link if one is named.
    pub(super) fn new_session(&mut self, params: &Params, link: Option<&str>) -> Answer {
        check(self, params, link)?;
        let id = self.store.new_id(Kind::Session.prefix());
        let mode = params.text("mode").unwrap_or_default();
        let hosted = params.text("ui_mode").unwrap_or("hosted") == "hosted";
        let items = self.session_lines(params, mode)?;
        let (subtotal, discount) = self.session_sums(params, &items)?;
        let expires = params.int("expires_at").unwrap_or(self.now + OPEN_SECONDS);
        let url = format!("/v1/checkout/sessions/{id}/line_items");
        let session = json!({
            "id": id,
            "object": "checkout.session",
            "adaptive_pricing": {"enabled": false},
            "allow_promotion_codes": params.flag("allow_promotion_codes"),
            "amount_subtotal": subtotal,
            "amount_total": subtotal - discount,
            "automatic_tax": {"enabled": false, "liability": null, "provider": null, "status": null},
            "cancel_url": params.text_or_null("cancel_url"),
            "client_reference_id": params.text_or_null("client_reference_id"),
            "client_secret": (!hosted).then(|| format!("{id}_secret_test")),
            "collected_information": {
                "business_name": null, "individual_name": null, "shipping_details": null,
            },
            "created": self.now,
            "currency": items.first().map_or_else(|| "usd".into(), |item| item["currency"].clone()),
            "custom_fields": [],
            "custom_text": with_nulls(
                json!({}),
                "after_submit shipping_address submit terms_of_service_acceptance",
            ),
            "customer": params.text_or_null("customer"),
            "customer_creation": match (mode, params.text("customer")) {
                ("payment", None) => params.text("customer_creation").unwrap_or("if_required").into(),
                ("subscription", None) => "always".into(),
                _ => Value::Null,
            },
            "customer_email": params.text_or_null("customer_email"),
            "discounts": shown_discounts(params),
            "expires_at": expires,
            "line_items": page(items, false, &url),
            "livemode": false,
            "metadata": params.merge_metadata(&json!({})),
            "mode": mode,
            "payment_link": link,
            "payment_method_collection": params.text("payment_method_collection").unwrap_or("always"),
            "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
            "payment_method_types": ["card"],
            "payment_status": "unpaid",
            "phone_number_collection": {"enabled": false},
            "shipping_options": [],
            "status": "open",
            "success_url": params.text_or_null("success_url"),
            "total_details": {"amount_discount": discount, "amount_shipping": 0, "amount_tax": 0},
            "ui_mode": params.text("ui_mode").unwrap_or("hosted"),
            "url": hosted.then(|| format!("https://checkout.stripe.com/c/pay/{id}")),
            "_given": params.0,
        });
        let session = with_nulls(
            session,
            "after_expiration billing_address_collection consent consent_collection \
             currency_conversion customer_account customer_details invoice invoice_creation \
             locale origin_context payment_intent payment_method_configuration_details \
             permissions recovered_from saved_payment_method_options setup_intent \
             shipping_address_collection shipping_cost submit_type subscription wallet_options",
        );
        self.store.put(Kind::Session, session.clone());
        self.note(expires, Due::SessionExpires(id));
        Ok(session)
    }

    fn session_lines(&mut self, params: &Params, mode: &str) -> Result<Vec<Value>, Fault> {
        let mut items = Vec::new();
        for (index, given) in params
            .parts("line_items")
            .unwrap_or_default()
            .iter()
            .enumerate()
        {
            let path = format!("line_items[{index}]");
            let name = format!("{path}[price]");
            let price = match (given.text("price"), given.part("price_data")) {
                (Some(price), _) => self.need(Kind::Price, price, &name)?,
                (None, Some(data)) => self.new_price(&data)?,
                (None, None) => return Err(Fault::missing_parameter(&name)),
            };
            if price["active"] != true {
                return Err(Fault::invalid(&name, "The price specified is inactive."));
            }
            if price["type"] == "recurring" && mode != "subscription" {
                return Err(Fault::invalid(
                    &name,
                    "You must provide a one-time price in `payment` mode: this one is recurring.",
                ));
            }
            let metered = price["recurring"]["usage_type"] == "metered";
            let quantity = match (metered, given.int("quantity")) {
                (true, None) => 0,
                (true, Some(_)) => {
                    return Err(Fault::invalid(
                        &format!("{path}[quantity]"),
                        "Quantity should not be specified where usage_type is `metered`.",
                    ));
                }
                (false, Some(quantity)) => quantity,
                (false, None) => {
                    return Err(Fault::missing_parameter(&format!("{path}[quantity]")));
                }
            };
            let amount = amounts::total(&price, quantity);
            let product = self.object(Kind::Product, text(&price["product"]));
            items.push(json!({
                "id": self.store.new_id("li"),
                "object": "item",
                "adjustable_quantity": null,
                "amount_discount": 0,
                "amount_subtotal": amount,
                "amount_tax": 0,
                "amount_total": amount,
                "currency": price["currency"],
                "description": product["name"],
                "metadata": {},
                "price": price["id"],
                "quantity": if metered { Value::Null } else { quantity.into() },
                "_product": price["product"],
            }));
        }
        Ok(items)
    }

    /// Returns what is to be paid now before discounts, and what these take: nothing in a trial.
    fn session_sums(&mut self, params: &Params, items: &[Value]) -> Result<(i64, i64), Fault> {
        let trial = params
            .part("subscription_data")
            .is_some_and(|data| data.has("trial_period_days") || data.has("trial_end"));
        let discount = self.session_discount(params, items)?;
        if trial {
            return Ok((0, 0));
        }
        let subtotal = items.iter().map(|item| int(&item["amount_subtotal"])).sum();
        Ok((subtotal, discount))
    }

    fn session_discount(&mut self, params: &Params, items: &[Value]) -> Result<i64, Fault> {
        let Some(given) = params.parts("discounts").filter(|given| !given.is_empty()) else {
            return Ok(0);
        };
        let lines: Vec<(i64, String)> = items
            .iter()
            .map(|item| {
                (
                    int(&item["amount_subtotal"]),
                    text(&item["_product"]).to_owned(),
                )
            })
            .collect();
        let mark = self.mark();
        let ids = self.discounts(&given, "checkout_session", "", &Value::Null);
        let sums = ids.map(|ids| {
            ids.iter()
                .map(|id| self.discount_amounts(text(id), &lines).iter().sum::<i64>())
                .sum()
        });
        self.back_to(mark);
        sums
    }
}

fn shown_discounts(params: &Params) -> Value {
    params.parts("discounts").map_or(Value::Null, |given| {
        given
            .into_iter()
            .map(|part| with_nulls(part.0, "coupon promotion_code"))
            .collect()
    })
}

fn check(model: &Model, params: &Params, link: Option<&str>) -> Result<(), Fault> {
    let hosted = params.text("ui_mode").unwrap_or("hosted") == "hosted";
    if hosted && link.is_none() && !params.has("success_url") {
        return Err(Fault::missing_parameter("success_url"));
    }
    if params.text("mode") != Some("setup")
        && params
            .parts("line_items")
            .is_none_or(|items| items.is_empty())
    {
        return Err(Fault::missing_parameter("line_items"));
    }
    if params.has("subscription_data") && params.text("mode") != Some("subscription") {
        return Err(Fault::invalid(
            "subscription_data",
            "You can not pass `subscription_data` in this mode.",
        ));
    }
    if let Some(customer) = params.text("customer") {
        model.need(Kind::Customer, customer, "customer")?;
        if params.has("customer_email") {
            return Err(Fault::invalid(
                "customer_email",
                "You may only specify one of these parameters: customer, customer_email.",
            ));
        }
    }
    if let Some(at) = params.int("expires_at")
        && !(model.now + 1_800..=model.now + OPEN_SECONDS).contains(&at)
    {
        return Err(Fault::invalid(
            "expires_at",
            "The `expires_at` timestamp must be from 30 minutes to 24 hours from now.",
        ));
    }
    Ok(())
}
