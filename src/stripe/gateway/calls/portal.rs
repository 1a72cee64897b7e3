//! The portal, where customers look after their subscriptions themselves.

use stripe_billing::billing_portal_configuration::{
    CreateBillingPortalConfiguration, CreateBillingPortalConfigurationFeatures as Features,
    CreateBillingPortalConfigurationFeaturesSubscriptionCancel as Cancel,
    CreateBillingPortalConfigurationFeaturesSubscriptionCancelMode as CancelMode,
    CreateBillingPortalConfigurationFeaturesSubscriptionUpdate as Update,
    CreateBillingPortalConfigurationFeaturesSubscriptionUpdateDefaultAllowedUpdates as Allowed,
    CreateBillingPortalConfigurationFeaturesSubscriptionUpdateProrationBehavior as Prorated,
    CreateBillingPortalConfigurationFeaturesSubscriptionUpdateScheduleAtPeriodEnd as Later,
    CreateBillingPortalConfigurationFeaturesSubscriptionUpdateScheduleAtPeriodEndConditions as Lower,
    CreateBillingPortalConfigurationFeaturesSubscriptionUpdateScheduleAtPeriodEndConditionsType as LowerType,
    InvoiceListParam, ListBillingPortalConfiguration, PaymentMethodUpdateParam,
    SubscriptionUpdateProductParam, UpdateBillingPortalConfiguration,
    UpdateBillingPortalConfigurationFeatures as NewFeatures,
    UpdateBillingPortalConfigurationFeaturesSubscriptionCancel as NewCancel,
    UpdateBillingPortalConfigurationFeaturesSubscriptionCancelMode as NewCancelMode,
    UpdateBillingPortalConfigurationFeaturesSubscriptionUpdate as NewUpdate,
    UpdateBillingPortalConfigurationFeaturesSubscriptionUpdateDefaultAllowedUpdates as NewAllowed,
    UpdateBillingPortalConfigurationFeaturesSubscriptionUpdateProrationBehavior as NewProrated,
    UpdateBillingPortalConfigurationFeaturesSubscriptionUpdateScheduleAtPeriodEnd as NewLater,
    UpdateBillingPortalConfigurationFeaturesSubscriptionUpdateScheduleAtPeriodEndConditions as NewLower,
    UpdateBillingPortalConfigurationFeaturesSubscriptionUpdateScheduleAtPeriodEndConditionsType as NewLowerType,
};
use stripe_billing::billing_portal_session::CreateBillingPortalSession;
use stripe_client_core::StripeRequest as _;

use super::super::account::{Answer, Gateway};
use super::super::caller::Manner;
use super::super::objects::{PortalConfiguration, PortalSession};
use super::super::page::{Cursor, Page, set_if_any, set_if_some, turn_to};
use super::super::shape::{Metadata, emptied, shape, unordered};
use super::terms::{Proration, word};

/// What Stripe calls changes to what costs less and to shorter periods.
const DOWNGRADES: [&str; 2] = ["decreasing_item_amount", "shortening_interval"];

/// Where the changes stand that wait for the end of the period.
const CONDITIONS: &str = "features[subscription_update][schedule_at_period_end][conditions]";

/// What customers may do in the portal. They always see their invoices and change what is charged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortalRights {
    /// Whether they may end a subscription, with the period that runs.
    pub cancel: bool,
    /// How they may change a subscription; `None`: they may not.
    pub update: Option<PortalUpdate>,
    /// Where the way back leads.
    pub return_url: Option<String>,
    /// What is kept with it.
    pub metadata: Metadata,
}

/// How customers may change a subscription in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalUpdate {
    /// Products and those of their prices that they may change to.
    pub products: Vec<(String, Vec<String>)>,
    /// What becomes of the part of the period that a change cuts off.
    pub proration: Proration,
    /// Whether a change to what costs less, or to shorter periods, waits for the end of the period.
    pub downgrade_at_period_end: bool,
}

/// A customer's visit to the portal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPortalSession {
    /// Who, by the id at Stripe.
    pub customer: String,
    /// What they may do; `None`: what the default says.
    pub configuration: Option<String>,
    /// Where the way back leads.
    pub return_url: Option<String>,
}

