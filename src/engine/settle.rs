//! Settling after work: extending, committing and releasing reservations.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::Engine;
use super::cell::Cell;
use super::error::{Error, Thing};
use super::mutation::{Applied, Mutation};
use super::prepare;
use super::record::{self, RecordOutcome, Recorded};
use super::step::Step;
use crate::domain::account::{Ended, NotOpen};
use crate::domain::catalog::Meter;
use crate::domain::id::{CustomerId, RequestId, ReservationId};
use crate::domain::quantity::Excess;
use crate::domain::reservation::{Reservation, ReservationState};
use crate::domain::time::Span;
use crate::domain::usage::UsageEvent;
use crate::storage::{EventKey, EventRow, ReservationQuery};

impl Engine {
    /// Lets a reservation live `ttl` from now.
    ///
    /// # Errors
    /// When there is none of this id, or it is no longer open.
    pub async fn extend(
        &self,
        caller: &str,
        request: RequestId,
        customer: CustomerId,
        id: ReservationId,
        ttl: Span,
    ) -> Result<Reservation, Error> {
        let cell = self.customer(&customer).await?;
        let content = (&customer, &id, ttl);
        let extend = Extend {
            cells: [cell],
            id: id.clone(),
            ttl,
        };
        let answer = self.submit_once(caller, request, &content, extend).await?;
        match answer {
            Some(reservation) => Ok(reservation),
            None => Err(self.not_open(&customer, &id).await?),
        }
    }

    /// Records the last events of a reservation, closes it and frees the rest. A reservation that is no longer
    /// open lets its events be recorded all the same, flagged.
    ///
    /// # Errors
    /// When there is none of this id, it was committed or released before, or an event is wrong; nothing is
    /// recorded then.
    pub async fn commit(
        &self,
        caller: &str,
        request: RequestId,
        customer: CustomerId,
        id: ReservationId,
        events: Vec<UsageEvent>,
    ) -> Result<Settled, Error> {
        let now = self.now();
        let catalog = self.catalog().catalog;
        let cell = self.customer(&customer).await?;
        let content = (&customer, &id, &events);
        let weigh = |(index, event): (usize, &UsageEvent)| {
            let checked = prepare::weigh(event, &catalog, now);
            let (weighted, meter) = checked.map_err(|error| error.below(&place(index)))?;
            Ok((prepare::row(event.clone(), &cell, weighted, now), meter))
        };
        let rows = events.iter().enumerate().map(weigh).collect();
        let room = self.room(events.len())?;
        self.settle::<_, true>(caller, request, &content, (&cell, &id), rows, room)
            .await
            .map_err(|error| blame_largest(error, &events))
    }

    /// Gives a reservation back.
    ///
    /// # Errors
    /// When there is none of this id, or it was committed before.
    pub async fn release(
        &self,
        caller: &str,
        request: RequestId,
        customer: CustomerId,
        id: ReservationId,
    ) -> Result<Reservation, Error> {
        let cell = self.customer(&customer).await?;
        let content = (&customer, &id);
        let (ended, _) = self
            .settle::<_, false>(
                caller,
                request,
                &content,
                (&cell, &id),
                Ok(Vec::new()),
                self.room(0)?,
            )
            .await?;
        Ok(ended)
    }

    /// Settles on the reservation as memory holds it, as mostly it is open; when it is not there, or another call
    /// has ended it meanwhile, as it is stored.
    async fn settle<C: Serialize, const COMMIT: bool>(
        &self,
        caller: &str,
        request: RequestId,
        content: &C,
        (cell, id): (&Arc<Cell>, &ReservationId),
        rows: Result<Vec<(EventRow, Arc<Meter>)>, Error>,
        room: OwnedSemaphorePermit,
    ) -> Result<Settled, Error> {
        let customer = cell.id.clone();
        let (rows, wrong) = match rows {
            Ok(rows) => (rows, None),
            Err(wrong) => (Vec::new(), Some(wrong)),
        };
        let mut settle = Settle::<COMMIT> {
            id: id.clone(),
            rows,
            wrong,
            known: match cell.reservation(id) {
                Some(open) => open,
                None => self.reservation(&customer, id).await?,
            },
            cells: [Arc::clone(cell)],
            _room: Arc::new(room),
        };
        let first = settle.clone();
        let answer = self.submit_once(caller, request.clone(), content, first);
        if let Some(settled) = answer.await? {
            return Ok(settled);
        }
        settle.known = self.reservation(&customer, id).await?;
        let answer = self.submit_once(caller, request, content, settle).await?;
        answer.ok_or(Error::Internal)
    }

    /// Returns a reservation as stored, whatever became of it.
    async fn reservation(
        &self,
        customer: &CustomerId,
        id: &ReservationId,
    ) -> Result<Reservation, Error> {
        let query = ReservationQuery {
            customer: customer.clone(),
            id: Some(id.clone()),
            subaccount: None,
            state: None,
            holder: None,
            after: None,
            limit: 1,
        };
        let page = self.shared.store.reservations(query).await?;
        page.items
            .into_iter()
            .next()
            .ok_or_else(|| Error::not_found(Thing::Reservation, id))
    }

    /// Says why a reservation is not open.
    async fn not_open(&self, customer: &CustomerId, id: &ReservationId) -> Result<Error, Error> {
        Ok(closed(&self.reservation(customer, id).await?))
    }
}

/// Names an event of the call.
fn place(index: usize) -> String {
    format!("events[{index}]")
}

