//! Counting an event off: the compensating event, in the windows of the original.

use super::cell::Cell;
use super::error::Error;
use super::record::counted_of;
use super::step::Step;
use crate::domain::quantity::{Excess, Milli, Overflow};
use crate::domain::time::Timestamp;
use crate::domain::usage::{Labels, UsageEvent};
use crate::storage::{EventFlags, EventKind, EventRow};

/// Counts an event off again and stores its void. `too_much` says what is to blame when a number would leave its range.
pub(super) fn take_back(
    step: &mut Step<'_, '_>,
    cell: &Cell,
    original: &EventRow,
    notes: &Labels,
    too_much: impl Fn(Excess) -> Error,
) -> Result<(), Error> {
    let now = step.now();
    let mut void = compensation(original, notes, now).map_err(|wrong| too_much(wrong.into()))?;
    let usage = counted_of(&void);
    let drawn = (original.charge.as_deref(), original.record_time);
    let charge = step.with(cell, |account, effects| {
        account.take_back(&usage, drawn, now, effects)
    })?;
    void.charge = charge.map_err(too_much)?;
    let catalog = step.batch.loader.current().catalog;
    let meter = catalog.meters.get(&void.event.meter_id);
    let is_additive = meter.is_some_and(|meter| meter.aggregation.is_additive());
    step.batch.rollups.take_back(&void, !is_additive);
    step.store(void);
    Ok(())
}

fn compensation(original: &EventRow, notes: &Labels, now: Timestamp) -> Result<EventRow, Overflow> {
    let event = &original.event;
    Ok(EventRow {
        customer: original.customer,
        event: UsageEvent {
            quantity: event.quantity.checked_neg().ok_or(Overflow)?,
            metadata: notes.clone(),
            ..event.clone()
        },
        kind: EventKind::Void,
        weighted: Milli::ZERO.minus(original.weighted)?,
        event_time: original.event_time,
        count_time: original.count_time,
        record_time: now,
        flags: EventFlags::default(),
        charge: None,
    })
}