impl Gateway {
    /// Creates what customers may do in the portal.
    pub async fn create_portal_configuration(
        &self,
        rights: &PortalRights,
        key: &str,
    ) -> Answer<PortalConfiguration> {
        let mut features = Features::new();
        features.invoice_history = Some(InvoiceListParam::new(true));
        features.payment_method_update = Some(PaymentMethodUpdateParam::new(true));
        features.subscription_cancel = Some(cancel(rights.cancel));
        features.subscription_update = Some(update(rights.update.as_ref()));
        let mut request = CreateBillingPortalConfiguration::new(features);
        set_if_some!(request, default_return_url = &rights.return_url);
        set_if_any!(request, metadata = rights.metadata => unordered(&rights.metadata));
        self.change(&request, key).await
    }

    /// Replaces what customers may do in the portal.
    pub async fn update_portal_configuration(
        &self,
        id: &str,
        rights: &PortalRights,
        key: &str,
    ) -> Answer<PortalConfiguration> {
        let mut features = NewFeatures::new();
        features.invoice_history = Some(InvoiceListParam::new(true));
        features.payment_method_update = Some(PaymentMethodUpdateParam::new(true));
        features.subscription_cancel = Some(new_cancel(rights.cancel));
        features.subscription_update = Some(new_update(rights.update.as_ref()));
        let mut request = UpdateBillingPortalConfiguration::new(id).features(features);
        set_if_some!(request, default_return_url = &rights.return_url);
        set_if_any!(request, metadata = rights.metadata => unordered(&rights.metadata));
        let mut built = request.build();
        if rights
            .update
            .as_ref()
            .is_some_and(|update| !update.downgrade_at_period_end)
        {
            // Left out, what was said before would stay.
            built = emptied(built, CONDITIONS);
        }
        let request = shape(built, Some(key))?;
        self.caller.call(&request, Manner::Repeated).await
    }

    /// Returns what customers may do in the portal, in all its variants.
    pub async fn list_portal_configurations(
        &self,
        cursor: Cursor<'_>,
    ) -> Answer<Page<PortalConfiguration>> {
        let request = turn_to!(ListBillingPortalConfiguration::new(), cursor);
        self.read(&request).await
    }

    /// Opens the portal for a customer.
    pub async fn create_portal_session(
        &self,
        new: &NewPortalSession,
        key: &str,
    ) -> Answer<PortalSession> {
        let mut request = CreateBillingPortalSession::new().customer(new.customer.as_str());
        set_if_some!(
            request,
            configuration = &new.configuration,
            return_url = &new.return_url,
        );
        self.change(&request, key).await
    }
}

fn cancel(may: bool) -> Cancel {
    let mut cancel = Cancel::new(may);
    if may {
        cancel.mode = Some(CancelMode::AtPeriodEnd);
    }
    cancel
}

fn new_cancel(may: bool) -> NewCancel {
    let mut cancel = NewCancel::new();
    cancel.enabled = Some(may);
    if may {
        cancel.mode = Some(NewCancelMode::AtPeriodEnd);
    }
    cancel
}

fn update(how: Option<&PortalUpdate>) -> Update {
    let mut update = Update::new(how.is_some());
    if let Some(how) = how {
        update.default_allowed_updates = Some(vec![Allowed::Price]);
        update.products = Some(products(how));
        update.proration_behavior = Some(word::<Prorated>(how.proration.as_str()));
        if how.downgrade_at_period_end {
            let mut later = Later::new();
            later.conditions = Some(DOWNGRADES.map(lower).into());
            update.schedule_at_period_end = Some(later);
        }
    }
    update
}

fn new_update(how: Option<&PortalUpdate>) -> NewUpdate {
    let mut update = NewUpdate::new();
    update.enabled = Some(how.is_some());
    if let Some(how) = how {
        update.default_allowed_updates = Some(vec![NewAllowed::Price]);
        update.products = Some(products(how));
        update.proration_behavior = Some(word::<NewProrated>(how.proration.as_str()));
        if how.downgrade_at_period_end {
            let mut later = NewLater::new();
            later.conditions = Some(DOWNGRADES.map(new_lower).into());
            update.schedule_at_period_end = Some(later);
        }
    }
    update
}

fn lower(name: &str) -> Lower {
    Lower::new(word::<LowerType>(name))
}

fn new_lower(name: &str) -> NewLower {
    NewLower::new(word::<NewLowerType>(name))
}

fn products(update: &PortalUpdate) -> Vec<SubscriptionUpdateProductParam> {
    update
        .products
        .iter()
        .map(|(product, prices)| {
            SubscriptionUpdateProductParam::new(prices.clone(), product.as_str())
        })
        .collect()
}
