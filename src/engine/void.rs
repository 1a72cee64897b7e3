//! Taking usage back: one compensating event each, in the windows of the original.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::Engine;
use super::cell::Cell;
use super::error::{Error, Rule};
use super::mutation::{Applied, Mutation};
use super::profiles::check_live;
use super::step::Step;
use super::take_back::take_back;
use crate::domain::id::{CustomerId, EventId, MeterId, RequestId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::time::Timestamp;
use crate::domain::usage::{EVENT_AGE_MAX, Labels};
use crate::domain::window::TimeRange;
use crate::storage::{CustomerNo, EventKey, EventKind, EventQuery, EventRow};

/// Most events that one call takes back.
pub const VOIDS_MAX: usize = 1000;

/// A call to take events back.
#[derive(Debug, Clone, Serialize)]
pub struct VoidAsk {
    /// Whose.
    pub customer: CustomerId,
    /// Which.
    pub what: VoidWhat,
    /// Why, for people.
    pub reason: Box<str>,
    /// Whether only to say what would be done.
    pub dry_run: bool,
}

/// Which events to take back.
#[derive(Debug, Clone, Serialize)]
pub enum VoidWhat {
    /// These.
    Ids(Vec<EventId>),
    /// Those that are like this, at most [`VOIDS_MAX`] of them.
    Like(VoidFilter),
}

/// Chooses events; all conditions must hold.
#[derive(Debug, Clone, Serialize)]
pub struct VoidFilter {
    /// Only of this meter.
    pub meter: MeterId,
    /// Only those that count in this range.
    pub range: TimeRange,
    /// Only this part.
    pub subaccount: Option<SubaccountId>,
    /// Only with these dimension values.
    pub dimensions: Labels,
}

/// What became of the events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidAnswer {
    /// By id in the order of the call; by filter those taken back, oldest first.
    pub results: Vec<VoidResult>,
    /// Whether the filter matches more.
    pub more: bool,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidResult {
    /// The event.
    pub id: EventId,
    /// What became of it.
    pub status: VoidStatus,
    /// What it had added to counters; zero unless it was taken back.
    pub amount: Milli,
}

/// What becomes of an event that is to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoidStatus {
    /// It no longer counts.
    Voided,
    /// It was taken back before.
    AlreadyVoided,
    /// There is no such event.
    NotFound,
    /// It counts too long ago.
    TooOld,
}

impl VoidAnswer {
    /// Returns how many events were taken back.
    #[must_use]
    pub fn count(&self) -> usize {
        let voided = |result: &&VoidResult| result.status == VoidStatus::Voided;
        self.results.iter().filter(voided).count()
    }

    /// Returns what they had added to counters, over all meters.
    #[must_use]
    pub fn amount(&self) -> Milli {
        self.results.iter().fold(Milli::ZERO, |sum, result| {
            sum.plus_saturating(result.amount)
        })
    }
}

impl Engine {
    /// Takes events back.
    ///
    /// # Errors
    /// When the customer or the meter does not exist or the call breaks a rule; nothing is changed then.
    pub async fn void(
        &self,
        caller: &str,
        request: RequestId,
        ask: VoidAsk,
    ) -> Result<VoidAnswer, Error> {
        let cell = self.customer(&ask.customer).await?;
        let mut wrong = None;
        let (ids, more) = match &ask.what {
            VoidWhat::Ids(ids) => {
                check_ids(ids)?;
                (ids.clone(), false)
            }
            VoidWhat::Like(filter) => match self.alike(&ask.customer, filter).await {
                Ok(found) => found,
                Err(error) if ask.dry_run => return Err(error),
                Err(error) => {
                    wrong = Some(error);
                    (Vec::new(), false)
                }
            },
        };
        if ask.dry_run {
            let results = self.would_void(&ask.customer, ids).await?;
            return Ok(VoidAnswer { results, more });
        }
        let room = self.room(ids.len())?;
        let void = Void {
            cells: [cell],
            ids,
            notes: notes(&ask.reason, None),
            by_id: matches!(ask.what, VoidWhat::Ids(_)),
            more,
            wrong,
            _room: room,
        };
        self.submit_once(caller, request, &ask, void).await
    }

    /// Finds events that still count, oldest first, and says whether there are more.
    async fn alike(
        &self,
        customer: &CustomerId,
        filter: &VoidFilter,
    ) -> Result<(Vec<EventId>, bool), Error> {
        self.meter(&filter.meter)?;
        if filter.range.start < self.now().minus(EVENT_AGE_MAX) {
            return Err(Error::Invalid {
                field: "filter.start_time".to_owned(),
                rule: Rule::TooOld,
            });
        }
        if filter.range.end <= filter.range.start {
            return Err(Error::invalid(
                "filter.end_time",
                "must lie after the start",
            ));
        }
        let query = EventQuery {
            customer: customer.clone(),
            subaccount: filter.subaccount.clone(),
            meter: Some(filter.meter.clone()),
            range: filter.range,
            dimensions: filter.dimensions.clone(),
            ids: Vec::new(),
            reservation: None,
            standing: true,
            after: None,
            limit: VOIDS_MAX,
        };
        let page = self.shared.store.events(query).await?;
        let newest_first = page.items.into_iter();
        let ids = newest_first.rev().map(|stored| stored.row.event.event_id);
        Ok((ids.collect(), page.next.is_some()))
    }

