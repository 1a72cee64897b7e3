//! A billing period of one customer, rated from stored usage.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::charged::{Charging, anchor_of};
use crate::domain::catalog::{Catalog, Meter};
use crate::domain::id::{CustomerId, FeatureId};
use crate::domain::quantity::Milli;
use crate::domain::rating::{Destination, Period, Seller, StatementLine, Subject, rate};
use crate::domain::subscription::{Subscription, SubscriptionStatus};
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::{Anchor, TimeRange, Window};
use crate::engine::Engine;
use crate::engine::cost::Position;
use crate::engine::error::Error;
use crate::engine::usage::UsageAsk;
use crate::storage::UsageQuery;

/// Most periods that are counted from the beginning of a subscription.
const PERIODS_MAX: u32 = 1_200;
/// How long after the end of a period its usage may still be recorded as of before it.
const SETTLING: Span = Span::from_minutes(6);

/// What a customer is to be invoiced for a billing period, by us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnInvoice {
    /// The period.
    pub period: TimeRange,
    /// Its lines, each of some cents.
    pub lines: Vec<OwnLine>,
}

/// A line that no one else bills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLine {
    /// What it is about, alike whenever the period is rated: `product api_call`.
    pub subject: Box<str>,
    /// What customers read.
    pub description: Box<str>,
    /// What was used, in thousandths of the unit; 0: it is no use.
    pub quantity: Milli,
    /// Cents that the period comes to.
    pub cents: i64,
}

impl Engine {
    /// Rates a billing period of a customer into the lines that no meter at Stripe and no wallet pays: that which holds an
    /// instant, or the one that ended last.
    ///
    /// # Errors
    /// When there is no such customer, the period has not ended, or the store fails.
    pub async fn own_invoice(
        &self,
        customer: &CustomerId,
        at: Option<Timestamp>,
    ) -> Result<OwnInvoice, Error> {
        let position = self.position(customer).await?;
        let (known, subscription) = self.get_customer(customer).await?;
        let held = position.held.as_ref().ok_or(Error::Internal)?;
        let period = ended(held.anchor, at, self.now())?;
        if period.end <= known.create_time {
            let rule = "must be of a billing period that the customer was there in";
            return Err(Error::invalid("period_time", rule));
        }
        let mut used = BTreeMap::new();
        let mut overage: BTreeMap<FeatureId, Milli> = BTreeMap::new();
        let meters = position.catalog.meters.values();
        for meter in meters.filter(|meter| meter.aggregation.is_additive()) {
            used.insert(meter.id.clone(), self.used(customer, meter, period).await?);
            for part in self.charges(&position, meter, period).await? {
                if let (Seller::Feature(feature), quantity) = part {
                    overage.insert(feature, quantity);
                }
            }
        }
        let statement = rate(&Period {
            catalog: &position.catalog,
            plan: position.plan.as_deref(),
            interval: held.anchor.interval,
            nth: nth(held.anchor, subscription.as_ref(), period),
            discount: held.discount,
            used,
            overage,
            drawn: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        });
        let statement = statement.map_err(|why| {
            tracing::error!(customer.id = %customer, %why, "a billing period cannot be rated");
            Error::Internal
        })?;
        let pays_plan = match &subscription {
            Some(held) => pays_us(held) && held.start_time < period.end,
            None => true,
        };
        let lines = statement.lines.into_iter().filter(|line| {
            line.destination == Destination::OwnInvoice
                && line.rated.amount.cents != 0
                && (pays_plan || !matches!(line.subject, Subject::Plan(_)))
        });
        Ok(OwnInvoice {
            period,
            lines: lines
                .map(|line| own_line(&position.catalog, &line))
                .collect(),
        })
    }

