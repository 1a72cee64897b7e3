//! Subscriptions as Stripe has them, and what that makes of a customer's plan.
//!
//! Nothing here depends on which webhook came first: what a customer has follows from all that Stripe has for it now.

use serde::{Deserialize, Serialize};

use crate::domain::catalog::{CatalogVersion, Interval};
use crate::domain::id::PlanId;
use crate::domain::subscription::{StripeLink, Subscription, SubscriptionStatus};
use crate::domain::time::{Span, Timestamp};
use crate::domain::window::TimeRange;

/// How long a customer whose payment is late is still entitled, from when the unpaid invoice was made.
pub const GRACE: Span = Span::from_days(7);

/// Where a subscription stands at Stripe; the words are Stripe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StripeStatus {
    /// The first payment is outstanding.
    Incomplete,
    /// The first payment did not come in time; final.
    IncompleteExpired,
    /// Free until the trial ends.
    Trialing,
    /// In good standing.
    Active,
    /// A payment is late and tried again.
    PastDue,
    /// Ended; final.
    Canceled,
    /// Payments failed for good.
    Unpaid,
    /// The trial ended without anything to pay with.
    Paused,
    /// A word that this version does not know.
    Unknown,
}

impl StripeStatus {
    /// Reads Stripe's word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "incomplete" => Self::Incomplete,
            "incomplete_expired" => Self::IncompleteExpired,
            "trialing" => Self::Trialing,
            "active" => Self::Active,
            "past_due" => Self::PastDue,
            "canceled" => Self::Canceled,
            "unpaid" => Self::Unpaid,
            "paused" => Self::Paused,
            _ => Self::Unknown,
        }
    }

    /// Returns where that leaves a customer; `None`: nobody knows.
    const fn standing(self) -> Option<SubscriptionStatus> {
        match self {
            Self::Incomplete => Some(SubscriptionStatus::Incomplete),
            Self::IncompleteExpired | Self::Canceled => Some(SubscriptionStatus::Canceled),
            Self::Trialing => Some(SubscriptionStatus::Trialing),
            Self::Active => Some(SubscriptionStatus::Active),
            Self::PastDue => Some(SubscriptionStatus::PastDue),
            Self::Unpaid => Some(SubscriptionStatus::Unpaid),
            Self::Paused => Some(SubscriptionStatus::Paused),
            Self::Unknown => None,
        }
    }

    /// Which of several a customer has: the higher one.
    const fn rank(self) -> u8 {
        match self {
            Self::Trialing | Self::Active => 4,
            Self::PastDue => 3,
            Self::Unknown | Self::Paused | Self::Unpaid => 2,
            Self::Incomplete => 1,
            Self::IncompleteExpired | Self::Canceled => 0,
        }
    }
}

/// A subscription as Stripe has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirrored {
    /// Its id there.
    pub id: Box<str>,
    /// Where it stands.
    pub status: StripeStatus,
    /// What is paid for, as far as we know the price.
    pub plan: Option<(PlanId, Interval)>,
    /// From where its periods step.
    pub anchor: Timestamp,
    /// The period that runs, or ran last.
    pub period: TimeRange,
    /// When its trial ends or ended.
    pub trial_end: Option<Timestamp>,
    /// When it ends, where that is settled.
    pub cancel_at: Option<Timestamp>,
    /// When the oldest invoice was made that is to be paid and is not; only looked up where a payment is late.
    pub invoice_time: Option<Timestamp>,
    /// What changes it later.
    pub schedule: Option<Box<str>>,
    /// When it was created.
    pub create_time: Timestamp,
}

/// Returns the one that counts of all that Stripe has for a customer: one in good standing before one that is not, then the
/// newest.
#[must_use]
pub fn in_force(all: &[Mirrored]) -> Option<&Mirrored> {
    all.iter()
        .max_by_key(|one| (one.status.rank(), one.create_time, &one.id))
}

/// What to do about a customer's plan, given what Stripe has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reflection {
    /// It stays as it is.
    Keep(Kept),
    /// It becomes this.
    Become(Box<Subscription>),
}

