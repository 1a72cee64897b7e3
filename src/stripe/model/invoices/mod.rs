//! Invoices: drafts, numbers, payment, and what is put on them.

mod draft;
mod dunning;
mod finalize;
pub(super) mod items;
mod lines;
mod pay;
mod preview;

use serde_json::json;

pub(super) use draft::Draft;
pub(super) use lines::{Line, Source};
pub(super) use pay::Collected;

use super::Model;
use super::agenda::Due;
use super::fault::Fault;
use super::list;
use super::route::{Answer, Call, Route};
use super::shape::text;
use super::store::Kind;

/// How long an invoice that nobody finalizes stays a draft.
pub(super) const DRAFT_SECONDS: i64 = 3_600;

pub(super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/invoices/create_preview",
        preview::PARAMS,
        preview::preview,
    ),
    Route::post(
        "/v1/invoices",
        "customer! subscription auto_advance=b collection_method=charge_automatically|send_invoice \
         currency days_until_due=i default_payment_method description footer metadata{} \
         pending_invoice_items_behavior=exclude|include discounts[](coupon discount promotion_code) \
         automatic_tax(enabled!=b)",
        create,
    ),
    Route::get(
        "/v1/invoices",
        "customer subscription status=draft|open|paid|uncollectible|void \
         collection_method=charge_automatically|send_invoice created(gt=i gte=i lt=i lte=i) \
         limit=i starting_after ending_before",
        list_invoices,
    ),
    Route::get("/v1/invoices/*", "", |model, call| {
        model.named(Kind::Invoice, call)
    }),
    Route::post(
        "/v1/invoices/*",
        "auto_advance=b description metadata{}",
        update,
    ),
    Route::delete("/v1/invoices/*", "", delete),
    Route::post("/v1/invoices/*/finalize", "auto_advance=b", finalize),
    Route::post(
        "/v1/invoices/*/pay",
        "payment_method paid_out_of_band=b off_session=b forgive=b",
        pay::pay,
    ),
    Route::post("/v1/invoices/*/void", "", |model, call| {
        model.close_invoice(call.id(), "void")?;
        Ok(model.object(Kind::Invoice, call.id()))
    }),
    Route::post("/v1/invoices/*/mark_uncollectible", "", |model, call| {
        model.close_invoice(call.id(), "uncollectible")?;
        Ok(model.object(Kind::Invoice, call.id()))
    }),
];

fn create(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let customer = params.text("customer").unwrap_or_default();
    model.need(Kind::Customer, customer, "customer")?;
    let mut draft = Draft::new(customer, "manual", (model.now, model.now));
    if let Some(subscription) = params.text("subscription") {
        model.need(Kind::Subscription, subscription, "subscription")?;
        draft.subscription = Some(subscription.to_owned());
    }
    draft.auto_advance = params.flag("auto_advance").unwrap_or(false);
    draft.pending = params.text("pending_invoice_items_behavior") == Some("include");
    let mut invoice = model.draft(draft);
    for key in ["description", "footer", "default_payment_method"] {
        invoice[key] = params.text_or_null(key);
    }
    if let Some(method) = params.text("collection_method") {
        invoice["collection_method"] = method.into();
    }
    if let Some(days) = params.int("days_until_due") {
        invoice["due_date"] = (model.now + days * 86_400).into();
    }
    invoice["metadata"] = params.merge_metadata(&json!({}));
    let given = params.parts("discounts").unwrap_or_default();
    let id = text(&invoice["id"]).to_owned();
    let discounts = model.discounts(&given, "invoice", &id, &invoice["customer"])?;
    if !discounts.is_empty() {
        invoice["discounts"] = discounts.into();
    }
    model.total(&mut invoice);
    Ok(model.publish_draft(invoice))
}

fn list_invoices(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    list::answer(model, call, Kind::Invoice, "/v1/invoices", |invoice| {
        let same = |name: &str| params.text(name).is_none_or(|value| invoice[name] == value);
        let subscription = &invoice["parent"]["subscription_details"]["subscription"];
        ["customer", "status", "collection_method"]
            .into_iter()
            .all(same)
            && params
                .text("subscription")
                .is_none_or(|value| subscription == value)
    })
}

fn update(model: &mut Model, call: &Call) -> Answer {
    let mut invoice = model.find(Kind::Invoice, call.id())?;
    if let Some(advance) = call.params.flag("auto_advance") {
        invoice["auto_advance"] = advance.into();
        if advance && invoice["status"] == "draft" {
            invoice["automatically_finalizes_at"] = (model.now + DRAFT_SECONDS).into();
            model.note(
                model.now + DRAFT_SECONDS,
                Due::Finalizes(call.id().to_owned()),
            );
        }
    }
    if call.params.has("description") {
        invoice["description"] = call.params.text_or_null("description");
    }
    invoice["metadata"] = call.params.merge_metadata(&invoice["metadata"]);
    Ok(model.changed(Kind::Invoice, invoice, "invoice.updated"))
}

fn delete(model: &mut Model, call: &Call) -> Answer {
    let invoice = model.find(Kind::Invoice, call.id())?;
    if invoice["status"] != "draft" || !invoice["parent"].is_null() {
        return Err(
            Fault::invalid("", "You can only delete draft invoices of no subscription.")
                .code("invoice_not_editable"),
        );
    }
    model.tell("invoice.deleted", &invoice);
    model.store.remove(Kind::Invoice, call.id());
    Ok(json!({"id": call.id(), "object": "invoice", "deleted": true}))
}

fn finalize(model: &mut Model, call: &Call) -> Answer {
    let mut invoice = model.find(Kind::Invoice, call.id())?;
    if invoice["status"] != "draft" {
        return Err(
            Fault::invalid("", "This invoice is already finalized.").code("invoice_not_editable")
        );
    }
    if let Some(advance) = call.params.flag("auto_advance") {
        invoice["auto_advance"] = advance.into();
        model.store.put(Kind::Invoice, invoice);
    }
    model.finalize(call.id());
    let invoice = model.object(Kind::Invoice, call.id());
    if invoice["auto_advance"] == true && invoice["status"] == "open" {
        // The payment is tried an hour after finalization.
        model.note(
            model.now + DRAFT_SECONDS,
            Due::Retries(call.id().to_owned()),
        );
        let mut invoice = invoice;
        invoice["next_payment_attempt"] = (model.now + DRAFT_SECONDS).into();
        model.store.put(Kind::Invoice, invoice);
    }
    Ok(model.object(Kind::Invoice, call.id()))
}
