//! Meters, their events, and what Stripe counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{object, part};

object! {
    /// What Stripe counts.
    Meter {
        /// What people read.
        display_name: String,
        /// Which events it counts.
        event_name: String,
        /// `active` or `inactive`.
        status: String,
        /// How it adds up.
        default_aggregation: MeterAggregation,
        /// Where an event says whose it is.
        customer_mapping: MeterCustomer,
        /// Where an event says how much.
        value_settings: MeterValue,
        /// `day` or `hour`: within it the last event stands for all. `None`: each one counts.
        event_time_window: Option<String>,
        /// Whether money is real.
        livemode: bool,
    }
}

part! {
    /// How a meter adds up.
    MeterAggregation {
        /// `sum`, `count` or `last`.
        formula: String,
    }
}

part! {
    /// Where an event says whose it is.
    MeterCustomer {
        /// The key of its payload.
        event_payload_key: String,
    }
}

part! {
    /// Where an event says how much.
    MeterValue {
        /// The key of its payload.
        event_payload_key: String,
    }
}

part! {
    /// A meter event as Stripe took it: received, not yet counted.
    MeterEvent {
        /// What is counted.
        event_name: String,
        /// What keeps it from being counted twice.
        identifier: String,
        /// Whose and how much.
        payload: BTreeMap<String, String>,
        /// The time that it counts at.
        timestamp: i64,
        /// Whether money is real.
        livemode: bool,
    }
}

object! {
    /// What Stripe counted in a span of time.
    MeterEventSummary {
        /// The sum.
        aggregated_value: WholeNumber,
        /// The beginning, which belongs to it.
        start_time: i64,
        /// The end, which does not.
        end_time: i64,
        /// The meter.
        meter: String,
    }
}

/// A whole number that Stripe writes as a float. `None`: it is not whole, or too large to be exact,
/// so that it is no sum of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WholeNumber(pub Option<i64>);

/// From here on a float leaves whole numbers out.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        let whole = value.fract() == 0.0 && value.abs() < EXACT_MAX;
        Ok(Self(if whole {
            format!("{value:.0}").parse().ok()
        } else {
            None
        }))
    }
}