/// Why a plan stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Stripe has nothing for it.
    Nothing,
    /// It was assigned here, and what Stripe has has ended.
    AssignedHere,
    /// Stripe says a word that this version does not know.
    UnknownStatus,
    /// The price belongs to no plan that is known.
    UnknownPrice,
}

/// Returns what a customer's plan becomes of what Stripe has for it.
#[must_use]
pub fn reflect(
    all: &[Mirrored],
    held: Option<&Subscription>,
    current: CatalogVersion,
    now: Timestamp,
) -> Reflection {
    let Some(one) = in_force(all) else {
        return Reflection::Keep(Kept::Nothing);
    };
    let Some(status) = one.status.standing() else {
        return Reflection::Keep(Kept::UnknownStatus);
    };
    let is_ours = held.is_some_and(|held| held.stripe.is_none());
    let has_begun = !matches!(
        status,
        SubscriptionStatus::Canceled | SubscriptionStatus::Incomplete
    );
    if is_ours && !has_begun {
        return Reflection::Keep(Kept::AssignedHere);
    }
    let mirrored_before = held.filter(|held| held.stripe.is_some());
    let known = one.plan.clone().or_else(|| {
        let before = mirrored_before?;
        let is_same = before.stripe.as_ref().is_some_and(|link| link.id == one.id);
        is_same.then(|| (before.plan.clone(), before.interval))
    });
    let Some((plan, interval)) = known else {
        return Reflection::Keep(Kept::UnknownPrice);
    };
    let same = held.filter(|held| held.plan == plan && held.status != SubscriptionStatus::Canceled);
    Reflection::Become(Box::new(Subscription {
        // A running plan stays on the catalog that it began with.
        catalog_version: same.map_or(current, |held| held.catalog_version),
        start_time: same.map_or_else(|| begun(one, held, now), |held| held.start_time),
        plan,
        status,
        interval,
        anchor: one.anchor,
        trial_end: (status == SubscriptionStatus::Trialing)
            .then_some(one.trial_end)
            .flatten(),
        grace_end: (status == SubscriptionStatus::PastDue)
            .then(|| one.invoice_time.unwrap_or(one.period.start).plus(GRACE)),
        update_time: now,
        stripe: Some(Box::new(StripeLink {
            id: one.id.clone(),
            period: one.period,
            cancel_at: one.cancel_at,
            schedule: one.schedule.clone(),
            sync_time: now,
        })),
    }))
}

