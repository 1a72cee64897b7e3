//! `SubscriptionService`: which plan a customer has over time. What Stripe does for it has a file of its own.

mod billing;

use tonic::{Request, Response, Status};

use super::convert::page::page;
use super::convert::plan::interval;
use super::convert::subscription::status;
use super::convert::{id, optional_id, optional_timestamp, request_id};
use super::{CALLER, pb, respond};
use crate::engine::{Engine, Error, PlanCall, SubscriptionQuery};

/// Serves `SubscriptionService`.
pub struct Subscriptions {
    engine: Engine,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::subscription_service_server::SubscriptionService for Subscriptions {
    async fn assign_plan(
        &self,
        request: Request<pb::AssignPlanRequest>,
    ) -> Answer<pb::AssignPlanResponse> {
        respond(self.assign(request.into_inner()).await)
    }

    async fn get_subscription(
        &self,
        request: Request<pb::GetSubscriptionRequest>,
    ) -> Answer<pb::GetSubscriptionResponse> {
        respond(self.get(request.into_inner()).await)
    }

    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> Answer<pb::ListSubscriptionsResponse> {
        respond(self.list(request.into_inner()).await)
    }

    async fn create_checkout_session(
        &self,
        request: Request<pb::CreateCheckoutSessionRequest>,
    ) -> Answer<pb::CreateCheckoutSessionResponse> {
        respond(self.checkout(request.into_inner()).await)
    }

    async fn create_subscription(
        &self,
        request: Request<pb::CreateSubscriptionRequest>,
    ) -> Answer<pb::CreateSubscriptionResponse> {
        respond(self.subscribe(request.into_inner()).await)
    }

    async fn create_portal_session(
        &self,
        request: Request<pb::CreatePortalSessionRequest>,
    ) -> Answer<pb::CreatePortalSessionResponse> {
        respond(self.portal(request.into_inner()).await)
    }

    async fn preview_plan_change(
        &self,
        request: Request<pb::PreviewPlanChangeRequest>,
    ) -> Answer<pb::PreviewPlanChangeResponse> {
        respond(self.preview(request.into_inner()).await)
    }

    async fn change_plan(
        &self,
        request: Request<pb::ChangePlanRequest>,
    ) -> Answer<pb::ChangePlanResponse> {
        respond(self.change(request.into_inner()).await)
    }

    async fn cancel_subscription(
        &self,
        request: Request<pb::CancelSubscriptionRequest>,
    ) -> Answer<pb::CancelSubscriptionResponse> {
        respond(self.cancel(request.into_inner()).await)
    }

    async fn resume_subscription(
        &self,
        request: Request<pb::ResumeSubscriptionRequest>,
    ) -> Answer<pb::ResumeSubscriptionResponse> {
        respond(self.resume(request.into_inner()).await)
    }

    async fn sync_subscription(
        &self,
        request: Request<pb::SyncSubscriptionRequest>,
    ) -> Answer<pb::SyncSubscriptionResponse> {
        respond(self.sync(request.into_inner()).await)
    }
}

impl Subscriptions {
    /// Serves from an engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn assign(
        &self,
        request: pb::AssignPlanRequest,
    ) -> Result<pb::AssignPlanResponse, Error> {
        let key = request_id(request.request_id)?;
        let call = PlanCall {
            customer: id("customer_id", request.customer_id)?,
            plan: id("plan_id", request.plan_id)?,
            interval: interval("interval", request.interval)?,
            status: status("status", request.status)?,
            trial_end: optional_timestamp("trial_end", request.trial_end)?,
            grace_end: optional_timestamp("grace_end", request.grace_end)?,
            anchor: optional_timestamp("billing_anchor", request.billing_anchor)?,
        };
        let standing = self.engine.assign_plan(CALLER, key, call).await?;
        let subscription = Some(standing.into());
        Ok(pb::AssignPlanResponse { subscription })
    }

    async fn get(
        &self,
        request: pb::GetSubscriptionRequest,
    ) -> Result<pb::GetSubscriptionResponse, Error> {
        let customer = id("customer_id", request.customer_id)?;
        let standing = self.engine.get_subscription(&customer).await?;
        let subscription = Some(standing.into());
        Ok(pb::GetSubscriptionResponse { subscription })
    }

    async fn list(
        &self,
        mut request: pb::ListSubscriptionsRequest,
    ) -> Result<pb::ListSubscriptionsResponse, Error> {
        let page = page(&mut request)?;
        let plan = optional_id("plan_id", request.plan_id)?;
        let query = SubscriptionQuery {
            plan: plan.map(|plan| self.engine.plan_in_force(plan)),
            status: status("status", request.status)?,
            after: page.after.clone(),
            limit: page.limit,
        };
        let found = self.engine.list_subscriptions(query).await?;
        Ok(pb::ListSubscriptionsResponse {
            subscriptions: found.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_token(found.next),
        })
    }
}
