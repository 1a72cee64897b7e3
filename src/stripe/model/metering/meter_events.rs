//! Meter events: what is refused at once, what is accepted and found wrong later, and taking one back.

use serde_json::{Value, json};

use super::super::Model;
use super::super::agenda::Due;
use super::super::fault::Fault;
use super::super::route::{Answer, Call, Route};
use super::super::shape::text;
use super::super::store::Kind;
use super::reports::MeterError;
use super::{IDENTIFIER_SECONDS, Owner, Reading};

/// Most characters of an event's name, and of an identifier.
const NAME_MAX: usize = 100;
/// Most digits of a value.
const DIGITS_MAX: usize = 15;
/// How far back a timestamp may lie.
const PAST_SECONDS: i64 = 35 * 86_400;
/// How far ahead a timestamp may lie.
const FUTURE_SECONDS: i64 = 300;
/// How long it takes until an event is looked at, and shows in summaries.
pub(super) const LAG_SECONDS: i64 = 60;

pub(in super::super) const ROUTES: &[Route] = &[
    Route::post(
        "/v1/billing/meter_events",
        "event_name! payload!{} identifier timestamp=i",
        create,
    ),
    Route::post(
        "/v1/billing/meter_event_adjustments",
        "event_name! type!=cancel cancel(identifier!)",
        cancel,
    ),
];

fn create(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let name = params.text("event_name").unwrap_or_default();
    bounded("event_name", name)?;
    let identifier = params.text("identifier").unwrap_or_default();
    bounded("identifier", identifier)?;
    let at = params.int("timestamp").unwrap_or(model.now);
    timely(model.now, at)?;
    if model.usage.identifiers.contains_key(identifier) {
        let mut fault = Fault::invalid(
            "",
            format!("An event already exists with identifier {identifier}."),
        );
        fault.should_retry = Some(false);
        return Err(fault);
    }
    let identifier = match identifier {
        "" => model.store.new_id("mevt"),
        given => given.to_owned(),
    };
    let payload = params.0["payload"].clone();
    let meter = model.meter_of(name);
    let key = |part: &str, default: &str| {
        let key = meter
            .as_ref()
            .map_or(default, |meter| text(&meter[part]["event_payload_key"]));
        payload[key].as_str().map(str::to_owned)
    };
    let counts = meter
        .as_ref()
        .is_some_and(|one| one["default_aggregation"]["formula"] == "count");
    let value = match key("value_settings", "value") {
        Some(value) => whole(&value)?,
        None if counts => 1,
        None => return Err(Fault::missing_parameter("payload[value]")),
    };
    let customer = key("customer_mapping", "stripe_customer_id");
    let owner = Owner {
        meter: meter
            .as_ref()
            .map_or("", |meter| text(&meter["id"]))
            .to_owned(),
        customer: customer.clone().unwrap_or_default(),
    };
    match wrong(model, meter.as_ref(), customer.as_deref()) {
        Some(code) => {
            let error = MeterError::new(&owner.meter, code, &identifier, model.now);
            model.usage.errors.push(error);
            model.note(model.now + LAG_SECONDS, Due::MeterReport);
        }
        None => model.count(&owner, at, value, &identifier),
    }
    model.usage.order.push_back((model.now, identifier.clone()));
    model.usage.identifiers.insert(identifier.clone(), owner);
    Ok(json!({
        "object": "billing.meter_event",
        "created": model.now,
        "event_name": name,
        "identifier": identifier,
        "livemode": false,
        "payload": payload,
        "timestamp": at,
    }))
}

fn bounded(param: &str, value: &str) -> Result<(), Fault> {
    if value.chars().count() <= NAME_MAX {
        return Ok(());
    }
    Err(Fault::invalid(
        param,
        format!("Invalid string: must be at most {NAME_MAX} characters"),
    ))
}

fn timely(now: i64, at: i64) -> Result<(), Fault> {
    if at < now - PAST_SECONDS {
        return Err(Fault::invalid(
            "timestamp",
            "The event timestamp cannot be more than 35 days in past.",
        )
        .code("timestamp_too_far_in_past"));
    }
    if at > now + FUTURE_SECONDS {
        return Err(Fault::invalid(
            "timestamp",
            "The event timestamp cannot be more than 5 minutes in the future.",
        )
        .code("timestamp_in_future"));
    }
    Ok(())
}

fn whole(value: &str) -> Result<i64, Fault> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.len() > DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::invalid(
            "payload[value]",
            format!("The value cannot have more than {DIGITS_MAX} digits."),
        )
        .code("meter_event_value_too_many_digits"));
    }
    value.parse().map_err(|_| {
        Fault::invalid("payload[value]", "The value must be a whole number.")
            .code("meter_event_invalid_value")
    })
}

/// Returns what will be found wrong when the event is looked at.
fn wrong(model: &Model, meter: Option<&Value>, customer: Option<&str>) -> Option<&'static str> {
    let Some(meter) = meter else {
        return Some("no_meter");
    };
    if meter["status"] != "active" {
        return Some("archived_meter");
    }
    let Some(customer) = customer else {
        return Some("meter_event_no_customer_defined");
    };
    let known = model.find(Kind::Customer, customer).is_ok();
    (!known).then_some("meter_event_customer_not_found")
}

fn cancel(model: &mut Model, call: &Call) -> Answer {
    let name = call.params.text("event_name").unwrap_or_default();
    let part = call
        .params
        .part("cancel")
        .ok_or_else(|| Fault::missing_parameter("cancel"))?;
    let identifier = part.text("identifier").unwrap_or_default();
    model.usage.expire(model.now);
    let owner = model.usage.identifiers.get(identifier).cloned();
    let meter = model.meter_of(name).unwrap_or_default();
    let owner = owner
        .filter(|owner| owner.meter == text(&meter["id"]))
        .ok_or_else(|| {
            let hours = IDENTIFIER_SECONDS / 3_600;
            Fault::invalid(
                "cancel[identifier]",
                format!(
                    "No event with the identifier {identifier} came in the last {hours} hours."
                ),
            )
            .code("resource_missing")
        })?;
    let readings = model.usage.readings.get_mut(&owner.meter);
    if let Some(readings) = readings.and_then(|of_meter| of_meter.get_mut(&owner.customer)) {
        readings.retain(|one| one.identifier != identifier);
    }
    Ok(json!({
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": name,
        "livemode": false,
        "status": "pending",
        "type": "cancel",
    }))
}

impl Model {
    /// Returns the meter of an event's name: the active one, or else the newest.
    fn meter_of(&self, event_name: &str) -> Option<Value> {
        let mut all = self
            .store
            .all(Kind::Meter)
            .rev()
            .filter(|meter| meter["event_name"] == event_name);
        let newest = all.next()?;
        let active = std::iter::once(newest)
            .chain(all)
            .find(|meter| meter["status"] == "active");
        Some(active.unwrap_or(newest).clone())
    }

    fn count(&mut self, owner: &Owner, at: i64, value: i64, identifier: &str) {
        let of_meter = self.usage.readings.entry(owner.meter.clone()).or_default();
        of_meter
            .entry(owner.customer.clone())
            .or_default()
            .push(Reading {
                at,
                value,
                received: self.now,
                identifier: identifier.to_owned(),
            });
    }
}
