//! Checking and recording in one call and one transaction.

use std::sync::Arc;

use super::Engine;
use super::Shared;
use super::cell::{Cell, Inner};
use super::error::{Error, Rule, Thing};
use super::mutation::{Applied, Mutation};
use super::prepare;
use super::record::{self, RecordOutcome};
use super::reserve::{rate_tokens, take};
use super::step::Step;
use crate::domain::account::{Account, Ask};
use crate::domain::catalog::{Aggregation, Catalog, FeatureKind, Meter};
use crate::domain::decision::Decision;
use crate::domain::id::FeatureId;
use crate::domain::quantity::{Excess, Milli};
use crate::domain::time::Timestamp;
use crate::domain::usage::UsageEvent;
use crate::storage::{EventKey, EventRow};

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
    /// Checks and records an event in one transaction.
    ///
    /// # Errors
    /// When it cannot be decided. A denial is in the answer.
    pub async fn consume(&self, ask: ConsumeAsk) -> Result<Consumed, Error> {
        let now = self.now();
        let (weighted, meter) = match weigh(&ask, &self.catalog().catalog, now) {
            Ok((weighted, meter)) => (weighted, Ok(meter)),
            Err(error) => (Milli::ZERO, Err(error)),
        };
        let (cell, created) = match &meter {
            Ok(meter) => {
                let refused =
                    |account: &Account, now| self.consume_refused(account, &ask, meter, now);
                let found = self.find_or_create_for(&ask.event.customer_id, refused);
                match found.await? {
                    Ok(found) => found,
                    Err(consumed) => {
                        self.note_consumed(&ask, &consumed);
                        return Ok(consumed);
                    }
                }
            }
            // It may repeat one that went well, since when time passed or the catalog changed.
            Err(error) => match self.find(&ask.event.customer_id).await? {
                Some(cell) => (cell, false),
                None => return Err(error.clone()),
            },
        };
        // What is received without a time happened after its customer began, not in the window before.
        let now = if created { self.now() } else { now };
        let row = prepare::row(ask.event.clone(), &cell, weighted, now);
        let consume = Consume {
            cells: [cell],
            row,
            meter,
            feature: ask.feature.clone(),
            verbose: ask.verbose,
            is_paid: false,
            shared: Arc::clone(&self.shared),
        };
        let consumed = self.submit(consume).await;
        let mut consumed = consumed
            .map_err(|wrong| wrong.blame("quantity", ask.event.quantity, Excess::Counted))?;
        if let Some(RecordOutcome::Recorded(recorded)) = &mut consumed.outcome {
            recorded.customer_created = created;
        }
        self.note_consumed(&ask, &consumed);
        Ok(consumed)
    }

    fn note_consumed(&self, ask: &ConsumeAsk, consumed: &Consumed) {
        if !consumed.decision.allowed {
            let (customer, sub) = (&ask.event.customer_id, ask.event.subaccount_id.as_ref());
            let (feature, quantity) = (&ask.feature, ask.event.quantity);
            self.shared
                .note_denial(customer, sub, feature, quantity, &consumed.decision);
        }
    }

    /// Returns the answer if the event is denied to this account.
    fn consume_refused(
        &self,
        account: &Account,
        ask: &ConsumeAsk,
        meter: &Meter,
        now: Timestamp,
    ) -> Option<Consumed> {
        let looked = look(&ask.event, &ask.feature, meter, ask.verbose);
        let mut decision = account.check(&looked, now);
        if decision.allowed {
            return None;
        }
        self.shared.suggest_plan(account, &looked, &mut decision);
        Some(Consumed {
            decision,
            outcome: None,
        })
    }
}

/// Checks a call against the catalog and weighs its event.
fn weigh(
    ask: &ConsumeAsk,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<(Milli, Arc<Meter>), Error> {
    let weighed = prepare::weigh(&ask.event, catalog, now)?;
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
    Ok(weighed)
}

struct Consume {
    cells: [Arc<Cell>; 1],
    row: EventRow,
    /// Its meter, or what is wrong with the call unless it is a repeat.
    meter: Result<Arc<Meter>, Error>,
    feature: FeatureId,
    verbose: bool,
    /// Whether its rate tokens were taken: a batch that is tried again does not take them twice.
    is_paid: bool,
    shared: Arc<Shared>,
}

impl Consume {
    /// Returns the decision for a repeat: it was allowed, and these are the numbers now.
    fn as_it_stands(&self, step: &mut Step<'_, '_>) -> Result<Decision, Error> {
        let now = step.now();
        let seen = match &self.meter {
            Ok(meter) => {
                let mut ask = look(&self.row.event, &self.feature, meter, self.verbose);
                (ask.quantity, ask.min_quantity) = (0, 0);
                step.with(&self.cells[0], |account, _| account.check(&ask, now))?
            }
            Err(_) => Decision::allowed(now),
        };
        let mut decision = if seen.allowed {
            seen
        } else {
            Decision::allowed(now)
        };
        decision.granted = self.row.event.quantity;
        Ok(decision)
    }
}

impl Mutation for Consume {
    const METHOD: &'static str = "Consume";
    type Answer = Consumed;

    fn cells(&self) -> &[Arc<Cell>] {
        &self.cells
    }

    fn probes(&self) -> Vec<EventKey> {
        vec![EventKey::of(&self.row)]
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<Consumed>, Error> {
        let now = step.now();
        let cell = &self.cells[0];
        if let Some(stored) = step.event(0, &EventKey::of(&self.row)) {
            let outcome = record::repeated(&stored, &self.row).map(RecordOutcome::Duplicate)?;
            let decision = self.as_it_stands(step)?;
            return Ok(Applied::Done(Consumed {
                decision,
                outcome: Some(outcome),
            }));
        }
        let meter = self.meter.clone()?;
        // It counts where it is decided, whatever time it states: else a clock that is slow would find room for ever in
        // a window that nothing is counted in.
        self.row.count_time = now;
        let (row, verbose, feature, shared) =
            (&self.row, self.verbose, &self.feature, &self.shared);
        let is_paid = &mut self.is_paid;
        let decision = step.with_inner(cell, |inner, _| {
            let Inner {
                account: Some(account),
                rates,
                ..
            } = inner
            else {
                return None;
            };
            let ask = look(&row.event, feature, &meter, verbose);
            let mut decision = account.check(&ask, now);
            if let (Some(rate), true, false) =
                (account.rate_of(feature), decision.allowed, *is_paid)
            {
                let tokens = rate_tokens(account, feature, row.event.quantity);
                let of = (&account.customer.id, feature);
                take(rates, of, rate, tokens, shared, &mut decision);
                *is_paid = decision.allowed;
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
        let outcome = record::store_one(step, 0, self.row.clone(), cell, &meter)?;
        Ok(Applied::Done(Consumed {
            decision,
            outcome: Some(outcome),
        }))
    }
}

/// What an event asks of a feature's limits: on a meter that counts events, one.
fn look<'a>(
    event: &'a UsageEvent,
    feature: &'a FeatureId,
    meter: &Meter,
    verbose: bool,
) -> Ask<'a> {
    let quantity = match meter.aggregation {
        Aggregation::Count => 1,
        _ => event.quantity,
    };
    Ask {
        feature,
        quantity,
        min_quantity: quantity,
        subaccount: event.subaccount_id.as_ref(),
        dimensions: &event.dimensions,
        verbose,
    }
}