/// Names the largest event when all of them together are more than can be counted.
fn blame_largest(error: Error, events: &[UsageEvent]) -> Error {
    let largest = events.iter().enumerate();
    let largest = largest.max_by_key(|(_, event)| event.quantity.unsigned_abs());
    match largest {
        Some((index, event)) => {
            let field = format!("{}.quantity", place(index));
            error.blame(field, event.quantity, Excess::Counted)
        }
        None => error,
    }
}

fn closed(reservation: &Reservation) -> Error {
    let state = match reservation.state {
        // Its time is over, and the sweep has not written so yet.
        ReservationState::Open | ReservationState::Expired => "expired",
        ReservationState::Committed => "committed",
        ReservationState::Released => "released",
    };
    Error::ReservationClosed {
        id: reservation.id.to_string(),
        state,
    }
}

struct Extend {
    cells: [Arc<Cell>; 1],
    id: ReservationId,
    ttl: Span,
}

impl Mutation for Extend {
    const METHOD: &'static str = "ExtendReservation";
    /// `None`: it is not open.
    type Answer = Option<Reservation>;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Self::Answer>, Error> {
        let now = step.now();
        let (id, until) = (&self.id, now.plus(self.ttl));
        let extended = step.with(&self.cells[0], |account, effects| {
            account.extend(id, until, now, effects)
        })?;
        Ok(match extended {
            Ok(reservation) => Applied::Done(Some(reservation)),
            Err(NotOpen) => Applied::Refused(None),
        })
    }
}

/// The reservation as it ended, and what became of each event, with whether it was a repeat.
type Settled = (Reservation, Vec<(bool, Recorded)>);

/// Ends a reservation: commits it with the last of its events, or releases it.
#[derive(Clone)]
struct Settle<const COMMIT: bool> {
    cells: [Arc<Cell>; 1],
    id: ReservationId,
    rows: Vec<(EventRow, Arc<Meter>)>,
    /// What is wrong with an event. It is told only when the call is not the repeat of one that went well, since when
    /// the catalog may have changed.
    wrong: Option<Error>,
    /// The reservation as it was when the call came.
    known: Reservation,
    /// The room of its events among those that wait.
    _room: Arc<OwnedSemaphorePermit>,
}

impl<const COMMIT: bool> Mutation for Settle<COMMIT> {
    const METHOD: &'static str = if COMMIT {
        "CommitReservation"
    } else {
        "ReleaseReservation"
    };
    /// `None`: what was known of it is out of date.
    type Answer = Option<Settled>;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn probes(&self) -> Vec<EventKey> {
        self.rows.iter().map(|(row, _)| EventKey::of(row)).collect()
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Self::Answer>, Error> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        let now = step.now();
        let id = self.id.clone();
        let (held, open) = step.with(&self.cells[0], |account, _| {
            let open = account.open_reservation(&id, now).is_some();
            (account.reservations.contains_key(&id), open)
        })?;
        if !held && self.known.state == ReservationState::Open {
            return Ok(Applied::Refused(None));
        }
        if !open {
            let repeat = !COMMIT
                && matches!(
                    self.known.state,
                    ReservationState::Released | ReservationState::Expired | ReservationState::Open
                );
            let late = COMMIT
                && matches!(
                    self.known.state,
                    ReservationState::Expired | ReservationState::Open
                );
            if !repeat && !late {
                return Err(closed(&self.known));
            }
        }
        self.check_events(step)?;
        let mut recorded = Vec::with_capacity(self.rows.len());
        for (nth, (row, meter)) in self.rows.iter().enumerate() {
            let outcome = record::store_one(step, nth, row.clone(), &self.cells[0], meter)
                .map_err(|error| match error {
                    Error::Overflow(_) => error.below(&place(nth)),
                    error if nth == 0 => error,
                    // Some events are counted already: only taking the batch back leaves nothing behind.
                    _ => Error::Overflow(None),
                })?;
            match outcome {
                RecordOutcome::Recorded(one) => recorded.push((false, one)),
                RecordOutcome::Duplicate(one) => recorded.push((true, one)),
                RecordOutcome::Rejected(error) => return Err(error),
            }
        }
        if !open {
            let mut ended = self.known.clone();
            if ended.state == ReservationState::Open {
                ended.state = ReservationState::Expired;
                ended.end_time = Some(ended.expire_time);
            }
            return Ok(Applied::Done(Some((ended, recorded))));
        }
        let how = if COMMIT {
            Ended::Committed
        } else {
            Ended::Released
        };
        let ended = step.with(&self.cells[0], |account, effects| {
            account.end(&id, how, now, effects)
        })??;
        ended
            .map(|ended| Applied::Done(Some((ended, recorded))))
            .map_err(|NotOpen| closed(&self.known))
    }
}

impl<const COMMIT: bool> Settle<COMMIT> {
    /// Checks every event before the first is recorded, so that all are or none.
    fn check_events(&self, step: &mut Step<'_, '_>) -> Result<(), Error> {
        for (nth, (row, _)) in self.rows.iter().enumerate() {
            if let Some(stored) = step.event(nth, &EventKey::of(row)) {
                record::repeated(&stored, row)?;
                continue;
            }
            let twice = self.rows[..nth].iter().any(|(other, _)| {
                other.event.event_id == row.event.event_id
                    && record::difference(other, row).is_some()
            });
            if twice {
                let id = row.event.event_id.to_string();
                return Err(Error::EventIdReused {
                    id,
                    differs: "content",
                });
            }
            let sub = row.event.subaccount_id.as_ref();
            let known = step.with(&self.cells[0], |account, _| {
                sub.is_none_or(|sub| account.live_subaccount(sub).is_some())
            })?;
            if let (false, Some(sub)) = (known, sub) {
                return Err(Error::not_found(Thing::Subaccount, sub));
            }
        }
        Ok(())
    }
}
