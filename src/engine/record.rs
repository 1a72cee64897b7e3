//! Recording usage: validated at once, stored and counted in one batch, acknowledged after its commit.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::cell::Cell;
use super::error::{Error, Thing};
use super::mutation::{Applied, Mutation};
use super::parts::Events;
use super::prepare::{Prepared, Slot};
use super::step::Step;
use crate::domain::account::Counted;
use crate::domain::catalog::Meter;
use crate::domain::id::ReservationId;
use crate::domain::time::Timestamp;
use crate::domain::wallet::UsageCharge;
use crate::storage::{EventKey, EventRow};

/// What became of one event.
#[derive(Debug, Clone)]
pub enum RecordOutcome {
    /// It is stored and counted.
    Recorded(Recorded),
    /// It had been stored before, with the same content.
    Duplicate(Recorded),
    /// It is not stored.
    Rejected(Error),
}

/// What is known of a stored event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// When it was received first.
    pub record_time: Timestamp,
    /// It named a reservation that was no longer open.
    pub reservation_closed: bool,
    /// It used more than its reservation had left.
    pub beyond_reservation: bool,
    /// Its customer was created for it.
    pub customer_created: bool,
}

impl Engine {
    /// Records events; refused as a whole when too much is waiting.
    ///
    /// # Errors
    /// When nothing can be said of the events: the same events should be sent again.
    pub async fn record(&self, mut prepared: Prepared) -> Result<Vec<RecordOutcome>, Error> {
        let room = match prepared.room.take() {
            Some(room) => room,
            None => self.room(prepared.size)?,
        };
        let Prepared {
            slots,
            plain,
            cells,
            plain_meters,
            probed,
            created,
            size,
            room: _,
        } = prepared;
        let mut answer = RecordAnswer::default();
        if !plain.is_empty() || !probed.is_empty() {
            let events = Events {
                plain: Arc::new(plain),
                plain_meters,
                cells,
                probed,
                size,
                room: Some(Arc::new(room)),
            };
            answer = self.record_all(events).await?;
        }
        let mut plain = answer.plain.into_iter();
        let mut probed = answer.probed.into_iter();
        let mut outcomes = Vec::with_capacity(slots.len());
        for slot in slots {
            let outcome = match slot {
                Slot::Rejected(error) => Some(RecordOutcome::Rejected(error)),
                Slot::Plain => plain.next(),
                Slot::Probed => probed.next(),
            };
            outcomes.push(outcome.unwrap_or(RecordOutcome::Rejected(Error::Internal)));
        }
        for position in created {
            if let Some(RecordOutcome::Recorded(recorded)) = outcomes.get_mut(position) {
                recorded.customer_created = true;
            }
        }
        self.shared.gauges.count_outcomes(&outcomes);
        Ok(outcomes)
    }
}

/// Returns the first field in which two events of one id differ; a time that is not stated is not compared.
pub(super) fn difference(stored: &EventRow, sent: &EventRow) -> Option<&'static str> {
    let (old, new) = (&stored.event, &sent.event);
    let differs = [
        ("meter_id", old.meter_id != new.meter_id),
        ("quantity", old.quantity != new.quantity),
        ("subaccount_id", old.subaccount_id != new.subaccount_id),
        (
            "event_time",
            new.event_time.is_some_and(|time| time != stored.event_time),
        ),
        ("dimensions", old.dimensions != new.dimensions),
        ("metadata", old.metadata != new.metadata),
        ("reservation_id", old.reservation_id != new.reservation_id),
    ];
    differs
        .into_iter()
        .find(|field| field.1)
        .map(|field| field.0)
}

/// Returns what a repeated event comes to.
pub(super) fn repeated(stored: &EventRow, sent: &EventRow) -> Result<Recorded, Error> {
    match difference(stored, sent) {
        Some(differs) => Err(Error::EventIdReused {
            id: sent.event.event_id.to_string(),
            differs,
        }),
        None => Ok(recorded(stored)),
    }
}

pub(super) fn recorded(row: &EventRow) -> Recorded {
    Recorded {
        record_time: row.record_time,
        reservation_closed: row.flags.reservation_closed,
        beyond_reservation: row.flags.beyond_reservation,
        customer_created: false,
    }
}

/// Records events.
pub(super) struct Record(pub(super) Arc<Events>);

/// Outcomes of a [`Record`], by position.
#[derive(Default)]
pub(super) struct RecordAnswer {
    pub(super) plain: Vec<RecordOutcome>,
    pub(super) probed: Vec<RecordOutcome>,
}

impl Mutation for Record {
    const METHOD: &'static str = "RecordUsage";
    type Answer = RecordAnswer;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.0.cells
    }

    fn plain(&self) -> Option<&Arc<Vec<EventRow>>> {
        (!self.0.plain.is_empty()).then_some(&self.0.plain)
    }

    fn probes(&self) -> Vec<EventKey> {
        let probed = self.0.probed.iter();
        probed.map(|(row, _)| EventKey::of(row)).collect()
    }

    fn weight(&self) -> usize {
        256 * self.0.size
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<RecordAnswer>, Error> {
        let events = &*self.0;
        let mut answer = RecordAnswer {
            plain: Vec::with_capacity(events.plain.len()),
            probed: Vec::with_capacity(events.probed.len()),
        };
        for (index, row) in events.plain.iter().enumerate() {
            let (cell, meter) = (&events.cells[index], &events.plain_meters[index]);
            answer.plain.push(plain(step, index, row, cell, meter)?);
        }
        for (nth, (row, meter)) in events.probed.iter().enumerate() {
            let cell = &events.cells[events.plain.len() + nth];
            let done = match meter {
                Ok(meter) => store_one(step, nth, row.clone(), cell, meter),
                Err(wrong) => match step.event(nth, &EventKey::of(row)) {
                    Some(stored) => repeated(&stored, row).map(RecordOutcome::Duplicate),
                    None => Err(wrong.clone()),
                },
            };
            let outcome = match done {
                Ok(outcome) => outcome,
                Err(error @ Error::Overflow(_)) => return Err(error),
                Err(error) => RecordOutcome::Rejected(error),
            };
            answer.probed.push(outcome);
        }
        Ok(Applied::Done(answer))
    }
}

