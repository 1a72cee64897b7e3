//! What usage cost: by the plan, the prices and the discount that the customer has now, from where a billing period began.

use std::collections::HashMap;
use std::sync::Arc;

use super::Engine;
use super::error::Error;
use super::usage::{UsageAsk, sum_error};
use crate::domain::account::{Account, Rehearsal};
use crate::domain::catalog::{Catalog, Meter, Plan};
use crate::domain::counter::Counter;
use crate::domain::customer::Adjustment;
use crate::domain::id::CustomerId;
use crate::domain::rating::{Course, Included, Money, Offer, Percent, cut, lead_in};
use crate::domain::rights::Rights;
use crate::domain::subscription::Subscription;
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::{EVENT_AHEAD_MAX, Labels};
use crate::domain::window::{Anchor, TimeRange, Window};
use crate::storage::UsageQuery;

/// Most stretches that one reading is cut into.
pub(super) const PARTS_MAX: usize = 2000;

/// What costs depend on, at one instant.
pub(super) struct Position {
    pub(super) catalog: Arc<Catalog>,
    pub(super) plan: Option<Arc<Plan>>,
    /// What a customer has beside its plan; `None`: it is a plan by itself.
    pub(super) held: Option<Held>,
}

/// What of a customer costs depend on.
pub(super) struct Held {
    pub(super) customer: CustomerId,
    pub(super) discount: Percent,
    pub(super) anchor: Anchor,
    pub(super) rights: Arc<Rights>,
    pub(super) counters: Vec<Counter>,
    pub(super) adjustments: Vec<Adjustment>,
    /// What more use would draw on wallets.
    pub(super) rehearsal: Rehearsal,
    pub(super) is_deleted: bool,
}

impl Position {
    pub(super) fn offer(&self) -> Offer<'_> {
        let held = self.held.as_ref();
        Offer {
            catalog: &self.catalog,
            plan: self.plan.as_deref(),
            rights: held.map(|held| &*held.rights),
            discount: held.map_or(Percent::ZERO, |held| held.discount),
        }
    }
}

/// Where the cost of a question's rows stands.
pub(super) struct Costing {
    meter: Arc<Meter>,
    anchor: Anchor,
    courses: Vec<Course>,
    begun: bool,
}

impl Engine {
    /// Returns what a customer's costs depend on now, be it deleted or not.
    pub(super) async fn position(&self, customer: &CustomerId) -> Result<Position, Error> {
        let cell = self.customer(customer).await?;
        let now = self.now();
        let seen = {
            let mut inner = cell.lock();
            self.shared.refresh_rights(&mut inner, now);
            inner.look(now, |account| {
                (hold(account, now), account.subscription.clone())
            })
        };
        // Memory let go of it in this moment.
        let (held, subscription) = seen.ok_or(Error::Overloaded {
            queue: "writes",
            retry_after: super::OVERLOAD_WAIT,
        })?;
        let subscription: Option<&Subscription> = subscription.as_deref();
        let catalogs = self
            .shared
            .loader
            .catalogs(subscription, &*self.shared.store);
        let (plan, catalog) = catalogs.await?.plan(subscription);
        Ok(Position {
            catalog,
            plan,
            held: Some(held),
        })
    }

    /// Begins to say what the rows of a question cost; `None`: nothing charges the meter, or past use does not tell.
    pub(super) async fn costing(
        &self,
        ask: &UsageAsk,
        meter: &Arc<Meter>,
    ) -> Result<Option<Costing>, Error> {
        let position = self.position(&ask.customer).await?;
        let tariffs = position.offer().tariffs(&meter.id);
        let is_told = tariffs
            .iter()
            .all(|tariff| tariff.included.as_ref().is_none_or(Included::steps));
        let Some(held) = position.held.filter(|_| !tariffs.is_empty() && is_told) else {
            return Ok(None);
        };
        let tariffs = tariffs.into_iter();
        Ok(meter.aggregation.is_additive().then(|| Costing {
            meter: Arc::clone(meter),
            anchor: held.anchor,
            courses: tariffs.map(|tariff| held.course(tariff)).collect(),
            begun: false,
        }))
    }

