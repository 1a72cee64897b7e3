//! Schedules of subscriptions.

use super::super::shape::Metadata;
use super::{Link, object, part};

object! {
    /// How a subscription changes as time goes by.
    Schedule {
        /// `not_started`, `active`, `completed`, `released` or `canceled`.
        status: String,
        /// Who.
        customer: Option<Link>,
        /// What it changes.
        subscription: Option<Link>,
        /// What it let go.
        released_subscription: Option<String>,
        /// The phase that runs.
        current_phase: Option<CurrentPhase>,
        /// In their order.
        phases: Vec<Phase>,
        /// `release` or `cancel`: what becomes of the subscription afterwards.
        end_behavior: String,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}

part! {
    /// The phase that runs.
    CurrentPhase {
        /// When it began.
        start_date: i64,
        /// When it ends.
        end_date: i64,
    }
}

part! {
    /// A time in which a subscription stays the same.
    Phase {
        /// When it begins.
        start_date: i64,
        /// When it ends.
        end_date: i64,
        /// What there is.
        items: Vec<PhaseItem>,
        /// Until when nothing is charged.
        trial_end: Option<i64>,
        /// What is taken off.
        discounts: Vec<PhaseDiscount>,
        /// Ours.
        metadata: Metadata,
    }
}

part! {
    /// A price in a phase.
    PhaseItem {
        /// The price.
        price: Option<Link>,
        /// How many; `None`: it is metered.
        quantity: Option<u64>,
    }
}

part! {
    /// A discount in a phase.
    PhaseDiscount {
        /// Where it comes from.
        coupon: Option<Link>,
    }
}
