//! Recording usage: validated at once, stored and counted in one batch, acknowledged after its commit.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::error::{Error, Rule, Thing};
use super::mutation::{Applied, Mutation};
use super::step::Step;
use super::{Engine, OVERLOAD_WAIT};
use crate::domain::account::Counted;
use crate::domain::catalog::{Catalog, Meter};
use crate::domain::quantity::QUANTITY_MAX;
use crate::domain::time::Timestamp;
use crate::domain::usage::{DIMENSIONS_MAX, InvalidEventTime, UsageEvent, check_event_time};
use crate::storage::{EventFlags, EventKey, EventKind, EventRow};

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

/// Events that passed what can be checked without a lock, ready to be submitted.
pub struct Prepared {
    /// Outcome or place of each event, by position.
    slots: Vec<Slot>,
    plain: Vec<EventRow>,
    /// Cells of the plain events, then of the others.
    cells: Vec<Arc<Cell>>,
    plain_meters: Vec<Arc<Meter>>,
    /// Events that name a reservation: when they count depends on it.
    reserved: Vec<(EventRow, Arc<Meter>)>,
    created: bool,
}

enum Slot {
    Plain(usize),
    Reserved(usize),
    Rejected(Error),
}

impl Prepared {
    /// Returns how many events wait for the store.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plain.len() + self.reserved.len()
    }

    /// Whether no event waits for the store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Engine {
    /// Checks events against the catalog and finds their customers.
    ///
    /// # Errors
    /// When the store cannot be asked for a customer. What is wrong with single events is in their outcomes.
    pub async fn prepare(&self, events: Vec<UsageEvent>) -> Result<Prepared, Error> {
        let now = self.now();
        let catalog = self.catalog().catalog;
        let mut prepared = Prepared {
            slots: Vec::with_capacity(events.len()),
            plain: Vec::with_capacity(events.len()),
            cells: Vec::with_capacity(events.len()),
            plain_meters: Vec::with_capacity(events.len()),
            reserved: Vec::new(),
            created: false,
        };
        let mut reserved_cells = Vec::new();
        for event in events {
            let (weighted, meter) = match weigh(&event, &catalog, now) {
                Ok(weighed) => weighed,
                Err(error) => {
                    prepared.slots.push(Slot::Rejected(error));
                    continue;
                }
            };
            let found = match self.shared.accounts.get(event.customer_id.as_str()) {
                Some(cell) if cell.is_ready() => Ok((cell, false)),
                _ => self.find_or_create(&event.customer_id).await,
            };
            let cell = match found {
                Ok((cell, created)) => {
                    prepared.created |= created;
                    cell
                }
                Err(error @ Error::NotFound { .. }) => {
                    prepared.slots.push(Slot::Rejected(error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            cell.touch();
            let row = row(event, &cell, weighted, now);
            if row.event.reservation_id.is_some() {
                prepared.slots.push(Slot::Reserved(prepared.reserved.len()));
                prepared.reserved.push((row, meter));
                reserved_cells.push(cell);
            } else {
                prepared.slots.push(Slot::Plain(prepared.plain.len()));
                prepared.plain.push(row);
                prepared.plain_meters.push(meter);
                prepared.cells.push(cell);
            }
        }
        prepared.cells.append(&mut reserved_cells);
        Ok(prepared)
    }

    /// Records events; refused as a whole when too much is waiting.
    ///
    /// # Errors
    /// When nothing can be said of the events: the same events should be sent again.
    pub async fn record(&self, prepared: Prepared) -> Result<Vec<RecordOutcome>, Error> {
        let wanted = u32::try_from(prepared.len()).unwrap_or(u32::MAX);
        let _permit = self.shared.events.try_acquire_many(wanted).map_err(|_| {
            self.shared.gauges.overloads.increment(1);
            Error::Overloaded {
                retry_after: OVERLOAD_WAIT,
            }
        })?;
        self.record_permitted(prepared).await
    }

    /// As [`Engine::record`], waiting for room; for streams, whose credits bound what waits.
    ///
    /// # Errors
    /// When nothing can be said of the events: the same events should be sent again.
    pub async fn record_patiently(&self, prepared: Prepared) -> Result<Vec<RecordOutcome>, Error> {
        let wanted = u32::try_from(prepared.len()).unwrap_or(u32::MAX);
        let _permit = self
            .shared
            .events
            .acquire_many(wanted)
            .await
            .map_err(|_| Error::Draining)?;
        self.record_permitted(prepared).await
    }

    async fn record_permitted(&self, prepared: Prepared) -> Result<Vec<RecordOutcome>, Error> {
        let Prepared {
            slots,
            plain,
            cells,
            plain_meters,
            reserved,
            created,
        } = prepared;
        let (mut plain_outcomes, mut reserved_outcomes) = (Vec::new(), Vec::new());
        if !plain.is_empty() || !reserved.is_empty() {
            let record = Record {
                plain: Arc::new(plain),
                plain_meters,
                cells,
                reserved,
            };
            let answer = self.submit(record).await?;
            plain_outcomes = answer.plain;
            reserved_outcomes = answer.reserved;
        }
        let mut plain = plain_outcomes.into_iter();
        let mut reserved = reserved_outcomes.into_iter();
        let mut outcomes = Vec::with_capacity(slots.len());
        for slot in slots {
            let mut outcome = match slot {
                Slot::Rejected(error) => RecordOutcome::Rejected(error),
                Slot::Plain(_) => plain
                    .next()
                    .unwrap_or(RecordOutcome::Rejected(Error::Internal)),
                Slot::Reserved(_) => reserved
                    .next()
                    .unwrap_or(RecordOutcome::Rejected(Error::Internal)),
            };
            if let (RecordOutcome::Recorded(recorded), true) = (&mut outcome, created) {
                recorded.customer_created = true;
            }
            outcomes.push(outcome);
        }
        self.shared.gauges.count_outcomes(&outcomes);
        Ok(outcomes)
    }
}

/// Checks an event against the catalog and weighs it.
pub(super) fn weigh(
    event: &UsageEvent,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<(crate::domain::quantity::Milli, Arc<Meter>), Error> {
    let invalid = |field: &str, rule| Error::Invalid {
        field: field.to_owned(),
        rule,
    };
    let meter = catalog
        .meters
        .get(&event.meter_id)
        .ok_or_else(|| Error::not_found(Thing::Meter, &event.meter_id))?;
    if !(-QUANTITY_MAX..=QUANTITY_MAX).contains(&event.quantity) {
        return Err(invalid("quantity", Rule::QuantityRange));
    }
    if event.quantity < 0 && !meter.allow_negative {
        return Err(invalid("quantity", Rule::QuantityNegative));
    }
    if let Some(event_time) = event.event_time {
        check_event_time(event_time, now).map_err(|wrong| {
            let rule = match wrong {
                InvalidEventTime::TooOld => Rule::TooOld,
                InvalidEventTime::TooNew => Rule::TooNew,
            };
            invalid("event_time", rule)
        })?;
    }
    if event.dimensions.len() > DIMENSIONS_MAX {
        return Err(invalid("dimensions", Rule::TooManyDimensions));
    }
    if let Some(key) = event
        .dimensions
        .keys()
        .find(|key| !meter.dimensions.contains(key))
    {
        return Err(invalid(
            &format!("dimensions[\"{key}\"]"),
            Rule::DimensionUndeclared,
        ));
    }
    let weighted = meter.weigh(event.quantity, &event.dimensions)?;
    Ok((weighted, Arc::clone(meter)))
}

/// Returns the row of an event that counts at its own time.
pub(super) fn row(
    event: UsageEvent,
    cell: &Cell,
    weighted: crate::domain::quantity::Milli,
    now: Timestamp,
) -> EventRow {
    let event_time = event.event_time.unwrap_or(now);
    EventRow {
        customer: cell.no(),
        event,
        kind: EventKind::Usage,
        weighted,
        event_time,
        count_time: event_time,
        record_time: now,
        flags: EventFlags::default(),
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

/// Records events of any customers.
struct Record {
    plain: Arc<Vec<EventRow>>,
    plain_meters: Vec<Arc<Meter>>,
    cells: Vec<Arc<Cell>>,
    reserved: Vec<(EventRow, Arc<Meter>)>,
}

/// Outcomes of a [`Record`], by position.
struct RecordAnswer {
    plain: Vec<RecordOutcome>,
    reserved: Vec<RecordOutcome>,
}

impl Mutation for Record {
    const METHOD: &'static str = "RecordUsage";
    type Answer = RecordAnswer;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn plain(&self) -> Option<&Arc<Vec<EventRow>>> {
        (!self.plain.is_empty()).then_some(&self.plain)
    }

    fn probes(&self) -> Vec<EventKey> {
        self.reserved.iter().map(|(row, _)| key(row)).collect()
    }

    fn weight(&self) -> usize {
        256 * (self.plain.len() + self.reserved.len())
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<RecordAnswer>, Error> {
        let mut answer = RecordAnswer {
            plain: Vec::with_capacity(self.plain.len()),
            reserved: Vec::with_capacity(self.reserved.len()),
        };
        for (index, row) in self.plain.iter().enumerate() {
            let (cell, meter) = (&self.cells[index], &self.plain_meters[index]);
            answer.plain.push(plain(step, index, row, cell, meter)?);
        }
        for (nth, (row, meter)) in self.reserved.iter().enumerate() {
            let cell = &self.cells[self.plain.len() + nth];
            let outcome = match store_one(step, nth, row.clone(), cell, meter) {
                Ok(outcome) => outcome,
                Err(error @ Error::Overflow(_)) => return Err(error),
                Err(error) => RecordOutcome::Rejected(error),
            };
            answer.reserved.push(outcome);
        }
        Ok(Applied::Done(answer))
    }
}

pub(super) fn key(row: &EventRow) -> EventKey {
    EventKey {
        customer: row.customer,
        event: row.event.event_id.clone(),
        kind: row.kind,
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
    if let Some(stored) = step.duplicate(index)
        && !step.is_refused(row)
    {
        return Ok(match repeated(&stored.row, row) {
            Ok(before) => RecordOutcome::Duplicate(before),
            Err(error) => RecordOutcome::Rejected(error),
        });
    }
    match count(step, row, cell, meter)? {
        Ok(()) => Ok(RecordOutcome::Recorded(recorded(row))),
        Err(error) => {
            if step.duplicate(index).is_none() {
                step.refuse_plain(index, row);
            }
            Ok(RecordOutcome::Rejected(error))
        }
    }
}

/// Counts an event. The inner error refuses it and leaves nothing behind; the outer one takes the batch back.
fn count(
    step: &mut Step<'_, '_>,
    row: &EventRow,
    cell: &Cell,
    meter: &Arc<Meter>,
) -> Result<Result<(), Error>, Error> {
    let now = step.now();
    let counted = step.with(cell, |account, effects| {
        if account.customer.delete_time.is_some() {
            return Ok(Err(Error::not_found(Thing::Customer, &cell.id)));
        }
        if let Some(sub) = &row.event.subaccount_id
            && account.live_subaccount(sub).is_none()
        {
            return Ok(Err(Error::not_found(Thing::Subaccount, sub)));
        }
        let usage = Counted {
            subaccount: row.event.subaccount_id.as_ref(),
            meter: &row.event.meter_id,
            dimensions: &row.event.dimensions,
            weighted: row.weighted,
            at: row.count_time,
        };
        if let Err(overflow) = account.fits(&usage) {
            return Ok(Err(Error::Overflow(overflow)));
        }
        account
            .count(&usage, now, effects)
            .map(Ok)
            .map_err(Error::Overflow)
    });
    match counted {
        Ok(Ok(Ok(()))) => {
            step.batch.rollups.add(row, meter);
            Ok(Ok(()))
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
    if let Some(stored) = step.probed(probe) {
        return repeated(&stored.row, &row).map(RecordOutcome::Duplicate);
    }
    if let Some(stored) = step.stored_in_batch(&row) {
        return repeated(stored, &row).map(RecordOutcome::Duplicate);
    }
    let now = step.now();
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
    count(step, &row, cell, meter)??;
    if let Some(id) = opened {
        row.flags.beyond_reservation = step.with(cell, |account, effects| {
            account.use_up(&id, &row.event.meter_id, row.weighted, effects)
        })??;
    }
    let outcome = RecordOutcome::Recorded(recorded(&row));
    step.batch.changes.events.push(row);
    Ok(outcome)
}
