//! What can be checked of events without a lock: against the catalog, and that their customers exist.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Engine;
use super::cell::Cell;
use super::customers::CREATION_QUOTA;
use super::error::{Error, Rule, Thing};
use crate::domain::account::Account;
use crate::domain::catalog::{Catalog, Meter};
use crate::domain::quantity::{Excess, Milli, Overflow, QUANTITY_MAX};
use crate::domain::time::Timestamp;
use crate::domain::usage::{DIMENSIONS_MAX, InvalidEventTime, UsageEvent, check_event_time};
use crate::storage::{EventFlags, EventKind, EventRow};

/// Bytes of labels that an event of ordinary size may have.
const LABEL_BYTES: usize = 512;

/// Events that passed what can be checked without a lock, ready to be submitted.
pub struct Prepared {
    /// Outcome or place of each event, by position.
    pub(super) slots: Vec<Slot>,
    pub(super) plain: Vec<EventRow>,
    /// Cells of the plain events, then of the others.
    pub(super) cells: Vec<Arc<Cell>>,
    pub(super) plain_meters: Vec<Arc<Meter>>,
    /// Events that are looked for before anything is done: those that name a reservation, on which depends when they
    /// count, and those that cannot be recorded now but may have been before.
    pub(super) probed: Vec<(EventRow, Result<Arc<Meter>, Error>)>,
    /// Positions of events for which their customer was created.
    pub(super) created: Vec<usize>,
    /// How much room they take among the events that wait: one of ordinary size takes 1.
    pub(super) size: usize,
    /// That room.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// Outcome or place of one event.
pub(super) enum Slot {
    Plain,
    Probed,
    Rejected(Error),
}

impl Prepared {
    /// Returns how many events wait for the store.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plain.len() + self.probed.len()
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
        let mut now = self.now();
        let catalog = self.catalog().catalog;
        let drawing = self.shared.loader.drawing();
        let mut prepared = Prepared {
            slots: Vec::with_capacity(events.len()),
            plain: Vec::with_capacity(events.len()),
            cells: Vec::with_capacity(events.len()),
            plain_meters: Vec::with_capacity(events.len()),
            probed: Vec::new(),
            created: Vec::new(),
            size: 0,
            room: None,
        };
        let mut probed_cells = Vec::new();
        for event in events {
            prepared.size += size(&event);
            let (weighted, meter) = match weigh(&event, &catalog, now) {
                Ok((weighted, meter)) => (weighted, Ok(meter)),
                Err(error) => {
                    match self.known_repeat(&event, &error).await? {
                        Some(cell) => {
                            prepared.slots.push(Slot::Probed);
                            let row = row(event, &cell, Milli::ZERO, now);
                            prepared.probed.push((row, Err(error)));
                            probed_cells.push(cell);
                        }
                        None => prepared.slots.push(Slot::Rejected(error)),
                    }
                    continue;
                }
            };
            let found = match self.shared.accounts.get(event.customer_id.as_str()) {
                Some(cell) if cell.is_ready() => Ok((cell, false)),
                _ => self.find_for(&event).await,
            };
            let cell = match found {
                Ok((cell, created)) => {
                    if created {
                        prepared.created.push(prepared.slots.len());
                        // What is received without a time happened after its customer began, not in the window before.
                        now = self.now();
                    }
                    cell
                }
                // One customer too many for now is no reason to keep the others waiting; a full queue is.
                Err(error) if is_of_one(&error) => {
                    prepared.slots.push(Slot::Rejected(error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            cell.touch();
            let row = row(event, &cell, weighted, now);
            // What draws on a wallet is stored with its charge, which only the decision knows.
            if row.event.reservation_id.is_some() || drawing.contains(&row.event.meter_id) {
                prepared.slots.push(Slot::Probed);
                prepared.probed.push((row, meter));
                probed_cells.push(cell);
            } else {
                prepared.slots.push(Slot::Plain);
                prepared.plain.push(row);
                prepared.plain_meters.extend(meter);
                prepared.cells.push(cell);
            }
        }
        prepared.cells.append(&mut probed_cells);
        Ok(prepared)
    }

    /// Returns the customer of an event, created when the catalog lets first use do so.
    async fn find_for(&self, event: &UsageEvent) -> Result<(Arc<Cell>, bool), Error> {
        let refused = |_: &Account, _| {
            let part = event.subaccount_id.as_ref()?;
            Some(Error::not_found(Thing::Subaccount, part))
        };
        self.find_or_create_for(&event.customer_id, refused).await?
    }

    /// Returns the customer of an event that cannot be recorded now, when it may repeat one that could be before.
    async fn known_repeat(
        &self,
        event: &UsageEvent,
        error: &Error,
    ) -> Result<Option<Arc<Cell>>, Error> {
        if may_pass(error) {
            self.find(&event.customer_id).await
        } else {
            Ok(None)
        }
    }
}

/// Returns how much room an event takes: 1, and another for each [`LABEL_BYTES`] of its labels.
fn size(event: &UsageEvent) -> usize {
    let labels = event.dimensions.iter().chain(&event.metadata);
    let bytes: usize = labels.map(|(key, value)| key.len() + value.len()).sum();
    1 + bytes / LABEL_BYTES
}

/// Whether an error about a customer concerns its events alone.
fn is_of_one(error: &Error) -> bool {
    match error {
        Error::NotFound { .. } => true,
        Error::Overloaded { queue, .. } => *queue == CREATION_QUOTA,
        _ => false,
    }
}

/// Whether what is wrong with an event may have been right when it was sent first: time passed, or the catalog changed.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::NotFound { kind, .. } => *kind == Thing::Meter,
        Error::Invalid { rule, .. } => matches!(
            rule,
            Rule::TooOld | Rule::DimensionUndeclared | Rule::QuantityNegative
        ),
        _ => false,
    }
}

impl Engine {
    /// As [`Engine::prepare`], then waits for room; for streams, which take no more events meanwhile.
    ///
    /// # Errors
    /// When the store cannot be asked for a customer.
    pub async fn prepare_patiently(&self, events: Vec<UsageEvent>) -> Result<Prepared, Error> {
        let mut prepared = self.prepare(events).await?;
        let wanted = self.permits(prepared.size);
        let room = Arc::clone(&self.shared.events).acquire_many_owned(wanted);
        prepared.room = Some(room.await.map_err(|_| Error::Draining)?);
        Ok(prepared)
    }
}

/// Checks an event against the catalog and weighs it.
pub(super) fn weigh(
    event: &UsageEvent,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<(Milli, Arc<Meter>), Error> {
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
    let weighted = meter.weigh(event.quantity, &event.dimensions);
    let weighted =
        weighted.map_err(|Overflow| Error::overrun("quantity", event.quantity, Excess::Counted))?;
    Ok((weighted, Arc::clone(meter)))
}

/// Returns the row of an event that counts at its own time.
pub(super) fn row(event: UsageEvent, cell: &Cell, weighted: Milli, now: Timestamp) -> EventRow {
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
        charge: None,
    }
}