/// Returns when a customer came to a plan that it did not have before. Whatever Stripe's state tells does not depend on when
/// it was looked at; only a change within a period is told by nobody.
fn begun(one: &Mirrored, held: Option<&Subscription>, now: Timestamp) -> Timestamp {
    let link = held.and_then(|held| held.stripe.as_deref());
    let begun = match link.filter(|link| link.id == one.id) {
        None => one.create_time,
        Some(link) if link.period.start < one.period.start => one.period.start,
        Some(_) => now,
    };
    begun.min(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_micros_clamped(1_767_225_600_000_000 + day * 86_400_000_000)
    }

    fn plan(id: &str) -> PlanId {
        PlanId::new(id).unwrap()
    }

    fn mirrored(id: &str, status: &str, created: i64) -> Mirrored {
        Mirrored {
            id: id.into(),
            status: StripeStatus::of(status),
            plan: Some((plan("pro"), Interval::Month)),
            anchor: day(created),
            period: TimeRange {
                start: day(30),
                end: day(60),
            },
            trial_end: Some(day(40)),
            cancel_at: None,
            invoice_time: Some(day(30)),
            schedule: None,
            create_time: day(created),
        }
    }

    fn becomes(all: &[Mirrored], held: Option<&Subscription>) -> Subscription {
        match reflect(all, held, 7, day(50)) {
            Reflection::Become(subscription) => *subscription,
            Reflection::Keep(why) => panic!("kept: {why:?}"),
        }
    }

    #[test]
    fn every_status_has_its_standing() {
        use SubscriptionStatus as Our;
        let at = |status: &str, now: i64| {
            let made = becomes(&[mirrored("sub_1", status, 0)], None);
            (made.status, made.is_in_good_standing(day(now)))
        };
        for (status, now, expected) in [
            ("active", 50, (Our::Active, true)),
            ("trialing", 39, (Our::Trialing, true)),
            ("trialing", 40, (Our::Trialing, false)),
            ("past_due", 36, (Our::PastDue, true)),
            ("past_due", 37, (Our::PastDue, false)),
            ("unpaid", 31, (Our::Unpaid, false)),
            ("paused", 31, (Our::Paused, false)),
            ("incomplete", 31, (Our::Incomplete, false)),
            ("incomplete_expired", 31, (Our::Canceled, true)),
            ("canceled", 31, (Our::Canceled, true)),
        ] {
            assert_eq!(at(status, now), expected, "{status}");
        }
    }

    #[test]
    fn a_word_that_is_not_known_changes_nothing() {
        let all = [mirrored("sub_1", "hibernating", 0)];
        let kept = reflect(&all, None, 7, day(50));
        assert_eq!(kept, Reflection::Keep(Kept::UnknownStatus));
        assert_eq!(
            reflect(&[], None, 7, day(50)),
            Reflection::Keep(Kept::Nothing)
        );
    }

    #[test]
    fn of_several_the_best_counts_whatever_their_order() {
        let mut all = [
            mirrored("sub_1", "active", 1),
            mirrored("sub_2", "past_due", 9),
            mirrored("sub_3", "canceled", 10),
            mirrored("sub_4", "active", 2),
        ];
        for _ in 0..all.len() {
            all.rotate_left(1);
            assert_eq!(&*in_force(&all).unwrap().id, "sub_4");
        }
    }

    #[test]
    fn what_was_assigned_here_outlives_what_ended_there() {
        let mut held = becomes(&[mirrored("sub_1", "active", 0)], None);
        held.stripe = None;
        for status in ["canceled", "incomplete", "incomplete_expired"] {
            let all = [mirrored("sub_1", status, 0)];
            let kept = reflect(&all, Some(&held), 7, day(50));
            assert_eq!(kept, Reflection::Keep(Kept::AssignedHere), "{status}");
        }
        let taken = becomes(&[mirrored("sub_1", "active", 0)], Some(&held));
        assert!(taken.stripe.is_some());
    }

    #[test]
    fn a_price_that_is_not_known_keeps_the_plan_of_the_same_subscription() {
        let held = becomes(&[mirrored("sub_1", "active", 0)], None);
        let mut late = mirrored("sub_1", "past_due", 0);
        late.plan = None;
        assert_eq!(becomes(&[late.clone()], Some(&held)).plan, plan("pro"));
        late.id = "sub_2".into();
        let kept = reflect(&[late], Some(&held), 7, day(50));
        assert_eq!(kept, Reflection::Keep(Kept::UnknownPrice));
    }

    #[test]
    fn a_plan_begins_when_stripe_says_whenever_that_is_heard() {
        let first = becomes(&[mirrored("sub_1", "active", 20)], None);
        assert_eq!(first.start_time, day(20));
        let mut other = mirrored("sub_1", "active", 20);
        other.plan = Some((plan("team"), Interval::Month));
        let within = becomes(&[other.clone()], Some(&first));
        assert_eq!(
            within.start_time,
            day(50),
            "nobody knows: when it was heard"
        );
        other.period = TimeRange {
            start: day(45),
            end: day(75),
        };
        assert_eq!(becomes(&[other], Some(&first)).start_time, day(45));
    }

    #[test]
    fn a_running_plan_stays_on_its_catalog_and_another_begins_on_the_current_one() {
        let mut held = becomes(&[mirrored("sub_1", "active", 0)], None);
        (held.catalog_version, held.start_time) = (3, day(1));
        let same = becomes(&[mirrored("sub_1", "past_due", 0)], Some(&held));
        assert_eq!((same.catalog_version, same.start_time), (3, day(1)));
        let mut other = mirrored("sub_1", "active", 0);
        other.plan = Some((plan("team"), Interval::Year));
        let moved = becomes(&[other], Some(&held));
        assert_eq!((moved.catalog_version, moved.start_time), (7, day(50)));
    }
}
