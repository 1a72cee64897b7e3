//! How much of a customer's use of a meter Stripe is to bill in a billing period.

use std::sync::Arc;

use crate::domain::billing::PlanOf;
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
    /// The plan that it is charged under; `None`: the one in force.
    pub(super) plan: Option<PlanOf>,
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
        // What comes late is charged under the plan that the period ran under.
        let then = match &of.plan {
            Some(plan) => Some(self.position_under(&of.customer, Some(plan)).await?),
            None => None,
        };
        let position = then.as_ref().unwrap_or(position);
        let tariffs = position.offer().tariffs(&of.meter.id);
        let Some(held) = &position.held else {
            return Ok(Milli::ZERO);
        };
        let ahead = self.now().plus(EVENT_AHEAD_MAX).plus(Span::from_minutes(1));
        let end = period.end.min(ahead);
        if end <= period.start {
            return Ok(Milli::ZERO);
        }
        let mut sum = Milli::ZERO;
        let billed = tariffs.into_iter();
        for tariff in billed.filter(|tariff| tariff.destination == Destination::StripeMeter) {
            let range = TimeRange {
                start: period.start,
                end,
            };
            sum = sum.plus(self.charged_by(held, tariff, (of, range)).await?)?;
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
