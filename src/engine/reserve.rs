//! Setting aside before work and settling after it; and both in one call, `Consume`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cell::{Cell, Inner};
use super::error::{Error, Rule, Thing};
use super::mutation::{Applied, Mutation};
use super::record::{self, RecordOutcome, Recorded};
use super::step::Step;
use super::{Engine, Shared};
use crate::domain::account::{Account, Ask, Effects, Ended, NotOpen, ReserveAsk, ReserveItem};
use crate::domain::catalog::{EntitlementSpec, FeatureKind, Meter, RateSpec};
use crate::domain::decision::{Decision, Reason};
use crate::domain::id::{CustomerId, FeatureId, RequestId, ReservationId, SubaccountId};
use crate::domain::quantity::Overflow;
use crate::domain::reservation::{Reservation, ReservationState};
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::{Labels, UsageEvent};
use crate::failpoint;
use crate::storage::{EventKey, EventRow, ReservationQuery};

/// A call to set items aside.
#[derive(Debug, Clone, Serialize)]
pub struct ReserveCall {
    /// Who.
    pub customer: CustomerId,
    /// Which part.
    pub subaccount: Option<SubaccountId>,
    /// What: feature, units, least acceptable units, dimensions.
    pub items: Vec<(FeatureId, i64, i64, Labels)>,
    /// How long it lives unless extended.
    pub ttl: Span,
    /// Who holds it.
    pub holder: Box<str>,
    /// Free text.
    pub metadata: Labels,
    /// Whether decisions list each limit.
    pub verbose: bool,
}

/// What a call to set items aside came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveAnswer {
    /// A decision for each item, by position.
    pub decisions: Vec<Decision>,
    /// The reservation; `None`: an item was denied.
    pub reservation: Option<Reservation>,
}

/// A call to check and record at once.
#[derive(Debug, Clone)]
pub struct ConsumeAsk {
    /// The event; its id makes the call safe to repeat.
    pub event: UsageEvent,
    /// The feature that is checked.
    pub feature: FeatureId,
    /// Whether the decision lists each limit.
    pub verbose: bool,
}

/// What a call to check and record came to.
#[derive(Debug, Clone)]
pub struct Consumed {
    /// The decision.
    pub decision: Decision,
    /// What became of the event; `None`: it was denied and is not stored.
    pub outcome: Option<RecordOutcome>,
}

impl Engine {
    /// Sets items aside, all or none.
    ///
    /// # Errors
    /// When it cannot be decided. A denial is in the answer.
    pub async fn reserve(
        &self,
        caller: &str,
        request: RequestId,
        call: ReserveCall,
    ) -> Result<ReserveAnswer, Error> {
        let (cell, _) = self.find_or_create(&call.customer).await?;
        let id = ReservationId::new(self.fresh_id().to_string()).map_err(|_| Error::Internal)?;
        let content = call.clone();
        let answer = self
            .submit_once(
                caller,
                request,
                &content,
                Reserve::new(cell, id, call, &self.shared),
            )
            .await?;
        for (decision, item) in answer.decisions.iter().zip(&content.items) {
            if !decision.allowed {
                let sub = content.subaccount.as_ref();
                self.shared
                    .note_denial(&content.customer, sub, &item.0, item.1, decision);
            }
        }
        Ok(answer)
    }

