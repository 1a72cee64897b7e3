//! Subscriptions of Stripe's as the domain sees them.

use super::gateway::{Price, Subscription};
use crate::domain::billing::{Mirrored, StripeStatus, word};
use crate::domain::catalog::Interval;
use crate::domain::id::PlanId;
use crate::domain::time::Timestamp;
use crate::domain::window::TimeRange;

/// The metadata of a price that says which plan it is of.
pub(super) const PLAN_KEY: &str = "bursar_plan";
/// The metadata of a price that says how often the plan is paid: `month` or `year`.
pub(super) const INTERVAL_KEY: &str = "bursar_interval";

/// Returns an instant of Stripe's, which counts seconds.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros_clamped(seconds.saturating_mul(1_000_000))
}

/// Returns an instant in Stripe's seconds, rounded down.
pub(super) const fn seconds(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(1_000_000)
}

/// Returns which plan a price is of, and how often that is paid; `None`: of none that we made.
pub(super) fn plan_of(price: &Price) -> Option<(PlanId, Interval)> {
    let plan = price.metadata.get(PLAN_KEY)?;
    let interval = match price.metadata.get(INTERVAL_KEY)?.as_str() {
        "month" => Interval::Month,
        "year" => Interval::Year,
        _ => return None,
    };
    Some((PlanId::new(plan.as_str()).ok()?, interval))
}

/// Returns the plan that a subscription is to, in words; `None`: to none that is known.
#[must_use]
pub fn plan_word(subscription: &Subscription) -> Option<String> {
    let items = &subscription.items.data;
    let (plan, interval) = items.iter().find_map(|item| plan_of(&item.price))?;
    Some(format!("plan {plan} by the {}", word(interval)))
}

/// Returns a subscription as the domain sees it.
pub(super) fn mirrored(subscription: &Subscription) -> Mirrored {
    let items = &subscription.items.data;
    let planned = items
        .iter()
        .find_map(|item| Some((item, plan_of(&item.price)?)));
    // The item of the plan says how long the period is; those of use may have others.
    let item = planned.as_ref().map(|(item, _)| *item).or(items.first());
    let period = item.map_or(
        TimeRange {
            start: at(subscription.created),
            end: at(subscription.created),
        },
        |item| TimeRange {
            start: at(item.current_period_start),
            end: at(item.current_period_end),
        },
    );
    let invoice = subscription.latest_invoice.as_ref();
    let cancel_at = match subscription.cancel_at {
        None if subscription.cancel_at_period_end => Some(period.end),
        cancel_at => cancel_at.map(at),
    };
    Mirrored {
        id: subscription.id.as_str().into(),
        status: StripeStatus::of(&subscription.status),
        plan: planned.map(|(_, plan)| plan),
        anchor: at(subscription.billing_cycle_anchor),
        period,
        trial_end: subscription.trial_end.map(at),
        cancel_at,
        invoice_time: invoice
            .and_then(|invoice| invoice.whole())
            .map(|invoice| at(invoice.created)),
        schedule: subscription.schedule.as_ref().map(|link| link.id().into()),
        create_time: at(subscription.created),
    }
}
