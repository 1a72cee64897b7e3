//! Schedules: the phases that a subscription goes through.

mod phases;

use serde_json::{Value, json};

use super::Model;
use super::fault::Fault;
use super::list;
use super::route::{Answer, Call, Route};
use super::shape::{elements, text, with_nulls};
use super::store::Kind;

const UPDATE: &str = "phases[](items![](price! quantity=i metadata{} discounts[](coupon discount)) \
     start_date end_date=i duration(interval!=day|week|month|year interval_count=i) \
     discounts[](coupon discount promotion_code) metadata{} description default_payment_method \
     proration_behavior=create_prorations|always_invoice|none \
     billing_cycle_anchor=automatic|phase_start collection_method=charge_automatically|send_invoice \
     trial_end=i) \
    end_behavior=release|cancel metadata{} \
    proration_behavior=create_prorations|always_invoice|none";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/subscription_schedules", "from_subscription!", create),
    Route::get(
        "/v1/subscription_schedules",
        "customer created(gt=i gte=i lt=i lte=i) limit=i starting_after ending_before",
        |model, call| {
            let customer = call.params.text("customer");
            list::answer(
                model,
                call,
                Kind::Schedule,
                "/v1/subscription_schedules",
                |schedule| customer.is_none_or(|customer| schedule["customer"] == customer),
            )
        },
    ),
    Route::get("/v1/subscription_schedules/*", "", |model, call| {
        model.named(Kind::Schedule, call)
    }),
    Route::post("/v1/subscription_schedules/*", UPDATE, phases::update),
    Route::post(
        "/v1/subscription_schedules/*/release",
        "preserve_cancel_date=b",
        |model, call| {
            running(model, call.id())?;
            model.schedule_ends(call.id(), "released");
            Ok(model.object(Kind::Schedule, call.id()))
        },
    ),
    Route::post(
        "/v1/subscription_schedules/*/cancel",
        "invoice_now=b prorate=b",
        cancel,
    ),
];

/// Returns a schedule that has not ended.
fn running(model: &Model, id: &str) -> Result<Value, Fault> {
    let schedule = model.find(Kind::Schedule, id)?;
    match text(&schedule["status"]) {
        "active" | "not_started" => Ok(schedule),
        status => Err(Fault::invalid(
            "",
            format!("You cannot change a subscription schedule that is {status}."),
        )),
    }
}

fn create(model: &mut Model, call: &Call) -> Answer {
    let from = call.params.text("from_subscription").unwrap_or_default();
    let mut subscription = model.need(Kind::Subscription, from, "from_subscription")?;
    if !subscription["ended_at"].is_null() {
        return Err(Fault::invalid(
            "from_subscription",
            "A subscription that has ended cannot have a schedule.",
        ));
    }
    if !subscription["schedule"].is_null() {
        return Err(Fault::invalid(
            "from_subscription",
            "This subscription already has a schedule attached.",
        ));
    }
    let id = model.store.new_id(Kind::Schedule.prefix());
    let phase = phases::of_subscription(&subscription);
    let settings = json!({
        "automatic_tax": {"disabled_reason": null, "enabled": false, "liability": null},
        "billing_cycle_anchor": "automatic",
        "collection_method": subscription["collection_method"],
        "default_payment_method": subscription["default_payment_method"],
        "invoice_settings": {
            "account_tax_ids": null,
            "days_until_due": null,
            "issuer": {"type": "self"},
        },
    });
    let schedule = json!({
        "id": id,
        "object": "subscription_schedule",
        "billing_mode": subscription["billing_mode"],
        "created": model.now,
        "current_phase": {"end_date": phase["end_date"], "start_date": phase["start_date"]},
        "customer": subscription["customer"],
        "default_settings": with_nulls(
            settings,
            "application_fee_percent billing_thresholds description on_behalf_of transfer_data",
        ),
        "end_behavior": "release",
        "livemode": false,
        "metadata": {},
        "phases": [phase],
        "status": "active",
        "subscription": from,
    });
    let schedule = with_nulls(
        schedule,
        "application canceled_at completed_at customer_account released_at \
         released_subscription test_clock",
    );
    subscription["schedule"] = id.as_str().into();
    let schedule = model.made(Kind::Schedule, schedule, "subscription_schedule.created");
    model.changed(
        Kind::Subscription,
        subscription,
        "customer.subscription.updated",
    );
    model.plan_phase(&id);
    Ok(schedule)
}

fn cancel(model: &mut Model, call: &Call) -> Answer {
    let schedule = running(model, call.id())?;
    let subscription = text(&schedule["subscription"]).to_owned();
    let params = &call.params;
    model.cancel_now(
        &subscription,
        params.flag("invoice_now").unwrap_or(true),
        params.flag("prorate").unwrap_or(true),
    );
    Ok(model.object(Kind::Schedule, call.id()))
}

impl Model {
    /// Ends a schedule: `released`, `completed` or `canceled`. The subscription goes on without it, or has ended.
    pub(super) fn schedule_ends(&mut self, id: &str, how: &str) {
        let mut schedule = self.object(Kind::Schedule, id);
        if schedule["status"] != "active" {
            return;
        }
        let subscription = text(&schedule["subscription"]).to_owned();
        schedule["status"] = how.into();
        schedule["current_phase"] = Value::Null;
        schedule[format!("{how}_at").as_str()] = self.now.into();
        if how == "released" {
            schedule["released_subscription"] = subscription.as_str().into();
            schedule["subscription"] = Value::Null;
        }
        self.store.put(Kind::Schedule, schedule.clone());
        self.tell(&format!("subscription_schedule.{how}"), &schedule);
        let mut subscription = self.object(Kind::Subscription, &subscription);
        if subscription["schedule"] == id {
            subscription["schedule"] = Value::Null;
            self.changed(
                Kind::Subscription,
                subscription,
                "customer.subscription.updated",
            );
        }
    }

    /// Returns the phase of a schedule that a time falls in.
    fn phase_at(schedule: &Value, at: i64) -> Option<Value> {
        elements(&schedule["phases"])
            .iter()
            .find(|phase| {
                phase["start_date"]
                    .as_i64()
                    .is_some_and(|start| start <= at)
                    && phase["end_date"].as_i64().is_some_and(|end| at < end)
            })
            .cloned()
    }
}
