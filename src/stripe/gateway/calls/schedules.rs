//! Schedules of subscriptions.

use stripe_billing::subscription_schedule::{
    CancelSubscriptionSchedule, CreateSubscriptionSchedule, ReleaseSubscriptionSchedule,
    RetrieveSubscriptionSchedule, UpdateSubscriptionSchedule,
    UpdateSubscriptionSchedulePhases as TheirPhase,
    UpdateSubscriptionSchedulePhasesDiscounts as TheirDiscount,
    UpdateSubscriptionSchedulePhasesDuration as TheirDuration,
    UpdateSubscriptionSchedulePhasesDurationInterval as TheirInterval,
    UpdateSubscriptionSchedulePhasesEndDate as TheirEnd,
    UpdateSubscriptionSchedulePhasesItems as TheirItem,
    UpdateSubscriptionSchedulePhasesProrationBehavior as PhaseProration,
    UpdateSubscriptionSchedulePhasesStartDate as TheirStart,
    UpdateSubscriptionSchedulePhasesTrialEnd as TheirTrialEnd,
    UpdateSubscriptionScheduleProrationBehavior as ChangeProration,
};
use stripe_shared::SubscriptionScheduleEndBehavior;

use super::super::account::{Answer, Gateway};
use super::super::objects::Schedule;
use super::super::page::set_if_any;
use super::super::shape::{Metadata, unordered, unordered_if_any};
use super::subscription_changes::CancelNow;
use super::terms::{Interval, NewItem, Proration, word};

/// How a subscription goes on. It replaces all phases that are not over, the running one included,
/// which has to begin when it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhasePlan {
    /// The phases, at most 10, in their order.
    pub phases: Vec<NewPhase>,
    /// Whether the subscription ends with the last of them; otherwise it goes on as it is then.
    pub cancel_at_end: bool,
    /// What becomes of the part of a period that this change itself cuts off.
    pub proration: Proration,
    /// What is kept with the schedule.
    pub metadata: Metadata,
}

/// A time in which a subscription stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPhase {
    /// When it begins; `None`, except for the first: where the one before ends.
    pub start: Option<i64>,
    /// When it ends.
    pub end: PhaseEnd,
    /// What there is in it.
    pub items: Vec<NewItem>,
    /// The ids of coupons.
    pub coupons: Vec<String>,
    /// Until when nothing is charged.
    pub trial_end: Option<i64>,
    /// What becomes of the part of a period that its beginning cuts off.
    pub proration: Proration,
    /// What the subscription has in its metadata from then on.
    pub metadata: Metadata,
}

/// When a phase ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseEnd {
    /// At a time.
    At(i64),
    /// So many intervals after it began.
    After(Interval, u64),
    /// One period after it began, which only the last may.
    Period,
}

impl Gateway {
    /// Puts a subscription under a schedule, whose one phase is the period that runs.
    pub async fn create_schedule(&self, subscription: &str, key: &str) -> Answer<Schedule> {
        let request = CreateSubscriptionSchedule::new().from_subscription(subscription);
        self.change(&request, key).await
    }

    /// Returns a schedule.
    pub async fn retrieve_schedule(&self, id: &str) -> Answer<Schedule> {
        self.read(&RetrieveSubscriptionSchedule::new(id)).await
    }

    /// Replaces the phases of a schedule that are not over.
    pub async fn update_schedule(&self, id: &str, plan: &PhasePlan, key: &str) -> Answer<Schedule> {
        let phases: Vec<_> = plan.phases.iter().map(phase).collect();
        let end = if plan.cancel_at_end {
            SubscriptionScheduleEndBehavior::Cancel
        } else {
            SubscriptionScheduleEndBehavior::Release
        };
        let mut request = UpdateSubscriptionSchedule::new(id)
            .phases(phases)
            .end_behavior(end)
            .proration_behavior(word::<ChangeProration>(plan.proration.as_str()));
        set_if_any!(request, metadata = plan.metadata => unordered(&plan.metadata));
        self.change(&request, key).await
    }

    /// Lets a subscription go on without its schedule, as it is now.
    pub async fn release_schedule(&self, id: &str, key: &str) -> Answer<Schedule> {
        self.change(&ReleaseSubscriptionSchedule::new(id), key)
            .await
    }

    /// Ends a schedule and its subscription at once.
    pub async fn cancel_schedule(&self, id: &str, how: CancelNow, key: &str) -> Answer<Schedule> {
        let request = CancelSubscriptionSchedule::new(id)
            .invoice_now(how.invoice_now)
            .prorate(how.prorate);
        self.change(&request, key).await
    }
}

fn phase(phase: &NewPhase) -> TheirPhase {
    let items: Vec<_> = phase.items.iter().map(item).collect();
    let mut theirs = TheirPhase::new(items);
    theirs.start_date = phase.start.map(TheirStart::Timestamp);
    match phase.end {
        PhaseEnd::At(time) => theirs.end_date = Some(TheirEnd::Timestamp(time)),
        PhaseEnd::After(interval, count) => {
            let mut duration = TheirDuration::new(word::<TheirInterval>(interval.as_str()));
            duration.interval_count = Some(count);
            theirs.duration = Some(duration);
        }
        PhaseEnd::Period => {}
    }
    if !phase.coupons.is_empty() {
        theirs.discounts = Some(phase.coupons.iter().map(|id| discount(id)).collect());
    }
    theirs.trial_end = phase.trial_end.map(TheirTrialEnd::Timestamp);
    theirs.proration_behavior = Some(word::<PhaseProration>(phase.proration.as_str()));
    theirs.metadata = unordered_if_any(&phase.metadata);
    theirs
}

fn item(item: &NewItem) -> TheirItem {
    let mut theirs = TheirItem::new();
    theirs.price = Some(item.price.clone());
    theirs.quantity = item.quantity;
    theirs
}

fn discount(coupon: &str) -> TheirDiscount {
    let mut discount = TheirDiscount::new();
    discount.coupon = Some(coupon.to_owned());
    discount
}
