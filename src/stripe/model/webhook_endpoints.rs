//! Webhook endpoints: where events are to be sent. Sending is not the model's work.

use serde_json::{Value, json};

use super::Model;
use super::fault::Fault;
use super::list;
use super::route::{Answer, Call, Route};
use super::shape::with_nulls;
use super::store::Kind;

pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/webhook_endpoints",
        "url! enabled_events![] api_version description metadata{} connect=b",
        create,
    ),
    Route::get(
        "/v1/webhook_endpoints",
        "limit=i starting_after ending_before",
        |model, call| {
            list::answer(
                model,
                call,
                Kind::WebhookEndpoint,
                "/v1/webhook_endpoints",
                |_| true,
            )
        },
    ),
    Route::get("/v1/webhook_endpoints/*", "", |model, call| {
        model.named(Kind::WebhookEndpoint, call)
    }),
    Route::post(
        "/v1/webhook_endpoints/*",
        "url enabled_events[] description metadata{} disabled=b",
        update,
    ),
    Route::delete("/v1/webhook_endpoints/*", "", |model, call| {
        model.find(Kind::WebhookEndpoint, call.id())?;
        model.store.remove(Kind::WebhookEndpoint, call.id());
        Ok(json!({"id": call.id(), "object": "webhook_endpoint", "deleted": true}))
    }),
];

/// The secret is in this answer and in none after it.
fn create(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let url = params.text("url").unwrap_or_default();
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(
            Fault::invalid("url", "Invalid URL: an explicit scheme must be provided.")
                .code("url_invalid"),
        );
    }
    let id = model.store.new_id(Kind::WebhookEndpoint.prefix());
    let endpoint = json!({
        "id": id,
        "object": "webhook_endpoint",
        "api_version": params.text_or_null("api_version"),
        "created": model.now,
        "description": params.text_or_null("description"),
        "enabled_events": params.texts("enabled_events"),
        "livemode": false,
        "metadata": params.merge_metadata(&json!({})),
        "status": "enabled",
        "url": url,
    });
    let endpoint = with_nulls(endpoint, "application");
    model.store.put(Kind::WebhookEndpoint, endpoint.clone());
    let mut shown = endpoint;
    shown["secret"] = format!("whsec_{}", id.trim_start_matches("we_")).into();
    Ok(shown)
}

fn update(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let mut endpoint = model.find(Kind::WebhookEndpoint, call.id())?;
    if let Some(url) = params.text("url") {
        endpoint["url"] = url.into();
    }
    if params.has("enabled_events") {
        endpoint["enabled_events"] = params.texts("enabled_events").into();
    }
    if params.has("description") {
        endpoint["description"] = params.text_or_null("description");
    }
    if params.has("metadata") {
        endpoint["metadata"] = params.merge_metadata(&endpoint["metadata"]);
    }
    if let Some(disabled) = params.flag("disabled") {
        let status: Value = if disabled { "disabled" } else { "enabled" }.into();
        endpoint["status"] = status;
    }
    model.store.put(Kind::WebhookEndpoint, endpoint.clone());
    Ok(endpoint)
}