/// Counts an event that the store has inserted already, or finds that it had.
fn plain(
    step: &mut Step<'_, '_>,
    index: usize,
    row: &EventRow,
    cell: &Cell,
    meter: &Arc<Meter>,
) -> Result<RecordOutcome, Error> {
    if let Some(stored) = step.duplicate(index) {
        // What it repeats may have been refused earlier in the batch, and stored after all by another repeat.
        let stored = if step.is_refused(row) {
            step.added(&EventKey::of(row))
        } else {
            Some(&stored.row)
        };
        if let Some(stored) = stored {
            return Ok(match repeated(stored, row) {
                Ok(before) => RecordOutcome::Duplicate(before),
                Err(error) => RecordOutcome::Rejected(error),
            });
        }
    }
    match count(step, row, cell, meter, None)? {
        Ok(Tallied { charge, .. }) => {
            let is_repeat = step.duplicate(index).is_some();
            if charge.is_none() && !is_repeat {
                return Ok(RecordOutcome::Recorded(recorded(row)));
            }
            if !is_repeat {
                // It is stored anew, with what it drew.
                step.refuse_plain(index, row);
            }
            // What a repeat repeats is taken out again.
            let stored = EventRow {
                record_time: step.now(),
                charge: charge.map(Box::new),
                ..row.clone()
            };
            let outcome = RecordOutcome::Recorded(recorded(&stored));
            step.store(stored);
            Ok(outcome)
        }
        Err(error) => {
            if step.duplicate(index).is_none() {
                step.refuse_plain(index, row);
            }
            Ok(RecordOutcome::Rejected(error))
        }
    }
}

/// Returns what accounts count of an event.
pub(super) fn counted_of(row: &EventRow) -> Counted<'_> {
    Counted {
        subaccount: row.event.subaccount_id.as_ref(),
        meter: &row.event.meter_id,
        dimensions: &row.event.dimensions,
        weighted: row.weighted,
        at: row.count_time,
    }
}

/// What counting an event came to.
struct Tallied {
    charge: Option<UsageCharge>,
    is_beyond: bool,
}

/// Counts an event, charges what of it draws on a wallet, and uses up its reservation if that is open. The inner error
/// refuses it and leaves nothing behind; the outer one takes the batch back.
fn count(
    step: &mut Step<'_, '_>,
    row: &EventRow,
    cell: &Cell,
    meter: &Arc<Meter>,
    reservation: Option<&ReservationId>,
) -> Result<Result<Tallied, Error>, Error> {
    let now = step.now();
    let counted = step.with(cell, |account, effects| {
        if account.customer.delete_time.is_some() {
            let id = cell.id.to_string();
            return Ok(Err(Error::CustomerDeleted { id }));
        }
        if let Some(sub) = &row.event.subaccount_id
            && account.live_subaccount(sub).is_none()
        {
            return Ok(Err(Error::not_found(Thing::Subaccount, sub)));
        }
        let usage = counted_of(row);
        let too_much = |excess| Error::overrun("quantity", row.event.quantity, excess);
        if let Err(overflow) = account.fits(&usage) {
            return Ok(Err(too_much(overflow.into())));
        }
        let (charge, is_beyond) = account
            .record(&usage, reservation, now, effects)
            .map_err(too_much)?;
        Ok(Ok(Tallied { charge, is_beyond }))
    });
    match counted {
        Ok(Ok(Ok(tallied))) => {
            step.add_up(cell, row, meter);
            Ok(Ok(tallied))
        }
        Ok(Ok(Err(refused))) => Ok(Err(refused)),
        Ok(Err(overflow)) => Err(overflow),
        Err(missing) => Ok(Err(missing)),
    }
}

/// Stores and counts an event whose time may be that of its reservation, or finds that it had been stored.
pub(super) fn store_one(
    step: &mut Step<'_, '_>,
    probe: usize,
    mut row: EventRow,
    cell: &Cell,
    meter: &Arc<Meter>,
) -> Result<RecordOutcome, Error> {
    if let Some(stored) = step.event(probe, &EventKey::of(&row)) {
        return repeated(&stored, &row).map(RecordOutcome::Duplicate);
    }
    let now = step.now();
    // What it draws is judged now, and counts under caps now.
    row.record_time = now;
    let mut opened = None;
    if let Some(id) = &row.event.reservation_id {
        let open = step.with(cell, |account, _| {
            account
                .open_reservation(id, now)
                .map(|held| held.reserve_time)
        })?;
        match open {
            Some(reserve_time) => {
                row.count_time = reserve_time;
                opened = Some(id.clone());
            }
            None => row.flags.reservation_closed = true,
        }
    }
    let tallied = count(step, &row, cell, meter, opened.as_ref())??;
    row.flags.beyond_reservation = tallied.is_beyond;
    row.charge = tallied.charge.map(Box::new);
    let outcome = RecordOutcome::Recorded(recorded(&row));
    step.store(row);
    Ok(outcome)
}
