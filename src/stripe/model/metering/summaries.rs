//! Sums of what a meter counted for a customer.

use serde_json::{Value, json};

use super::super::Model;
use super::super::fault::Fault;
use super::super::list;
use super::super::route::{Answer, Call, Route};
use super::super::shape::text;
use super::super::store::Kind;
use super::meter_events::LAG_SECONDS;

/// Most windows that one call looks at: a year of hours.
const WINDOWS_MAX: i64 = 24 * 366;

pub(in super::super) const ROUTES: &[Route] = &[Route::get(
    "/v1/billing/meters/*/event_summaries",
    "customer! start_time!=i end_time!=i value_grouping_window=hour|day limit=i starting_after \
     ending_before",
    summaries,
)];

fn summaries(model: &mut Model, call: &Call) -> Answer {
    let params = &call.params;
    let meter = model.find(Kind::Meter, call.id())?;
    let customer = params.text("customer").unwrap_or_default();
    model.need(Kind::Customer, customer, "customer")?;
    let start = params.int("start_time").unwrap_or_default();
    let end = params.int("end_time").unwrap_or_default();
    let step = match params.text("value_grouping_window") {
        Some("hour") => 3_600,
        Some(_) => 86_400,
        None => 60,
    };
    for (name, time) in [("start_time", start), ("end_time", end)] {
        if time.rem_euclid(step) != 0 {
            return Err(Fault::invalid(
                name,
                format!("The time must be aligned to {step} seconds in UTC."),
            ));
        }
    }
    if end <= start {
        return Err(Fault::invalid(
            "end_time",
            "end_time must be after start_time.",
        ));
    }
    let width = if params.has("value_grouping_window") {
        step
    } else {
        end - start
    };
    if (end - start) / width > WINDOWS_MAX {
        return Err(Fault::invalid("start_time", "The range is too long."));
    }
    let known = model.now - LAG_SECONDS;
    let formula = text(&meter["default_aggregation"]["formula"]);
    let mut found: Vec<Value> = Vec::new();
    let mut from = start;
    while from < end {
        let range = (from, from + width);
        let value = model
            .usage
            .aggregate((call.id(), formula), customer, range, known);
        if let Some(value) = value {
            found.push(json!({
                "id": format!("mtrusg_test_{}_{customer}_{from}_{width}", call.id()),
                "object": "billing.meter_event_summary",
                "aggregated_value": value,
                "end_time": range.1,
                "livemode": false,
                "meter": call.id(),
                "start_time": from,
            }));
        }
        from += width;
    }
    found.reverse();
    let url = format!("/v1/billing/meters/{}/event_summaries", call.id());
    list::pages(found, params, &url)
}
