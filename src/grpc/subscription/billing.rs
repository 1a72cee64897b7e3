//! Subscriptions that Stripe bills: subscribed to, changed, ended.

use std::sync::Arc;

use super::Subscriptions;
use crate::domain::catalog::Interval;
use crate::domain::id::CustomerId;
use crate::engine::{
    Biller, Calling, CancelWhen, ChangeAsk, ChangeWhen, CheckoutAsk, Error, HostedPage, Order,
    SubscribeAsk,
};
use crate::grpc::convert::payment::purchase;
use crate::grpc::convert::plan::interval;
use crate::grpc::convert::{id, known, optional_timestamp, request_id, text, to_timestamp};
use crate::grpc::{CALLER, pb};

/// Longest address that Stripe takes, in bytes.
const URL_BYTES_MAX: usize = 5_000;

/// Longest id of Stripe's, in bytes.
const ID_BYTES_MAX: usize = 255;

/// Reads how often a plan is paid; each month unless it is said.
fn every(number: i32) -> Result<Interval, Error> {
    Ok(interval("interval", number)?.unwrap_or(Interval::Month))
}

/// Reads where a page leads.
fn url(field: &str, address: String) -> Result<Box<str>, Error> {
    let address = text(field, address, URL_BYTES_MAX)?;
    if address.starts_with("https://") || address.starts_with("http://") {
        Ok(address)
    } else {
        Err(Error::invalid(field, "must begin with http:// or https://"))
    }
}

