//! From one plan to another: what it would cost, at once with what was paid taken off, or when the period ends.

use super::biller::StripeBiller;
use super::gateway::{
    ItemChange, NewItem, NewPhase, PaymentBehavior, PhaseEnd, PhasePlan, PlannedChange, Proration,
    Schedule, Subscription, SubscriptionChange,
};
use super::mirrored::{at, seconds};
use super::refused::refused;
use crate::domain::id::CustomerId;
use crate::engine::{BillingFault, ChangeAsk, ChangePreview, ChangeWhen, Error, PreviewLine};

impl StripeBiller {
    /// Says what a change of plan would cost at once.
    pub(super) async fn preview_change(&self, ask: &ChangeAsk) -> Result<ChangePreview, Error> {
        let (subscription, items) = self.planned(ask).await?;
        let as_of = self.engine.now();
        let planned = PlannedChange {
            subscription: subscription.id.clone(),
            items,
            proration: Some(Proration::InvoiceNow),
            proration_date: Some(seconds(as_of)),
        };
        let invoice = self
            .gateway
            .preview_change(&planned)
            .await
            .map_err(refused)?;
        let lines = invoice.lines.data.iter();
        let lines = lines
            .filter(|line| line.is_proration())
            .map(|line| PreviewLine {
                description: line.description.clone().unwrap_or_default().into(),
                cents: line.amount,
            });
        Ok(ChangePreview {
            due_cents: invoice.total,
            lines: lines.collect(),
            as_of: at(seconds(as_of)),
        })
    }

    /// Changes a plan.
    pub(super) async fn change_plan(&self, ask: &ChangeAsk, key: &str) -> Result<(), Error> {
        let (subscription, items) = self.planned(ask).await?;
        match ask.when {
            ChangeWhen::Now { as_of } => {
                // What was used until now counts under the plan until now.
                self.flush(&ask.customer).await?;
                self.leave_schedule(&subscription.id, key).await?;
                let change = SubscriptionChange {
                    items,
                    proration: Some(Proration::InvoiceNow),
                    proration_date: as_of.map(seconds),
                    payment_behavior: Some(PaymentBehavior::PendingIfIncomplete),
                    ..SubscriptionChange::default()
                };
                let gateway = &self.gateway;
                let changed = gateway.update_subscription(&subscription.id, &change, key);
                changed.await.map_err(refused)?;
            }
            ChangeWhen::PeriodEnd => self.schedule(&subscription, ask, key).await?,
        }
        Ok(())
    }

    /// Returns the subscription of a customer, and what changes of its items.
    async fn planned(&self, ask: &ChangeAsk) -> Result<(Subscription, Vec<ItemChange>), Error> {
        let id = self.running(&ask.customer).await?;
        let leaves_early = ask.when != ChangeWhen::PeriodEnd;
        self.check_commitment(&ask.customer, !leaves_early).await?;
        let subscription = self
            .gateway
            .retrieve_subscription(&id)
            .await
            .map_err(refused)?;
        let offered = self.offered(&ask.plan, ask.interval).await?;
        let items = changes(&subscription, &offered.items);
        Ok((subscription, items))
    }

    /// Takes a subscription out of its schedule, which would undo what is done to it now, or forbids it.
    pub(super) async fn leave_schedule(&self, id: &str, key: &str) -> Result<(), Error> {
        let subscription = self.gateway.retrieve_subscription(id).await;
        if let Some(schedule) = subscription.map_err(refused)?.schedule {
            let key = format!("{key}_release");
            let released = self.gateway.release_schedule(schedule.id(), &key);
            released.await.map_err(refused)?;
        }
        Ok(())
    }

