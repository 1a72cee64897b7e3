//! How much of a customer's use of a meter Stripe is to bill in a billing period.

use std::sync::Arc;

use crate::domain::billing::PlanSpan;
use crate::domain::catalog::Meter;
use crate::domain::id::CustomerId;
use crate::domain::quantity::Milli;
use crate::domain::rating::{Destination, Tariff, cut, lead_in};
use crate::domain::time::{Span, Timestamp};
use crate::domain::usage::EVENT_AHEAD_MAX;
use crate::domain::window::{Anchor, TimeRange, Window};
use crate::engine::Engine;
use crate::engine::cost::{Held, PARTS_MAX, Position};
use crate::engine::error::Error;
use crate::engine::usage::UsageAsk;

/// How much time is looked at together: of the shortest windows, those of an hour, fewer than [`PARTS_MAX`] are in it.
const STRETCH: Span = Span::from_days(60);

/// What is needed to say how much is charged.
pub(super) struct Charging {
    pub(super) customer: CustomerId,
    pub(super) meter: Arc<Meter>,
    pub(super) anchor: Anchor,
    /// The plans that the period ran under; empty: the one in force.
    pub(super) plans: Vec<PlanSpan>,
}

impl Engine {
    /// Returns what is charged through Stripe of a meter's use in a period: what products sell of it, and what exceeds
    /// limits that the plan prices. What is included, and what wallets pay, is not.
    ///
    /// It is read from stored usage, beside what is recorded meanwhile: the next look takes that in.
    pub(super) async fn charged(
        &self,
        position: &Position,
        of: &Charging,
        period: TimeRange,
    ) -> Result<Milli, Error> {
        let ahead = self.now().plus(EVENT_AHEAD_MAX).plus(Span::from_minutes(1));
        let end = period.end.min(ahead);
        if of.plans.is_empty() {
            return self.charged_until(position, of, (period.start, end)).await;
        }
        // What was used under a plan is charged under that plan, as far as it had come when the next took its place.
        let mut sum = Milli::ZERO;
        for (nth, span) in of.plans.iter().enumerate() {
            let next = of.plans.get(nth + 1);
            let until = next.map_or(end, |next| next.since.min(end));
            let then = if span.plan == position.plan_of() {
                None
            } else {
                let under = Some(&span.plan);
                Some(self.position_under(&of.customer, under).await?)
            };
            let under = then.as_ref().unwrap_or(position);
            let charged = self.charged_until(under, of, (period.start, until)).await?;
            sum = sum.plus(charged)?;
            if span.since > period.start {
                let before = self.charged_until(under, of, (period.start, span.since));
                sum = sum.minus(before.await?)?;
            }
        }
        Ok(sum)
    }

    /// Returns what is charged through Stripe of the use from the start of a period until an instant, under one plan.
    async fn charged_until(
        &self,
        position: &Position,
        of: &Charging,
        (start, end): (Timestamp, Timestamp),
    ) -> Result<Milli, Error> {
        let Some(held) = position.held.as_ref().filter(|_| start < end) else {
            return Ok(Milli::ZERO);
        };
        let mut sum = Milli::ZERO;
        for tariff in position.offer().tariffs(&of.meter.id) {
            if tariff.destination == Destination::StripeMeter {
                let range = TimeRange { start, end };
                sum = sum.plus(self.charged_by(held, tariff, (of, range)).await?)?;
            }
        }
        Ok(sum)
    }

    /// Returns how much a tariff charges of a stretch of time, in thousandths of the unit.
    pub(super) async fn charged_by(
        &self,
        held: &Held,
        tariff: Tariff,
        (of, range): (&Charging, TimeRange),
    ) -> Result<Milli, Error> {
        let mut course = held.course(tariff);
        let start = lead_in(&course.tariff, of.anchor, range.start).min(range.start);
        let ask = UsageAsk::of(of.customer.clone(), of.meter.id.clone());
        let mut from = start;
        while from < range.end {
            let to = range.end.min(from.plus(STRETCH));
            let part = TimeRange {
                start: from,
                end: to,
            };
            let parts =
                cut(&course, of.anchor, part, PARTS_MAX).ok_or_else(|| too_many(of, part))?;
            self.run_parts(&mut course, &ask, (&of.meter, of.anchor), parts)
                .await?;
            from = to;
        }
        // What was used last may have been in the period before.
        course.move_to(of.anchor, last_of(range.end));
        Ok(course.charged)
    }
}

/// Says that a stretch has more windows than are looked at together, which none of the catalog's windows can cause.
fn too_many(of: &Charging, range: TimeRange) -> Error {
    tracing::error!(customer.id = %of.customer, meter.id = %of.meter.id, ?range, "usage falls into too many windows");
    Error::Internal
}

/// Returns the last instant before another.
fn last_of(end: Timestamp) -> Timestamp {
    Timestamp::from_micros_clamped(end.as_micros().saturating_sub(1))
}

/// Returns from where the windows of a period step: the customer's anchor, unless that was moved since.
pub(super) fn anchor_of(anchor: Anchor, period: TimeRange) -> Anchor {
    if Window::BillingPeriod.range(anchor, period.start).start == period.start {
        return anchor;
    }
    Anchor {
        start: period.start,
        ..anchor
    }
}