    /// Checks and records an event in one transaction.
    ///
    /// # Errors
    /// When it cannot be decided. A denial is in the answer.
    pub async fn consume(&self, ask: ConsumeAsk) -> Result<Consumed, Error> {
        let now = self.now();
        let catalog = self.catalog().catalog;
        let (weighted, meter) = record::weigh(&ask.event, &catalog, now)?;
        if ask.event.quantity < 0 {
            let field = "event.quantity".to_owned();
            return Err(Error::Invalid {
                field,
                rule: Rule::QuantityNegative,
            });
        }
        let feature = catalog
            .features
            .get(&ask.feature)
            .ok_or_else(|| Error::not_found(Thing::Feature, &ask.feature))?;
        let FeatureKind::Metered { meter: of, .. } = &feature.kind else {
            return Err(Error::FeatureKind {
                id: ask.feature.to_string(),
                kind: feature.kind.as_str(),
                wanted: "metered",
            });
        };
        if *of != ask.event.meter_id {
            return Err(Error::invalid(
                "event.meter_id",
                format!("must be {of}, the feature's meter"),
            ));
        }
        let (cell, created) = self.find_or_create(&ask.event.customer_id).await?;
        let row = record::row(ask.event.clone(), &cell, weighted, now);
        let consume = Consume {
            cells: [cell],
            row,
            meter,
            feature: ask.feature.clone(),
            verbose: ask.verbose,
            shared: Arc::clone(&self.shared),
        };
        let mut consumed = self.submit(consume).await?;
        if let Some(RecordOutcome::Recorded(recorded)) = &mut consumed.outcome {
            recorded.customer_created = created;
        }
        if !consumed.decision.allowed {
            let (customer, sub) = (&ask.event.customer_id, ask.event.subaccount_id.as_ref());
            let (feature, quantity) = (&ask.feature, ask.event.quantity);
            self.shared
                .note_denial(customer, sub, feature, quantity, &consumed.decision);
        }
        Ok(consumed)
    }

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
    ) -> Result<(Reservation, Vec<(bool, Recorded)>), Error> {
        let now = self.now();
        let catalog = self.catalog().catalog;
        let cell = self.customer(&customer).await?;
        let content = (&customer, &id, &events);
        let mut rows = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            let (weighted, meter) =
                record::weigh(event, &catalog, now).map_err(|e| at(e, index))?;
            rows.push((record::row(event.clone(), &cell, weighted, now), meter));
        }
        let known = self.reservation(&customer, &id).await?;
        let settle = Settle {
            cells: [cell],
            id: id.clone(),
            rows,
            how: Ended::Committed,
            known,
        };
        self.submit_once(caller, request, &content, settle).await
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
        let known = self.reservation(&customer, &id).await?;
        let content = (&customer, &id);
        let how = Ended::Released;
        let settle = Settle {
            cells: [cell],
            id: id.clone(),
            rows: Vec::new(),
            how,
            known,
        };
        Ok(self.submit_once(caller, request, &content, settle).await?.0)
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

    /// Returns a new id: time-ordered, so that it appends to its index.
    #[expect(
        clippy::disallowed_methods,
        reason = "ids of our own are drawn here, once for all"
    )]
    pub(super) fn fresh_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

