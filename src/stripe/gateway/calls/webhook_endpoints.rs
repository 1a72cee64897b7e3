//! Webhook endpoints.

use stripe_misc::webhook_endpoint::{
    CreateWebhookEndpoint, CreateWebhookEndpointEnabledEvents, DeleteWebhookEndpoint,
    ListWebhookEndpoint, UpdateWebhookEndpoint, UpdateWebhookEndpointEnabledEvents,
};
use stripe_shared::ApiVersion;

use super::super::account::{Answer, Deleted, Gateway};
use super::super::objects::WebhookEndpoint;
use super::super::page::{Cursor, Page, set_if_any, set_if_some, turn_to};
use super::super::shape::{Metadata, unordered};
use super::terms::word;

/// Where Stripe shall tell what happens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewWebhookEndpoint {
    /// Where.
    pub url: String,
    /// In which version of the API; it stays for good.
    pub api_version: String,
    /// Of what.
    pub events: Vec<String>,
    /// What people read.
    pub description: Option<String>,
    /// What is kept with it.
    pub metadata: Metadata,
}

/// What changes of a webhook endpoint; what is `None` or empty stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookEndpointChange {
    /// Where.
    pub url: Option<String>,
    /// Of what.
    pub events: Vec<String>,
    /// Whether it rests.
    pub disabled: Option<bool>,
}

impl Gateway {
    /// Creates a webhook endpoint. Only this answer has its secret.
    pub async fn create_webhook_endpoint(
        &self,
        new: &NewWebhookEndpoint,
        key: &str,
    ) -> Answer<WebhookEndpoint> {
        let events: Vec<CreateWebhookEndpointEnabledEvents> =
            new.events.iter().map(|event| word(event)).collect();
        let mut request =
            CreateWebhookEndpoint::new(events, new.url.as_str())
                .api_version(word::<ApiVersion>(&new.api_version));
        set_if_some!(request, description = &new.description);
        set_if_any!(request, metadata = new.metadata => unordered(&new.metadata));
        self.change(&request, key).await
    }

    /// Changes a webhook endpoint.
    pub async fn update_webhook_endpoint(
        &self,
        id: &str,
        change: &WebhookEndpointChange,
        key: &str,
    ) -> Answer<WebhookEndpoint> {
        let events = || -> Vec<UpdateWebhookEndpointEnabledEvents> {
            change.events.iter().map(|event| word(event)).collect()
        };
        let mut request = UpdateWebhookEndpoint::new(id);
        set_if_some!(request, url = &change.url, disabled = change.disabled);
        set_if_any!(request, enabled_events = change.events => events());
        self.change(&request, key).await
    }

    /// Returns the webhook endpoints.
    pub async fn list_webhook_endpoints(
        &self,
        cursor: Cursor<'_>,
    ) -> Answer<Page<WebhookEndpoint>> {
        let request = turn_to!(ListWebhookEndpoint::new(), cursor);
        self.read(&request).await
    }

    /// Deletes a webhook endpoint.
    pub async fn delete_webhook_endpoint(&self, id: &str) -> Answer<Deleted> {
        self.end(&DeleteWebhookEndpoint::new(id)).await
    }
}
