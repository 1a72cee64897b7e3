//! Usage events: immutable facts about what was used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::{CustomerId, EventId, MeterId, ReservationId, SubaccountId};
use super::time::{Span, Timestamp};

/// How far back an event's time may lie when it is received.
pub const EVENT_AGE_MAX: Span = Span::from_days(35);
/// How far ahead an event's time may lie when it is received.
pub const EVENT_AHEAD_MAX: Span = Span::from_minutes(5);
/// Most dimensions on one event.
pub const DIMENSIONS_MAX: usize = 32;
/// Most metadata entries on one object.
pub const METADATA_MAX: usize = 32;
/// Longest dimension or metadata key or value, in bytes.
pub const LABEL_BYTES_MAX: usize = 256;

/// Text by key, ordered, so that equal contents are equal bytes.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// One immutable fact, as its sender states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageEvent {
    /// Unique within the customer; made by the sender and kept across retries.
    pub event_id: EventId,
    /// Who used it.
    pub customer_id: CustomerId,
    /// Which part of the customer.
    pub subaccount_id: Option<SubaccountId>,
    /// What was used.
    pub meter_id: MeterId,
    /// How much, in units of the meter.
    pub quantity: i64,
    /// When; `None`: when it is received.
    pub event_time: Option<Timestamp>,
    /// Declared dimensions.
    pub dimensions: Labels,
    /// Free text that is kept and never aggregated.
    pub metadata: Labels,
    /// The reservation that it uses.
    pub reservation_id: Option<ReservationId>,
}

/// Why an event's time is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEventTime {
    /// More than [`EVENT_AGE_MAX`] before now.
    #[error("lies more than 35 days back")]
    TooOld,
    /// More than [`EVENT_AHEAD_MAX`] after now.
    #[error("lies more than 5 minutes ahead")]
    TooNew,
}

/// Checks that an event's time lies close enough to the time of its receipt.
///
/// # Errors
/// When it is too old or too new.
pub fn check_event_time(event_time: Timestamp, now: Timestamp) -> Result<(), InvalidEventTime> {
    if event_time < now.minus(EVENT_AGE_MAX) {
        Err(InvalidEventTime::TooOld)
    } else if event_time > now.plus(EVENT_AHEAD_MAX) {
        Err(InvalidEventTime::TooNew)
    } else {
        Ok(())
    }
}
