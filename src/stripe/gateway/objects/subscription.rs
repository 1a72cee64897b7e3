//! Subscriptions.

use super::super::page::Page;
use super::super::shape::Metadata;
use super::{Invoice, Link, Linked, Price, Schedule, object, part};

object! {
    /// What a customer pays for again and again.
    Subscription {
        /// `incomplete`, `incomplete_expired`, `trialing`, `active`, `past_due`, `canceled`,
        /// `unpaid` or `paused`, so far.
        status: String,
        /// Who.
        customer: Option<Link>,
        /// What, at which prices, and in which periods.
        items: Page<SubscriptionItem>,
        /// When it ends, where that is settled.
        cancel_at: Option<i64>,
        /// Whether it ends with the period that runs.
        cancel_at_period_end: bool,
        /// When it was asked to end.
        canceled_at: Option<i64>,
        /// Why.
        cancellation_details: CancellationDetails,
        /// When it ended.
        ended_at: Option<i64>,
        /// When its trial began.
        trial_start: Option<i64>,
        /// When its trial ends.
        trial_end: Option<i64>,
        /// What changes it as time goes by, whole where the call asked for it: while there is one, changes go through it.
        schedule: Option<Linked<Schedule>>,
        /// What happens to invoices while payments rest; that leaves the status as it is.
        pause_collection: Option<PauseCollection>,
        /// A change that waits for its payment.
        pending_update: Option<PendingUpdate>,
        /// The newest invoice, whole where the call asked for it.
        latest_invoice: Option<Linked<Invoice>>,
        /// What is charged, where it is not the customer's default.
        default_payment_method: Option<Link>,
        /// `charge_automatically` or `send_invoice`.
        collection_method: String,
        /// How changes within a period are billed.
        billing_mode: BillingMode,
        /// Where periods begin.
        billing_cycle_anchor: i64,
        /// `usd`.
        currency: String,
        /// When it began.
        start_date: i64,
        /// When it was created.
        created: i64,
        /// Whether money is real.
        livemode: bool,
        /// Ours.
        metadata: Metadata,
    }
}

object! {
    /// A price that a subscription has, and its period.
    SubscriptionItem {
        /// The price.
        price: Price,
        /// How many; `None`: it is metered.
        quantity: Option<u64>,
        /// When its period began.
        current_period_start: i64,
        /// When its period ends.
        current_period_end: i64,
        /// Ours.
        metadata: Metadata,
    }
}

part! {
    /// Why a subscription ends.
    CancellationDetails {
        /// What the customer said.
        comment: Option<String>,
        /// What the customer chose.
        feedback: Option<String>,
        /// `cancellation_requested`, `payment_failed` or `payment_disputed`.
        reason: Option<String>,
    }
}

part! {
    /// What happens to invoices while payments rest.
    PauseCollection {
        /// `keep_as_draft`, `mark_uncollectible` or `void`.
        behavior: String,
        /// When payments go on.
        resumes_at: Option<i64>,
    }
}

part! {
    /// A change that waits for its payment.
    PendingUpdate {
        /// When it is given up.
        expires_at: i64,
        /// What the items would be.
        subscription_items: Vec<SubscriptionItem>,
    }
}

part! {
    /// How changes within a period are billed.
    BillingMode {
        /// `flexible`, or `classic`, under which usage before a change of prices is lost.
        #[serde(rename = "type")]
        class: String,
    }
}

impl Subscription {
    /// Returns whether usage is billed across changes of prices.
    #[must_use]
    pub fn is_flexible(&self) -> bool {
        self.billing_mode.class == "flexible"
    }
}
