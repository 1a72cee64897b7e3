//! The customer portal: configurations, and sessions of customers.

use serde_json::{Value, json};

use super::Model;
use super::fault::Fault;
use super::form::Params;
use super::list;
use super::route::{Answer, Call, Route};
use super::shape::with_nulls;
use super::store::Kind;

/// What both creating and changing a configuration take; `features` must be there only at creation.
macro_rules! configuration {
    ($features:literal) => {
        concat!(
            $features,
            "(customer_update(enabled=b allowed_updates[]) invoice_history(enabled!=b) \
             payment_method_update(enabled!=b payment_method_configuration) \
             subscription_cancel(enabled=b mode=at_period_end|immediately \
              proration_behavior=always_invoice|create_prorations|none \
              cancellation_reason(enabled!=b options[])) \
             subscription_update(enabled=b default_allowed_updates[] \
              proration_behavior=always_invoice|create_prorations|none \
              billing_cycle_anchor=now|unchanged trial_update_behavior=continue_trial|end_trial \
              products[](product! prices![] adjustable_quantity(enabled!=b minimum=i maximum=i)) \
              schedule_at_period_end(conditions[](type!=decreasing_item_amount|shortening_interval)))) \
             business_profile(headline privacy_policy_url terms_of_service_url) \
             default_return_url metadata{} name login_page(enabled!=b) active=b"
        )
    };
}

pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/billing_portal/configurations",
        configuration!("features!"),
        |model, call| Ok(create(model, call)),
    ),
    Route::get(
        "/v1/billing_portal/configurations",
        "active=b is_default=b limit=i starting_after ending_before",
        |model, call| {
            let url = "/v1/billing_portal/configurations";
            list::answer(
                model,
                call,
                Kind::PortalConfiguration,
                url,
                |configuration| {
                    ["active", "is_default"].into_iter().all(|name| {
                        call.params
                            .flag(name)
                            .is_none_or(|value| configuration[name] == value)
                    })
                },
            )
        },
    ),
    Route::get("/v1/billing_portal/configurations/*", "", |model, call| {
        model.named(Kind::PortalConfiguration, call)
    }),
    Route::post(
        "/v1/billing_portal/configurations/*",
        configuration!("features"),
        update,
    ),
    Route::post(
        "/v1/billing_portal/sessions",
        "customer! configuration return_url locale on_behalf_of flow_data(type!=payment_method_update|subscription_cancel|subscription_update|subscription_update_confirm \
         after_completion(type!=hosted_confirmation|portal_homepage|redirect redirect(return_url!) \
          hosted_confirmation(custom_message)) \
         subscription_cancel(subscription!) subscription_update(subscription!) \
         subscription_update_confirm(subscription! items![](id! price quantity=i) \
          discounts[](coupon promotion_code)))",
        open,
    ),
];

fn create(model: &mut Model, call: &Call) -> Value {
    let configuration = json!({
        "id": model.store.new_id(Kind::PortalConfiguration.prefix()),
        "object": "billing_portal.configuration",
        "active": true,
        "business_profile": with_nulls(
            json!({}),
            "headline privacy_policy_url terms_of_service_url",
        ),
        "created": model.now,
        "features": {
            "customer_update": {"allowed_updates": [], "enabled": false},
            "invoice_history": {"enabled": false},
            "payment_method_update": {"enabled": false, "payment_method_configuration": null},
            "subscription_cancel": {
                "cancellation_reason": {
                    "enabled": false,
                    "options": [
                        "too_expensive", "missing_features", "switched_service", "unused", "other",
                    ],
                },
                "enabled": false,
                "mode": "at_period_end",
                "proration_behavior": "none",
            },
            "subscription_update": {
                "billing_cycle_anchor": null,
                "default_allowed_updates": [],
                "enabled": false,
                "products": [],
                "proration_behavior": "none",
                "schedule_at_period_end": {"conditions": []},
                "trial_update_behavior": "end_trial",
            },
        },
        "is_default": false,
        "livemode": false,
        "login_page": {"enabled": false, "url": null},
        "metadata": {},
        "updated": model.now,
    });
    let mut configuration = with_nulls(configuration, "application default_return_url name");
    configure(&mut configuration, &call.params);
    let event = "billing_portal.configuration.created";
    model.made(Kind::PortalConfiguration, configuration, event)
}

fn update(model: &mut Model, call: &Call) -> Answer {
    let mut configuration = model.find(Kind::PortalConfiguration, call.id())?;
    configure(&mut configuration, &call.params);
    configuration["updated"] = model.now.into();
    let event = "billing_portal.configuration.updated";
    Ok(model.changed(Kind::PortalConfiguration, configuration, event))
}

fn configure(configuration: &mut Value, params: &Params) {
    for part in ["features", "business_profile", "login_page"] {
        if let Some(given) = params.part(part) {
            overlay(&mut configuration[part], &given.0);
        }
    }
    for key in ["default_return_url", "name"] {
        if params.has(key) {
            configuration[key] = params.text_or_null(key);
        }
    }
    if let Some(active) = params.flag("active") {
        configuration["active"] = active.into();
    }
    if params.has("metadata") {
        configuration["metadata"] = params.merge_metadata(&configuration["metadata"]);
    }
    if configuration["login_page"]["enabled"] == true {
        configuration["login_page"]["url"] = "https://billing.stripe.com/p/login/test".into();
    }
}

/// Lays what a call gives over what is there: yes and no become what they mean, an empty text empties.
fn overlay(there: &mut Value, given: &Value) {
    match given {
        Value::Object(map) => {
            for (key, value) in map {
                overlay(&mut there[key.as_str()], value);
            }
        }
        Value::String(text) => {
            *there = match text.as_str() {
                "true" => true.into(),
                "false" => false.into(),
                "" if there.is_array() => json!([]),
                "" => Value::Null,
                text => text.into(),
            };
        }
        _ => *there = given.clone(),
    }
}

fn open(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let customer = params.text("customer").unwrap_or_default();
    model.need(Kind::Customer, customer, "customer")?;
    let configuration = match params.text("configuration") {
        Some(id) => model.need(Kind::PortalConfiguration, id, "configuration")?,
        None => model
            .store
            .all(Kind::PortalConfiguration)
            .find(|one| one["is_default"] == true)
            .cloned()
            .ok_or_else(|| {
                Fault::invalid(
                    "configuration",
                    "No configuration provided and your test mode default configuration has not \
                     been created.",
                )
            })?,
    };
    let id = model.store.new_id(Kind::PortalSession.prefix());
    let return_url = params
        .text("return_url")
        .map_or_else(|| configuration["default_return_url"].clone(), Into::into);
    let session = json!({
        "id": id,
        "object": "billing_portal.session",
        "configuration": configuration["id"],
        "created": model.now,
        "customer": customer,
        "flow": params.part("flow_data").map_or(Value::Null, |part| flow(&part)),
        "livemode": false,
        "locale": params.text_or_null("locale"),
        "return_url": return_url,
        "url": format!("https://billing.stripe.com/p/session/test_{id}"),
    });
    let session = with_nulls(session, "customer_account on_behalf_of");
    model.store.put(Kind::PortalSession, session.clone());
    Ok(session)
}

fn flow(given: &Params) -> Value {
    let after = given
        .part("after_completion")
        .map_or_else(|| json!({"type": "portal_homepage"}), |part| part.0);
    let mut flow = given.0.clone();
    flow["after_completion"] = with_nulls(after, "hosted_confirmation redirect");
    with_nulls(
        flow,
        "subscription_cancel subscription_update subscription_update_confirm",
    )
}