    /// Says what would become of events.
    async fn would_void(
        &self,
        customer: &CustomerId,
        ids: Vec<EventId>,
    ) -> Result<Vec<VoidResult>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let query = EventQuery {
            customer: customer.clone(),
            subaccount: None,
            meter: None,
            range: TimeRange::ALWAYS,
            dimensions: Labels::new(),
            ids: ids.clone(),
            reservation: None,
            standing: false,
            after: None,
            limit: 2 * ids.len(),
        };
        let page = self.shared.store.events(query).await?;
        let usage = page
            .items
            .into_iter()
            .filter(|stored| stored.row.kind == EventKind::Usage)
            .map(|stored| (stored.row.event.event_id.clone(), stored));
        let found: BTreeMap<EventId, _> = usage.collect();
        let now = self.now();
        let result = |id: EventId| {
            let stored = found.get(&id);
            let voided = stored.is_some_and(|stored| stored.voided);
            result(id, stored.map(|stored| &stored.row), voided, now)
        };
        Ok(ids.into_iter().map(result).collect())
    }
}

fn check_ids(ids: &[EventId]) -> Result<(), Error> {
    if ids.is_empty() {
        return Err(Error::invalid("event_ids", "must not be empty"));
    }
    if ids.len() > VOIDS_MAX {
        return Err(Error::Invalid {
            field: "event_ids".to_owned(),
            rule: Rule::TooLong(VOIDS_MAX),
        });
    }
    let mut seen = BTreeSet::new();
    match ids.iter().position(|id| !seen.insert(id)) {
        Some(index) => Err(Error::invalid(
            format!("event_ids[{index}]"),
            "stands twice in the list",
        )),
        None => Ok(()),
    }
}

/// Says what becomes of an event that is to be taken back.
pub(super) fn verdict(found: Option<&EventRow>, voided: bool, now: Timestamp) -> VoidStatus {
    match found {
        None => VoidStatus::NotFound,
        Some(_) if voided => VoidStatus::AlreadyVoided,
        // Windows that ended earlier may be gone.
        Some(row) if row.count_time < now.minus(EVENT_AGE_MAX) => VoidStatus::TooOld,
        Some(_) => VoidStatus::Voided,
    }
}

fn result(id: EventId, found: Option<&EventRow>, voided: bool, now: Timestamp) -> VoidResult {
    let status = verdict(found, voided, now);
    let amount = match (status, found) {
        (VoidStatus::Voided, Some(row)) => row.weighted,
        (
            VoidStatus::Voided
            | VoidStatus::AlreadyVoided
            | VoidStatus::NotFound
            | VoidStatus::TooOld,
            _,
        ) => Milli::ZERO,
    };
    VoidResult { id, status, amount }
}

/// Returns what is kept with a void, as its metadata.
pub(super) fn notes(reason: &str, replacement: Option<&EventId>) -> Labels {
    let mut notes = Labels::new();
    if !reason.is_empty() {
        notes.insert("reason".into(), reason.into());
    }
    if let Some(id) = replacement {
        notes.insert("replacement_event_id".into(), id.as_str().into());
    }
    notes
}

/// Names an event and its void.
pub(super) fn keys(customer: CustomerNo, id: &EventId) -> [EventKey; 2] {
    [EventKind::Usage, EventKind::Void].map(|kind| EventKey {
        customer,
        event: id.clone(),
        kind,
    })
}

struct Void {
    cells: [Arc<Cell>; 1],
    ids: Vec<EventId>,
    notes: Labels,
    /// Whether the caller named the events; otherwise only what was taken back is told.
    by_id: bool,
    more: bool,
    /// What is wrong with the filter, unless the call is a repeat.
    wrong: Option<Error>,
    /// Their room among the events that wait.
    _room: OwnedSemaphorePermit,
}

impl Void {
    /// Names the field that names an event.
    fn field(&self, nth: usize) -> String {
        if self.by_id {
            format!("event_ids[{nth}]")
        } else {
            "filter".to_owned()
        }
    }
}

impl Mutation for Void {
    const METHOD: &'static str = "VoidUsage";
    type Answer = VoidAnswer;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn probes(&self) -> Vec<EventKey> {
        let no = self.cells[0].no();
        self.ids.iter().flat_map(|id| keys(no, id)).collect()
    }

    fn weight(&self) -> usize {
        1024 * (1 + self.ids.len())
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<VoidAnswer>, Error> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        let (now, cell) = (step.now(), &self.cells[0]);
        step.with(cell, |account, _| check_live(account))??;
        let mut answer = VoidAnswer {
            results: Vec::with_capacity(self.ids.len()),
            more: self.more,
        };
        for (nth, id) in self.ids.iter().enumerate() {
            let [usage, void] = keys(cell.no(), id);
            let original = step.event(2 * nth, &usage);
            let voided = step.event(2 * nth + 1, &void).is_some();
            let result = result(id.clone(), original.as_ref(), voided, now);
            let done = result.status == VoidStatus::Voided;
            if let (true, Some(original)) = (done, &original) {
                let quantity = original.event.quantity;
                let too_much = |excess| Error::overrun(self.field(nth), quantity, excess);
                take_back(step, cell, original, &self.notes, too_much)?;
            }
            if done || self.by_id {
                answer.results.push(result);
            }
        }
        Ok(Applied::Done(answer))
    }
}
