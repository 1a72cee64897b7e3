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
use crate::domain::account::Ask;
use crate::domain::catalog::{Aggregation, FeatureKind, Meter};
use crate::domain::decision::Decision;
use crate::domain::id::FeatureId;
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
        let catalog = self.catalog().catalog;
        let (weighted, meter) = prepare::weigh(&ask.event, &catalog, now)?;
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
}

struct Consume {
    cells: [Arc<Cell>; 1],
    row: EventRow,
    meter: Arc<Meter>,
    feature: FeatureId,
    verbose: bool,
    /// Whether its rate tokens were taken: a batch that is tried again does not take them twice.
    is_paid: bool,
    shared: Arc<Shared>,
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
        if step.event(0, &EventKey::of(&self.row)).is_some() {
            let outcome = record::store_one(step, 0, self.row.clone(), cell, &self.meter)?;
            let mut decision = Decision::allowed(now);
            decision.granted = self.row.event.quantity;
            return Ok(Applied::Done(Consumed {
                decision,
                outcome: Some(outcome),
            }));
        }
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
            let ask = Ask {
                feature,
                quantity: units(row, &self.meter),
                min_quantity: units(row, &self.meter),
                subaccount: row.event.subaccount_id.as_ref(),
                dimensions: &row.event.dimensions,
                verbose,
            };
            let mut decision = account.check(&ask, now);
            if let (Some(rate), true, false) =
                (account.rate_of(feature), decision.allowed, *is_paid)
            {
                let tokens = rate_tokens(account, feature, row.event.quantity);
                take(rates, feature, rate, tokens, shared, &mut decision);
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
        let outcome = record::store_one(step, 0, self.row.clone(), cell, &self.meter)?;
        Ok(Applied::Done(Consumed {
            decision,
            outcome: Some(outcome),
        }))
    }
}

/// What an event asks of a limit: on a meter that counts events, one.
fn units(row: &EventRow, meter: &Meter) -> i64 {
    if meter.aggregation == Aggregation::Count {
        1
    } else {
        row.event.quantity
    }
}