    /// Lets the plan change when the running period ends.
    async fn schedule(
        &self,
        subscription: &Subscription,
        ask: &ChangeAsk,
        key: &str,
    ) -> Result<(), Error> {
        let offered = self.offered(&ask.plan, ask.interval).await?;
        let schedule = if let Some(link) = &subscription.schedule {
            link.id().to_owned()
        } else {
            let key = format!("{key}_schedule");
            let made = self.gateway.create_schedule(&subscription.id, &key);
            made.await.map_err(refused)?.id
        };
        let running = self
            .gateway
            .retrieve_schedule(&schedule)
            .await
            .map_err(refused)?;
        let phase = running.current_phase.as_ref();
        let Some((phase, item)) = phase.zip(subscription.items.data.first()) else {
            let why = "the subscription has no running period".to_owned();
            return Err(Error::Billing(BillingFault::Refused(why)));
        };
        let (start, end) = (phase.start_date, item.current_period_end);
        let held = subscription.items.data.iter().map(|item| NewItem {
            price: item.price.id.clone(),
            quantity: item.quantity,
        });
        let coupons = coupons_at(&running, start);
        let phase = |start, end, items| NewPhase {
            start,
            end,
            items,
            coupons: coupons
                .iter()
                .filter(|_| start.is_some())
                .cloned()
                .collect(),
            trial_end: None,
            proration: Proration::None,
            metadata: subscription.metadata.clone(),
        };
        let plan = PhasePlan {
            phases: vec![
                phase(Some(start), PhaseEnd::At(end), held.collect()),
                phase(None, PhaseEnd::Period, offered.items),
            ],
            cancel_at_end: false,
            proration: Proration::None,
            metadata: subscription.metadata.clone(),
        };
        self.gateway
            .update_schedule(&schedule, &plan, key)
            .await
            .map_err(refused)?;
        Ok(())
    }

    /// Refuses to leave a plan before the end of what the customer committed to. At the end of a period is in time when
    /// that is not before the end of the commitment.
    pub(super) async fn check_commitment(
        &self,
        customer: &CustomerId,
        at_period_end: bool,
    ) -> Result<(), Error> {
        let standing = self.engine.get_subscription(customer).await?;
        let Some(promise) = standing.commitment else {
            return Ok(());
        };
        let leaves = if at_period_end {
            standing.period.end
        } else {
            self.engine.now()
        };
        if leaves < promise.range.end {
            let until = promise.range.end;
            return Err(Error::Billing(BillingFault::Committed { until }));
        }
        Ok(())
    }
}

/// Returns the ids of the coupons of the phase that began at a time.
pub(super) fn coupons_at(schedule: &Schedule, start: i64) -> Vec<String> {
    let phases = schedule.phases.iter();
    phases
        .filter(|phase| phase.start_date == start)
        .flat_map(|phase| &phase.discounts)
        .filter_map(|discount| Some(discount.coupon.as_ref()?.id().to_owned()))
        .collect()
}

/// Returns what makes the items of a subscription those of another plan: the plan's own item changes its price, so that what
/// was paid for it is taken off; items of use come and go.
fn changes(subscription: &Subscription, wanted: &[NewItem]) -> Vec<ItemChange> {
    let mut changes = Vec::new();
    let mut wanted: Vec<&NewItem> = wanted.iter().collect();
    let mut leaving = Vec::new();
    for item in &subscription.items.data {
        match wanted.iter().position(|new| new.price == item.price.id) {
            Some(place) => drop(wanted.remove(place)),
            None => leaving.push(item),
        }
    }
    for item in leaving {
        let is_metered = item.quantity.is_none();
        let place = wanted
            .iter()
            .position(|new| new.quantity.is_none() == is_metered);
        match place.filter(|_| !is_metered) {
            Some(place) => {
                let new = wanted.remove(place);
                changes.push(ItemChange::Change {
                    item: item.id.clone(),
                    price: Some(new.price.clone()),
                    quantity: new.quantity,
                });
            }
            None => changes.push(ItemChange::Remove {
                item: item.id.clone(),
            }),
        }
    }
    changes.extend(wanted.into_iter().map(|new| ItemChange::Add {
        price: new.price.clone(),
        quantity: new.quantity,
    }));
    changes
}
