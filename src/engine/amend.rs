//! Replacing an event: taking it back and recording another in one transaction.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::cell::Cell;
use super::error::{Error, Rule, Thing};
use super::mutation::{Applied, Mutation};
use super::prepare;
use super::profiles::check_live;
use super::record::{self, RecordOutcome, Recorded};
use super::step::Step;
use super::take_back::take_back;
use super::void::{self, VoidStatus};
use crate::domain::catalog::Meter;
use crate::domain::id::{CustomerId, EventId, RequestId};
use crate::domain::quantity::{Excess, Milli};
use crate::domain::usage::{Labels, UsageEvent};
use crate::storage::{EventKey, EventRow};

/// A call to replace an event.
#[derive(Debug, Clone, Serialize)]
pub struct AmendAsk {
    /// Whose.
    pub customer: CustomerId,
    /// The event to take back.
    pub event: EventId,
    /// The event in its place; without a time it has that of the original.
    pub replacement: UsageEvent,
    /// Why, for people.
    pub reason: Box<str>,
}

/// What a replacement came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amended {
    /// The event that was taken back.
    pub original: EventRow,
    /// What is known of the event in its place.
    pub recorded: Recorded,
    /// Whether the event in its place had been stored before.
    pub duplicate: bool,
}

impl Engine {
    /// Replaces an event.
    ///
    /// # Errors
    /// When there is no such event, it was taken back before or is too old, or the other is wrong; nothing is
    /// changed then.
    pub async fn amend(
        &self,
        caller: &str,
        request: RequestId,
        ask: AmendAsk,
    ) -> Result<Amended, Error> {
        if ask.replacement.customer_id != ask.customer {
            let field = "replacement.customer_id";
            return Err(Error::invalid(field, "must be the customer of the call"));
        }
        if ask.replacement.event_id == ask.event {
            let field = "replacement.event_id";
            return Err(Error::invalid(field, "must differ from event_id"));
        }
        let now = self.now();
        let cell = self.customer(&ask.customer).await?;
        let catalog = self.catalog().catalog;
        let (weighted, meter) = match prepare::weigh(&ask.replacement, &catalog, now) {
            Ok((weighted, meter)) => (weighted, Ok(meter)),
            Err(error) => (Milli::ZERO, Err(error.below("replacement"))),
        };
        let amend = Amend {
            row: prepare::row(ask.replacement.clone(), &cell, weighted, now),
            cells: [cell],
            id: ask.event.clone(),
            meter,
            notes: void::notes(&ask.reason, Some(&ask.replacement.event_id)),
        };
        let amended = self.submit_once(caller, request, &ask, amend).await;
        let quantity = ask.replacement.quantity;
        amended.map_err(|wrong| wrong.blame("replacement.quantity", quantity, Excess::Counted))
    }
}

struct Amend {
    cells: [Arc<Cell>; 1],
    id: EventId,
    row: EventRow,
    /// The replacement's meter, or what is wrong with the replacement. That is told only when the call is not the
    /// repeat of one that went well, since when the catalog may have changed.
    meter: Result<Arc<Meter>, Error>,
    notes: Labels,
}

impl Amend {
    /// Finds the event to take back.
    fn original(&self, step: &mut Step<'_, '_>) -> Result<EventRow, Error> {
        let [usage, void] = void::keys(self.cells[0].no(), &self.id);
        let original = step.event(0, &usage);
        let voided = step.event(1, &void).is_some();
        let id = || self.id.to_string();
        match (
            void::verdict(original.as_ref(), voided, step.now()),
            original,
        ) {
            (VoidStatus::Voided, Some(original)) => Ok(original),
            (VoidStatus::AlreadyVoided, _) => Err(Error::EventVoided { id: id() }),
            (VoidStatus::TooOld, _) => Err(Error::Invalid {
                field: "event_id".to_owned(),
                rule: Rule::TooOld,
            }),
            (VoidStatus::NotFound | VoidStatus::Voided, _) => {
                Err(Error::not_found(Thing::Event, &self.id))
            }
        }
    }

    /// Checks the event in its place as far as that can be done before anything is changed.
    fn check(&self, row: &EventRow, step: &mut Step<'_, '_>) -> Result<(), Error> {
        if let Some(stored) = step.event(2, &EventKey::of(row)) {
            record::repeated(&stored, row)?;
        }
        let Some(sub) = &row.event.subaccount_id else {
            return Ok(());
        };
        let known = step.with(&self.cells[0], |account, _| {
            account.live_subaccount(sub).is_some()
        })?;
        if known {
            Ok(())
        } else {
            Err(Error::not_found(Thing::Subaccount, sub))
        }
    }
}

impl Mutation for Amend {
    const METHOD: &'static str = "AmendUsage";
    type Answer = Amended;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn probes(&self) -> Vec<EventKey> {
        let mut probes = void::keys(self.cells[0].no(), &self.id).to_vec();
        probes.push(EventKey::of(&self.row));
        probes
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Amended>, Error> {
        let (cell, meter) = (&self.cells[0], self.meter.clone()?);
        step.with(cell, |account, _| check_live(account))??;
        let original = self.original(step)?;
        let mut row = self.row.clone();
        if row.event.event_time.is_none() {
            row.event.event_time = Some(original.event_time);
            row.event_time = original.event_time;
            row.count_time = original.count_time;
        }
        self.check(&row, step)?;
        let quantity = original.event.quantity;
        let too_much = |excess| Error::overrun("event_id", quantity, excess);
        take_back(step, cell, &original, &self.notes, too_much)?;
        let outcome =
            record::store_one(step, 2, row, cell, &meter).map_err(|wrong| match wrong {
                Error::Overflow(_) => wrong.below("replacement"),
                // The original is counted off: only taking the batch back leaves nothing behind.
                _ => Error::Overflow(None),
            })?;
        let (recorded, duplicate) = match outcome {
            RecordOutcome::Recorded(recorded) => (recorded, false),
            RecordOutcome::Duplicate(recorded) => (recorded, true),
            RecordOutcome::Rejected(_) => return Err(Error::Overflow(None)),
        };
        Ok(Applied::Done(Amended {
            original,
            recorded,
            duplicate,
        }))
    }
}
