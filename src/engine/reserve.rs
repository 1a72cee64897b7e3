//! Setting quota and concurrency aside before work, several items all or none.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cell::{Cell, Inner};
use super::error::{Bounded, Error};
use super::mutation::{Applied, Mutation};
use super::step::Step;
use super::{Engine, Shared};
use crate::domain::account::{Account, Ask, Effects, ItemExcess, ReserveAsk, ReserveItem};
use crate::domain::catalog::{EntitlementSpec, RateSpec};
use crate::domain::customer::RESERVATIONS_MAX;
use crate::domain::decision::{Decision, Reason};
use crate::domain::id::{CustomerId, FeatureId, RequestId, ReservationId, SubaccountId};
use crate::domain::reservation::Reservation;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::Labels;
use crate::failpoint;

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
        let refused = |account: &Account, now| self.reserve_refused(account, &call, now);
        let place = match self.find_or_create_for(&call.customer, refused).await? {
            Ok((place, _)) => place,
            Err(answer) => {
                self.note_denials(&call, &answer);
                return Ok(answer);
            }
        };
        let id = ReservationId::new(Self::fresh_id().to_string()).map_err(|_| Error::Internal)?;
        let content = call.clone();
        let answer = self
            .submit_once(
                caller,
                request,
                &content,
                Reserve::new(place, id, call, &self.shared),
            )
            .await?;
        self.note_denials(&content, &answer);
        Ok(answer)
    }

    fn note_denials(&self, call: &ReserveCall, answer: &ReserveAnswer) {
        for (decision, item) in answer.decisions.iter().zip(&call.items) {
            if !decision.allowed {
                let sub = call.subaccount.as_ref();
                self.shared
                    .note_denial(&call.customer, sub, &item.0, item.1, decision);
            }
        }
    }

    /// Returns the answer if an item is denied to this account.
    fn reserve_refused(
        &self,
        account: &Account,
        call: &ReserveCall,
        now: Timestamp,
    ) -> Option<ReserveAnswer> {
        let decide = |item: &(FeatureId, i64, i64, Labels)| {
            let ask = Ask {
                feature: &item.0,
                quantity: item.1,
                min_quantity: item.2,
                subaccount: call.subaccount.as_ref(),
                dimensions: &item.3,
                verbose: call.verbose,
            };
            let mut decision = account.check(&ask, now);
            if !decision.allowed {
                self.shared.suggest_plan(account, &ask, &mut decision);
            }
            decision
        };
        let decisions: Vec<Decision> = call.items.iter().map(decide).collect();
        let is_refused = decisions.iter().any(|decision| !decision.allowed);
        is_refused.then_some(ReserveAnswer {
            decisions,
            reservation: None,
        })
    }

    /// Returns a new id: time-ordered, so that it appends to its index.
    #[expect(
        clippy::disallowed_methods,
        reason = "ids of our own are drawn here, once for all"
    )]
    pub(super) fn fresh_id() -> Uuid {
        Uuid::now_v7()
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
    /// Whether its rate tokens were taken: a batch that is tried again does not take them twice.
    is_paid: bool,
}

impl Reserve {
    fn new(place: Arc<Cell>, id: ReservationId, call: ReserveCall, shared: &Arc<Shared>) -> Self {
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
            .then(|| place.lock().account.clone())
            .flatten();
        let shared = Arc::clone(shared);
        Self {
            cells: [place],
            ask,
            ttl: call.ttl,
            verbose: call.verbose,
            shared,
            stale,
            is_paid: false,
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
        let open = step.with(&self.cells[0], |account, _| account.reservations.len())?;
        if open >= RESERVATIONS_MAX {
            return Err(Error::TooMany {
                things: Bounded::Reservations,
                most: RESERVATIONS_MAX,
            });
        }
        self.ask.expire_time = now.plus(self.ttl);
        let cell = Arc::clone(&self.cells[0]);
        let answer = step.with_inner(&cell, |inner, effects| {
            Some(self.decide(inner, effects, now))
        })??;
        Ok(match answer.reservation {
            Some(_) => Applied::Done(answer),
            None => Applied::Refused(answer),
        })
    }
}

impl Reserve {
    /// Takes rate tokens, then sets aside: a token is only taken when all else allows.
    fn decide(
        &mut self,
        inner: &mut Inner,
        effects: &mut Effects,
        now: Timestamp,
    ) -> Result<ReserveAnswer, Error> {
        let (ask, verbose, shared) = (&self.ask, self.verbose, &self.shared);
        let stale = self.stale.as_mut();
        let Inner {
            account: Some(account),
            rates,
            ..
        } = inner
        else {
            return Err(Error::Internal);
        };
        // The build with the defect goes by its stale copy from here on.
        let decided_on = stale.as_deref().unwrap_or(account);
        let is_rated = |item: &ReserveItem| account.rate_of(&item.feature).is_some();
        let mut decisions = Vec::new();
        // Reserving looks again, at each item beside those before it. Tokens are taken in between, and a refusal tells of
        // each item as it is by itself, with what explains it.
        if verbose || ask.items.len() > 1 || ask.items.iter().any(is_rated) {
            let check = |item| decided_on.check(&look(item, ask, verbose), now);
            decisions.extend(ask.items.iter().map(check));
        }
        if decisions.iter().all(|decision| decision.allowed) && !self.is_paid {
            for (item, decision) in ask.items.iter().zip(&mut decisions) {
                let Some(rate) = account.rate_of(&item.feature) else {
                    continue;
                };
                let tokens = rate_tokens(account, &item.feature, item.quantity);
                let of = (&account.customer.id, &item.feature);
                take(rates, of, rate, tokens, shared, decision);
            }
            self.is_paid = decisions.iter().all(|decision| decision.allowed);
        }
        let reserved = if decisions.iter().all(|decision| decision.allowed) {
            match stale {
                Some(stale) => account.reserve_as_decided_on(stale, ask, now, effects),
                None => account.reserve(ask, now, effects),
            }
            .map_err(|wrong| too_large(ask, wrong))?
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
}

/// Names the item that is more than can be counted or charged.
pub(super) fn too_large(ask: &ReserveAsk, wrong: ItemExcess) -> Error {
    let ItemExcess { item, excess } = wrong;
    let quantity = ask.items.get(item).map_or(0, |item| item.quantity);
    Error::overrun(format!("items[{item}].quantity"), quantity, excess)
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
pub(super) fn rate_tokens(account: &Account, feature: &FeatureId, quantity: i64) -> u32 {
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

/// Takes tokens for a decision that all else allowed.
pub(super) fn take(
    rates: &mut super::rates::Rates,
    (customer, feature): (&CustomerId, &FeatureId),
    rate: RateSpec,
    tokens: u32,
    shared: &Shared,
    decision: &mut Decision,
) {
    let (now, outage) = (shared.clock.now(), shared.outage.since());
    let parts = shared.shares.of(customer, feature, now, outage.is_some());
    if let Err(wait) = rates.take(feature, (rate, parts), tokens, &shared.rates) {
        shared.shares.note_refused(customer, feature, parts);
        decision.deny(Reason::RateLimited);
        decision.retry_after = wait;
        decision.approximate = true;
    }
}
