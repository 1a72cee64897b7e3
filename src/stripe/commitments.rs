//! Commitments that deliver more months than are paid: a schedule of the subscription lets the months at the end cost nothing.
//! What is used beyond the plan stays billed in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gateway::{
    CouponDuration, Fault, Gateway, Kind, Linked, NewCoupon, NewItem, NewPhase, Off, PhaseEnd,
    PhasePlan, Proration, Schedule, Subscription,
};
use super::mirrored::{plan_of, seconds};
use super::plan_changes::coupons_at;
use crate::domain::time::Timestamp;
use crate::domain::window::months_later;
use crate::engine::{PlanStanding, RunningCommitment};

/// The metadata of a schedule that delivers a commitment: how many months are paid, and how many delivered.
const COMMITMENT_KEY: &str = "bursar_commitment";
/// All of a price, in hundredths of a percent.
const ALL: u16 = 10_000;
/// Seconds in a day.
const DAY: i64 = 86_400;

/// Sees to it that commitments are delivered.
#[derive(Clone)]
pub(super) struct Commitments {
    gateway: Arc<Gateway>,
}

/// A running promise, and from when on its months cost nothing.
struct Promise<'a> {
    running: &'a RunningCommitment,
    free_from: Timestamp,
    as_of: Timestamp,
}

impl<'a> Promise<'a> {
    /// Returns the promise that a subscription has to deliver; `None`: it has none with months that cost nothing, or they are
    /// over.
    fn of(standing: &'a PlanStanding, subscription: &Subscription) -> Option<Self> {
        let link = standing.subscription.as_ref()?.stripe.as_ref()?;
        let running = standing.commitment.as_ref()?;
        let goes_on = ["active", "trialing", "past_due"].contains(&subscription.status.as_str());
        let terms = running.terms;
        let gives = terms.months_delivered > terms.months_paid;
        let is_open = standing.as_of < running.range.end;
        (*link.id == *subscription.id && goes_on && gives && is_open).then(|| Self {
            running,
            free_from: months_later(running.range.start, terms.months_paid),
            as_of: standing.as_of,
        })
    }

    /// Returns how many months that cost nothing are still to begin.
    fn free_months(&self) -> u32 {
        let terms = self.running.terms;
        let all = terms.months_delivered - terms.months_paid;
        let begins = |month: &u32| months_later(self.free_from, *month) >= self.as_of;
        u32::try_from((0..all).filter(begins).count()).unwrap_or(all)
    }

    fn mark(&self) -> String {
        let terms = self.running.terms;
        format!("{}/{}", terms.months_paid, terms.months_delivered)
    }
}

impl Commitments {
    /// Schedules by a gateway.
    pub(super) const fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Sees to it that a subscription delivers what its customer was promised. Done again, it changes nothing.
    ///
    /// # Errors
    /// When Stripe cannot be asked or refuses; it is to be tried again then.
    pub(super) async fn keep(
        &self,
        standing: &PlanStanding,
        subscription: &Subscription,
    ) -> Result<(), Fault> {
        let promise = Promise::of(standing, subscription);
        let Some(promise) = promise.filter(|promise| promise.free_months() > 0) else {
            return Ok(());
        };
        let Some(product) = licensed_product(subscription) else {
            tracing::error!(subscription.id = %subscription.id, "a commitment is to a plan without a price");
            return Ok(());
        };
        let day = seconds(promise.as_of).div_euclid(DAY);
        let schedule = match &subscription.schedule {
            Some(Linked::Whole(schedule)) => (**schedule).clone(),
            Some(Linked::Id(id)) => self.gateway.retrieve_schedule(id).await?,
            None => {
                // Two that start at the same time make the same one; a day later it may be made anew.
                let key = format!("commitment_{}_{day}", subscription.id);
                self.gateway.create_schedule(&subscription.id, &key).await?
            }
        };
        if schedule.metadata.get(COMMITMENT_KEY) == Some(&promise.mark()) {
            return Ok(());
        }
        if schedule.phases.len() > 1 {
            tracing::error!(schedule.id = %schedule.id, "somebody else planned how a subscription with a commitment goes on");
            return Ok(());
        }
        let coupon = self.free(&product, promise.free_months()).await?;
        let Some(plan) = phases(&promise, subscription, &schedule, &coupon) else {
            return Ok(());
        };
        let key = format!("commitment_{}_{day}", schedule.id);
        self.gateway
            .update_schedule(&schedule.id, &plan, &key)
            .await?;
        tracing::info!(subscription.id = %subscription.id, months = %promise.mark(), "the months of a commitment that cost nothing are scheduled");
        Ok(())
    }

    /// Returns the coupon that takes off all that a product costs for some months. It ends by itself: what the last phase of a
    /// schedule has stays with the subscription when the schedule lets it go.
    async fn free(&self, product: &str, months: u32) -> Result<String, Fault> {
        let id = format!("bursar_free_{months}_{product}");
        match self.gateway.retrieve_coupon(&id).await {
            Ok(coupon) => return Ok(coupon.id),
            Err(fault) if fault.kind == Kind::NotFound => {}
            Err(fault) => return Err(fault),
        }
        let new = NewCoupon {
            id: Some(id.clone()),
            name: Some("Months of a commitment".to_owned()),
            off: Off::HundredthsOfPercent(ALL),
            duration: CouponDuration::Months(i64::from(months)),
            products: vec![product.to_owned()],
            metadata: BTreeMap::new(),
        };
        let key = format!("coupon_{id}");
        match self.gateway.create_coupon(&new, &key).await {
            // Another was faster.
            Err(fault) if fault.kind == Kind::AlreadyExists => Ok(id),
            made => made.map(|coupon| coupon.id),
        }
    }
}

/// Returns the product of the plan that a subscription is to.
fn licensed_product(subscription: &Subscription) -> Option<String> {
    let mut items = subscription.items.data.iter();
    let item = items.find(|item| plan_of(&item.price).is_some())?;
    Some(item.price.product.as_ref()?.id().to_owned())
}

/// Returns how a subscription goes on: as it is until its paid months are over, then at no price, then as it was.
fn phases(
    promise: &Promise<'_>,
    subscription: &Subscription,
    schedule: &Schedule,
    coupon: &str,
) -> Option<PhasePlan> {
    let running = schedule.current_phase.as_ref()?;
    let items: Vec<NewItem> = subscription
        .items
        .data
        .iter()
        .map(|item| NewItem {
            price: item.price.id.clone(),
            quantity: item.quantity,
        })
        .collect();
    let held = coupons_at(schedule, running.start_date);
    let now = seconds(promise.as_of);
    let phase = |start: Option<i64>, end: Timestamp, more: Option<&str>| NewPhase {
        start,
        end: PhaseEnd::At(seconds(end)),
        items: items.clone(),
        coupons: held
            .iter()
            .map(String::as_str)
            .chain(more)
            .map(str::to_owned)
            .collect(),
        trial_end: subscription
            .trial_end
            .filter(|end| start.is_some() && *end > now),
        proration: Proration::None,
        metadata: subscription.metadata.clone(),
    };
    let start = Some(running.start_date);
    let end = promise.running.range.end;
    let phases = if promise.free_from > promise.as_of {
        vec![
            phase(start, promise.free_from, None),
            phase(None, end, Some(coupon)),
        ]
    } else {
        vec![phase(start, end, Some(coupon))]
    };
    let mut metadata = subscription.metadata.clone();
    metadata.insert(COMMITMENT_KEY.to_owned(), promise.mark());
    Some(PhasePlan {
        phases,
        cancel_at_end: false,
        proration: Proration::None,
        metadata,
    })
}
