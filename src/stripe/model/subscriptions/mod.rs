//! Subscriptions: what a customer pays for again and again.

mod calendar;
mod create;
mod item;
mod lifecycle;
mod pending;
mod phase;
mod proration;
mod renewal;
mod update;

use serde_json::Value;

use super::Model;
use super::fault::Fault;
use super::list;
use super::route::{Answer, Call, Route};
use super::shape::{elements, text};
use super::store::Kind;
pub(super) use calendar::step;

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/subscriptions", create::PARAMS, |model, call| {
        let id = model.create_subscription(&call.params)?;
        Ok(model.object(Kind::Subscription, &id))
    }),
    Route::get(
        "/v1/subscriptions",
        "customer price status=active|past_due|unpaid|canceled|incomplete|incomplete_expired|trialing|paused|all|ended \
         collection_method=charge_automatically|send_invoice created(gt=i gte=i lt=i lte=i) \
         limit=i starting_after ending_before",
        list_subscriptions,
    ),
    Route::get("/v1/subscriptions/*", "", |model, call| {
        model.named(Kind::Subscription, call)
    }),
    Route::post("/v1/subscriptions/*", update::PARAMS, |model, call| {
        model.update_subscription(call.id(), &call.params)?;
        Ok(model.object(Kind::Subscription, call.id()))
    }),
    Route::delete(
        "/v1/subscriptions/*",
        "invoice_now=b prorate=b cancellation_details(comment feedback)",
        cancel,
    ),
    Route::post(
        "/v1/subscriptions/*/resume",
        "billing_cycle_anchor=now|unchanged proration_behavior=create_prorations|always_invoice|none \
         proration_date=i",
        |model, call| {
            model.resume(call.id())?;
            Ok(model.object(Kind::Subscription, call.id()))
        },
    ),
];

fn list_subscriptions(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let status = params.text("status");
    list::answer(
        model,
        call,
        Kind::Subscription,
        "/v1/subscriptions",
        |subscription| {
            let is = text(&subscription["status"]);
            let ended = matches!(is, "canceled" | "incomplete_expired");
            let status = match status {
                None => is != "canceled",
                Some("all") => true,
                Some("ended") => ended,
                Some(status) => is == status,
            };
            let price = params.text("price").is_none_or(|price| {
                elements(&subscription["items"]["data"])
                    .iter()
                    .any(|item| item["price"] == price)
            });
            let same = |name: &str| {
                params
                    .text(name)
                    .is_none_or(|value| subscription[name] == value)
            };
            status && price && same("customer") && same("collection_method")
        },
    )
}

fn cancel(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let mut subscription = model.find(Kind::Subscription, call.id())?;
    if !is_running(&subscription) {
        return Err(Fault::not_found(Kind::Subscription, call.id()));
    }
    if let Some(details) = params.part("cancellation_details") {
        for key in ["comment", "feedback"] {
            subscription["cancellation_details"][key] = details.text_or_null(key);
        }
        model.store.put(Kind::Subscription, subscription);
    }
    model.cancel_now(
        call.id(),
        params.flag("invoice_now") == Some(true),
        params.flag("prorate") == Some(true),
    );
    Ok(model.object(Kind::Subscription, call.id()))
}

/// Whether a subscription has not ended.
fn is_running(subscription: &Value) -> bool {
    !matches!(
        text(&subscription["status"]),
        "canceled" | "incomplete_expired" | ""
    )
}