    /// Returns what was used of a meter in a stretch of time.
    pub(super) async fn used(
        &self,
        customer: &CustomerId,
        meter: &Arc<Meter>,
        range: TimeRange,
    ) -> Result<Milli, Error> {
        let ask = UsageAsk::of(customer.clone(), meter.id.clone());
        let query = UsageQuery {
            customer: ask.customer,
            subaccount: None,
            meter: Arc::clone(meter),
            steps: vec![range],
            group_by: Vec::new(),
            filter: ask.filter,
        };
        let rows = self.shared.store.usage(query).await;
        let rows = rows.map_err(crate::engine::usage::sum_error)?;
        let mut sum = Milli::ZERO;
        for row in rows {
            sum = sum.plus(row.rollup.sum)?;
        }
        Ok(sum)
    }

    /// Returns what is charged of a meter's use in a billing period and by whom, beside what wallets pay.
    async fn charges(
        &self,
        position: &Position,
        meter: &Arc<Meter>,
        period: TimeRange,
    ) -> Result<Vec<(Seller, Milli)>, Error> {
        let Some(held) = &position.held else {
            return Ok(Vec::new());
        };
        let of = Charging {
            customer: held.customer.clone(),
            meter: Arc::clone(meter),
            anchor: anchor_of(held.anchor, period),
            plans: Vec::new(),
        };
        let mut found = Vec::new();
        for tariff in position.offer().tariffs(&meter.id) {
            let seller = tariff.seller.clone();
            found.push((seller, self.charged_by(held, tariff, (&of, period)).await?));
        }
        Ok(found)
    }
}

/// Returns the period that is to be rated.
fn ended(anchor: Anchor, at: Option<Timestamp>, now: Timestamp) -> Result<TimeRange, Error> {
    let running = Window::BillingPeriod.range(anchor, now);
    let before = Timestamp::from_micros_clamped(running.start.as_micros().saturating_sub(1));
    let period = Window::BillingPeriod.range(anchor, at.unwrap_or(before));
    if now < period.end.plus(SETTLING) {
        let rule = "must be of a billing period that ended six minutes ago or more";
        return Err(Error::invalid("period_time", rule));
    }
    Ok(period)
}

/// Whether a plan is paid to us and not through a subscription of Stripe's.
fn pays_us(held: &Subscription) -> bool {
    let is_paid = match held.status {
        SubscriptionStatus::Active
        | SubscriptionStatus::PastDue
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Unpaid => true,
        SubscriptionStatus::Trialing
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Incomplete => false,
    };
    is_paid && held.stripe.is_none()
}

/// Counts which period of a subscription it is, from 0.
fn nth(anchor: Anchor, held: Option<&Subscription>, period: TimeRange) -> u32 {
    let start = held.map_or(anchor.start, |held| held.start_time);
    let mut at = Window::BillingPeriod.range(anchor, start);
    let mut count = 0;
    while at.end <= period.start && count < PERIODS_MAX {
        at = Window::BillingPeriod.range(anchor, at.end);
        count += 1;
    }
    count
}

fn own_line(catalog: &Catalog, line: &StatementLine) -> OwnLine {
    let (subject, name) = match &line.subject {
        Subject::Plan(id) => {
            let name = catalog.plans.get(id).map(|plan| plan.name.clone());
            (format!("plan {id}"), name)
        }
        Subject::Product(id) => {
            let name = catalog.products.get(id).map(|of| of.name().into());
            (format!("product {id}"), name)
        }
        Subject::Feature(id) => {
            let name = catalog.features.get(id).map(|of| of.name.clone());
            (format!("feature {id}"), name)
        }
        Subject::Meter(id) => {
            let name = catalog.meters.get(id).map(|of| of.name.clone());
            (format!("meter {id}"), name)
        }
        Subject::AddOn(id) => {
            let name = catalog.add_ons.get(id).map(|of| of.name.clone());
            (format!("add_on {id}"), name)
        }
    };
    OwnLine {
        description: name.unwrap_or_else(|| subject.as_str().into()),
        subject: subject.into(),
        quantity: if line.meter.is_some() {
            line.rated.quantity
        } else {
            Milli::ZERO
        },
        cents: line.rated.amount.cents,
    }
}
