//! What tests ask of the server, and of the account at Stripe, again and again.

use std::time::Duration;

use bursar::grpc::pb;
use bursar::stripe::gateway::{
    Cursor, Invoice, InvoiceFilter, Schedule, Subscription, SubscriptionChange, SubscriptionFilter,
};
use pb::operations_service_client::OperationsServiceClient;
use tonic::Status;

use super::Site;

/// What is waited for after a period ended: invoices stay drafts for an hour.
const DRAFT_HOURS: i64 = 2;

impl Site {
    /// Records what a customer used.
    pub async fn record(&self, id: &str, meter: &str, quantity: i64, name: &str) {
        let event = pb::UsageEvent {
            event_id: format!("{name}-{id}"),
            customer_id: id.to_owned(),
            meter_id: meter.to_owned(),
            quantity,
            ..pb::UsageEvent::default()
        };
        let events = vec![event];
        let request = pb::RecordUsageBatchRequest { events };
        let mut metering = self.server.metering().await;
        let answer = metering.record_usage_batch(request).await.unwrap();
        let results = answer.into_inner().results;
        assert!(
            results.iter().all(|result| result.error.is_none()),
            "{results:?}"
        );
    }

    /// Waits until so much of a customer's use of a meter is at Stripe, and no more.
    pub async fn until_at_stripe(&self, id: &str, meter: &str, billed: i64) {
        let Some(name) = self.catalog.meters[meter].stripe_event_name.clone() else {
            assert_eq!(billed, 0, "nothing counts {meter} at Stripe");
            return;
        };
        let payer = self.payer(id).await;
        let mut seen = 0;
        for _ in 0..100 {
            seen = self.double.effective_sum(&name, &payer, 0, i64::MAX);
            if seen == billed {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{id}: {seen} of {meter} is at Stripe, and not {billed}");
    }

    /// Returns who a customer is at Stripe.
    pub async fn payer(&self, id: &str) -> String {
        let mut page = self
            .gateway
            .list_customers(None, Cursor::FIRST)
            .await
            .unwrap();
        page.data.retain(|customer| customer.ours() == Some(id));
        page.data.pop().expect("the customer is at Stripe").id
    }

    /// Returns who a customer is at Stripe, and its subscription there, whatever is known of it here.
    pub async fn at_stripe(&self, id: &str) -> (String, Subscription) {
        let payer = self.payer(id).await;
        let filter = SubscriptionFilter {
            customer: Some(&payer),
            price: None,
        };
        let page = self.gateway.list_subscriptions(filter, Cursor::FIRST).await;
        let mut all = page.unwrap().data;
        assert_eq!(all.len(), 1, "{id} has one subscription");
        (payer, all.remove(0))
    }

    /// Returns what was sealed of a customer's use.
    pub async fn chunks(&self, id: &str) -> Vec<pb::Chunk> {
        let request = pb::ListChunksRequest {
            customer_id: id.to_owned(),
            page_size: 1_000,
            ..pb::ListChunksRequest::default()
        };
        let mut operations = OperationsServiceClient::new(self.server.channel().await);
        let answer = operations.list_chunks(request).await.unwrap();
        answer.into_inner().chunks
    }

    /// Returns what came from Stripe.
    pub async fn webhooks(&self) -> Vec<pb::Webhook> {
        let request = pb::ListWebhooksRequest {
            page_size: 1_000,
            ..pb::ListWebhooksRequest::default()
        };
        let mut operations = OperationsServiceClient::new(self.server.channel().await);
        let answer = operations.list_webhooks(request).await.unwrap();
        answer.into_inner().webhooks
    }

    /// Gives a customer and its subscription another card.
    pub async fn change_card(&self, id: &str, card: &str) {
        let (payer, subscription) = self.at_stripe(id).await;
        self.double
            .model(|model| model.set_card(&payer, card))
            .unwrap();
        let customer = self.gateway.retrieve_customer(&payer).await.unwrap();
        let change = SubscriptionChange {
            default_payment_method: customer.default_payment_method().map(str::to_owned),
            ..SubscriptionChange::default()
        };
        let key = format!("card-{id}-{card}");
        let changed = self
            .gateway
            .update_subscription(&subscription.id, &change, &key);
        changed.await.unwrap();
    }

    async fn invoices(&self, id: &str) -> Vec<Invoice> {
        let payer = self.payer(id).await;
        let filter = InvoiceFilter {
            customer: Some(&payer),
            subscription: None,
        };
        let page = self.gateway.list_invoices(filter, Cursor::FIRST).await;
        page.unwrap().data
    }

    /// Returns what the newest invoice of a customer comes to, in cents.
    pub async fn newest_total(&self, id: &str) -> i64 {
        self.invoices(id).await[0].total
    }

    /// Pays what a customer owes.
    pub async fn pay_open_invoices(&self, id: &str) {
        for invoice in self.invoices(id).await {
            if invoice.status.as_deref() == Some("open") {
                let key = format!("pay-{}", invoice.id);
                let paid = self.gateway.pay_invoice(&invoice.id, None, &key);
                paid.await.unwrap();
            }
        }
    }

    /// Returns the schedules of a customer's subscription: the one that it has.
    pub async fn schedules(&self, id: &str) -> Vec<Schedule> {
        let (_, subscription) = self.at_stripe(id).await;
        let Some(link) = subscription.schedule else {
            return Vec::new();
        };
        vec![self.gateway.retrieve_schedule(link.id()).await.unwrap()]
    }

    /// Waits until it is settled how a customer's subscription goes on.
    pub async fn until_scheduled(&self, id: &str) {
        for _ in 0..100 {
            let schedules = self.schedules(id).await;
            if schedules.iter().any(|schedule| schedule.phases.len() > 1) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{id}: nothing is scheduled");
    }

    /// Lets time pass until shortly after a customer's period, and waits until the next one is known.
    pub async fn pass_period(&mut self, id: &str) {
        let end = self.standing(id).await.current_period_end.unwrap().seconds;
        let seconds = end - self.double.now() + DRAFT_HOURS * 3_600;
        self.pass(u32::try_from(seconds / 60).unwrap()).await;
        let is_next = |of: &pb::Subscription| {
            let start = of.current_period_start.as_ref().map(|at| at.seconds);
            start >= Some(end) && of.data_age.as_ref().is_some_and(|age| age.seconds < 600)
        };
        self.until(id, is_next).await;
    }

    pub async fn preview(
        &mut self,
        id: &str,
        plan: &str,
        every: pb::BillingInterval,
    ) -> pb::PreviewPlanChangeResponse {
        let request = pb::PreviewPlanChangeRequest {
            customer_id: id.to_owned(),
            plan_id: plan.to_owned(),
            interval: every.into(),
        };
        let answer = self.subscriptions.preview_plan_change(request).await;
        answer.unwrap().into_inner()
    }

    /// Changes a plan; the same change is the same request.
    pub async fn change_plan(
        &mut self,
        id: &str,
        (plan, every): (&str, pb::BillingInterval),
        timing: pb::PlanChangeTiming,
        preview_time: Option<prost_types::Timestamp>,
    ) -> Result<pb::Subscription, Status> {
        let request = pb::ChangePlanRequest {
            request_id: format!(
                "change-{id}-{plan}-{every:?}-{timing:?}-{}",
                self.double.now()
            ),
            customer_id: id.to_owned(),
            plan_id: plan.to_owned(),
            interval: every.into(),
            timing: timing.into(),
            preview_time,
        };
        let answer = self.subscriptions.change_plan(request).await?;
        Ok(answer.into_inner().subscription.unwrap())
    }

    pub async fn cancel(&mut self, id: &str, now: bool) -> Result<pb::Subscription, Status> {
        let request = pb::CancelSubscriptionRequest {
            request_id: format!("cancel-{id}-{now}-{}", self.double.now()),
            customer_id: id.to_owned(),
            now,
        };
        let answer = self.subscriptions.cancel_subscription(request).await?;
        Ok(answer.into_inner().subscription.unwrap())
    }

    pub async fn resume(&mut self, id: &str) {
        let request = pb::ResumeSubscriptionRequest {
            request_id: format!("resume-{id}-{}", self.double.now()),
            customer_id: id.to_owned(),
        };
        self.subscriptions
            .resume_subscription(request)
            .await
            .unwrap();
    }

    pub async fn sync(&mut self, id: &str) {
        let customer_id = id.to_owned();
        let request = pb::SyncSubscriptionRequest {
            customer_id,
            ..pb::SyncSubscriptionRequest::default()
        };
        self.subscriptions.sync_subscription(request).await.unwrap();
    }
}