impl Subscriptions {
    pub(super) async fn checkout(
        &self,
        request: pb::CreateCheckoutSessionRequest,
    ) -> Result<pb::CreateCheckoutSessionResponse, Error> {
        let key = request_id(request.request_id)?;
        let cancel_url = match request.cancel_url {
            none if none.is_empty() => Box::default(),
            address => url("cancel_url", address)?,
        };
        let order = match request.purchase {
            None => Order::Plan(id("plan_id", request.plan_id)?, every(request.interval)?),
            Some(bought) if request.plan_id.is_empty() => Order::Purchase(purchase(bought)?),
            Some(_) => {
                let rule = "must be absent when there is a plan";
                return Err(Error::invalid("purchase", rule));
            }
        };
        let ask = CheckoutAsk {
            customer: id("customer_id", request.customer_id)?,
            order,
            success_url: url("success_url", request.success_url)?,
            cancel_url,
        };
        let method = (CALLER, "CreateCheckoutSession");
        let ask = &ask;
        let call = |biller: Arc<dyn Biller>, key: String| -> Calling<'_, _> {
            Box::pin(async move { biller.checkout(ask, &key).await })
        };
        let page = self.engine.call_once(method, &key, ask, call).await?;
        let HostedPage {
            id,
            url,
            expire_time,
        } = page;
        Ok(pb::CreateCheckoutSessionResponse {
            session_id: id.into(),
            url: url.into(),
            expire_time: expire_time.map(to_timestamp),
            sandbox: self.engine.biller()?.is_sandbox(),
        })
    }

    pub(super) async fn portal(
        &self,
        request: pb::CreatePortalSessionRequest,
    ) -> Result<pb::CreatePortalSessionResponse, Error> {
        let key = request_id(request.request_id)?;
        let customer: CustomerId = id("customer_id", request.customer_id)?;
        let back = url("return_url", request.return_url)?;
        let method = (CALLER, "CreatePortalSession");
        let (customer, back) = (&customer, &*back);
        let call = |biller: Arc<dyn Biller>, key: String| -> Calling<'_, _> {
            Box::pin(async move { biller.portal(customer, back, &key).await })
        };
        let content = (customer, back);
        let page = self.engine.call_once(method, &key, &content, call).await?;
        Ok(pb::CreatePortalSessionResponse {
            url: page.url.into(),
            sandbox: self.engine.biller()?.is_sandbox(),
        })
    }

    pub(super) async fn subscribe(
        &self,
        request: pb::CreateSubscriptionRequest,
    ) -> Result<pb::CreateSubscriptionResponse, Error> {
        let key = request_id(request.request_id)?;
        let ask = SubscribeAsk {
            customer: id("customer_id", request.customer_id)?,
            plan: id("plan_id", request.plan_id)?,
            interval: every(request.interval)?,
        };
        let method = (CALLER, "CreateSubscription");
        let ask = &ask;
        let call = |biller: Arc<dyn Biller>, key: String| -> Calling<'_, _> {
            Box::pin(async move { biller.subscribe(ask, &key).await })
        };
        self.engine.call_once(method, &key, ask, call).await?;
        let subscription = Some(self.standing(&ask.customer).await?);
        Ok(pb::CreateSubscriptionResponse { subscription })
    }

    pub(super) async fn preview(
        &self,
        request: pb::PreviewPlanChangeRequest,
    ) -> Result<pb::PreviewPlanChangeResponse, Error> {
        let ask = ChangeAsk {
            customer: id("customer_id", request.customer_id)?,
            plan: id("plan_id", request.plan_id)?,
            interval: every(request.interval)?,
            when: ChangeWhen::Now { as_of: None },
        };
        let preview = self.engine.biller()?.preview(&ask).await?;
        let lines = preview.lines.into_iter().map(|line| pb::PreviewLine {
            description: line.description.into(),
            amount_cents: line.cents,
        });
        Ok(pb::PreviewPlanChangeResponse {
            due_cents: preview.due_cents,
            lines: lines.collect(),
            preview_time: Some(to_timestamp(preview.as_of)),
        })
    }

    pub(super) async fn change(
        &self,
        request: pb::ChangePlanRequest,
    ) -> Result<pb::ChangePlanResponse, Error> {
        let key = request_id(request.request_id)?;
        let as_of = optional_timestamp("preview_time", request.preview_time)?;
        let when = match known("timing", request.timing)? {
            pb::PlanChangeTiming::Unspecified | pb::PlanChangeTiming::Now => {
                ChangeWhen::Now { as_of }
            }
            pb::PlanChangeTiming::PeriodEnd if as_of.is_some() => {
                let rule = "is for PLAN_CHANGE_TIMING_NOW only";
                return Err(Error::invalid("preview_time", rule));
            }
            pb::PlanChangeTiming::PeriodEnd => ChangeWhen::PeriodEnd,
        };
        let ask = ChangeAsk {
            customer: id("customer_id", request.customer_id)?,
            plan: id("plan_id", request.plan_id)?,
            interval: every(request.interval)?,
            when,
        };
        let ask = &ask;
        let call = |biller: Arc<dyn Biller>, key: String| -> Calling<'_, _> {
            Box::pin(async move { biller.change(ask, &key).await })
        };
        let method = (CALLER, "ChangePlan");
        self.engine.call_once(method, &key, ask, call).await?;
        let subscription = Some(self.standing(&ask.customer).await?);
        Ok(pb::ChangePlanResponse { subscription })
    }

    pub(super) async fn cancel(
        &self,
        request: pb::CancelSubscriptionRequest,
    ) -> Result<pb::CancelSubscriptionResponse, Error> {
        let key = request_id(request.request_id)?;
        let customer: CustomerId = id("customer_id", request.customer_id)?;
        let when = if request.now {
            CancelWhen::Now
        } else {
            CancelWhen::PeriodEnd
        };
        let customer = &customer;
        let call = |biller: Arc<dyn Biller>, key: String| -> Calling<'_, _> {
            Box::pin(async move { biller.cancel(customer, when, &key).await })
        };
        let method = (CALLER, "CancelSubscription");
        self.engine
            .call_once(method, &key, &(customer, when), call)
            .await?;
        let subscription = Some(self.standing(customer).await?);
        Ok(pb::CancelSubscriptionResponse { subscription })
    }

    pub(super) async fn resume(
        &self,
        request: pb::ResumeSubscriptionRequest,
    ) -> Result<pb::ResumeSubscriptionResponse, Error> {
        let key = request_id(request.request_id)?;
        let customer: CustomerId = id("customer_id", request.customer_id)?;
        let customer = &customer;
        let call = |biller: Arc<dyn Biller>, key: String| -> Calling<'_, _> {
            Box::pin(async move { biller.resume(customer, &key).await })
        };
        let method = (CALLER, "ResumeSubscription");
        self.engine.call_once(method, &key, customer, call).await?;
        let subscription = Some(self.standing(customer).await?);
        Ok(pb::ResumeSubscriptionResponse { subscription })
    }

    pub(super) async fn sync(
        &self,
        request: pb::SyncSubscriptionRequest,
    ) -> Result<pb::SyncSubscriptionResponse, Error> {
        let customer: CustomerId = id("customer_id", request.customer_id)?;
        let payer = text(
            "stripe_customer_id",
            request.stripe_customer_id,
            ID_BYTES_MAX,
        )?;
        let payer = Some(&*payer).filter(|payer| !payer.is_empty());
        self.engine.biller()?.sync(&customer, payer).await?;
        let subscription = Some(self.standing(&customer).await?);
        Ok(pb::SyncSubscriptionResponse { subscription })
    }

    async fn standing(&self, customer: &CustomerId) -> Result<pb::Subscription, Error> {
        Ok(self.engine.get_subscription(customer).await?.into())
    }
}
