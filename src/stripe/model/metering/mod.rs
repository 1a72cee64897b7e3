//! Metered usage: meters, the events that they count, and sums of these.

mod compaction;
pub(super) mod meter_events;
pub(super) mod meters;
mod reports;
pub(super) mod summaries;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use reports::MeterError;

/// How long an identifier is remembered, and an event can be canceled.
const IDENTIFIER_SECONDS: i64 = 24 * 3_600;

/// One accepted meter event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reading {
    /// Its `timestamp`: says in which period it counts.
    at: i64,
    value: i64,
    /// When it came.
    received: i64,
    identifier: String,
}

/// Whose an identifier is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    meter: String,
    customer: String,
}

/// What was counted: by meter and customer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Usage {
    readings: BTreeMap<String, BTreeMap<String, Vec<Reading>>>,
    identifiers: BTreeMap<String, Owner>,
    order: VecDeque<(i64, String)>,
    errors: Vec<MeterError>,
    /// When old readings were last put together.
    #[serde(default)]
    compacted: i64,
}

impl Usage {
    /// Forgets identifiers that are older than a day.
    pub(super) fn expire(&mut self, now: i64) {
        let old = |entry: &mut (i64, String)| entry.0 + IDENTIFIER_SECONDS <= now;
        while let Some((_, identifier)) = self.order.pop_front_if(old) {
            self.identifiers.remove(&identifier);
        }
    }

    /// Returns what a meter counted for a customer from a time on, before another, as its formula says; only of what had
    /// come at `known`. `None`: nothing.
    pub(super) fn aggregate(
        &self,
        meter: (&str, &str),
        customer: &str,
        range: (i64, i64),
        known: i64,
    ) -> Option<i64> {
        let (meter, formula) = meter;
        let readings = self.readings.get(meter)?.get(customer)?;
        let mut fitting = readings
            .iter()
            .filter(|one| range.0 <= one.at && one.at < range.1 && one.received <= known)
            .peekable();
        fitting.peek()?;
        Some(match formula {
            "count" => i64::try_from(fitting.count()).unwrap_or(i64::MAX),
            "last" => fitting.max_by_key(|one| one.at).map_or(0, |one| one.value),
            _ => fitting.map(|one| one.value).sum(),
        })
    }
}
