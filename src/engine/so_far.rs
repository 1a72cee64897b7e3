//! How far a customer has come with what charges its use: from counters where these tell, else from stored usage.

use std::sync::Arc;

use super::Engine;
use super::cost::Held;
use super::error::Error;
use crate::domain::catalog::{Filter, Interval, Meter, Pricing};
use crate::domain::counter::CounterSpec;
use crate::domain::customer::Adjustment;
use crate::domain::id::MeterId;
use crate::domain::quantity::Milli;
use crate::domain::rating::{Changed, Course, Seller, Tariff};
use crate::domain::time::Timestamp;
use crate::domain::window::Window;

impl Engine {
    /// Brings a tariff that has begun to where a customer stands with it now: from its counters where these tell, else from its usage
    /// in the running billing period.
    pub(super) async fn bring_up(
        &self,
        begun: Course,
        held: &Held,
        meter: &Arc<Meter>,
    ) -> Result<Course, Error> {
        let now = self.now();
        let mut course = begun.clone();
        let from_counter = counted(&mut course, held, &meter.id, now);
        let interval = held.anchor.interval;
        match course.tariff.included {
            None => {
                let counters = [Window::BillingPeriod, Window::Month];
                let mut windows = counters.into_iter().filter(|window| {
                    *window == Window::BillingPeriod || interval == Interval::Month
                });
                let used = windows
                    .find_map(|window| used(held, &meter.id, &Filter::default(), window, now));
                match used {
                    Some((used, _)) => course.charged = used,
                    None => drop(self.run_up(&mut course, held, meter, now).await?),
                }
            }
            // One window tells all, or it is as good as it gets: rolling windows do not follow one another.
            Some(included) if included.spans(interval) || !included.steps() => {
                course.charged = beyond(&course, from_counter);
            }
            // What a unit costs depends on those before it, in windows that are over.
            Some(_) if !is_linear(&course.tariff.pricing) => {
                let mut past = begun;
                course.charged = if self.run_up(&mut past, held, meter, now).await? {
                    past.charged
                } else {
                    beyond(&course, from_counter)
                };
            }
            Some(_) => course.charged = beyond(&course, from_counter),
        }
        Ok(course)
    }
}

impl Held {
    /// Begins a tariff with nothing used, in windows that may count differently since a change of plan.
    pub(super) fn course(&self, tariff: Tariff) -> Course {
        let mut course = Course::new(tariff);
        let of = &course.tariff;
        let is_own = |change: &&Adjustment| {
            of.seller == Seller::Feature(change.feature.clone())
                && of.filter == change.spec.filter
                && (of.included).is_some_and(|included| included.window == change.spec.window)
        };
        let changed = self.adjustments.iter().filter(is_own);
        let changed = changed.map(|change| Changed {
            window: change.start,
            since: change.since,
            amount: change.amount,
        });
        course.changed = changed.collect();
        course
    }
}

/// Sets what was used and set aside in the running window of what is included, and the amount that holds in it; returns
/// the use.
fn counted(course: &mut Course, held: &Held, meter: &MeterId, now: Timestamp) -> Milli {
    let Tariff {
        included,
        filter,
        seller,
        ..
    } = &mut course.tariff;
    let Some(included) = included else {
        return Milli::ZERO;
    };
    let Some((used, slot)) = used(held, meter, filter, included.window, now) else {
        return Milli::ZERO;
    };
    let counter = &held.counters[slot];
    let mut taken = used;
    let changed = held.adjustments.iter().find(|change| {
        *seller == Seller::Feature(change.feature.clone())
            && *change.spec == *held.rights.tracked[slot]
            && change.start == counter.start()
    });
    if let Some(change) = changed {
        taken = used.minus_saturating(change.baseline).max(Milli::ZERO);
        included.amount = change.amount.unwrap_or(included.amount);
    }
    course.in_window = taken.plus_saturating(counter.reserved);
    course.in_window
}

/// Returns what a counter of the customer says, and where it stands.
fn used(
    held: &Held,
    meter: &MeterId,
    filter: &Filter,
    window: Window,
    now: Timestamp,
) -> Option<(Milli, usize)> {
    let wanted = CounterSpec {
        meter: meter.clone(),
        filter: filter.clone(),
        window,
    };
    let tracked = held.rights.tracked.iter();
    let slot = tracked.into_iter().position(|spec| **spec == wanted)?;
    Some((held.counters.get(slot)?.used(now), slot))
}

/// Returns what of the use of a window is charged.
fn beyond(course: &Course, used: Milli) -> Milli {
    let amount = course.tariff.included.map_or(Milli::ZERO, |it| it.amount);
    used.minus_saturating(amount).max(Milli::ZERO)
}

/// Whether each unit costs the same, whatever was used before.
fn is_linear(pricing: &Pricing) -> bool {
    match pricing {
        Pricing::PerUnit { .. } => true,
        Pricing::Flat { .. }
        | Pricing::Package { .. }
        | Pricing::Graduated { .. }
        | Pricing::Volume { .. } => false,
    }
}
