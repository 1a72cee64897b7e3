//! Meters: what is counted, and how.

use serde_json::json;

use super::super::Model;
use super::super::fault::Fault;
use super::super::list;
use super::super::route::{Answer, Call, Route};
use super::super::store::Kind;

pub(in super::super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/billing/meters",
        "display_name! event_name! default_aggregation!(formula!=sum|count|last) \
         customer_mapping(event_payload_key! type!=by_id) \
         value_settings(event_payload_key!) event_time_window=hour|day",
        create,
    ),
    Route::get(
        "/v1/billing/meters",
        "status=active|inactive limit=i starting_after ending_before",
        |model, call| {
            let status = call.params.text("status");
            list::answer(model, call, Kind::Meter, "/v1/billing/meters", |meter| {
                status.is_none_or(|status| meter["status"] == status)
            })
        },
    ),
    Route::get("/v1/billing/meters/*", "", |model, call| {
        model.named(Kind::Meter, call)
    }),
    Route::post("/v1/billing/meters/*", "display_name", update),
    Route::post("/v1/billing/meters/*/deactivate", "", |model, call| {
        turn(model, call, false)
    }),
    Route::post("/v1/billing/meters/*/reactivate", "", |model, call| {
        turn(model, call, true)
    }),
];

fn create(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let event_name = params.text("event_name").unwrap_or_default();
    if event_name.len() > 100 {
        return Err(Fault::invalid(
            "event_name",
            "Invalid string: must be at most 100 characters",
        ));
    }
    let taken = model
        .store
        .all(Kind::Meter)
        .any(|meter| meter["event_name"] == event_name && meter["status"] == "active");
    if taken {
        return Err(Fault::invalid(
            "event_name",
            format!("There is already an active meter with the event_name {event_name}."),
        )
        .code("resource_already_exists"));
    }
    let formula = params.part("default_aggregation");
    let value = params.part("value_settings");
    let mapping = params.part("customer_mapping");
    let key = |part: Option<&super::super::form::Params>, default: &str| {
        part.and_then(|part| part.text("event_payload_key"))
            .unwrap_or(default)
            .to_owned()
    };
    let meter = json!({
        "id": model.store.new_id(Kind::Meter.prefix()),
        "object": "billing.meter",
        "created": model.now,
        "customer_mapping": {
            "event_payload_key": key(mapping.as_ref(), "stripe_customer_id"),
            "type": "by_id",
        },
        "default_aggregation": {"formula": formula.map(|part| part.0["formula"].clone())},
        "display_name": params.text_or_null("display_name"),
        "event_name": event_name,
        "event_time_window": params.text_or_null("event_time_window"),
        "livemode": false,
        "status": "active",
        "status_transitions": {"deactivated_at": null},
        "updated": model.now,
        "value_settings": {"event_payload_key": key(value.as_ref(), "value")},
    });
    Ok(model.made(Kind::Meter, meter, "billing.meter.created"))
}

fn update(model: &mut Model, call: &Call) -> Answer {
    let mut meter = model.find(Kind::Meter, call.id())?;
    if let Some(name) = call.params.text("display_name") {
        meter["display_name"] = name.into();
        meter["updated"] = model.now.into();
    }
    Ok(model.changed(Kind::Meter, meter, "billing.meter.updated"))
}

fn turn(model: &mut Model, call: &Call, on: bool) -> Answer {
    let mut meter = model.find(Kind::Meter, call.id())?;
    let (status, event) = if on {
        ("active", "billing.meter.reactivated")
    } else {
        ("inactive", "billing.meter.deactivated")
    };
    if meter["status"] == status {
        return Err(Fault::invalid(
            "",
            format!("The meter is already {status}."),
        ));
    }
    meter["status"] = status.into();
    meter["status_transitions"]["deactivated_at"] = if on {
        serde_json::Value::Null
    } else {
        model.now.into()
    };
    meter["updated"] = model.now.into();
    Ok(model.changed(Kind::Meter, meter, event))
}
