//! What was found wrong with meter events after they were accepted: told in thin events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Model;
use super::super::shape::rfc3339;
use super::meter_events::LAG_SECONDS;

/// How many errors of a kind a report shows.
const SAMPLES_MAX: usize = 10;

/// An event that could not be counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MeterError {
    /// The meter; empty: there is none of that name.
    meter: String,
    code: String,
    identifier: String,
    received: i64,
}

impl MeterError {
    pub(super) fn new(meter: &str, code: &str, identifier: &str, received: i64) -> Self {
        Self {
            meter: meter.to_owned(),
            code: code.to_owned(),
            identifier: identifier.to_owned(),
            received,
        }
    }
}

impl Model {
    /// Reports the errors that were found by now, in one event for each meter.
    pub(in super::super) fn report_meter_errors(&mut self) {
        let known = self.now - LAG_SECONDS;
        let all = std::mem::take(&mut self.usage.errors);
        let (found, later): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|error| error.received <= known);
        self.usage.errors = later;
        let mut by_meter: BTreeMap<String, Vec<MeterError>> = BTreeMap::new();
        for error in found {
            by_meter.entry(error.meter.clone()).or_default().push(error);
        }
        for (meter, errors) in by_meter {
            let data = report(&errors, self.now);
            if meter.is_empty() {
                self.tell_thin("v1.billing.meter.no_meter_found", None, data);
            } else {
                let related = json!({
                    "id": meter,
                    "type": "billing.meter",
                    "url": format!("/v1/billing/meters/{meter}"),
                });
                self.tell_thin(
                    "v1.billing.meter.error_report_triggered",
                    Some(related),
                    data,
                );
            }
        }
    }
}

fn report(errors: &[MeterError], now: i64) -> Value {
    let mut by_code: BTreeMap<&str, Vec<&MeterError>> = BTreeMap::new();
    for error in errors {
        by_code.entry(&error.code).or_default().push(error);
    }
    let types: Vec<Value> = by_code
        .iter()
        .map(|(code, errors)| {
            let samples: Vec<Value> = errors
                .iter()
                .take(SAMPLES_MAX)
                .map(|error| {
                    json!({
                        "error_message": format!("The event was not counted: {code}."),
                        "request": {"identifier": error.identifier},
                    })
                })
                .collect();
            json!({"code": code, "error_count": errors.len(), "sample_errors": samples})
        })
        .collect();
    let first = errors
        .iter()
        .map(|error| error.received)
        .min()
        .unwrap_or(now);
    json!({
        "developer_message_summary": format!("{} meter events were not counted.", errors.len()),
        "reason": {"error_count": errors.len(), "error_types": types},
        "validation_end": rfc3339(now),
        "validation_start": rfc3339(first),
    })
}
