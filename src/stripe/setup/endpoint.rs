//! Where Stripe tells what happens, and of what.

use super::{Difference, Setup, key};
use crate::stripe::gateway::{
    API_VERSION, Cursor, Fault, NewWebhookEndpoint, Secret, WebhookEndpoint, WebhookEndpointChange,
};

/// What Stripe tells of: all that can change what a customer has, pays or owes, and what is for sale. Groups cannot be named
/// by a star in this call.
const EVENTS: [&str; 59] = [
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.failed",
    "charge.refunded",
    "charge.succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.deleted",
    "customer.updated",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "entitlements.active_entitlement_summary.updated",
    "invoice.created",
    "invoice.finalization_failed",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.overdue",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.upcoming",
    "invoice.updated",
    "invoice.voided",
    "invoice_payment.paid",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
    "price.created",
    "price.deleted",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
    "refund.created",
    "refund.failed",
    "refund.updated",
    "subscription_schedule.aborted",
    "subscription_schedule.canceled",
    "subscription_schedule.completed",
    "subscription_schedule.created",
    "subscription_schedule.expiring",
    "subscription_schedule.released",
    "subscription_schedule.updated",
    "billing.meter.created",
    "billing.meter.deactivated",
    "billing.meter.reactivated",
    "billing.meter.updated",
];

impl Setup {
    /// Returns in what the endpoint at an address differs from what it should be; `None`: in nothing.
    pub(super) async fn endpoint_difference(&self, url: &str) -> Result<Option<Difference>, Fault> {
        let held = self.endpoints().await?;
        // Addresses are compared as they stand: each is where one server is reached.
        let mut here: Vec<_> = held.into_iter().filter(|one| one.url == url).collect();
        here.sort_by_key(|one| one.api_version.as_deref() != Some(API_VERSION));
        let Some(theirs) = here.into_iter().next() else {
            let url = url.to_owned();
            return Ok(Some(Difference::CreateEndpoint { url }));
        };
        Ok(difference(theirs))
    }

    /// Creates an endpoint; returns the secret that it signs with, which nobody is told again.
    pub(super) async fn create_endpoint(&self, url: &str) -> Result<Option<Secret>, Fault> {
        let new = NewWebhookEndpoint {
            url: url.to_owned(),
            api_version: API_VERSION.to_owned(),
            events: EVENTS.map(str::to_owned).into(),
            description: Some("bursar".to_owned()),
            metadata: [("bursar".to_owned(), "webhooks".to_owned())].into(),
        };
        // One that was deleted since must not be answered with from memory.
        let key = format!("{}_{}", key(&("endpoint", url)), self.turn);
        Ok(self
            .gateway
            .create_webhook_endpoint(&new, &key)
            .await?
            .secret)
    }

    /// Lets an endpoint be told of what it lacks.
    pub(super) async fn change_endpoint(&self, id: &str, events: &[String]) -> Result<(), Fault> {
        let change = WebhookEndpointChange {
            events: events.to_vec(),
            disabled: Some(false),
            ..WebhookEndpointChange::default()
        };
        let key = format!("{}_{}", key(&("endpoint", id)), self.turn);
        self.gateway
            .update_webhook_endpoint(id, &change, &key)
            .await?;
        Ok(())
    }

    /// Creates an endpoint in the place of another, which goes when the new one is there.
    pub(super) async fn replace_endpoint(
        &self,
        id: &str,
        url: &str,
    ) -> Result<Option<Secret>, Fault> {
        let secret = self.create_endpoint(url).await?;
        // Nobody is told the secret again, so it is not lost to what remains to be done.
        if let Err(fault) = self.gateway.delete_webhook_endpoint(id).await {
            tracing::warn!(endpoint.id = %id, %fault, "an endpoint that was replaced is still there: delete it");
        }
        Ok(secret)
    }

    async fn endpoints(&self) -> Result<Vec<WebhookEndpoint>, Fault> {
        let mut page = self.gateway.list_webhook_endpoints(Cursor::FIRST).await?;
        let mut all = page.data.clone();
        while let Some(next) = page.next() {
            page = self.gateway.list_webhook_endpoints(next).await?;
            all.extend(page.data.iter().cloned());
        }
        Ok(all)
    }
}

/// Returns in what an endpoint differs from what it should be. What it is told of beyond that stays.
fn difference(theirs: WebhookEndpoint) -> Option<Difference> {
    let WebhookEndpoint {
        id,
        url,
        api_version,
        enabled_events: told,
        status,
        ..
    } = theirs;
    let version = api_version.unwrap_or_default();
    if version != API_VERSION {
        return Some(Difference::ReplaceEndpoint { id, url, version });
    }
    let all = told.iter().any(|event| event == "*");
    let missing: Vec<String> = EVENTS
        .iter()
        .filter(|event| !all && !told.iter().any(|one| one == *event))
        .map(|event| (*event).to_owned())
        .collect();
    if missing.is_empty() && status == "enabled" {
        return None;
    }
    let events = told.into_iter().chain(missing.iter().cloned()).collect();
    Some(Difference::ChangeEndpoint {
        id,
        url,
        events,
        missing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> WebhookEndpoint {
        WebhookEndpoint {
            id: "we_1".to_owned(),
            url: "https://example.com".to_owned(),
            api_version: Some(API_VERSION.to_owned()),
            enabled_events: EVENTS.map(str::to_owned).into(),
            status: "enabled".to_owned(),
            ..WebhookEndpoint::default()
        }
    }

    #[test]
    fn what_an_endpoint_lacks_is_found_and_what_it_has_more_stays() {
        assert_eq!(difference(endpoint()), None);
        let all = WebhookEndpoint {
            enabled_events: vec!["*".to_owned()],
            ..endpoint()
        };
        assert_eq!(difference(all), None);
        let fewer = WebhookEndpoint {
            enabled_events: vec!["payout.paid".to_owned(), EVENTS[0].to_owned()],
            ..endpoint()
        };
        let Some(Difference::ChangeEndpoint {
            events, missing, ..
        }) = difference(fewer)
        else {
            panic!("it lacks events");
        };
        assert_eq!(missing.len(), EVENTS.len() - 1);
        assert!(events.contains(&"payout.paid".to_owned()));
        let asleep = WebhookEndpoint {
            status: "disabled".to_owned(),
            ..endpoint()
        };
        let Some(Difference::ChangeEndpoint { missing, .. }) = difference(asleep) else {
            panic!("it sleeps");
        };
        assert!(missing.is_empty());
        let old = WebhookEndpoint {
            api_version: None,
            ..endpoint()
        };
        assert!(matches!(
            difference(old),
            Some(Difference::ReplaceEndpoint { .. })
        ));
    }

    #[test]
    fn each_event_is_named_once() {
        let mut events = EVENTS.to_vec();
        events.sort_unstable();
        events.dedup();
        assert_eq!(events.len(), EVENTS.len());
    }
}
