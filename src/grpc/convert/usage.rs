//! Usage events and what became of them.

use super::{
    dimensions, id, metadata, optional_id, optional_timestamp, to_map, to_timestamp, units,
};
use crate::domain::usage::UsageEvent;
use crate::domain::wallet::UsageCharge;
use crate::engine::{Error, RecordOutcome, Recorded};
use crate::grpc::{pb, status};
use crate::storage::{EventKind, EventRow};

impl TryFrom<pb::UsageEvent> for UsageEvent {
    type Error = Error;

    fn try_from(event: pb::UsageEvent) -> Result<Self, Error> {
        Ok(Self {
            event_id: id("event_id", event.event_id)?,
            customer_id: id("customer_id", event.customer_id)?,
            subaccount_id: optional_id("subaccount_id", event.subaccount_id)?,
            meter_id: id("meter_id", event.meter_id)?,
            quantity: units("quantity", Some(event.quantity), 0, i64::MIN)?,
            event_time: optional_timestamp("event_time", event.event_time)?,
            dimensions: dimensions("dimensions", event.dimensions)?,
            metadata: metadata(event.metadata)?,
            reservation_id: optional_id("reservation_id", event.reservation_id)?,
        })
    }
}

impl From<UsageEvent> for pb::UsageEvent {
    fn from(event: UsageEvent) -> Self {
        Self {
            event_id: event.event_id.into(),
            customer_id: event.customer_id.into(),
            subaccount_id: super::or_empty(event.subaccount_id),
            meter_id: event.meter_id.into(),
            quantity: event.quantity,
            event_time: event.event_time.map(to_timestamp),
            dimensions: to_map(event.dimensions),
            metadata: to_map(event.metadata),
            reservation_id: super::or_empty(event.reservation_id),
        }
    }
}

impl From<&RecordOutcome> for pb::UsageResult {
    fn from(outcome: &RecordOutcome) -> Self {
        match outcome {
            RecordOutcome::Recorded(one) => kept(pb::RecordStatus::Recorded, one),
            RecordOutcome::Duplicate(one) => kept(pb::RecordStatus::Duplicate, one),
            RecordOutcome::Rejected(error) => Self {
                status: pb::RecordStatus::Rejected.into(),
                error: Some(status::to_rpc_status(error)),
                ..Self::default()
            },
        }
    }
}

/// Writes the result of an event that is stored.
pub(in crate::grpc) fn kept(status: pb::RecordStatus, recorded: &Recorded) -> pb::UsageResult {
    pb::UsageResult {
        status: status.into(),
        record_time: Some(to_timestamp(recorded.record_time)),
        error: None,
        reservation_expired: recorded.reservation_closed,
        beyond_reservation: recorded.beyond_reservation,
        customer_created: recorded.customer_created,
    }
}

/// Writes an event as it is stored.
pub(in crate::grpc) fn stored(row: EventRow, voided: bool) -> pb::StoredUsageEvent {
    let mut event = pb::UsageEvent::from(row.event);
    event.event_time = Some(to_timestamp(row.event_time));
    let kind = match row.kind {
        EventKind::Usage => pb::StoredEventKind::Usage,
        EventKind::Void => pb::StoredEventKind::Void,
    };
    pb::StoredUsageEvent {
        event: Some(event),
        record_time: Some(to_timestamp(row.record_time)),
        count_time: Some(to_timestamp(row.count_time)),
        weighted_milli: row.weighted.0,
        reservation_expired: row.flags.reservation_closed,
        beyond_reservation: row.flags.beyond_reservation,
        kind: kind.into(),
        voided,
        charge: row.charge.map(|charge| drawn(*charge)),
    }
}

fn drawn(charge: UsageCharge) -> pb::UsageCharge {
    pb::UsageCharge {
        feature_id: charge.feature.to_string(),
        wallet_subaccount_id: super::or_empty(charge.wallet.owner),
        credit_unit: charge.wallet.unit.into(),
        charged_milli: charge.quantity.0,
        amount_micros: charge.amount,
        receivable_micros: charge.owed,
    }
}