    /// Returns what rows of these steps cost, by step and group. Steps without usage of a charged part have none.
    pub(super) async fn costs(
        &self,
        costing: &mut Costing,
        ask: &UsageAsk,
        steps: &[TimeRange],
    ) -> Result<HashMap<(usize, Labels), Money>, Error> {
        let mut costs = HashMap::new();
        let Some(first) = steps.first() else {
            return Ok(costs);
        };
        let begun = std::mem::replace(&mut costing.begun, true);
        for course in &mut costing.courses {
            let mut parts = Vec::new();
            let mut of_step = Vec::new();
            if !begun {
                let from = lead_in(&course.tariff, costing.anchor, first.start);
                let before = TimeRange {
                    start: from.max(ask.range.start),
                    end: first.start,
                };
                parts = parts_of(course, costing.anchor, before, PARTS_MAX)?;
                of_step = vec![None; parts.len()];
            }
            for (index, range) in steps.iter().enumerate() {
                let left = PARTS_MAX.saturating_sub(parts.len());
                let own = parts_of(course, costing.anchor, *range, left)?;
                of_step.extend(own.iter().map(|_| Some(index)));
                parts.extend(own);
            }
            let question = Question {
                ask,
                meter: &costing.meter,
                anchor: costing.anchor,
            };
            for (part, group, cost) in self.run(course, question, parts).await? {
                if let Some(step) = of_step.get(part).copied().flatten() {
                    let sum: &mut Money = costs.entry((step, group)).or_default();
                    *sum = sum.plus(cost)?;
                }
            }
        }
        Ok(costs)
    }

    /// Brings a tariff to where it stands after all that was used in the running billing period; false: that is too
    /// many windows to look at.
    pub(super) async fn run_up(
        &self,
        course: &mut Course,
        held: &Held,
        meter: &Arc<Meter>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let period = Window::BillingPeriod.range(held.anchor, now);
        let ahead = now.plus(EVENT_AHEAD_MAX).plus(Span::from_minutes(1));
        let range = TimeRange {
            start: lead_in(&course.tariff, held.anchor, now),
            end: ahead.min(period.end),
        };
        let Some(parts) = cut(course, held.anchor, range, PARTS_MAX) else {
            return Ok(false);
        };
        let ask = UsageAsk::of(held.customer.clone(), meter.id.clone());
        self.run_parts(course, &ask, (meter, held.anchor), parts)
            .await?;
        // What was used last may have been in the period before.
        course.move_to(held.anchor, now);
        Ok(true)
    }

    /// Runs a tariff over stretches of time.
    pub(super) async fn run_parts(
        &self,
        course: &mut Course,
        ask: &UsageAsk,
        (meter, anchor): (&Arc<Meter>, Anchor),
        parts: Vec<TimeRange>,
    ) -> Result<(), Error> {
        let question = Question { ask, meter, anchor };
        self.run(course, question, parts).await?;
        Ok(())
    }

    /// Runs a tariff over stretches of time and returns what use in each of them cost, by group.
    async fn run(
        &self,
        course: &mut Course,
        of: Question<'_>,
        parts: Vec<TimeRange>,
    ) -> Result<Vec<(usize, Labels, Money)>, Error> {
        let mut filter = of.ask.filter.clone();
        for (key, value) in &course.tariff.filter.0 {
            let asked = filter.insert(key.clone(), value.clone());
            if asked.is_some_and(|asked| asked != *value) {
                return Ok(Vec::new());
            }
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let query = UsageQuery {
            customer: of.ask.customer.clone(),
            subaccount: of.ask.subaccount.clone(),
            meter: Arc::clone(of.meter),
            steps: parts.clone(),
            group_by: of.ask.group_by.clone(),
            filter,
        };
        let rows = self.shared.store.usage(query).await.map_err(sum_error)?;
        let mut costs = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(part) = parts.get(row.step) {
                course.move_to(of.anchor, part.start);
                let added = course.add(row.rollup.sum)?;
                costs.push((row.step, row.group, added.line.amount));
            }
        }
        Ok(costs)
    }
}

/// What a tariff is run over.
#[derive(Clone, Copy)]
struct Question<'a> {
    ask: &'a UsageAsk,
    meter: &'a Arc<Meter>,
    anchor: Anchor,
}

fn parts_of(
    course: &Course,
    anchor: Anchor,
    range: TimeRange,
    most: usize,
) -> Result<Vec<TimeRange>, Error> {
    cut(course, anchor, range, most).ok_or_else(|| {
        let rule = format!(
            "must be false for a range with more than {PARTS_MAX} billing periods or windows of the charged limit"
        );
        Error::invalid("with_cost", rule)
    })
}

fn hold(account: &Account, now: Timestamp) -> Held {
    Held {
        customer: account.customer.id.clone(),
        discount: account.customer.discount,
        anchor: account.anchor,
        rights: Arc::clone(&account.rights),
        counters: account.counters.clone(),
        adjustments: account.adjustments.clone(),
        rehearsal: account.rehearse(now),
        is_deleted: account.customer.delete_time.is_some(),
    }
}