fn at(error: Error, index: usize) -> Error {
    match error {
        Error::Invalid { field, rule } => Error::Invalid {
            field: format!("events[{index}].{field}"),
            rule,
        },
        other => other,
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

struct Reserve {
    cells: [Arc<Cell>; 1],
    ask: ReserveAsk,
    ttl: Span,
    verbose: bool,
    shared: Arc<Shared>,
    /// A stale copy to decide on, for the build that shows what repeating the decision under lock is for.
    stale: Option<Account>,
}

impl Reserve {
    fn new(cell: Arc<Cell>, id: ReservationId, call: ReserveCall, shared: &Arc<Shared>) -> Self {
        let item = |(feature, quantity, min_quantity, dimensions)| ReserveItem {
            feature,
            quantity,
            min_quantity,
            dimensions,
        };
        let ask = ReserveAsk {
            id,
            subaccount: call.subaccount,
            holder: call.holder,
            metadata: call.metadata,
            expire_time: Timestamp::MIN,
            items: call.items.into_iter().map(item).collect(),
        };
        let stale = failpoint::fault("decision_outside_lock")
            .then(|| cell.lock().account.clone())
            .flatten();
        let shared = Arc::clone(shared);
        Self {
            cells: [cell],
            ask,
            ttl: call.ttl,
            verbose: call.verbose,
            shared,
            stale,
        }
    }
}

impl Mutation for Reserve {
    const METHOD: &'static str = "Reserve";
    type Answer = ReserveAnswer;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<ReserveAnswer>, Error> {
        let now = step.now();
        self.ask.expire_time = now.plus(self.ttl);
        let (ask, verbose, shared) = (&self.ask, self.verbose, &self.shared);
        let stale = self.stale.as_mut();
        let answer = step.with_inner(&self.cells[0], |inner, effects| {
            Some(reserve_one(
                inner, effects, ask, now, verbose, shared, stale,
            ))
        })??;
        Ok(match answer.reservation {
            Some(_) => Applied::Done(answer),
            None => Applied::Refused(answer),
        })
    }
}

/// Takes rate tokens, then sets aside: a token is only taken when all else allows.
fn reserve_one(
    inner: &mut Inner,
    effects: &mut Effects,
    ask: &ReserveAsk,
    now: Timestamp,
    verbose: bool,
    shared: &Shared,
    stale: Option<&mut Account>,
) -> Result<ReserveAnswer, Error> {
    let Inner {
        account: Some(account),
        rates,
        ..
    } = inner
    else {
        return Err(Error::Internal);
    };
    let mut decisions: Vec<Decision> = ask
        .items
        .iter()
        .map(|item| account.check(&look(item, ask, verbose), now))
        .collect();
    if decisions.iter().all(|decision| decision.allowed) {
        for (item, decision) in ask.items.iter().zip(&mut decisions) {
            let Some(rate) = account.rate_of(&item.feature) else {
                continue;
            };
            let tokens = rate_tokens(account, &item.feature, item.quantity);
            take(rates, &item.feature, rate, tokens, shared, decision);
        }
    }
    let reserved = if decisions.iter().all(|decision| decision.allowed) {
        match stale {
            Some(stale) => account.reserve_as_decided_on(stale, ask, now, effects)?,
            None => account.reserve(ask, now, effects)?,
        }
    } else {
        crate::domain::account::Reserved {
            decisions,
            reservation: None,
        }
    };
    let mut answer = ReserveAnswer {
        decisions: reserved.decisions,
        reservation: reserved.reservation,
    };
    for (item, decision) in ask.items.iter().zip(&mut answer.decisions) {
        if !decision.allowed {
            shared.suggest_plan(account, &look(item, ask, verbose), decision);
        }
    }
    Ok(answer)
}

fn look<'a>(item: &'a ReserveItem, ask: &'a ReserveAsk, verbose: bool) -> Ask<'a> {
    Ask {
        feature: &item.feature,
        quantity: item.quantity,
        min_quantity: item.min_quantity,
        subaccount: ask.subaccount.as_ref(),
        dimensions: &item.dimensions,
        verbose,
    }
}

/// A rate feature is asked for calls; another feature with a rate counts one call, whatever its quantity.
fn rate_tokens(account: &Account, feature: &FeatureId, quantity: i64) -> u32 {
    match account
        .rights
        .get(feature.as_str())
        .map(|right| &right.spec)
    {
        Some(EntitlementSpec::Rate(_)) => u32::try_from(quantity).unwrap_or(u32::MAX),
        Some(
            EntitlementSpec::Boolean(_)
            | EntitlementSpec::Static(_)
            | EntitlementSpec::Metered(_)
            | EntitlementSpec::Allocation(_)
            | EntitlementSpec::Concurrency(_),
        )
        | None => u32::from(quantity > 0),
    }
}

fn take(
    rates: &mut super::rates::Rates,
    feature: &FeatureId,
    rate: RateSpec,
    tokens: u32,
    shared: &Shared,
    decision: &mut Decision,
) {
    if let Err(wait) = rates.take(feature, rate, tokens, &shared.rates) {
        decision.deny(Reason::RateLimited);
        decision.retry_after = Some(wait);
        decision.approximate = true;
    }
}

struct Consume {
    cells: [Arc<Cell>; 1],
    row: EventRow,
    meter: Arc<Meter>,
    feature: FeatureId,
    verbose: bool,
    shared: Arc<Shared>,
}

impl Mutation for Consume {
    const METHOD: &'static str = "Consume";
    type Answer = Consumed;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn probes(&self) -> Vec<EventKey> {
        vec![record::key(&self.row)]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Consumed>, Error> {
        let now = step.now();
        let cell = &self.cells[0];
        if step.probed(0).is_some() || step.stored_in_batch(&self.row).is_some() {
            let outcome = record::store_one(step, 0, self.row.clone(), cell, &self.meter)?;
            let mut decision = Decision::allowed(now);
            decision.granted = self.row.event.quantity;
            return Ok(Applied::Done(Consumed {
                decision,
                outcome: Some(outcome),
            }));
        }
        let (row, verbose, feature, shared) =
            (&self.row, self.verbose, &self.feature, &self.shared);
        let decision = step.with_inner(cell, |inner, _| {
            let Inner {
                account: Some(account),
                rates,
                ..
            } = inner
            else {
                return None;
            };
            let ask = Ask {
                feature,
                quantity: units(row, &self.meter),
                min_quantity: units(row, &self.meter),
                subaccount: row.event.subaccount_id.as_ref(),
                dimensions: &row.event.dimensions,
                verbose,
            };
            let mut decision = account.check(&ask, now);
            if let (Some(rate), true) = (account.rate_of(feature), decision.allowed) {
                let tokens = rate_tokens(account, feature, row.event.quantity);
                take(rates, feature, rate, tokens, shared, &mut decision);
            }
            if !decision.allowed {
                shared.suggest_plan(account, &ask, &mut decision);
            }
            Some(decision)
        })?;
        if !decision.allowed {
            return Ok(Applied::Refused(Consumed {
                decision,
                outcome: None,
            }));
        }
        let outcome = record::store_one(step, 0, self.row.clone(), cell, &self.meter)?;
        Ok(Applied::Done(Consumed {
            decision,
            outcome: Some(outcome),
        }))
    }
}

/// What an event asks of a limit: on a meter that counts events, one.
fn units(row: &EventRow, meter: &Meter) -> i64 {
    if meter.aggregation == crate::domain::catalog::Aggregation::Count {
        1
    } else {
        row.event.quantity
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

/// Ends a reservation, with the last of its events.
struct Settle {
    cells: [Arc<Cell>; 1],
    id: ReservationId,
    rows: Vec<(EventRow, Arc<Meter>)>,
    how: Ended,
    /// The reservation as it was stored when the call came.
    known: Reservation,
}

impl Mutation for Settle {
    const METHOD: &'static str = "SettleReservation";
    type Answer = (Reservation, Vec<(bool, Recorded)>);

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn probes(&self) -> Vec<EventKey> {
        self.rows.iter().map(|(row, _)| record::key(row)).collect()
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Self::Answer>, Error> {
        let now = step.now();
        let id = self.id.clone();
        let open = step.with(&self.cells[0], |account, _| {
            account.open_reservation(&id, now).is_some()
        })?;
        if !open {
            let repeat = self.how == Ended::Released
                && matches!(
                    self.known.state,
                    ReservationState::Released | ReservationState::Expired | ReservationState::Open
                );
            let late = self.how == Ended::Committed
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
                // Some events may be counted already: only taking the batch back leaves nothing behind.
                .map_err(|error| {
                    if nth == 0 {
                        error
                    } else {
                        Error::Overflow(Overflow)
                    }
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
            return Ok(Applied::Done((ended, recorded)));
        }
        let how = self.how;
        let ended = step.with(&self.cells[0], |account, effects| {
            account.end(&id, how, now, effects)
        })??;
        ended
            .map(|ended| Applied::Done((ended, recorded)))
            .map_err(|NotOpen| closed(&self.known))
    }
}

impl Settle {
    /// Checks every event before the first is recorded, so that all are or none.
    fn check_events(&self, step: &mut Step<'_, '_>) -> Result<(), Error> {
        for (nth, (row, _)) in self.rows.iter().enumerate() {
            let stored = step.probed(nth).map(|stored| stored.row);
            if let Some(stored) = stored.as_ref().or_else(|| step.stored_in_batch(row)) {
                record::repeated(stored, row)?;
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
